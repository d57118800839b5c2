"""Which store a text names."""

from __future__ import annotations

from pathlib import Path

from pygenvm.settlement.state.cached import CachedStore
from pygenvm.settlement.state.memory import MemoryStore
from pygenvm.settlement.state.sqlite import SqliteStore
from pygenvm.settlement.state.store import Store, StoreError


def open_store(name: str, *, create: bool = True) -> Store:
    """``memory:``, ``postgresql://…``, or the path of an SQLite file; ``StoreError`` where it cannot be opened.

    :param create: make the file if there is none.
    """
    if name == "memory:":
        return MemoryStore()
    if name.startswith(("postgresql://", "postgres://")):
        try:
            from pygenvm.settlement.state.postgres import PostgresStore
        except ImportError as error:
            raise StoreError("PostgreSQL needs psycopg: pip install 'pygenvm[postgres]'") from error
        return CachedStore(PostgresStore(name))
    return CachedStore(SqliteStore(Path(name), create=create))
