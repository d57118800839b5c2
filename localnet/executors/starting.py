"""Executors that are started for one run each, and connect to a socket of its host."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path

from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.host_protocol.answering import LEFT
from pygenvm.executor.host_protocol.endpoint import UnixEndpoint
from pygenvm.executor.host_protocol.host import Host
from pygenvm.executor.host_protocol.server import Listener, Session, listen
from pygenvm.executor.spawn import SpawnError, StartedExecutor
from pygenvm.executor.spawn.output import output_pipes
from pygenvm.localnet.errors import ExecutorError
from pygenvm.localnet.executors.base import RunReport, RunRequest, arguments_of


class StartingExecutor(ABC):
    """An :class:`Executor`; how one is started is left to subclasses."""

    def __init__(self, grace: float) -> None:
        """:param grace: seconds between SIGTERM and SIGKILL."""
        self._grace = grace
        # Looked for now: whatever keeps it from finding one, `tempfile` says that there is none.
        with contextlib.suppress(FileNotFoundError):
            tempfile.gettempdir()

    @abstractmethod
    async def _start(self, arguments: RunArguments, stdout: int, stderr: int, log: int) -> StartedExecutor:
        """An executor that writes to copies of the three descriptors.

        :raises SpawnError: it cannot be started.
        """

    async def __call__(self, host: Host, request: RunRequest) -> RunReport:
        try:
            # What cannot be removed, on a machine that is short of everything, is no matter of the run.
            with tempfile.TemporaryDirectory(prefix="genvm-local-", ignore_cleanup_errors=True) as folder:
                address = str(UnixEndpoint(str(Path(folder, "host.sock"))))
                async with listen(lambda: host, address) as listener:
                    return await self._run(listener, arguments_of(address, request), request.timeout)
        except SpawnError as error:
            raise ExecutorError(str(error)) from error
        except OSError as error:
            raise ExecutorError(f"cannot listen for the executor: {error}") from error

    async def _run(self, listener: Listener[Host], arguments: RunArguments, timeout: float) -> RunReport:
        started = time.monotonic()
        with output_pipes(3) as pipes:
            try:
                executor = await self._start(arguments, *(pipe.write_fd for pipe in pipes))
            finally:
                for pipe in pipes:
                    pipe.started()
            session = asyncio.create_task(listener.session())
            try:
                status, timed_out = await self._wait(executor, timeout)
                executor.kill()  # what it left behind would keep the pipes open
                captured = [await pipe.captured() for pipe in pipes]
                failure = await _failure(session)
            finally:
                executor.kill()
                session.cancel()
                await asyncio.gather(session, return_exceptions=True)
                with contextlib.suppress(SpawnError):
                    await executor.wait()
        seconds = time.monotonic() - started
        return RunReport(status, failure, timed_out, captured[0], captured[1], captured[2], seconds)

    async def _wait(self, executor: StartedExecutor, timeout: float) -> tuple[int, bool]:
        """Waits for the end of the executor, ending it after ``timeout``; its status, and whether that was needed."""
        # Not asyncio.wait_for: in Python 3.11 it loses a cancellation that comes together with the end.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                return await executor.wait(), False
        executor.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._grace):
                return await executor.wait(), True
        executor.kill()
        return await executor.wait(), True


async def _failure(session: asyncio.Task[Session[Host]]) -> str | None:
    """Why no result was consumed, once the executor is gone and its socket with it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            return (await asyncio.shield(session)).failure
    return LEFT
