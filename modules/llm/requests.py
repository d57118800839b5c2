"""What an executor may ask of the LLM service, and what a script may answer (spec modules/02 §1, §2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pygenvm.executor.module_protocol.codec import Request
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.llm.answers import without_fractions
from pygenvm.modules.llm.prompt import image_type
from pygenvm.modules.scripting.frames import text

#: Variables of each template, and whether its answer is a verdict.
_TEMPLATES: Final[Mapping[str, tuple[tuple[str, ...], bool]]] = {
    "EqComparative": (("leader_answer", "validator_answer", "principle"), True),
    "EqNonComparativeLeader": (("task", "criteria", "input"), False),
    "EqNonComparativeValidator": (("task", "criteria", "input", "output"), True),
}
_RESPONSE_FORMATS: Final = ("text", "json")
_U64_LIMIT: Final = 1 << 64
_LARGEST_LUA_INTEGER: Final = (1 << 63) - 1


class MalformedRequest(ValueError):
    """A request is not as the protocol says; the text names the field."""


class MalformedAnswer(ValueError):
    """A script returned something that is no answer; the text names the member."""


@dataclass(frozen=True)
class ScriptCall:
    """A request as the script gets it: which function, and its arguments behind ``ctx``."""

    function: str
    arguments: Mapping[str, Any]
    remaining_gen: int
    kinds: tuple[type, ...]
    """Types that the data of its answer may have."""


def read_request(request: Request) -> ScriptCall:
    """:raises MalformedRequest: it is none that this service knows.
    :raises ModuleError: ``INVALID_IMAGE`` (spec modules/02 §2.1).
    """
    if request.name not in ("Prompt", "PromptTemplate"):
        raise MalformedRequest(f"the LLM service has no request {request.name[:64]!r}")
    body = request.payload
    if not isinstance(body, dict):
        raise MalformedRequest(f"{request.name} must be a map, not {_kind(body)}")
    payload, remaining = body.get("payload"), body.get("remaining_fuel_as_gen")
    if type(remaining) is not int or not 0 <= remaining < _U64_LIMIT:
        raise MalformedRequest("field `remaining_fuel_as_gen`: a whole number of 64 bits is expected")
    if not isinstance(payload, dict):
        raise MalformedRequest(f"field `payload`: a map is expected, not {_kind(payload)}")
    remaining = min(remaining, _LARGEST_LUA_INTEGER)
    if request.name == "Prompt":
        return ScriptCall("ExecPrompt", _prompt(payload), remaining, (str, dict, bool))
    arguments, is_verdict = _template(payload)
    return ScriptCall("ExecPromptTemplate", arguments, remaining, (bool,) if is_verdict else (str,))


def _prompt(payload: dict[str, Any]) -> dict[str, Any]:
    images = payload.get("images")
    if not isinstance(images, list) or not all(isinstance(image, bytes) for image in images):
        raise MalformedRequest(f"field `payload.images`: a list of bytes is expected, not {_kind(images)}")
    response_format = payload.get("response_format")
    if response_format is None:
        response_format = "text"
    if response_format not in _RESPONSE_FORMATS:
        shown = repr(response_format[:64]) if isinstance(response_format, str) else _kind(response_format)
        raise MalformedRequest(f"field `payload.response_format`: text or json is expected, not {shown}")
    arguments = {"prompt": _text(payload, "prompt"), "response_format": response_format, "images": images}
    if not all(map(image_type, images)):
        raise ModuleError("INVALID_IMAGE", fatal=False)
    return arguments


def _template(payload: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    name = _text(payload, "template")
    if name not in _TEMPLATES:
        raise MalformedRequest(
            f"field `payload.template`: one of {', '.join(_TEMPLATES)} is expected, not {name[:64]!r}"
        )
    variables, is_verdict = _TEMPLATES[name]
    return {"template": name} | {variable: _text(payload, variable) for variable in variables}, is_verdict


def _text(payload: dict[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str):
        raise MalformedRequest(f"field `payload.{name}`: a string is expected, not {_kind(value)}")
    return value


# --- answers --------------------------------------------------------------------------------------


def read_answer(call: ScriptCall, value: Any) -> dict[str, Any]:
    """What goes into the Ok, from what the script returned.

    :raises MalformedAnswer: it is no ``{data, consumed_gen}``, or the data has another type than was asked for.
    """
    what = f"{call.function} of the script must return a table with"
    if not isinstance(value, Mapping):
        raise MalformedAnswer(f"{what} data and consumed_gen, not {_kind(value)}")
    answer = {text(name): item for name, item in value.items()}
    data = without_fractions(_data(answer.get("data")))
    if not isinstance(data, call.kinds):
        kinds = " or ".join(_NAMES[kind] for kind in call.kinds)
        raise MalformedAnswer(f"{what} {kinds} as data, not {_kind(data)}")
    consumed = answer.get("consumed_gen")
    if isinstance(consumed, float) and math.isfinite(consumed) and consumed.is_integer():
        consumed = int(consumed)
    if type(consumed) is not int or not 0 <= consumed < _U64_LIMIT:
        raise MalformedAnswer(f"{what} a whole number as consumed_gen, not {_kind(consumed)}")
    return {"data": data, "consumed_gen": consumed}


def _data(value: Any) -> Any:
    """Strings of Lua as texts."""
    match value:
        case bytes():
            return text(value)
        case dict():
            return {text(key): _data(item) for key, item in value.items()}
        case list():
            return [_data(item) for item in value]
    return value


_NAMES: Final[Mapping[type, str]] = {str: "a string", dict: "a table", bool: "a bool"}


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a bool"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case bytes():
            return "bytes"
        case list():
            return "a list"
        case dict():
            return "a map"
    return f"a {type(value).__name__}"
