"""Changes that are not committed yet, on top of a store or of other such changes."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final, Protocol

from pygenvm.settlement.state.store import Changes

_UNCHANGED: Final = object()


class _Below(Protocol):
    def read(self, key: bytes) -> bytes | None: ...
    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]: ...
    def apply(self, changes: Changes) -> None: ...


class Staging:
    """Reads see the changes; what is below sees none of them before :meth:`commit`.

    A staging on top of another one is a private overlay: a block is verified on one, and dropped with it.
    """

    __slots__ = ("_below", "_changes")

    def __init__(self, below: _Below) -> None:
        self._below = below
        self._changes: dict[bytes, bytes | None] = {}

    def read(self, key: bytes) -> bytes | None:
        value = self._changes.get(key, _UNCHANGED)
        return self._below.read(key) if value is _UNCHANGED else value  # type: ignore[return-value]  # no sentinel

    def write(self, key: bytes, value: bytes | None) -> None:
        """``None`` removes the key."""
        self._changes[key] = value

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """As those of a store, with the changes."""
        own = sorted(
            (key, value) for key, value in self._changes.items() if key.startswith(prefix) and value is not None
        )
        kept = (item for item in self._below.items(prefix) if item[0] not in self._changes)
        return heapq.merge(own, kept)

    def apply(self, changes: Changes) -> None:
        self._changes.update(changes)

    def overlay(self) -> Staging:
        return Staging(self)

    @property
    def changed(self) -> bool:
        return bool(self._changes)

    def rebase(self, below: _Below) -> None:
        """On top of what now has everything that was below: the overlay of a block whose parent was committed."""
        self._below = below

    def commit(self) -> None:
        """Everything into what is below, all or nothing. When that fails, the changes are still here."""
        self._below.apply(self._changes)
        self._changes = {}

    def abort(self) -> None:
        """Back to what is below."""
        self._changes = {}
