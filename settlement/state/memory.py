"""A store in memory: for tests, simulations and local networks that end with their process."""

from __future__ import annotations

from collections.abc import Iterator

from pygenvm.settlement.state.store import Changes


class MemoryStore:
    """A :class:`settlement.state.store.Store` that lasts as long as this object."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self.read = self._values.get  # one call less on the way of every read

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(sorted(item for item in self._values.items() if item[0].startswith(prefix)))

    def apply(self, changes: Changes) -> None:
        removed = [key for key, value in changes.items() if value is None]
        self._values.update(changes)  # type: ignore[arg-type]  # those without a value go at once
        for key in removed:
            del self._values[key]

    def close(self) -> None:
        """Nothing to release."""
