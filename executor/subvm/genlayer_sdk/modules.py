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
    invalid,
    known_fields,
    map_of,
    one_of,
    optional,
    or_else,
    text,
)

if TYPE_CHECKING:
    from pygenvm.executor.subvm.genlayer_sdk.encoded import Encoded
    from pygenvm.executor.subvm.genlayer_sdk.guest import Guest

MAX_IMAGES = 2
_DURATION = r"(?a)(\d{1,18})(s|ms)"


def _milliseconds(value: Encoded | None) -> str:
    """``<n>s`` or ``<n>ms`` as ``<n>ms``."""
    match = re.fullmatch(_DURATION, text(value))
    if match is None:
        raise invalid()
    count = int(match[1]) * (1000 if match[2] == "s" else 1)
    return f"{count}ms"


_RENDER: dict[str, Reader[Any]] = {
    "mode": one_of("text", "html", "screenshot"),
    "url": text,
    "wait_after_loaded": or_else("0ms", _milliseconds),
}
_REQUEST: dict[str, Reader[Any]] = {
    "method": one_of("GET", "POST", "HEAD", "DELETE", "OPTIONS", "PATCH"),
    "url": text,
    "headers": map_of(blob),
    "body": optional(blob),
    "sign": or_else(False, boolean),
}
_PROMPT: dict[str, Reader[Any]] = {
    "prompt": text,
    "images": array_of(blob),
    "response_format": or_else("text", one_of("text", "json")),
}
_TEMPLATES: dict[str, tuple[str, ...]] = {
    "EqComparative": ("leader_answer", "validator_answer", "principle"),
    "EqNonComparativeLeader": ("task", "criteria", "input"),
    "EqNonComparativeValidator": ("task", "criteria", "input", "output"),
}


def web_render(vm: Guest, payload: Encoded) -> bytes:
    """What a browser of the web module shows of a page: text, HTML or an image. ``forbidden`` in a det VM."""
    request = known_fields(payload, _RENDER)
    _require_nondet(vm)
    return calldata.encode(vm.services.modules.ask("web", "Render", request))


def web_request(vm: Guest, payload: Encoded) -> bytes:
    """The response of an HTTP server to a request of the web module. ``forbidden`` in a det VM."""
    request = known_fields(payload, _REQUEST)
    _require_nondet(vm)
    return calldata.encode(vm.services.modules.ask("web", "Request", request))


def exec_prompt(vm: Guest, payload: Encoded) -> bytes:
    """The answer of a language model to a prompt. ``forbidden`` in a det VM, then ``inval`` for more than 2 images."""
    request = known_fields(payload, _PROMPT)
    _require_nondet(vm)
    if len(request["images"]) > MAX_IMAGES:
        raise invalid()
    return calldata.encode(vm.services.modules.ask("llm", "Prompt", request))


def exec_prompt_template(vm: Guest, payload: Encoded) -> bytes:
    """The answer of a language model to one of the prompts of the equivalence principle. ``forbidden`` in a det VM.

    A judge's answer is a bool, a leader's a string; anything else is the module's fault.
    """
    (template,) = known_fields(payload, {"template": text}).values()
    names = _TEMPLATES.get(template)
    if names is None:
        raise invalid()
    request = {"template": template, **known_fields(payload, dict.fromkeys(names, text))}
    _require_nondet(vm)
    answer = vm.services.modules.ask("llm", "PromptTemplate", request)
    wanted = str if template == "EqNonComparativeLeader" else bool
    if "ok" in answer and type(answer["ok"]) is not wanted:
        raise ModuleFault(f"LLM module answered {template} with a {type(answer['ok']).__name__}")
    return calldata.encode(answer)


def _require_nondet(vm: Guest) -> None:
    if vm.deterministic:
        raise Refused(GlErrno.FORBIDDEN)
