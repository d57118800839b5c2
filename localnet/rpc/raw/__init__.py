"""Signed transactions as clients send them, from bytes to what is asked for (spec localnet-rpc/02 §1).

:mod:`~localnet.rpc.raw.rlp` (the outer and the inner encoding), :mod:`~localnet.rpc.raw.signatures` (who has signed),
:mod:`~localnet.rpc.raw.envelope` (legacy, type 1 and type 2 transactions), :mod:`~localnet.rpc.raw.abi` (arguments of
contract functions), :mod:`~localnet.rpc.raw.functions` (those of the consensus contract) and
:mod:`~localnet.rpc.raw.payload` (code and calldata inside).

Nothing here knows of the network: bytes in, dataclasses out, :class:`RawError` for everything malformed.
"""

from __future__ import annotations

from pygenvm.localnet.rpc.raw.errors import RawError

__all__ = ["RawError"]
