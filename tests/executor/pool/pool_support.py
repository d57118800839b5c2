"""Pools of real executors for tests, and jobs in them that are still running.

with pool() as executors, job(executors, Script().loop()) as run:
    run.host.reached(HostMethod.STORAGE_WRITE)
    run.signal(signal.SIGTERM)
    assert run.ended() == 0
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.pool.client import ExecutorPool, PooledRun
from tests.support.execution import HOST_DATA, config_file, message_json
from tests.support.hosts import PATIENCE_SECONDS, serving
from tests.support.machine import Script, machine
from tests.support.paths import ROOT
from tests.support.running import WatchedHost, until


@contextlib.contextmanager
def pool(
    config: Path | None = None, *, built: bool = False, options: Sequence[str] = (), **others: Any
) -> Iterator[ExecutorPool]:
    """A pool with a configuration of the tests; it is closed at the end."""
    with tempfile.TemporaryDirectory(prefix="pool-") as folder:
        config = config or config_file(Path(folder), built=built)
        command = [sys.executable, "-P", "-m", "pygenvm.cli.main", f"--config={config}", *options]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with contextlib.closing(ExecutorPool(command, environment=environment, **others)) as executors:
            yield executors


def arguments(address: str, *, message: Mapping[str, Any] | None = None, **others: Any) -> RunArguments:
    """What :func:`tests.support.execution.command` gives to ``genvm run``."""
    values = {"message": message_json(**(message or {})), "host_data": json.dumps(HOST_DATA), **others}
    return RunArguments(host=address, **values)


class Numbers(TypedDict):
    stdout: int
    stderr: int
    log: int


class Streams:
    """Files for what an executor prints."""

    def __init__(self) -> None:
        self._files = {
            name: tempfile.TemporaryFile()  # noqa: SIM115
            for name in ("stdout", "stderr", "log")
        }

    def numbers(self) -> Numbers:
        """Keyword arguments of :meth:`ExecutorPool.run`."""
        stdout, stderr, log = (self._files[name].fileno() for name in ("stdout", "stderr", "log"))
        return {"stdout": stdout, "stderr": stderr, "log": log}

    def __getitem__(self, name: str) -> bytes:
        """What is in one of them by now."""
        file = self._files[name]
        return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)

    def close(self) -> None:
        for file in self._files.values():
            file.close()


class Job:
    """Made by :func:`job`."""

    def __init__(self, host: WatchedHost, run: PooledRun, streams: Streams, loop: asyncio.Runner) -> None:
        self.host = host
        self.run = run
        self.streams = streams
        self._loop = loop

    def signal(self, number: int) -> None:
        self.run.signal(number)

    def ended(self) -> int:
        """Wait for the end; the exit code, or minus the number of the signal."""
        return self._loop.run(asyncio.wait_for(self.run.wait(), PATIENCE_SECONDS))


@contextlib.contextmanager
def job(
    executors: ExecutorPool,
    script: Script | None = None,
    *,
    code: bytes | None = None,
    host: WatchedHost | None = None,
    address: str | None = None,
    log_level: str | None = None,
    **others: Any,
) -> Iterator[Job]:
    """Hand over a run of ``script`` (or of the contract ``code``); it is killed if the test leaves it behind.

    ``others`` are arguments of the run.
    """
    host = host or WatchedHost()
    host.put_code(machine() if code is None else code)
    if script is not None:
        host.calldata = script.code
    with serving(host) as node, contextlib.closing(Streams()) as streams, asyncio.Runner() as loop:
        given = arguments(address or node.address, **others)
        run = loop.run(executors.run(given, **streams.numbers(), log_level=log_level))
        try:
            yield Job(host, run, streams, loop)
        finally:
            host.release.set()
            run.kill()


def children(pid: int) -> list[int]:
    """Ids of the child processes."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def alive(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def gone(pid: int) -> bool:
    """Wait until a process has ended."""
    return bool(until(lambda: not alive(pid), f"process {pid} lives on"))


def template_of(executors: ExecutorPool) -> int:
    """The process from which executors are forked."""
    assert executors.pid is not None
    return executors.pid
