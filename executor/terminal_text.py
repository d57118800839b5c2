"""Text from outside on a terminal: it must not be able to drive it."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """``text`` with control characters, but for newlines and tabs, as ``\\xNN``."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def one_line(text: str) -> str:
    """:func:`visible`, with newlines and tabs as ``\\xNN`` too: for what must not look like several messages."""
    return visible(text).replace("\n", "\\x0a").replace("\t", "\\x09")
