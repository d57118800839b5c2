"""A reader of a PostgreSQL database (extra ``postgres``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pygenvm.settlement.state.postgres import PostgresStore


class PostgresSnapshots(PostgresStore):
    """A :class:`settlement.state.snapshots.Snapshots` of a database."""

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self._told("read"), self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield
