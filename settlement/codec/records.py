"""Tasks, results and provider registrations of the core task VM, as blocks and vertices carry them (JSON).

They have nothing to do with the engine's tasks (spec settlement/03 §1, §6.1). Optional members are left out when empty.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pygenvm.settlement.codec.go_json import Raw, compact, dumps, parse
from pygenvm.settlement.codec.zap import ZapError

ZERO_TIME: Final = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class TaskRecord:
    id: str
    type: str = ""
    model: str = ""
    #: JSON text.
    input: str = "null"
    #: JSON text; empty for none.
    output: str = ""
    status: str = ""
    assigned_to: str = ""
    fee: int = 0
    created_at: str = ZERO_TIME
    started_at: str = ZERO_TIME
    completed_at: str = ZERO_TIME
    compute_time_ms: int = 0
    proof: bytes = b""

    def members(self) -> dict[str, object]:
        return {
            "id": self.id,
            "type": self.type,
            "model": self.model,
            "input": Raw(self.input),
            **_given("output", Raw(self.output)),
            "status": self.status,
            **_given("assigned_to", self.assigned_to),
            "fee": self.fee,
            "created_at": self.created_at,
            "started_at": self.started_at,
            "completed_at": self.completed_at,
            **_given("compute_time_ms", self.compute_time_ms),
            **_given("proof", _base64(self.proof)),
        }


@dataclass(frozen=True, slots=True)
class ResultRecord:
    task_id: str
    provider_id: str = ""
    #: JSON text.
    output: str = "null"
    compute_time_ms: int = 0
    proof: bytes = b""
    error: str = ""

    def members(self) -> dict[str, object]:
        return {
            "task_id": self.task_id,
            "provider_id": self.provider_id,
            "output": Raw(self.output),
            "compute_time_ms": self.compute_time_ms,
            "proof": _base64(self.proof),
            **_given("error", self.error),
        }


@dataclass(frozen=True, slots=True)
class RegistrationRecord:
    provider_id: str
    wallet_address: str = ""
    endpoint: str = ""
    #: JSON text; empty for none.
    cpu_attestation: str = ""
    gpu_attestation: str = ""

    def members(self) -> dict[str, object]:
        return {
            "providerId": self.provider_id,
            "walletAddress": self.wallet_address,
            "endpoint": self.endpoint,
            **_given("cpuAttestation", Raw(self.cpu_attestation)),
            **_given("gpuAttestation", Raw(self.gpu_attestation)),
        }


_Record = TypeVar("_Record", TaskRecord, ResultRecord, RegistrationRecord)
_NAMES: Final[dict[type, dict[str, str]]] = {
    TaskRecord: {name: name for name in TaskRecord.__dataclass_fields__},
    ResultRecord: {name: name for name in ResultRecord.__dataclass_fields__},
    RegistrationRecord: {
        "providerId": "provider_id",
        "walletAddress": "wallet_address",
        "endpoint": "endpoint",
        "cpuAttestation": "cpu_attestation",
        "gpuAttestation": "gpu_attestation",
    },
}
_JSON_TEXT: Final = ("input", "output", "cpu_attestation", "gpu_attestation")


def encode(record: TaskRecord | ResultRecord | RegistrationRecord) -> bytes:
    return dumps(record.members()).encode()


def decode(kind: type[_Record], data: bytes) -> _Record:
    """Reads a record in the very form in which :func:`encode` writes it; ``ZapError`` otherwise."""
    try:
        text = data.decode()
        read = {_NAMES[kind][name]: value for name, value in _members(text).items()}
        record = kind(**{name: _field(kind, name, value) for name, value in read.items()})
        canonical = encode(record) == data
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ZapError(f"aivm: no {kind.__name__}: {error}") from error
    if not canonical:
        raise ZapError(f"aivm: {kind.__name__} is not in canonical form")
    return record


def _members(text: str) -> dict[str, Any]:
    found = parse(text)
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _field(kind: type[Any], name: str, value: Any) -> Any:
    # Members that are JSON themselves keep their order; spelling that this loses is not canonical, and refused.
    if name in _JSON_TEXT:
        return compact(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    if name == "proof":
        return base64.b64decode(value or "", validate=True)
    wanted = type(kind.__dataclass_fields__[name].default) if name not in ("id", "task_id", "provider_id") else str
    if type(value) is not wanted:
        raise ValueError(f"{name} is no {wanted.__name__}")
    return value


def _given(name: str, value: object) -> dict[str, object]:
    return {name: value} if value else {}


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
