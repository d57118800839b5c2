"""JSON notation of calldata values: arguments in, results out (spec executor/01).

=====================  ==================================================================================
calldata               JSON
=====================  ==================================================================================
null, bool             ``null``, ``true``, ``false``
integer                ``123``, of any size, or ``{"$int": "123"}`` / ``{"$int": "0x7b"}`` for programs that cannot
                       write large numbers; over 4096 bits the output is ``{"$int": "0x…"}``
string                 ``"text"``
bytes                  ``{"$bytes": "0x00ff"}``
address                ``{"$addr": "0x…40 hex digits…"}``; on input also the name of an account or contract. Letters
                       of both cases must have the checksum of EIP-55
array                  ``[…]``
map                    ``{"key": …}``; a key that starts with ``$`` is written with one more ``$``
anything               ``{"$calldata": "0x…"}``, its encoding; the output uses it for what is over 100 levels deep
=====================  ==================================================================================

Reading what was written gives the same value. A bare string stays a string, with one exception for convenience: where
the contract's schema says that a parameter is ``address`` or ``bytes`` (and not also ``string``), the string ``"0x…"``
is read as that (:func:`apply_schema`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from pygenvm.executor.json_text import TooManyValues, check_depth
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.terminal_text import visible
from pygenvm.localnet import limits
from pygenvm.localnet.errors import BadValue

#: A decoded calldata value: None, bool, int, str, bytes, Address, list or dict of the same.
Value: TypeAlias = Any
#: A type of a contract's schema (spec sdk/03 §4).
SchemaType: TypeAlias = Any

ADDRESS_TEXT = re.compile(r"0x[0-9a-fA-F]{40}")
# A group for each pair of digits would be remembered, which takes a hundred times the memory of the bytes.
# Patterns that most commands do not need are texts: compiling one takes longer than many a question.
_HEX_BYTES = r"(?:0x)?([0-9a-fA-F]*)"
_INTEGER = r"-?(?:0x[0-9a-fA-F]+|[0-9]+)"
# Python refuses to convert longer decimal texts in one go.
_DECIMAL_DIGITS = 4300
#: Characters shown before and after a place in a text.
_AROUND = 60
_WORD = re.compile(r"[^\W\d][\w.@/-]*")
_TOKEN = r'"(?:\\.|[^"\\])*"|[^\s",:\[\]{}]+'
_NO_FRACTIONS = "Use an integer in a smaller unit, or a string."


@lru_cache(limits.ADDRESSES_READ)
def address_from_text(text: str) -> Address:
    """``0x`` and 40 hex digits. Letters of both cases are a checksum (EIP-55); of one case they are none.

    :raises BadValue: anything else.
    """
    if not ADDRESS_TEXT.fullmatch(text):
        raise BadValue(f"not an address: {_short(text)} (write 0x and 40 hex digits)")
    address, digits = Address(text), text.removeprefix("0x")
    if digits not in (digits.lower(), digits.upper(), address.as_hex.removeprefix("0x")):
        raise BadValue(
            f"the address {text} is mistyped, or its capital letters are: with the right checksum its digits are"
            f" {address.as_hex}"
        )
    return address


def integer_from_text(text: str) -> int:
    """Decimal, or hex after ``0x``; a minus sign may come first.

    :raises BadValue: anything else.
    """
    if not re.fullmatch(_INTEGER, text):
        raise BadValue(f"not an integer: {_short(text)} (write decimal digits, or 0x and hex digits)")
    digits = text.removeprefix("-")
    if digits.startswith("0x"):
        number = int(digits, 16)
    elif len(digits) <= _DECIMAL_DIGITS:
        number = int(digits)
    else:
        raise BadValue(f'an integer of more than {_DECIMAL_DIGITS} decimal digits is written {{"$int": "0x…"}}')
    return -number if text.startswith("-") else number


def bytes_from_text(text: str) -> bytes:
    """Hex digits, with or without ``0x``.

    :raises BadValue: anything else.
    """
    match = re.fullmatch(_HEX_BYTES, text)
    if not match or len(match[1]) % 2:
        raise BadValue(f"not bytes: {_short(text)} (write an even number of hex digits)")
    return bytes.fromhex(match[1])


def parse_json(text: str, *, resolve: Callable[[str], Address] = address_from_text) -> Value:
    """Read one value from JSON text in the notation of this module.

    :param resolve: turns the text of ``$addr`` into an address.
    :raises BadValue: not JSON, or a value that calldata cannot hold.
    """
    if len(text) > limits.ARGUMENT_TEXT_BYTES:
        raise BadValue(f"JSON text of more than {limits.ARGUMENT_TEXT_BYTES} characters")
    too_deep = f"arrays and objects more than {limits.ARGUMENT_DEPTH} deep"
    try:
        # Others in this process may have allowed more recursion than there is stack. A map is three levels of JSON.
        check_depth(text, 3 * limits.ARGUMENT_DEPTH + 10, limits.ARGUMENT_VALUES)
    except TooManyValues as error:
        raise BadValue(str(error)) from error
    except ValueError as error:
        raise BadValue(too_deep) from error
    try:
        document = json.loads(
            text,
            parse_int=integer_from_text,
            parse_float=_no_float,
            parse_constant=_no_float,
            object_pairs_hook=_unique,
        )
    except json.JSONDecodeError as error:
        raise not_json(text, error) from error
    except _Fraction as error:
        raise BadValue(str(error), picture=_pointed(text, _number_at(text, error.text)), fix=_NO_FRACTIONS) from error
    except RecursionError as error:
        raise BadValue(too_deep) from error
    return from_json(document, resolve=resolve)


def not_json(text: str, error: json.JSONDecodeError) -> BadValue:
    """What is wrong with a text that is no JSON, with the place."""
    problem, position, fix = error.msg[:1].lower() + error.msg[1:], error.pos, ""
    found = text[position : position + 1]
    before = text[:position].rstrip()
    if before.endswith(",") and found in ("]", "}", '"', ""):
        position, problem, fix = len(before) - 1, "there is a comma too many", "Take the last comma away."
    elif found == "'" or text[:1] == "'":
        problem = "texts stand in double quotes"
    elif word := _WORD.match(text, position):
        known = {"true": "true", "false": "false", "none": "null", "null": "null"}.get(word[0].lower())
        problem = f"`{_plain(word[0])}` is no value"
        fix = f"Write {known}." if known else f'Write "{_plain(word[0])}", and the whole option in single quotes.'
    elif not found:
        problem, fix = "the text ends too early", 'Close what was opened: every [, { and " needs its other end.'
    elif error.msg == "Extra data":
        problem, fix = "something follows after the end", "Put several arguments into one array: [A, B]."
    return BadValue(f"not JSON: {problem}", picture=_pointed(text, position), fix=fix)


def _pointed(text: str, position: int) -> tuple[str, ...]:
    """The line of a text with a mark below a position; nothing where that is not known."""
    if position < 0:
        return ()
    start = max(text.rfind("\n", 0, position) + 1, position - _AROUND)
    end = text.find("\n", position)
    line = text[start : min(end if end >= 0 else len(text), position + _AROUND)]
    before = visible(line[: position - start].replace("\t", " "))
    return f"    {before}{visible(line[position - start :])}", f"    {' ' * len(before)}^"


def _number_at(text: str, number: str) -> int:
    """Where a number stands that is no part of a string."""
    return next((match.start() for match in re.finditer(_TOKEN, text, re.DOTALL) if match[0] == number), -1)


def _plain(text: str) -> str:
    return visible(text if len(text) <= _AROUND else text[:_AROUND] + "…")


def from_json(document: object, *, resolve: Callable[[str], Address] = address_from_text) -> Value:
    """Turn parsed JSON into a calldata value.

    :raises BadValue: a value that calldata cannot hold.
    """
    return _from_json(document, resolve, 0)


def _from_json(document: object, resolve: Callable[[str], Address], depth: int) -> Value:
    if depth > limits.ARGUMENT_DEPTH:
        raise BadValue(f"arrays and objects more than {limits.ARGUMENT_DEPTH} deep")
    match document:
        case None | bool() | int():
            return document
        case str():
            return _text(document)
        case list():
            return [_from_json(item, resolve, depth + 1) for item in document]
        case dict():
            tag = next((key for key in document if key.startswith("$") and not key.startswith("$$")), None)
            if tag is None:
                return {
                    _text(key.removeprefix("$")): _from_json(item, resolve, depth + 1) for key, item in document.items()
                }
            return _tagged(tag, document, resolve)
    raise BadValue(f"calldata has no {type(document).__name__}")


def _tagged(tag: str, document: Mapping[str, object], resolve: Callable[[str], Address]) -> Value:
    readers: dict[str, Callable[[str], Value]] = {
        "$addr": resolve,
        "$bytes": bytes_from_text,
        "$int": integer_from_text,
        "$calldata": _calldata_from_text,
    }
    if tag not in readers:
        raise BadValue(f'unknown {_short(tag)}: write $addr, $bytes or $int, or one more "$" before a key of your own')
    content = document[tag]
    if len(document) != 1 or not isinstance(content, str):
        raise BadValue(f'{tag} stands alone, with a text: {{"{tag}": "…"}}')
    return readers[tag](content)


def _calldata_from_text(text: str) -> Value:
    try:
        return calldata.decode(bytes_from_text(text))
    except (ValueError, UnicodeDecodeError) as error:
        raise BadValue(f"not calldata: {error}") from error


def to_json(value: Value) -> Any:
    """The JSON form of a decoded calldata value; :func:`from_json` of it gives ``value`` again."""
    return _to_json(value, 0)


def _to_json(value: Value, depth: int) -> Any:
    if depth > limits.ARGUMENT_DEPTH - 1 and isinstance(value, list | dict):
        return {"$calldata": "0x" + calldata.encode(value).hex()}
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if value.bit_length() <= limits.PLAIN_INTEGER_BITS else {"$int": hex(value)}
        case bytes():
            return {"$bytes": "0x" + value.hex()}
        case Address():
            return {"$addr": value.as_hex}
        case Mapping():
            return {"$" + key if key.startswith("$") else key: _to_json(item, depth + 1) for key, item in value.items()}
        case Sequence():
            return [_to_json(item, depth + 1) for item in value]
    raise TypeError(f"not a calldata value: {type(value).__name__}")


def may_need_schema(value: Value) -> bool:
    """Whether :func:`apply_schema` could change ``value``: it holds a string that starts with ``0x``."""
    match value:
        case str():
            return value.startswith("0x")
        case dict():
            return any(may_need_schema(item) for item in value.values())
        case list():
            return any(may_need_schema(item) for item in value)
    return False


def apply_schema_to_call(
    args: list[Value], kwargs: dict[str, Value], method: Mapping[str, Any]
) -> tuple[list[Value], dict[str, Value]]:
    """Convert the arguments of one call; ``method`` is the ``params`` and ``kwparams`` of a schema (spec sdk/03 §4)."""
    params: list[tuple[str, SchemaType]] = [(name, of) for name, of in method.get("params", ())]
    by_name = {**dict(params), **method.get("kwparams", {})}
    converted = [
        apply_schema(item, params[position][1]) if position < len(params) else item
        for position, item in enumerate(args)
    ]
    return converted, {name: apply_schema(item, by_name.get(name, "any")) for name, item in kwargs.items()}


def apply_schema(value: Value, of: SchemaType) -> Value:
    """Read bare ``0x…`` strings as addresses and bytes where the schema type ``of`` says so.

    :raises BadValue: such a string is neither, and the type allows nothing else.
    """
    match value, of:
        case str(), "address" if value.startswith("0x"):
            return address_from_text(value)
        case str(), "bytes" if value.startswith("0x"):
            return bytes_from_text(value)
        case str(), {"$or": [*options]} if "string" not in options and "any" not in options:
            return _apply_option(value, options)
        case list(), {"$or": [*options]}:
            return apply_schema(value, next((option for option in options if isinstance(option, list)), "any"))
        case dict(), {"$or": [*options]}:
            maps = (option for option in options if isinstance(option, dict) and "$or" not in option)
            return apply_schema(value, next(maps, "any"))
        case list(), list():
            return [apply_schema(item, _element(of, position)) for position, item in enumerate(value)]
        case dict(), {"$dict": inner}:
            return {key: apply_schema(item, inner) for key, item in value.items()}
        case dict(), dict():
            return {key: apply_schema(item, of.get(key, "any")) for key, item in value.items()}
    return value


def _apply_option(value: str, options: list[SchemaType]) -> Value:
    if "address" in options and ("bytes" not in options or ADDRESS_TEXT.fullmatch(value)):
        return apply_schema(value, "address")
    return apply_schema(value, "bytes") if "bytes" in options else value


def _element(of: list[SchemaType], position: int) -> SchemaType:
    """Type of one element of ``[T, …, {"$rep": T}]``."""
    for index, item in enumerate(of):
        if isinstance(item, dict) and "$rep" in item:
            return item["$rep"]
        if index == position:
            return item
    return "any"


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadValue(f"text with half of a surrogate pair: {_short(text)}") from error
    return text


class _Fraction(BadValue):
    """A number that is no integer."""

    def __init__(self, text: str) -> None:
        super().__init__(f"calldata has no fractions: {_short(text)}")
        self.text = text


def _no_float(text: str) -> Value:
    raise _Fraction(text)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise BadValue("an object names a key twice")
    return document


def _short(text: str) -> str:
    return ascii(text if len(text) <= 60 else text[:60] + "…")
