"""Lists in messages."""

from __future__ import annotations

from collections.abc import Collection

_SHOWN = 20


def shorten(words: Collection[str], *, last: bool = False) -> str:
    """The first, or the last, of ``words`` with commas between them, and how many more there are."""
    shown = list(words)[-_SHOWN:] if last else list(words)[:_SHOWN]
    more = [f"{len(words) - len(shown)} more"] if len(words) > len(shown) else []
    return ", ".join(shown + more)
