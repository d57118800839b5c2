"""Text from outside on a terminal: it must not be able to drive it, nor show something else than it is."""

from __future__ import annotations

import re

#: Controls but for newline and tab, line and paragraph separators, halves of surrogate pairs; what turns the direction
#: of writing; and what is not seen at all. Not the variation selectors that follow many an emoji.
_UNSEEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\ud800-\udfff"
    "]"
)


def visible(text: str) -> str:
    """``text`` with what cannot be seen written as in Python: ``\\x1b``, ``\\u202e``, ``\\U000e0041``."""
    return _UNSEEN.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str) -> str:
    """:func:`visible`, with newlines and tabs as ``\\xNN`` too: for what must not look like several messages."""
    return visible(text).replace("\n", "\\x0a").replace("\t", "\\x09")
