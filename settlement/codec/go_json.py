"""JSON as the reference's encoder writes it, on which ids of blocks and vertices depend (spec settlement/02 §11.4)."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from pygenvm.executor.json_text import parse_json

_ESCAPED: Final = {code: f"\\u{code:04x}" for code in map(ord, "<>&\u2028\u2029")}
#: A string with what stands between its quotes, or white space between tokens.
_STRING_OR_SPACE = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\r\n]+', re.DOTALL)


#: A block has at most 2 MiB.
_CHARS_MAX: Final = 2 << 20
_DEPTH_MAX: Final = 64


def parse(text: str) -> Any:
    """``ValueError`` for what is no JSON, is nested too deep, or names a member twice."""
    return parse_json(text, max_chars=_CHARS_MAX, max_depth=_DEPTH_MAX)


class Raw(str):
    """JSON text that goes out as it came in, but compact."""

    __slots__ = ()


def dumps(value: object) -> str:
    """Compact, members in their order; no floats, whose spelling would be another question."""
    if isinstance(value, Raw):
        return compact(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{dumps(name)}:{dumps(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dumps, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).translate(_ESCAPED)
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    raise TypeError(f"{type(value).__name__} has no place in these records")


def compact(text: str) -> str:
    """JSON text without white space between its tokens; ``ValueError`` for what is no JSON."""
    parse(text)
    return _STRING_OR_SPACE.sub(lambda found: found[1] or "", text).translate(_ESCAPED)
