"""``genvm local serve`` as a process, for tests that connect to it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pygenvm.localnet.rpc.client import Client

_READY_SECONDS = 60
_END_SECONDS = 30


class Server:
    """One that listens. ``url`` is without a path."""

    def __init__(self, process: subprocess.Popen[str], told: dict[str, Any]) -> None:
        self.process = process
        self.told = told
        self.url: str = told["url"]
        self.rpc: str = told["rpc"]
        self.client = Client(self.url)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(_END_SECONDS)


@contextlib.contextmanager
def serving(folder: Path, *words: str, port: int = 0, cwd: Path | None = None) -> Iterator[Server]:
    """A server whose state is in ``folder``; without ``cwd`` in a file that no project knows of."""
    database = () if cwd else ("--db", str(folder / "network.db"))
    command = [sys.executable, "-m", "pygenvm.cli.main", "local", "serve", "--json", "--port", str(port), *database]
    process = subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd or folder
    )
    said: list[str] = []
    assert process.stdout is not None
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
    reader.start()
    watchdog = threading.Timer(_READY_SECONDS, process.kill)
    watchdog.start()
    try:
        text = ""
        for line in process.stdout:
            text += line
            with contextlib.suppress(ValueError):
                told = json.loads(text)
                break
        else:
            process.wait()
            reader.join(5)
            raise AssertionError(f"the server ended with {process.returncode}: {text}{''.join(said)}")
        watchdog.cancel()
        assert told.get("ok"), f"{told}"
        yield Server(process, told)
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()
