"""A store that remembers what was read and written: one query of a database takes as long as ten engine reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pygenvm.settlement.state.store import Changes, Store

#: About 40 MB.
_KEYS_MAX: Final = 1 << 17
#: Words and balances are remembered; blocks are large, and nobody asks for them again.
_VALUE_BYTES_MAX: Final = 32
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
        value = self._below.read(key)
        self._remember(key, value)
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
        for key, value in changes.items():
            self._remember(key, value)

    def close(self) -> None:
        self._below.close()

    def _remember(self, key: bytes, value: bytes | None) -> None:
        if value is not None and len(value) > _VALUE_BYTES_MAX:
            self._known.pop(key, None)
            return
        if len(self._known) >= _KEYS_MAX:
            self._known.clear()
        self._known[key] = value
