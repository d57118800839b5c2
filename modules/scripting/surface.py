"""The host functions of ``lib-genvm`` that do not wait; they run in the child (spec modules/02 §6.2).

Strings of Lua are bytes here. A :class:`ModuleError` arrives in the script as a structured error, anything else as a
text.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.scripting.frames import ScriptError, readable

#: What form-urlencoding leaves as it is (WHATWG URL).
_UNESCAPED: Final = frozenset(b"*-._0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def base64_encode(data: bytes) -> bytes:
    return base64.b64encode(_string(data))


def base64_decode(data: bytes) -> bytes:
    try:
        return base64.b64decode(_string(data), validate=True)
    except binascii.Error as error:
        raise ModuleError("DESERIALIZING", ctx={"rust_error": str(error)}) from None


def json_parse(data: bytes) -> Any:
    """The value; Lua has no null, which becomes nil."""
    try:
        return parse_json(_string(data))
    except ValueError as error:
        raise ModuleError("DESERIALIZING", ctx={"rust_error": str(error)}) from None


def json_stringify(value: Any = None) -> str:
    """Compact, keys sorted, so that equal tables have equal texts."""
    try:
        return json.dumps(_texts(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    except UnicodeDecodeError:
        raise ScriptError("json_stringify: a string is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise ScriptError(f"json_stringify: {error}") from None


def split_url(url: bytes) -> dict[str, Any] | None:
    import ada_url

    try:
        parts = ada_url.parse_url(_string(url).decode())
    except ValueError:
        return None
    port = parts["port"]
    return {
        "schema": parts["protocol"].removesuffix(":"),
        "host": parts["hostname"],
        "port": int(port) if port else None,
    }


def url_encode(data: bytes) -> str:
    return "".join(
        chr(code) if code in _UNESCAPED else "+" if code == 0x20 else f"%{code:02X}" for code in _string(data)
    )


def filter_text(data: bytes, names: Any) -> str:
    from pygenvm.modules.scripting import filters

    try:
        text = _string(data).decode()
    except UnicodeDecodeError:
        raise ScriptError("filter_text: the text is not UTF-8") from None
    return filters.filter_text(text, [str(readable(name)) for name in _list(names)])


def filter_image(data: bytes, names: Any) -> bytes:
    from pygenvm.modules.scripting import filters

    return filters.filter_image(_string(data), [readable(one) for one in _list(names)])


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    f"__dflt.{function.__name__}": function
    for function in (
        base64_encode,
        base64_decode,
        json_parse,
        json_stringify,
        split_url,
        url_encode,
        filter_text,
        filter_image,
    )
}


def parse_json(data: bytes) -> Any:
    """:raises ValueError: not JSON, which knows no NaN and no infinity, or nested too deeply for a script."""
    try:
        value = json.loads(data.decode(), parse_constant=_no_number)
    except RecursionError:
        raise ValueError("recursion limit exceeded") from None
    _check(value, limits.SCRIPT_VALUE_DEPTH)
    return value


def _check(value: Any, levels: int) -> None:
    if isinstance(value, float) and math.isinf(value):
        raise ValueError("number out of range")
    if isinstance(value, str):
        if not value.isascii():
            value.encode()  # half a surrogate pair is no text
        return
    if not isinstance(value, list | dict):
        return
    if not levels:
        raise ValueError("recursion limit exceeded")
    if isinstance(value, dict):
        for key in value:
            _check(key, levels)
        value = value.values()
    for item in value:
        _check(item, levels - 1)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _texts(value: Any) -> Any:
    match value:
        case bytes():
            return value.decode()
        case dict():
            return {str(_texts(key)): _texts(item) for key, item in value.items()}
        case list():
            return [_texts(item) for item in value]
    return value


def _string(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value).encode()  # as Lua's own functions take it
    raise ScriptError(f"a string is expected, not {'nil' if value is None else f'a {type(value).__name__}'}")


def _list(value: Any) -> list[Any]:
    if value == {}:  # an empty table of a script
        return []
    if not isinstance(value, list):
        raise ScriptError("a list of filters is expected")
    return value
