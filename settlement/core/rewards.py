"""What a completed core task is worth, and the hash of its receipt (spec settlement/03 §6.2)."""

from __future__ import annotations

import hashlib
from typing import Final

from pygenvm.settlement.types.words import Hash

_BASE: Final = 10**15
#: Below so many milliseconds, the factor in halves; slower ones get the last.
_FACTORS: Final = ((100, 2), (1000, 3), (10_000, 4))
_SLOWEST: Final = 6
_FAST_MS: Final = 100
_RELIABLE: Final = 0.999


def task_reward(compute_ms: int, capability_percent: int, uptime: float) -> int:
    """Rounded down at each step."""
    halves = next((factor for limit, factor in _FACTORS if compute_ms < limit), _SLOWEST)
    reward = _BASE * halves // 2
    reward += reward * capability_percent // 100
    if uptime >= _RELIABLE:
        reward += reward * 10 // 100
    if compute_ms < _FAST_MS:
        reward += reward * 5 // 100
    return reward


def model_hash(model_id: str) -> Hash:
    """Also of models that nobody has heard of."""
    return _sha256(model_id.encode())


def receipt_hash(job_id: str, provider_id: str, model: Hash, task_input: bytes, output: bytes) -> Hash:
    return _sha256(b"".join((job_id.encode(), provider_id.encode(), model, _sha256(task_input), _sha256(output))))


def _sha256(data: bytes) -> Hash:
    return Hash(hashlib.sha256(data).digest())
