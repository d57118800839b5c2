"""Databases of local networks."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def state_of(path: Path) -> dict[str, list[Any]]:
    """All rows of all tables, but for the failed commands that are only kept for the log; empty without a file."""
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: database.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall()
            for name in tables
            if name != "failures"
        }
