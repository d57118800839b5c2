"""A `genvm run` that is still running, for tests that do something to it.

with running(Script().storage_write(ROOT, 0, b"x").loop()) as run:
    run.host.reached(HostMethod.STORAGE_WRITE)
    run.signal(signal.SIGTERM)
    assert run.ended() == 0
assert run.host.outcome == VMError("timeout")
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pygenvm.executor.primitives.abi import HostMethod, StorageType
from pygenvm.executor.primitives.address import Address
from tests.support.execution import command
from tests.support.hosts import PATIENCE_SECONDS, InMemoryHost, serving
from tests.support.machine import Script, machine

ROOT = bytes(32)


class WatchedHost(InMemoryHost):
    """Tells when a request arrives, and can keep requests of a method waiting."""

    def __init__(self, *, holding: HostMethod | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._holding = holding
        self._arrivals = {method: threading.Event() for method in HostMethod}
        self.release = threading.Event()
        #: When the result arrived, by the monotonic clock.
        self.consumed_at = 0.0

    def reached(self, method: HostMethod) -> None:
        """Wait for the first request of a method."""
        assert self._arrivals[method].wait(PATIENCE_SECONDS), f"no {method.name} arrived, but {self.methods}"

    def _note(self, method: HostMethod, **fields: Any) -> None:
        super()._note(method, **fields)
        if method is HostMethod.CONSUME_RESULT:
            self.consumed_at = time.monotonic()
        self._arrivals[method].set()

    async def _hold(self, method: HostMethod) -> None:
        if method is self._holding:
            while not self.release.is_set():
                await asyncio.sleep(0.01)

    async def storage_write(self, slot: bytes, index: int, data: bytes) -> None:
        await super().storage_write(slot, index, data)
        await self._hold(HostMethod.STORAGE_WRITE)

    async def storage_read(
        self, storage_type: StorageType, address: Address, slot: bytes, index: int, length: int
    ) -> bytes:
        answer = await super().storage_read(storage_type, address, slot, index, length)
        await self._hold(HostMethod.STORAGE_READ)
        return answer

    async def consume_result(self, result: bytes) -> None:
        await super().consume_result(result)
        await self._hold(HostMethod.CONSUME_RESULT)


class Running:
    """Made by :func:`running`."""

    def __init__(self, process: subprocess.Popen[bytes], host: WatchedHost) -> None:
        self.process = process
        self.host = host
        self.stdout = b""
        self.stderr = b""

    def signal(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal; when, by the monotonic clock."""
        at = time.monotonic()
        self.process.send_signal(number)
        return at

    def ended(self) -> int:
        """Wait for the end and gather what was not read; the exit code, or minus the number of the signal."""
        self.stdout, self.stderr = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode

    def children(self) -> list[int]:
        """Ids of the child processes."""
        found: list[int] = []
        for path in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, path.read_text().split())
        return found


@contextlib.contextmanager
def running(
    script: Script | None = None,
    *arguments: str,
    code: bytes | None = None,
    host: WatchedHost | None = None,
    config: Path | None = None,
    address: str | None = None,
    stdout: int = subprocess.PIPE,
    global_options: Sequence[str] = (),
    **others: Any,
) -> Iterator[Running]:
    """Start a run of ``script`` (or of the contract ``code``); it is killed if the test leaves it behind."""
    host = host or WatchedHost()
    host.put_code(machine() if code is None else code)
    if script is not None:
        host.calldata = script.code
    with serving(host) as node:
        process = subprocess.Popen(
            command(address or node.address, *arguments, config=config, global_options=tuple(global_options)),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            **others,
        )
        try:
            yield Running(process, host)
        finally:
            host.release.set()
            process.kill()
            process.communicate()


def genvm(config: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A command of the real program."""
    command = [sys.executable, "-m", "pygenvm.cli.main", "--config", str(config), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def full_pipe() -> tuple[int, int]:
    """Both ends of a pipe into which nothing fits any more."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(1 << 16))
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"\0")
    os.set_blocking(writing, True)
    return reading, writing


def until(condition: Any, what: str) -> Any:
    """Wait until ``condition()`` is true; its value."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return value
