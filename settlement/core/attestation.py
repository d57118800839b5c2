"""Scores of GPU attestations (spec settlement/03 §6.3). No signature is checked: what the submitter says is counted."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_MODE_LOCAL, _MODE_SOFTWARE = 0, 1
_REPORT_BYTES_MIN: Final = 256
_SIGNATURE_BYTES_MIN: Final = 64
_KEY_BYTES_MIN: Final = 32
_AGE_MAX: Final = timedelta(hours=1)
_LOCAL_MODELS: Final = {"GB200": 10, "B200": 10, "B100": 10, "H200": 8, "H100": 8, "RTX PRO 6000": 5}
_SOFTWARE_MODELS: Final = {
    "RTX 5090": 15,
    "RTX 5080": 15,
    "GB10": 12,
    "RTX 4090": 10,
    "RTX 4080": 10,
    "RTX 3090": 8,
    "RTX 3080": 8,
}


class AttestationError(ValueError):
    """One of the texts of the specification."""


@dataclass(frozen=True, slots=True)
class Score:
    hardware_cc: bool
    mode: int
    trust_score: int


def gpu_score(attestation: Any) -> Score:
    """:param attestation: as JSON gives it."""
    if not isinstance(attestation, dict):
        raise AttestationError("invalid attestation quote")
    mode = attestation.get("mode", _MODE_LOCAL)
    local, software = attestation.get("local_evidence"), attestation.get("software_attestation")
    if mode == _MODE_LOCAL or (mode != _MODE_SOFTWARE and local is not None):
        return _local(attestation, local)
    return _software(attestation, software)


def _local(attestation: dict[str, Any], evidence: Any) -> Score:
    if not isinstance(evidence, dict):
        raise AttestationError("invalid attestation quote")
    bonus = _LOCAL_MODELS.get(str(attestation.get("model")))
    if bonus is None:
        raise AttestationError("unsupported TEE type")
    if len(_bytes(evidence, "spdm_report")) < _REPORT_BYTES_MIN:
        raise AttestationError("invalid attestation quote")
    verified = evidence.get("rim_verified") is True
    score = 70 + 15 * (attestation.get("cc_enabled") is True) + 5 * (attestation.get("tee_io_enabled") is True)
    return Score(verified, _MODE_LOCAL, min(100, score + 5 * verified + bonus))


def _software(attestation: dict[str, Any], evidence: Any) -> Score:
    if not isinstance(evidence, dict) or not evidence.get("gpu_serial") or not evidence.get("driver_version"):
        raise AttestationError("invalid attestation quote")
    signature, key = _bytes(evidence, "signature"), _bytes(evidence, "provider_pubkey")
    if len(signature) < _SIGNATURE_BYTES_MIN or len(key) < _KEY_BYTES_MIN:
        raise AttestationError("invalid signature")
    if datetime.fromtimestamp(time.time(), UTC) - _moment(evidence.get("timestamp")) > _AGE_MAX:
        raise AttestationError("quote expired")
    benchmark = evidence.get("benchmark_hash")
    score = 20 + _SOFTWARE_MODELS.get(str(attestation.get("model")), 5)
    score += 10 * (isinstance(benchmark, list) and any(benchmark))
    # Signature and driver are there, or it would not have come here.
    return Score(False, _MODE_SOFTWARE, min(60, score + 10 + 5))


def _bytes(members: dict[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(members.get(name) or "", validate=True)
    except (ValueError, TypeError):
        raise AttestationError("invalid attestation quote") from None


def _moment(text: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        raise AttestationError("invalid attestation quote") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
