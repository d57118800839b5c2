"""A store that remembers what was read and written: one query of a database takes as long as ten engine reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pygenvm.settlement.state.store import Changes, Store

#: About 30 MB of keys and words.
_KEYS_MAX: Final = 1 << 17
_UNKNOWN: Final = object()


class CachedStore:
    """Another store with a cache before it. Right because there is one writer, and the store below sees to that."""

    def __init__(self, below: Store) -> None:
        self._below = below
        self._known: dict[bytes, bytes | None] = {}

    def read(self, key: bytes) -> bytes | None:
        known = self._known.get(key, _UNKNOWN)
        if known is not _UNKNOWN:
            return known  # type: ignore[return-value]  # the sentinel is gone
        if len(self._known) >= _KEYS_MAX:
            self._known.clear()
        value = self._known[key] = self._below.read(key)
        return value

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return self._below.items(prefix)

    def apply(self, changes: Changes) -> None:
        try:
            self._below.apply(changes)
        except BaseException:
            # Whether it was written is not known after all failures.
            self._known.clear()
            raise
        if len(self._known) + len(changes) > _KEYS_MAX:
            self._known.clear()
        self._known.update(changes)

    def close(self) -> None:
        self._below.close()
