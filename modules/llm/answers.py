"""What a model wrote becomes the answer (spec modules/02 §5.5, §8, §3.4).

Whatever cannot be used is the failure ``MALFORMED_ANSWER`` of the provider, so that the next one is asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from pygenvm.executor.json_text import check_depth
from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError

#: Largest magnitude at which every integer has a double of its own (spec modules/01 §1).
_EXACT_FLOAT = (1 << 53) - 1
_FENCES = re.compile(r"\A```(?:json)?|```\Z")


def malformed(problem: str, **ctx: Any) -> ModuleError:
    """The failure; ``ctx`` is what an operator wants to see."""
    shown = {name: _cut(value) if isinstance(value, str) else value for name, value in ctx.items()}
    return ModuleError("MALFORMED_ANSWER", ctx={"problem": problem, **shown})


def sanitise(text: str) -> str:
    """Without white space and the fence around it. Nothing is completed or repaired."""
    return _FENCES.sub("", text.strip()).strip()


def text_answer(text: Any) -> str:
    """:raises ModuleError: no text, or nothing in it."""
    if not isinstance(text, str):
        raise malformed(f"the answer is a {_kind(text)} instead of a text")
    if not text.strip():
        raise malformed("the answer is empty")
    return _encodable(text)


def object_answer(text: Any) -> dict[str, Any]:
    """The object in the text of a JSON answer.

    :raises ModuleError: it does not parse, or is something else.
    """
    clean = sanitise(text_answer(text))
    try:
        # The object itself is a level, and _check tells of the deepest that is allowed.
        check_depth(clean, limits.LLM_ANSWER_DEPTH + 1)
        value = _DECODER.decode(clean)
    except ValueError as error:
        raise malformed(f"the answer is not JSON: {error}", text=clean) from None
    return checked_object(value)


def checked_object(value: Any) -> dict[str, Any]:
    """:raises ModuleError: no object, or one that is too deep or has no calldata form."""
    if not isinstance(value, dict):
        raise malformed(f"the answer is a {_kind(value)} instead of an object", text=_dumped(value))
    _check(value, limits.LLM_ANSWER_DEPTH)
    return value


def verdict(value: Mapping[str, Any]) -> bool:
    """:raises ModuleError: there is no ``result``, or it is no bool."""
    result = value.get("result")
    if not isinstance(result, bool):
        problem = f"result is a {_kind(result)} instead of a bool" if "result" in value else "there is no result"
        raise malformed(f"{problem} in the answer", text=_dumped(value))
    return result


def without_fractions(value: Any) -> Any:
    """The same with numbers that have a fraction as text: calldata has no form for them (spec modules/02 §3.4)."""
    match value:
        case float():
            return int(value) if value.is_integer() and abs(value) <= _EXACT_FLOAT else repr(value)
        case dict():
            return {key: without_fractions(item) for key, item in value.items()}
        case list():
            return [without_fractions(item) for item in value]
    return value


def _check(value: Any, levels: int) -> None:
    match value:
        case str():
            _encodable(value)
        case dict() | list():
            if not levels:
                raise malformed(f"the answer is nested more than {limits.LLM_ANSWER_DEPTH} levels deep")
            if isinstance(value, dict):
                for key in value:
                    _encodable(key)
                value = list(value.values())
            for item in value:
                _check(item, levels - 1)


def _encodable(text: str) -> str:
    """JSON can write half a surrogate pair, which is no text anywhere else."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise malformed("the answer has half of a surrogate pair") from None
    return text


def _number(text: str) -> float | str:
    """Numbers beyond all floats stay what was written."""
    value = float(text)
    return text if value in (float("inf"), float("-inf")) else value


def _whole(text: str) -> int | str:
    # Python refuses to read longer ones, after it has taken its time.
    return int(text) if len(text) <= limits.LLM_NUMBER_CHARS else text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_float=_number, parse_int=_whole, parse_constant=_no_constant)


def _kind(value: Any) -> str:
    names = {dict: "object", list: "list", str: "text", bool: "bool", int: "number", float: "number"}
    return names.get(type(value), "null" if value is None else type(value).__name__)


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _cut(text: str) -> str:
    return text if len(text) <= limits.LLM_SHOWN_CHARS else text[: limits.LLM_SHOWN_CHARS] + "…"
