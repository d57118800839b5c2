"""Source of contracts in pieces, each with the kind of text that it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Final

#: Characters that are coloured; longer sources are one piece.
CHARACTERS_MAX: Final = 400_000
_KINDS: Final = (
    ("Comment", "c"),
    ("Literal.String", "s"),
    ("Literal.Number", "m"),
    ("Keyword", "k"),
    ("Operator.Word", "k"),
    ("Name.Function", "n"),
    ("Name.Class", "n"),
    ("Name.Decorator", "n"),
)


def pieces(files: Mapping[str, str]) -> list[tuple[str, str]]:
    """``(kind, text)`` of Python texts, one after the other; the kinds are classes of the page's style.

    :param files: by name; the names of several stand before the texts.
    """
    found: list[tuple[str, str]] = []
    for name, text in files.items():
        if len(files) > 1:
            found.append(("c", f"# --- {name} ---\n"))
        found += _pieces(text)
    return found


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    if len(text) > CHARACTERS_MAX:
        yield "", text
        return
    from pygments.lexers.python import PythonLexer

    tokens = PythonLexer(stripnl=False, ensurenl=False).get_tokens(text)
    for kind, run in groupby(((_kind(str(token)), part) for token, part in tokens), key=lambda piece: piece[0]):
        yield kind, "".join(part for _, part in run)


def _kind(token: str) -> str:
    name = token.removeprefix("Token.")
    return next((kind for start, kind in _KINDS if name.startswith(start)), "")
