"""Runs one executor process against a host and brings back what it printed.

:class:`Executor` is all that the rest knows of executors; a pool of started processes fits behind it too.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from executor.host_protocol.endpoint import UnixEndpoint
from executor.host_protocol.host import Host
from executor.host_protocol.server import Listener, listen
from localnet import limits
from localnet.errors import ExecutorError
from localnet.model import Captured

_PR_SET_PDEATHSIG = 1
_PACKAGE_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run. ``message`` as in spec executor/10, ``permissions`` a subset of ``rwscn``."""

    message: Mapping[str, object]
    tx_id: str
    permissions: str
    timeout: float
    """Seconds of wall time until the run is ended with the VM error ``timeout``."""
    sync: bool = False
    node_address: str = "0x"
    """What LLM and web services are told about this node."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """How an executor process ended. The result of the run is at the host."""

    exit_status: int
    """Exit code, or minus the number of the signal that ended the process."""
    consumed: bool
    """The host got the result and acknowledged it."""
    timed_out: bool
    stdout: Captured
    stderr: Captured
    log: Captured
    seconds: float


class Executor(Protocol):
    """Runs a message against a host."""

    async def __call__(self, host: Host, request: RunRequest) -> RunReport:
        """Returns after the run has ended, whatever its result.

        :raises ExecutorError: no executor could be started.
        """
        ...


class ExecutorProcess:
    """``genvm run`` as a process of its own, in its own process group, that ends when we end."""

    def __init__(
        self,
        command: Sequence[str] = (),
        *,
        options: Sequence[str] = (),
        grace: float = limits.RUN_GRACE_SECONDS,
    ) -> None:
        """
        :param command: an executor; by default this installation's own ``genvm``.
        :param options: global options for it (spec executor/10), such as ``--config=PATH``.
        :param grace: seconds between SIGTERM and SIGKILL.
        """
        # -P: a folder named `cli` in the author's project must not be taken for ours.
        self._command = [*(command or [sys.executable, "-P", "-m", "cli.main"]), *options]
        self._grace = grace

    async def __call__(self, host: Host, request: RunRequest) -> RunReport:
        with tempfile.TemporaryDirectory(prefix="genvm-local-") as folder:
            address = str(UnixEndpoint(str(Path(folder, "host.sock"))))
            try:
                async with listen(lambda: host, address) as listener:
                    return await self._run(listener, address, request)
            except OSError as error:
                raise ExecutorError(f"cannot listen for the executor at {address!s}: {error}") from error

    async def _run(self, listener: Listener[Host], address: str, request: RunRequest) -> RunReport:
        started = time.monotonic()
        # Pipes of our own: asyncio's would make the end of the process wait for everybody who holds them.
        async with _output_pipe() as stdout, _output_pipe() as stderr, _output_pipe() as log:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._arguments(address, request, log.write_fd),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=stdout.write_fd,
                    stderr=stderr.write_fd,
                    pass_fds=(log.write_fd,),
                    env=_environment(),
                    start_new_session=True,
                    preexec_fn=_die_with_parent,
                )
            except OSError as error:
                raise ExecutorError(f"cannot start the executor: {error}") from error
            finally:
                for pipe in (stdout, stderr, log):
                    os.close(pipe.write_fd)
            streams = [asyncio.create_task(_capture(pipe.reader)) for pipe in (stdout, stderr, log)]
            session = asyncio.create_task(listener.session())
            try:
                timed_out = await self._wait(process, request.timeout)
                _kill_group(process)  # what it left behind would keep the pipes open
                captured = await asyncio.gather(*streams)
                consumed = await _consumed(session)
            finally:
                _kill_group(process)
                for task in (*streams, session):
                    task.cancel()
                await asyncio.gather(*streams, session, return_exceptions=True)
                await process.wait()
        seconds = time.monotonic() - started
        return RunReport(process.returncode or 0, consumed, timed_out, captured[0], captured[1], captured[2], seconds)

    def _arguments(self, address: str, request: RunRequest, log_fd: int) -> list[str]:
        arguments = [*self._command, f"--log-fd={log_fd}", "run", "--host", address]
        arguments += ["--message", json.dumps(request.message), "--permissions", request.permissions]
        arguments += ["--host-data", json.dumps({"node_address": request.node_address, "tx_id": request.tx_id})]
        # Contracts of authors use runner ids like py-genlayer:test, which need the debug mode.
        arguments += ["--debug-mode", "--print=result"]
        return [*arguments, "--sync"] if request.sync else arguments

    async def _wait(self, process: asyncio.subprocess.Process, timeout: float) -> bool:
        """Waits for the end of the process, ending it after ``timeout``; True if that was necessary."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), timeout)
            return False
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), self._grace)
            return True
        _kill_group(process)
        await process.wait()
        return True


class _Output:
    """Keeps the start and the end of a stream."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def feed(self, data: bytes) -> None:
        room = limits.OUTPUT_HEAD_BYTES - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        surplus = len(self._tail) - limits.OUTPUT_TAIL_BYTES
        if surplus > 0:
            del self._tail[:surplus]
            self._dropped += surplus

    def captured(self) -> Captured:
        return Captured(bytes(self._head), bytes(self._tail), self._dropped)


async def _capture(stream: asyncio.StreamReader) -> Captured:
    output = _Output()
    while data := await stream.read(limits.OUTPUT_READ_BYTES):
        output.feed(data)
    return output.captured()


@dataclass(frozen=True, slots=True)
class _Pipe:
    """``write_fd`` is for the process; the parent closes its own copy once that has started."""

    reader: asyncio.StreamReader
    write_fd: int


@contextlib.asynccontextmanager
async def _output_pipe() -> AsyncIterator[_Pipe]:
    read_fd, write_fd = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_fd, "rb")
    )
    try:
        yield _Pipe(reader, write_fd)
    finally:
        transport.close()


async def _consumed(session: asyncio.Task[object]) -> bool:
    """Whether the result was consumed, once the executor is gone and its socket with it."""
    with contextlib.suppress(TimeoutError):
        done = await asyncio.wait_for(asyncio.shield(session), 1.0)
        return bool(getattr(done, "consumed", False))
    return False


def _environment() -> dict[str, str]:
    """Ours, with this very package importable whatever the working directory is."""
    environment = dict(os.environ)
    if _PACKAGE_ROOT.name not in ("site-packages", "dist-packages"):
        path = [str(_PACKAGE_ROOT), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(path)
    return environment


def _die_with_parent() -> None:
    """Linux: an executor must not outlive a killed command; a contract may loop for ever."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


# Looked up before any fork: the child must not load libraries.
_prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None


def _kill_group(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
