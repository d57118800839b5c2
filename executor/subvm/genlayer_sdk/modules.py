"""Messages to the LLM and web modules; only nondet VMs may send them (spec executor/04 "Modules")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pygenvm.executor.outcome import ModuleFault
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import GlErrno
from pygenvm.executor.subvm.genlayer_sdk.request import (
    Reader,
    Refused,
    array_of,
    blob,
    boolean,
    fields,
    invalid,
    map_of,
    one_of,
    optional,
    text,
)

if TYPE_CHECKING:
    from pygenvm.executor.subvm.vm import SubVM

MAX_IMAGES = 2
_DURATION = re.compile(r"(\d{1,18})(s|ms)", re.ASCII)


def _milliseconds(value: Any) -> str:
    """``<n>s`` or ``<n>ms`` as ``<n>ms``."""
    match = _DURATION.fullmatch(text(value))
    if match is None:
        raise invalid()
    count = int(match[1]) * (1000 if match[2] == "s" else 1)
    return f"{count}ms"


def _read(payload: Any, layout: dict[str, Reader], defaults: dict[str, Any]) -> dict[str, Any]:
    """The known fields of a message that may hold others; ``defaults`` only fill in absent ones."""
    if type(payload) is not dict:
        raise invalid()
    values = fields({**defaults, **payload}, layout, strict=False)
    return dict(zip(layout, values, strict=True))


_RENDER: dict[str, Reader] = {
    "mode": one_of("text", "html", "screenshot"),
    "url": text,
    "wait_after_loaded": _milliseconds,
}
_REQUEST: dict[str, Reader] = {
    "method": one_of("GET", "POST", "HEAD", "DELETE", "OPTIONS", "PATCH"),
    "url": text,
    "headers": map_of(blob),
    "body": optional(blob),
    "sign": boolean,
}
_PROMPT: dict[str, Reader] = {
    "prompt": text,
    "images": array_of(blob),
    "response_format": one_of("text", "json"),
}
_TEMPLATES: dict[str, tuple[str, ...]] = {
    "EqComparative": ("leader_answer", "validator_answer", "principle"),
    "EqNonComparativeLeader": ("task", "criteria", "input"),
    "EqNonComparativeValidator": ("task", "criteria", "input", "output"),
}


def _check(vm: SubVM) -> None:
    if vm.deterministic:
        raise Refused(GlErrno.FORBIDDEN)


def web_render(vm: SubVM, payload: Any) -> bytes:
    request = _read(payload, _RENDER, {"wait_after_loaded": "0ms"})
    _check(vm)
    return calldata.encode(vm.services.web_request({"Render": request}))


def web_request(vm: SubVM, payload: Any) -> bytes:
    request = _read(payload, _REQUEST, {"sign": False})
    _check(vm)
    return calldata.encode(vm.services.web_request({"Request": request}))


def exec_prompt(vm: SubVM, payload: Any) -> bytes:
    request = _read(payload, _PROMPT, {"response_format": "text"})
    _check(vm)
    if len(request["images"]) > MAX_IMAGES:
        raise invalid()
    return calldata.encode(vm.services.llm_request("Prompt", request))


def exec_prompt_template(vm: SubVM, payload: Any) -> bytes:
    """A judge's answer is a bool, a leader's a string; anything else is the module's fault."""
    if type(payload) is not dict:
        raise invalid()
    template = text(payload.get("template"))
    names = _TEMPLATES.get(template)
    if names is None:
        raise invalid()
    request = {"template": template, **_read(payload, dict.fromkeys(names, text), {})}
    _check(vm)
    answer = vm.services.llm_request("PromptTemplate", request)
    wanted = str if template == "EqNonComparativeLeader" else bool
    if "ok" in answer and type(answer["ok"]) is not wanted:
        raise ModuleFault(f"LLM module answered {template} with a {type(answer['ok']).__name__}")
    return calldata.encode(answer)
