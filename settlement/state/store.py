"""What a store of settlement state must do. Keys and values are bytes; :mod:`settlement.state.keys` has their meaning.

There is one writer. A store that another process can open too notices when that process has written in between, and
refuses to go on with what may be outdated (:class:`StoreConflict`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, TypeAlias

__all__ = ("Changes", "Store", "StoreConflict", "StoreError")

#: New values by key; ``None`` removes the key.
Changes: TypeAlias = Mapping[bytes, bytes | None]


class StoreError(Exception):
    """The store could not read or write. What was asked for has not happened, or nobody knows; nothing is made up."""


class StoreConflict(StoreError):
    """Someone else has written since this store was opened."""


class Store(Protocol):
    def read(self, key: bytes) -> bytes | None:
        """The value as of the last :meth:`apply`."""

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All keys that start with ``prefix`` and their values, ascending."""

    def apply(self, changes: Changes) -> None:
        """All changes or, with an exception, none; on return they outlive a crash, as far as the store outlives any."""

    def close(self) -> None: ...


def after(prefix: bytes) -> bytes | None:
    """The first key behind all that start with ``prefix``; ``None`` where there is no such key."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else None
