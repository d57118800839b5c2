"""JSON text from outside: bounded in size and depth, no repeated keys, no NaN."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.?)*+"?|[\[{]|[\]}]', re.DOTALL)
# Compiled by those who count values.
_STRING_OR_BRACKET_OR_COMMA = r'(?s)"(?:[^"\\]|\\.?)*+"?|[\[{]|[\]}]|,'
# `math` is a library to load.
_INFINITY = float("inf")


class TooManyValues(ValueError):
    """Text whose values would take much more memory and time than the text."""


def parse_json(
    text: str, *, max_chars: int, max_depth: int, max_values: int | None = None, finite: bool = False
) -> Any:
    """The value that ``text`` holds; ``max_depth`` counts arrays and objects inside each other.

    :param max_values: counts arrays, objects, and commas.
    :param finite: numbers beyond those of floats are refused. Otherwise 1e400 is infinity, which nobody can write as
        JSON again.

    :raises TooManyValues: there are more; nothing was decoded.
    :raises ValueError: not JSON, too long, too deep, or an object with the same key twice.
    """
    if len(text) > max_chars:
        raise ValueError(f"JSON text has {len(text)} characters, the limit is {max_chars}")
    check_depth(text, max_depth, max_values)
    return (_FINITE if finite else _DECODER).decode(text)


def check_depth(text: str, max_depth: int, max_values: int | None = None) -> None:
    """Before a decoder calls itself for each level: how deep it may go differs between processes.

    :raises TooManyValues: there are more than ``max_values``.
    :raises ValueError: arrays and objects are inside each other more than ``max_depth`` levels deep.
    """
    depth = values = 0
    found = _STRING_OR_BRACKET if max_values is None else re.compile(_STRING_OR_BRACKET_OR_COMMA)
    for match in found.finditer(text):
        bracket = match[0]
        if max_values is not None and bracket in "[{,":
            values += 1
            if values > max_values:
                raise TooManyValues(f"JSON text has more than {max_values} values")
        if bracket in "[{":
            depth += 1
            if depth > max_depth:
                raise ValueError(f"JSON text is nested more than {max_depth} levels deep")
        elif bracket in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {repeated!r:.80} occurs twice in one JSON object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _float(text: str) -> float:
    number = float(text)
    if abs(number) == _INFINITY:
        raise ValueError(f"{text:.80} is too large for a number of JSON")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
_FINITE = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_float)
