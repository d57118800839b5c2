"""A `genvm pool` of a user, and command lines that it takes over."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.execution import HOST_DATA, config_file, message_json
from tests.support.paths import ROOT as REPOSITORY
from tests.support.running import until

PROGRAM = (sys.executable, "-P", "-m", "pygenvm.cli.main")


class Pool:
    """Made by :func:`started`."""

    def __init__(self, folder: Path, sources: Path, config: Path | None) -> None:
        self.folder = folder
        self._sources = sources
        self.config = config or config_file(folder)
        self.cache = folder / "cache"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Of whoever finds this pool and no other."""
        return {**os.environ, "PYTHONPATH": str(self._sources), "PYGENVM_CACHE": str(self.cache)}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *options: str) -> None:
        with open(self._log, "wb") as log:
            words = [*PROGRAM, f"--config={self.config}", "--log-level=debug", "pool", *options]
            self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, env=self.environment)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith(b"takes over runs at "), self._log.read_bytes()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def records(self, message: str) -> list[dict[str, Any]]:
        """What it has logged under ``message``."""
        lines = map(json.loads, self._log.read_bytes().splitlines())
        return [line for line in lines if line["message"] == message]

    def has_taken_over(self, count: int) -> None:
        """Wait until it has taken over as many runs: it may come to its record of one after that has ended."""
        until(lambda: len(self.records("taken over")) == count, f"{count} runs were not taken over")

    def words(self, address: str, *arguments: str, global_options: tuple[str, ...] = (), **message: Any) -> list[str]:
        """A command line that it takes over."""
        text = message_json(**message)
        given = ("run", "--message", text, "--host", address, "--host-data", json.dumps(HOST_DATA), "--cookie=c")
        return [*PROGRAM, f"--config={self.config}", *global_options, *given, *arguments]


@contextlib.contextmanager
def started(*options: str, sources: Path = REPOSITORY, config: Path | None = None) -> Iterator[Pool]:
    """``config`` is by default one without runners."""
    with tempfile.TemporaryDirectory(prefix="reception-") as folder:
        made = Pool(Path(folder), sources, config)
        try:
            made.start(*options)
            yield made
        finally:
            made.stop()
