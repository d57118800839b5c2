"""What is shown of text that others have written."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from pygenvm.executor.terminal_text import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31m\x00\x7f\x9b", "\\x1b[31m\\x00\\x7f\\x9b"),
        ("a\u202eb", "a\\u202eb"),
        ("\ufeffx", "\\ufeffx"),
        ("\u2066\u2069\u200f\u061c", "\\u2066\\u2069\\u200f\\u061c"),
        ("soft\u00adhyphen", "soft\\xadhyphen"),
        ("zero\u200bwidth\u2060", "zero\\u200bwidth\\u2060"),
        ("one\u2028line", "one\\u2028line"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("half\ud800", "half\\ud800"),
        ("äßλ漢字 — “ok” ❤\ufe0f 👍", "äßλ漢字 — “ok” ❤\ufe0f 👍"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_every_format_control_is_written_out() -> None:
    #: Signs that stand in front of a number and are seen.
    seen = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    for code in set(range(sys.maxunicode + 1)) - seen:
        character = chr(code)
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in "\t\n":
            assert visible(character).isascii(), hex(code)
            assert visible(character) == ascii(character)[1:-1].replace("\\r", "\\x0d"), hex(code)
