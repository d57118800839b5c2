"""The user's side of a pool (:mod:`executor.pool`): jobs in, exit codes out.

pool = ExecutorPool(["genvm", "--config=genvm.yaml"])
run = await pool.run(RunArguments(message=…, host=…), stdout=1, stderr=2, log=2)
status = await run.wait()
pool.close()

A thread of its own listens to the template, so a pool may be used from any thread and from several event loops, at
the same time or one after the other. Where the pool is another's (:class:`LentPool`) there is none: its template
answers at once, and whoever needs an answer listens for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import IO, TypeVar

from pygenvm.executor import limits
from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.pool import frames
from pygenvm.executor.pool.channel import Channel
from pygenvm.executor.pool.errors import PoolError
from pygenvm.executor.pool.frames import FrameError

T = TypeVar("T")


def _is_supported() -> bool:
    # Only there forks of a process that has loaded system libraries are safe.
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:  # an old kernel, or a sandbox that does not let us
        return False
    return True


#: Whether there can be pools on this machine.
SUPPORTED = _is_supported()


class PooledRun:
    """A job that an executor has. ``pid`` is its process."""

    def __init__(self, template: _Template, number: int, pid: int, ended: Future[int]) -> None:
        self.pid = pid
        self._template = template
        self._number = number
        self._ended = ended

    def signal(self, number: int) -> None:
        """Send a signal to the executor, if it is still there."""
        if not self._ended.done():
            self._template.signal(self._number, number)

    def kill(self) -> None:
        """End the executor and everything that it has started, at once."""
        self.signal(signal.SIGKILL)

    async def wait(self) -> int:
        """The exit code, or minus the number of the signal that ended the executor; it is gone then.

        :raises PoolError: the template is gone, and the executor with it.
        """
        return await self._template.result(self._ended)


class ExecutorPool:
    """A template and its executors. It is started by the first run, or by :meth:`start`.

    A template that has died is replaced by the next run; the runs that it had are lost.
    """

    def __init__(
        self, command: Sequence[str], *, idle: int = limits.POOL_IDLE, environment: Mapping[str, str] | None = None
    ) -> None:
        """
        :param command: an executor with its global options (spec executor/10).
        :param idle: how many executors wait for jobs.
        :param environment: of the template and all its executors, by default a copy of ours.
        """
        self._command = [*command, "pool", f"--idle={idle}"]
        self._environment = environment
        self._lock = threading.Lock()
        self._template: _Template | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Process id of the template; None if there is none."""
        template = self._template
        return None if template is None or template.dead else template.pid

    def start(self) -> None:
        """Start the template if there is none; does not wait until it is ready.

        :raises PoolError: it cannot be started.
        """
        self._living_template()

    async def run(
        self, arguments: RunArguments, *, stdout: int, stderr: int, log: int, log_level: str | None = None
    ) -> PooledRun:
        """Give a job to an executor; returns when that has it.

        The executor writes to copies of the three descriptors. ``log_level`` overrides the template's.

        :raises PoolError: it cannot be started, and has not been.
        """
        template = await self._ready_template()
        return await template.hand_over(lambda number: frames.Job(number, log_level, arguments), (stdout, stderr, log))

    async def run_series(self, connection: int, stderr: int) -> PooledRun:
        """Give a series of runs to an executor (:mod:`executor.pool.series`); returns when that has it.

        :param connection: a socket of which it gets a copy.
        :param stderr: where it writes when it breaks.
        :raises PoolError: it cannot be started, and has not been.
        """
        template = await self._ready_template()
        return await template.hand_over(frames.Series, (connection, stderr))

    def close(self) -> None:
        """End the template and all its executors, also those with jobs. The pool cannot be used any more."""
        with self._lock:
            self._closed = True
            template, self._template = self._template, None
        if template is not None:
            template.end()

    async def __aenter__(self) -> ExecutorPool:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    async def _ready_template(self) -> _Template:
        template = self._living_template()
        if template.ready.done():
            template.ready.result()
            return template
        try:
            # Not asyncio.wait_for: in Python 3.11 it loses a cancellation that comes together with the end.
            async with asyncio.timeout(limits.POOL_READY_SECONDS):
                await template.result(template.ready)
        except TimeoutError:
            await asyncio.to_thread(template.end)
            raise PoolError(f"the pool of executors was not ready after {limits.POOL_READY_SECONDS:g} s") from None
        return template

    def _living_template(self) -> _Template:
        with self._lock:
            if self._closed:
                raise PoolError("the pool of executors is closed")
            if self._template is None or self._template.dead:
                self._template = self._new_template()
            return self._template

    def _new_template(self) -> _Template:
        """:raises PoolError: there is none."""
        return _TemplateProcess(self._command, self._environment)


class LentPool(ExecutorPool):
    """The executors of another pool's template, for a command that has been handed over to it."""

    def __init__(self, connection: socket.socket) -> None:
        """:param connection: over which that template takes jobs."""
        super().__init__(())
        self._connection = connection

    def _new_template(self) -> _Template:
        if self._connection.fileno() < 0:
            raise PoolError("the pool of executors is gone")
        # Its number is not wanted by anybody, and it cannot be started again.
        connection = socket.socket(fileno=self._connection.detach())
        return _LentTemplate(Channel(connection), os.getppid())


class _Job:
    """A job that was sent to the template."""

    def __init__(self) -> None:
        self.started: Future[int] = Future()
        self.ended: Future[int] = Future()

    def fail(self, why: str) -> None:
        for future in (self.started, self.ended):
            if not future.done():
                future.set_exception(PoolError(why))


