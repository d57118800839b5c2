"""Keccak-256 with the original padding, in C (spec settlement/02).

The executor's own (:mod:`executor.primitives.keccak`) is written in Python for the sandbox and takes more than a
hundred times as long; an engine call is mostly hashes.
"""

from __future__ import annotations

from sha3 import keccak_256

from pygenvm.settlement.types.words import Hash


def keccak256(data: bytes) -> Hash:
    digest: Hash = keccak_256(data).digest()
    return digest
