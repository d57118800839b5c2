"""The routes of the core task VM as the reference has them: plain text where it fails (spec settlement/03 §7)."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from aiohttp import web

from pygenvm.settlement.codec import records
from pygenvm.settlement.codec.go_json import compact, dumps
from pygenvm.settlement.codec.records import ResultRecord, TaskRecord
from pygenvm.settlement.core import vm as core
from pygenvm.settlement.core.attestation import AttestationError, gpu_score
from pygenvm.settlement.core.vm import CoreError, CoreVM
from pygenvm.settlement.service.requests import RequestError, read_object
from pygenvm.settlement.types.words import MAX_U64, Hash

T = TypeVar("T")

_GPUS_MAX: Final = 64
_TEXT_MAX: Final = 4096
#: Members of a GPU, with what they are where they are left out.
_GPU: Final[dict[str, str | int | bool]] = {
    "model": "",
    "memory_gb": 0,
    "tflops": 0,
    "available": False,
    "temperature": 0,
    "utilization": 0,
}


def add_routes(app: web.Application, chain_id: Hash, vm: CoreVM) -> None:
    """Below ``/v1/bc/`` and the chain id in hexadecimal."""
    own = _Routes(vm)
    for key, method, handler in (
        ("/providers", "GET", own.providers),
        ("/providers/register", "POST", own.register),
        ("/tasks", "GET", own.tasks),
        ("/tasks/submit", "POST", own.submit),
        ("/tasks/result", "POST", own.result),
        ("/models", "GET", own.models),
        ("/attestation/verify", "POST", own.attestation),
        ("/rewards/claim", "POST", own.claim),
        ("/rewards/stats", "GET", own.reward_statistics),
        ("/stats", "GET", own.statistics),
        ("/merkle", "GET", own.merkle),
        ("/health", "*", own.health),
    ):
        app.router.add_route("*", f"/v1/bc/0x{chain_id.hex()}{key}", _only(method, handler))


def _only(
    method: str, handler: Callable[[web.Request], Awaitable[web.Response]]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answered(request: web.Request) -> web.Response:
        if method not in ("*", request.method):
            return _text("method not allowed", 405)
        try:
            return await handler(request)
        except (CoreError, AttestationError, RequestError) as error:
            missing = str(error) in ("task not found", "provider not found") and request.method == "GET"
            return _text(str(error), 404 if missing else 400)

    return answered


class _Routes:
    def __init__(self, vm: CoreVM) -> None:
        self._vm = vm

    async def providers(self, request: web.Request) -> web.Response:
        found = [one.members() for one in self._vm.providers]
        return _json({"count": len(found), "providers": found})

    async def register(self, request: web.Request) -> web.Response:
        members = await read_object(request)
        gpus = [_gpu(one) for one in _member(members, "gpus", list, [])[: _GPUS_MAX + 1]]
        if len(gpus) > _GPUS_MAX:
            raise RequestError(f"a provider has at most {_GPUS_MAX} gpus")
        given = members.get("gpu_attestation")
        attestation = None if given is None else (given, _spelled(given))
        provider = _text_member(members, "id")
        self._vm.register(
            provider, _text_member(members, "wallet_address"), _text_member(members, "endpoint"), gpus, attestation
        )
        return _json({"providerId": provider, "success": True})

    async def tasks(self, request: web.Request) -> web.Response:
        task_id = request.query.get("id")
        if not task_id:
            return await self.statistics(request)
        return _body(records.encode(self._vm.task(task_id)))

    async def submit(self, request: web.Request) -> web.Response:
        members = await read_object(request)
        kind = _text_member(members, "type")
        task = TaskRecord(
            id=_text_member(members, "id"),
            type=kind,
            model=_text_member(members, "model"),
            input=_spelled(members.get("input")),
            fee=_number_member(members, "fee"),
        )
        self._vm.submit(task)
        return _json({"success": True, "taskId": task.id})

    async def result(self, request: web.Request) -> web.Response:
        members = await read_object(request)
        result = ResultRecord(
            task_id=_text_member(members, "task_id"),
            provider_id=_text_member(members, "provider_id"),
            output=_spelled(members.get("output")),
            compute_time_ms=_number_member(members, "compute_time_ms"),
            proof=_base64_member(members, "proof"),
            error=_text_member(members, "error"),
        )
        self._vm.result(result)
        return _json({"success": True, "taskId": result.task_id})

    async def models(self, request: web.Request) -> web.Response:
        found = core.models()
        return _json({"count": len(found), "models": found})

    async def attestation(self, request: web.Request) -> web.Response:
        members = await read_object(request)
        score = gpu_score(members.get("gpu_attestation"))
        return _json(
            {
                "hardwareCC": score.hardware_cc,
                "mode": score.mode,
                "trustScore": score.trust_score,
                "verified": True,
            }
        )

    async def claim(self, request: web.Request) -> web.Response:
        members = await read_object(request)
        claimed = self._vm.claim(_text_member(members, "provider_id"))
        return _json({"claimed": str(claimed), "success": True})

    async def reward_statistics(self, request: web.Request) -> web.Response:
        provider = request.query.get("provider_id")
        if not provider:
            return _text("provider_id required", 400)
        return _json(self._vm.reward_statistics(provider))

    async def statistics(self, request: web.Request) -> web.Response:
        return _json(self._vm.statistics())

    async def merkle(self, request: web.Request) -> web.Response:
        return _json({"merkleRoot": list(self._vm.merkle_root())})

    async def health(self, request: web.Request) -> web.Response:
        return _json({"healthy": True, "version": core.VERSION})


# --- answers: the reference leaves the content type to its server, which finds that it looks like text ---


def _json(value: object) -> web.Response:
    return _body(dumps(value).encode())


def _body(body: bytes) -> web.Response:
    return web.Response(body=body + b"\n", content_type="text/plain", charset="utf-8")


def _text(message: str, status: int) -> web.Response:
    return web.Response(text=message + "\n", status=status, content_type="text/plain", charset="utf-8")


# --- members; null and nothing are the zero value, as in the reference ---


def _member(members: dict[str, Any], name: str, kind: type[T], default: T) -> T:
    value = members.get(name)
    if value is None:
        return default
    if type(value) is not kind:
        raise RequestError(f"{name} is of another type")
    return value


def _text_member(members: dict[str, Any], name: str) -> str:
    text = _member(members, name, str, "")
    if len(text) > _TEXT_MAX or not text.isprintable():
        raise RequestError(f"{name} is too long, or no printable text")
    return text


def _number_member(members: dict[str, Any], name: str) -> int:
    number = _member(members, name, int, 0)
    if not 0 <= number <= MAX_U64:
        raise RequestError(f"{name} does not fit 64 bits")
    return number


def _base64_member(members: dict[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(_member(members, name, str, ""), validate=True)
    except ValueError:
        raise RequestError(f"{name} is no base64") from None


def _gpu(found: Any) -> str:
    if not isinstance(found, dict):
        raise RequestError("a gpu is no object")
    gpu: dict[str, object] = {}
    for name, default in _GPU.items():
        value = found.get(name, default)
        numbers = (int, float) if type(default) is int else (type(default),)
        if type(value) not in numbers or (isinstance(value, str) and len(value) > _TEXT_MAX):
            raise RequestError(f"{name} of a gpu is of another type")
        gpu[name] = value
    return _spelled(gpu)


def _spelled(value: Any) -> str:
    """JSON text of what a body had; numbers keep their value, not their spelling."""
    try:
        text = compact(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))
        text.encode()
        return text
    except ValueError as error:
        raise RequestError(f"the body holds what no record can: {error}") from error