class _Template(ABC):
    """A template, as its client has it."""

    def __init__(self, channel: Channel, pid: int) -> None:
        self.ready: Future[None] = Future()
        #: Nothing can be given to it any more.
        self.dead = False
        self.pid = pid
        self._channel = channel
        self._sending = threading.Lock()
        self._jobs: dict[int, _Job] = {}
        self._numbers = itertools.count(1)

    @abstractmethod
    async def result(self, future: Future[T]) -> T:
        """Waits for what the template tells."""

    # --- any thread ----------------------------------------------------------------------------------

    async def hand_over(self, job_of: Callable[[int], frames.Frame], descriptors: Sequence[int]) -> PooledRun:
        number, job = next(self._numbers), _Job()
        with self._sending:
            if self.dead:
                raise PoolError("the pool of executors has ended")
            self._jobs[number] = job
            try:
                self._channel.send(job_of(number), descriptors)
            except (OSError, FrameError) as error:
                del self._jobs[number]
                raise PoolError(f"cannot hand over a job: {error}") from error
        try:
            pid = await self.result(job.started)
        except asyncio.CancelledError:
            self.signal(number, signal.SIGKILL)
            raise
        return PooledRun(self, number, pid, job.ended)

    def signal(self, number: int, signal_number: int) -> None:
        """Send a signal to the executor of a job."""
        # Its death is found out by whoever waits.
        with self._sending, contextlib.suppress(OSError):
            if not self.dead:
                self._channel.send(frames.Signal(number, signal_number))

    @abstractmethod
    def end(self) -> None:
        """End everything that it has forked for us."""

    # --- who listens ---------------------------------------------------------------------------------

    def _listen(self, until: Callable[[], bool] = lambda: False) -> None:
        """Hears what the template tells, to its end or until something has become true."""
        why = ""
        try:
            while (received := self._channel.receive()) is not None:
                self._handle(received.frame)
                if until():
                    return
        except ConnectionResetError:
            pass  # So it ends where something was on its way to it, and that says nothing.
        except (OSError, FrameError) as error:
            why = str(error)
        except BaseException:
            # Whatever happened: nobody may wait for ever.
            self._reap(why)
            raise
        self._reap(why)

    def _handle(self, frame: frames.Frame) -> None:
        """:raises FrameError: it makes no sense."""
        match frame:
            case frames.Ready(version):
                if version != frames.VERSION:
                    raise FrameError(f"the executor has version {version} of pools, this program {frames.VERSION}")
                if self.ready.done():
                    raise FrameError("the template is ready a second time")
                self.ready.set_result(None)
            case frames.Started(number, pid) if number in self._jobs and not self._jobs[number].started.done():
                self._jobs[number].started.set_result(pid)
            case frames.Ended(number, status) if number in self._jobs:
                if not self._jobs[number].started.done():
                    raise FrameError(f"job {number} has ended before it was started")
                self._jobs.pop(number).ended.set_result(status)
            case frames.Refused(number, why) if number in self._jobs:
                self._jobs.pop(number).fail(why)
            case _:
                raise FrameError(f"unexpected from a template: {frame}")

    def _reap(self, why: str) -> None:
        self._channel.shut_down()
        how = self._await_end()
        with self._sending:
            self.dead = True
            self._channel.close()
        last_words = self._last_words()
        why = why or last_words
        text = f"the pool of executors has ended{how}{': ' if why else ''}{why}"
        if not self.ready.done():
            self.ready.set_exception(PoolError(text))
        for job in self._jobs.values():
            job.fail(text)
        self._jobs.clear()

    def _await_end(self) -> str:
        """What there is to say of how it has ended."""
        return ""

    def _last_words(self) -> str:
        """Why, as it has said itself."""
        return ""


class _LentTemplate(_Template):
    """That of another pool."""

    def __init__(self, channel: Channel, pid: int) -> None:
        super().__init__(channel, pid)
        self.ready.set_result(None)
        self._listening = threading.Lock()

    async def result(self, future: Future[T]) -> T:
        with self._listening:
            if not future.done():
                self._listen(future.done)
        return future.result()

    def end(self) -> None:
        self._channel.shut_down()
        with self._listening:
            if not self.dead:
                self._reap("")


class _TemplateProcess(_Template):
    """A template that is a process of ours, and the thread that listens to it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None) -> None:
        """:raises PoolError: it cannot be started."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        #: A file: a pipe would have to be read.
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [*command, f"--fd={theirs.fileno()}"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self._stderr,
                    pass_fds=(theirs.fileno(),),
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            self._stderr.close()
            raise PoolError(f"cannot start a pool of executors: {error}") from error
        super().__init__(Channel(ours), self._process.pid)
        # It does not keep a program from ending: the template ends when the channel does.
        self._listener = threading.Thread(target=self._listen, name="executor pool", daemon=True)
        self._listener.start()

    async def result(self, future: Future[T]) -> T:
        return await _result(future)

    def end(self) -> None:
        """End the process and everything that it has forked."""
        if not self.ready.done():
            # It does not listen yet; a compiler that it has started ends with it.
            self._process.kill()
        self._channel.shut_down()
        self._listener.join()

    def _await_end(self) -> str:
        try:
            status = self._process.wait(limits.POOL_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        return f" with status {status}"

    def _last_words(self) -> str:
        with self._stderr:
            return _last_line(self._stderr)


def _last_line(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - limits.POOL_STDERR_BYTES))
    lines = file.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


async def _result(future: Future[T]) -> T:
    """The result of ``future``, which other loops may be waiting for too; being cancelled here does not touch it."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def wake(_: object) -> None:
        # The loop may be closed by now: then nobody waits any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(wake)
    await done.wait()
    return future.result()
