"""The two identifiers of a task that exist; both SHA3-256, unlike anything else here (spec settlement/04 §4)."""

from __future__ import annotations

import hashlib

from pygenvm.settlement.types.words import Hash, u16, u32, u64


def queue_job_id(chain_id: int, height: int, tx_hash: bytes, caller: bytes, payload: bytes) -> Hash:
    fields = b"".join(u32(len(field)) + field for field in (tx_hash, caller, payload))
    return _sha3(b"animica/task-id/v1\0" + u64(chain_id) + u64(height) + fields)


def capabilities_task_id(chain_id: int, height: int, tx_hash: bytes, caller: bytes, payload: bytes) -> Hash:
    """``payload`` is encoded already. ``ValueError`` for chain 0 and for an empty transaction hash or caller."""
    if chain_id < 1 or not tx_hash or not caller:
        raise ValueError("a task needs a chain, a transaction hash and a caller")
    fields = b"".join(u16(len(field)) + field for field in (tx_hash, caller))
    return _sha3(b"animica/cap.task_id/v1" + u64(chain_id) + u64(height) + fields + _sha3(payload))


def _sha3(data: bytes) -> Hash:
    return Hash(hashlib.sha3_256(data).digest())
