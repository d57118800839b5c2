"""Stores for readers: each on a connection of its own, so that a reader waits for no writer, nor a writer for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from pygenvm.settlement.state.sqlite import SqliteStore
from pygenvm.settlement.state.store import Store


class Snapshots(Store, Protocol):
    def snapshot(self) -> AbstractContextManager[None]:
        """Within it all reads see the same commit; another one sees what is new. Nothing is applied there."""


class SqliteSnapshots(SqliteStore):
    """A :class:`Snapshots` of a file, by a read transaction of the write-ahead log."""

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self._told("read"):
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            with self._told("read"):
                self._connection.execute("ROLLBACK")


def open_snapshots(name: str) -> Snapshots:
    """Of a state that is there: ``postgresql://…`` or the path of an SQLite file; ``StoreError`` otherwise."""
    if name.startswith(("postgresql://", "postgres://")):
        from pygenvm.settlement.state.postgres_snapshots import PostgresSnapshots

        return PostgresSnapshots(name)
    return SqliteSnapshots(Path(name), create=False)
