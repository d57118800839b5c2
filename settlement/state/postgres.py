"""A store in a PostgreSQL database (extra ``postgres``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from pygenvm.settlement.state.store import Changes, StoreConflict, StoreError, after

_SCHEMA = """\
CREATE SCHEMA IF NOT EXISTS genvm_settlement;
CREATE TABLE IF NOT EXISTS genvm_settlement.state (key bytea PRIMARY KEY, value bytea NOT NULL);
CREATE TABLE IF NOT EXISTS genvm_settlement.writer (
    one bool PRIMARY KEY DEFAULT true CHECK (one), generation bigint NOT NULL);
INSERT INTO genvm_settlement.writer VALUES (true, 0) ON CONFLICT DO NOTHING;
"""
#: Two that start at once would make the tables both.
_SCHEMA_LOCK = 0x41564D31


class PostgresStore:
    """A :class:`settlement.state.store.Store` in the schema ``genvm_settlement`` of a database.

    :param conninfo: ``postgresql://…`` or what else libpq takes. ``StoreError`` where it cannot be reached.

    Commits are durable whatever the server's default for ``synchronous_commit`` is.
    """

    def __init__(self, conninfo: str) -> None:
        with self._told("open"):
            self._connection = psycopg.connect(conninfo, autocommit=True)
            try:
                self._generation = self._prepared()
            except BaseException:
                self._connection.close()
                raise

    def _prepared(self) -> int:
        self._connection.execute("SET synchronous_commit = on")
        with self._connection.transaction():
            self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
            self._connection.execute(_SCHEMA)
            # The server may still be committing for a process that is dead: then this waits for it.
            row = self._connection.execute("SELECT generation FROM genvm_settlement.writer FOR UPDATE").fetchone()
        if row is None:
            raise StoreError("the database has lost who writes to it")
        return int(row[0])

    def read(self, key: bytes) -> bytes | None:
        query = "SELECT value FROM genvm_settlement.state WHERE key = %s"
        with self._told("read"):
            row = self._connection.execute(query, (key,), binary=True).fetchone()
        return None if row is None else bytes(row[0])

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        query = (
            "SELECT key, value FROM genvm_settlement.state"
            " WHERE key >= %s AND (key < %s OR %s::bytea IS NULL) ORDER BY key"
        )
        end = after(prefix)
        with self._told("read"):
            rows = self._connection.execute(query, (prefix, end, end), binary=True).fetchall()
        return ((bytes(key), bytes(value)) for key, value in rows)

    def apply(self, changes: Changes) -> None:
        written = [item for item in changes.items() if item[1] is not None]
        removed = [key for key, value in changes.items() if value is None]
        with self._told("write"), self._connection.transaction():
            update = "UPDATE genvm_settlement.writer SET generation = generation + 1 WHERE generation = %s"
            if self._connection.execute(update, (self._generation,)).rowcount != 1:
                raise StoreConflict("someone else has written to the database")
            # Two arrays in one statement: rows of their own would take a message each.
            self._connection.execute(
                "INSERT INTO genvm_settlement.state SELECT * FROM unnest(%s::bytea[], %s::bytea[])"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                ([key for key, _ in written], [value for _, value in written]),
            )
            self._connection.execute("DELETE FROM genvm_settlement.state WHERE key = ANY(%s::bytea[])", (removed,))
        self._generation += 1

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _told(self, action: str) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise StoreError(f"cannot {action} the settlement state in PostgreSQL: {error}") from error
