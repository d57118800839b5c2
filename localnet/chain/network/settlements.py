"""Decisions of a network, settled (docs/settlement.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


class Settlements:
    """The settlement state beside a database."""

    def __init__(self, path: Path, wanted: bool, write: Callable[..., Any], on_error: Callable[[str], None]) -> None:
        self._path = path.with_name(path.name + ".settlement")

    async def document(self, intent_id: bytes) -> bytes | None:
        """The receipt of a round."""
        return None
