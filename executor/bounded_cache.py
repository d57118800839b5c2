"""Values that may be made again: kept as long as they are small enough together."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

V = TypeVar("V")


class BoundedCache(Generic[V]):
    """Values of at most so many bytes, of which those go first that were not asked for the longest. From any thread."""

    def __init__(self, bytes_max: int) -> None:
        self._left = bytes_max
        #: Value and size by key, the one that was asked for last at the end.
        self._kept: dict[str, tuple[V, int]] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> V | None:
        with self._lock:
            kept = self._kept.pop(key, None)
            if kept is None:
                return None
            self._kept[key] = kept
            return kept[0]

    def put(self, key: str, value: V, size: int) -> None:
        """Keep ``value``, which takes ``size`` bytes."""
        with self._lock:
            self._drop(key)
            self._kept[key] = value, size
            self._left -= size
            while self._left < 0:
                self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        _, size = self._kept.pop(key, (None, 0))
        self._left += size
