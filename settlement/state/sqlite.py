"""A store in an SQLite file: the default that needs no server."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pygenvm.settlement.state.store import Changes, StoreConflict, StoreError, after

#: Tells files of ours and of a future layout apart (``PRAGMA application_id``, ``user_version``).
_APPLICATION: Final = 0x41564D31
_LAYOUT: Final = 1
_BUSY_SECONDS: Final = 5.0

_SCHEMA = """\
CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE writer (generation INTEGER NOT NULL);
INSERT INTO writer VALUES (0);
"""


class SqliteStore:
    """A :class:`settlement.state.store.Store` in a file. ``StoreError`` where it is none of ours or cannot be opened.

    Write-ahead log with ``synchronous=FULL``: a commit that has returned outlives a power cut.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self._path = path
        with self._told("open"):
            mode = "rwc" if create else "rw"
            location = f"{path.absolute().as_uri()}?mode={mode}"
            self._connection = sqlite3.connect(location, timeout=_BUSY_SECONDS, isolation_level=None, uri=True)
            try:
                self._generation = self._prepared()
            except BaseException:
                self._connection.close()
                raise

    def _prepared(self) -> int:
        query = self._connection.execute
        if self._kind() == (0, 0):
            query("BEGIN IMMEDIATE")
            if query("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
                for statement in _SCHEMA.split(";\n")[:-1]:
                    query(statement)
                query(f"PRAGMA application_id={_APPLICATION}")
                query(f"PRAGMA user_version={_LAYOUT}")
            query("COMMIT")
        if self._kind() != (_APPLICATION, _LAYOUT):
            raise StoreError(f"{self._path} is no settlement state that this version reads")
        query("PRAGMA journal_mode=WAL")
        query("PRAGMA synchronous=FULL")
        return int(query("SELECT generation FROM writer").fetchone()[0])

    def _kind(self) -> tuple[int, int]:
        application, layout = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
        return int(application), int(layout)

    def read(self, key: bytes) -> bytes | None:
        with self._told("read"):
            row = self._connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        end = after(prefix)
        bound, values = ("", (prefix,)) if end is None else (" AND key < ?", (prefix, end))
        with self._told("read"):
            query = f"SELECT key, value FROM state WHERE key >= ?{bound} ORDER BY key"
            rows = self._connection.execute(query, values).fetchall()
        return iter(rows)

    def apply(self, changes: Changes) -> None:
        written = [item for item in changes.items() if item[1] is not None]
        removed = [(key,) for key, value in changes.items() if value is None]
        query = self._connection
        with self._told("write"):
            query.execute("BEGIN IMMEDIATE")
            try:
                update = "UPDATE writer SET generation = generation + 1 WHERE generation = ?"
                if query.execute(update, (self._generation,)).rowcount != 1:
                    raise StoreConflict(f"someone else has written to {self._path}")
                query.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", written)
                query.executemany("DELETE FROM state WHERE key = ?", removed)
                query.execute("COMMIT")
            except BaseException:
                if query.in_transaction:
                    query.execute("ROLLBACK")
                raise
        self._generation += 1

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _told(self, action: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"cannot {action} {self._path}: {error}") from error
