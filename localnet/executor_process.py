"""Runs one executor process against a host and brings back what it printed.

:class:`Executor` is all that the rest knows of executors. :class:`ExecutorProcess` starts one for each run;
:mod:`localnet.pooled_executor` takes them from a pool.
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
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.host_protocol.endpoint import UnixEndpoint
from pygenvm.executor.host_protocol.host import Host
from pygenvm.executor.host_protocol.server import LEFT, Listener, Session, listen
from pygenvm.localnet import limits
from pygenvm.localnet.errors import ExecutorError
from pygenvm.localnet.model import Captured

_PR_SET_PDEATHSIG = 1
_PACKAGE_ROOT = Path(__file__).absolute().parent.parent.parent


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
    failure: str | None
    """Why the host did not get a result, as the host saw it; None: it got one and acknowledged it."""
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


class StartedExecutor(Protocol):
    """An executor that has been started for one run."""

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); does nothing once it has ended."""

    def kill(self) -> None:
        """End it and everything that it has started, at once."""

    async def wait(self) -> int:
        """Exit code, or minus the number of the signal that ended it.

        :raises ExecutorError: nobody knows.
        """
        ...


class StartingExecutor(ABC):
    """An :class:`Executor`; how one is started is left to subclasses."""

    def __init__(self, grace: float) -> None:
        """:param grace: seconds between SIGTERM and SIGKILL."""
        self._grace = grace

    @abstractmethod
    async def _start(self, arguments: RunArguments, stdout: int, stderr: int, log: int) -> StartedExecutor:
        """An executor that writes to copies of the three descriptors.

        :raises ExecutorError: it cannot be started.
        """

    async def __call__(self, host: Host, request: RunRequest) -> RunReport:
        with tempfile.TemporaryDirectory(prefix="genvm-local-") as folder:
            address = str(UnixEndpoint(str(Path(folder, "host.sock"))))
            try:
                async with listen(lambda: host, address) as listener:
                    return await self._run(listener, _arguments(address, request), request.timeout)
            except OSError as error:
                raise ExecutorError(f"cannot listen for the executor at {address!s}: {error}") from error

    async def _run(self, listener: Listener[Host], arguments: RunArguments, timeout: float) -> RunReport:
        started = time.monotonic()
        # Pipes of our own: asyncio's would make the end of the process wait for everybody who holds them.
        async with _output_pipe() as stdout, _output_pipe() as stderr, _output_pipe() as log:
            try:
                executor = await self._start(arguments, stdout.write_fd, stderr.write_fd, log.write_fd)
            finally:
                for pipe in (stdout, stderr, log):
                    os.close(pipe.write_fd)
            streams = [asyncio.create_task(_capture(pipe.reader)) for pipe in (stdout, stderr, log)]
            session = asyncio.create_task(listener.session())
            try:
                status, timed_out = await self._wait(executor, timeout)
                executor.kill()  # what it left behind would keep the pipes open
                captured = await asyncio.gather(*streams)
                failure = await _failure(session)
            finally:
                executor.kill()
                for task in (*streams, session):
                    task.cancel()
                await asyncio.gather(*streams, session, return_exceptions=True)
                with contextlib.suppress(ExecutorError):
                    await executor.wait()
        seconds = time.monotonic() - started
        return RunReport(status, failure, timed_out, captured[0], captured[1], captured[2], seconds)

    async def _wait(self, executor: StartedExecutor, timeout: float) -> tuple[int, bool]:
        """Waits for the end of the executor, ending it after ``timeout``; its status, and whether that was needed."""
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(executor.wait(), timeout), False
        executor.terminate()
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(executor.wait(), self._grace), True
        executor.kill()
        return await executor.wait(), True


def _arguments(address: str, request: RunRequest) -> RunArguments:
    return RunArguments(
        message=json.dumps(request.message),
        host=address,
        host_data=json.dumps({"node_address": request.node_address, "tx_id": request.tx_id}),
        permissions=request.permissions,
        sync=request.sync,
        # Contracts of authors use runner ids like py-genlayer:test, which need the debug mode.
        debug_mode=True,
        printed=frozenset(["result"]),
    )


def own_command(options: Sequence[str] = ()) -> list[str]:
    """This installation's own ``genvm`` with global ``options`` (spec executor/10), such as ``--config=PATH``."""
    # -P: nothing of the author's project must be taken for ours.
    return [sys.executable, "-P", "-m", "pygenvm.cli.main", *options]


class ExecutorProcess(StartingExecutor):
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
        """
        super().__init__(grace)
        self._command = [*command, *options] if command else own_command(options)

    async def _start(self, arguments: RunArguments, stdout: int, stderr: int, log: int) -> StartedExecutor:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                f"--log-fd={log}",
                *_command_line(arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(log,),
                env=own_environment(),
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            raise ExecutorError(f"cannot start the executor: {error}") from error
        return _Process(process)


@contextlib.contextmanager
def few_runs(options: Sequence[str] = ()) -> Iterator[Executor]:
    """The executor for one run and perhaps some more: the first is a process of its own, the others come from a pool.

    A pool takes longer to start than one process, so it only pays from there on. ``options`` are global ones.
    """
    with contextlib.ExitStack() as stack:
        executors = _executors(options, stack)

        async def run(host: Host, request: RunRequest) -> RunReport:
            return await next(executors)(host, request)

        yield run


def _executors(options: Sequence[str], stack: contextlib.ExitStack) -> Iterator[Executor]:
    yield ExecutorProcess(options=options)
    from pygenvm.localnet.pooled_executor import many_runs

    pooled = stack.enter_context(many_runs(options))
    while True:
        yield pooled


class _Process:
    """A :class:`StartedExecutor` that is a child of ours."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def terminate(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def wait(self) -> int:
        return await self._process.wait()


def _command_line(arguments: RunArguments) -> list[str]:
    words = ["run", "--host", arguments.host, "--message", arguments.message]
    words += ["--permissions", arguments.permissions, "--host-data", arguments.host_data]
    words += ["--debug-mode"] * arguments.debug_mode + ["--sync"] * arguments.sync
    return words + [f"--print={what}" for what in sorted(arguments.printed)]


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


async def _failure(session: asyncio.Task[Session[Host]]) -> str | None:
    """Why no result was consumed, once the executor is gone and its socket with it."""
    with contextlib.suppress(TimeoutError):
        return (await asyncio.wait_for(asyncio.shield(session), 1.0)).failure
    return LEFT


def own_environment() -> dict[str, str]:
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
