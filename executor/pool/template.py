"""The template of a pool: the process from which executors are forked.

It has one thread, so that a fork copies all of it. It does nothing that takes long once it is ready, holds nothing
that belongs to a job, and reads nothing from executors: a hostile one has no way to it.

It ends when the control channel does, and takes its executors with it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

from pygenvm.executor import limits
from pygenvm.executor.config import Config, ConfigError, load_config
from pygenvm.executor.log import Logger
from pygenvm.executor.observer import Observer
from pygenvm.executor.pool import frames, worker
from pygenvm.executor.pool.channel import Channel
from pygenvm.executor.pool.frames import Frame, FrameError
from pygenvm.executor.pool.prepare import prepare
from pygenvm.executor.pool.rehearsal import Rehearsal, rehearsed
from pygenvm.executor.pool.setup import Commands, Setup
from pygenvm.executor.run import termination
from pygenvm.executor.run.prepared import Prepared
from pygenvm.executor.run.process import leave


class _Executor:
    """A child. ``channel`` is where it waits for its job, None once it has one.

    One that is ``for_command`` carries out no run, but a command that has some.
    """

    def __init__(self, pid: int, pidfd: int, channel: Channel, for_command: bool) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.for_command = for_command
        self.channel: Channel | None = channel
        #: Told its exit code, or minus the number of the signal that has ended it, once it has a job.
        self.ended: Callable[[int], None] | None = None
        #: Of the process when it was forked (:mod:`executor.pool.circumstances`), where somebody asks.
        self.circumstances = b""
        self.forked_at = time.monotonic()

    def kill(self) -> None:
        """Kill it and everything that it has started. Only before it is reaped."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


class _Client:
    """Who gives jobs, and the executors that have them, by number."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.working: dict[int, _Executor] = {}


class _ClientGone(Exception):
    """The control channel is closed."""


class Template:
    """One template, from its start to its end."""

    def __init__(
        self,
        control: socket.socket,
        config_path: str | None,
        log_level: str | None,
        idle: int,
        *,
        observers: Sequence[Observer] = (),
        prepare: Callable[[Config], Prepared] = prepare,
    ) -> None:
        """``observers`` watch the run of every executor; they are copied into each with all that they hold."""
        self._client = _Client(Channel(control))
        self._observers = observers
        self._prepare_from = prepare
        self._config_path = config_path
        self._log_level = log_level
        #: How many shall be idle, by what they are for.
        self._wanted = {False: idle}
        self._idle: list[_Executor] = []
        self._working: set[_Executor] = set()
        #: There are fewer idle ones than there should be. They are forked when there is nothing else to do for a
        #: moment: that would take time from the executor that has just got its job.
        self._refill_due = False
        #: Descriptors of the job that is being handed over.
        self._job_descriptors: tuple[int, ...] = ()
        self._selector = selectors.DefaultSelector()
        #: What executors do with command lines that processes have handed over.
        self._commands: Commands | None = None
        self._configure: Callable[[], Config] = lambda: load_config(config_path)
        self._prepared: Prepared | None = None
        self._rehearsal: Rehearsal | None = None

    def serve(self) -> NoReturn:
        """Prepare, then fork executors for jobs until the client is gone; leaves the process with 0, or 1 on errors."""
        status = 1
        try:
            self._serve()
        except _ClientGone:
            status = 0
        except FrameError as error:
            print(f"Error: {error}", file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        finally:
            for executor in (*self._idle, *self._working):
                executor.kill()
            # Nothing needs a shut down interpreter, and somebody may be waiting for the end.
            leave(status)

    def _serve(self) -> None:
        # Whoever ends it gets what its end means: no code of ours runs in between.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        self._prepare()
        self._open()
        self._refill()
        while True:
            events = self._selector.select(self._refill_patience() if self._refill_due else self._patience())
            for key, _ in events:
                key.data()
            if self._refill_due and (not events or not self._refill_patience()):
                self._refill()

    def _prepare(self) -> None:
        try:
            config = load_config(self._config_path)
        except ConfigError:
            return  # Left to the runs: each reports it.
        self._configure = lambda: config
        Logger.from_config(config, fd=2, level=self._log_level)
        self._prepared = self._prepare_from(config)
        self._rehearsal = rehearsed(config, self._prepared)
        # What is there stays: collections of the executors need not look at it, which would copy its memory.
        gc.collect()
        gc.freeze()

    def _refill_patience(self) -> float:
        """How long there is nothing to do before executors are forked, in seconds."""
        return limits.POOL_REFILL_SECONDS if self._idle else 0.0

    def _patience(self) -> float | None:
        """How long there may be nothing to do, in seconds.

        :raises _ClientGone: longer than that.
        """
        return None

    # --- the client ----------------------------------------------------------------------------------

    def _open(self) -> None:
        """Everything is ready: jobs may come."""
        self._selector.register(self._client.channel, selectors.EVENT_READ, partial(self._read_from, self._client))
        self._send(self._client, frames.Ready(frames.VERSION))

    def _close_clients(self) -> None:
        """In an executor: let go of what leads to clients."""
        self._client.channel.close()

    def _send(self, client: _Client, frame: Frame) -> None:
        """:raises _ClientGone: there is nobody to go on for."""
        try:
            client.channel.send(frame)
        except OSError as error:
            raise _ClientGone from error

    def _read_from(self, client: _Client) -> None:
        """:raises _ClientGone, FrameError: there is nobody to go on for."""
        try:
            if not client.channel.fill():
                raise _ClientGone
        except OSError as error:
            raise _ClientGone from error
        while (received := client.channel.next()) is not None:
            match received.frame:
                case frames.Job() | frames.Series() as job:
                    self._job_descriptors = received.descriptors
                    self._start(client, job)
                    self._refill_due = True
                case frames.Signal(number, signal_number):
                    self._signal(client, number, signal_number)
                case frame:
                    raise FrameError(f"a template takes no {type(frame).__name__}")

    def _start(self, client: _Client, job: frames.Job | frames.Series) -> None:
        if job.number in client.working:
            raise FrameError(f"job {job.number} is running")
        try:
            executor = self._hand_over(job, partial(self._tell_end, client, job.number))
        except OSError as error:
            self._send(client, frames.Refused(job.number, f"cannot start an executor: {error}"))
            return
        finally:
            self._close_job_descriptors()
        client.working[job.number] = executor
        self._send(client, frames.Started(job.number, executor.pid))

    def _tell_end(self, client: _Client, number: int, status: int) -> None:
        """The executor of a job is gone."""
        del client.working[number]
        self._send(client, frames.Ended(number, status))

    def _close_job_descriptors(self) -> None:
        for descriptor in self._job_descriptors:
            os.close(descriptor)
        self._job_descriptors = ()

    def _hand_over(
        self, job: frames.Job | frames.Series | frames.Visit | frames.Command, ended: Callable[[int], None]
    ) -> _Executor:
        """Give a job to an executor, a new one if none is idle.

        :param ended: told its exit code, or minus the number of the signal that has ended it.
        :raises OSError: there cannot be one more.
        """
        if len(self._working) >= limits.POOL_JOBS_MAX:
            raise OSError(f"{limits.POOL_JOBS_MAX} are running")
        for_command = isinstance(job, frames.Command)
        while True:
            waiting = self._waiting(for_command)
            executor = waiting[0] if waiting else self._fork(for_command)
            if waiting:
                self._idle.remove(executor)
            assert executor.channel is not None
            try:
                executor.channel.send(job, self._job_descriptors)
            except OSError:
                # It is dead, and will be reaped. One that never lived is a sign of something worse.
                if not waiting:
                    raise
                continue
            finally:
                executor.channel.close()
                executor.channel = None
            executor.ended = ended
            self._working.add(executor)
            return executor

    def _waiting(self, for_command: bool) -> list[_Executor]:
        """Those that are idle, the oldest first."""
        return [executor for executor in self._idle if executor.for_command == for_command]

    def _signal(self, client: _Client, number: int, signal_number: int) -> None:
        executor = client.working.get(number)
        if executor is None:
            return  # It has ended; the client will hear of it.
        if signal_number == signal.SIGKILL:
            executor.kill()
            return
        try:
            signal.pidfd_send_signal(executor.pidfd, signal_number)
        except ProcessLookupError:
            return
        except (OSError, OverflowError) as error:
            raise FrameError(f"signal {signal_number}: {error}") from error

    # --- executors -----------------------------------------------------------------------------------

    def _refill(self) -> None:
        self._refill_due = False
        # Without enough memory there are fewer, or none: then a job says so.
        with contextlib.suppress(OSError):
            for for_command, wanted in self._wanted.items():
                while len(self._waiting(for_command)) < wanted:
                    self._idle.append(self._fork(for_command))

    def _fork(self, for_command: bool) -> _Executor:
        """:raises OSError: the system has no room for it."""
        _check_single_thread()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours, theirs:
            template = os.getpid()
            # A signal that comes before the child has its handlers waits for them.
            with termination.held_back():
                pid = os.fork()
                if pid == 0:
                    self._become_executor(Channel(socket.socket(fileno=theirs.detach())), ours, template, for_command)
            channel = Channel(socket.socket(fileno=ours.detach()))
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            channel.close()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        executor = _Executor(pid, pidfd, channel, for_command)
        self._selector.register(pidfd, selectors.EVENT_READ, partial(self._reap, executor))
        return executor

    def _become_executor(self, channel: Channel, ours: socket.socket, template: int, for_command: bool) -> NoReturn:
        """In the child: let go of everything that belongs to the template, and wait for a job."""
        try:
            ours.close()
            self._close_job_descriptors()
            self._close_clients()
            self._selector.close()
            for other in (*self._idle, *self._working):
                os.close(other.pidfd)
                if other.channel is not None:
                    other.channel.close()
        except BaseException:
            os._exit(1)
        setup = Setup(
            self._configure, self._log_level, self._prepared, self._rehearsal, self._observers, self._commands
        )
        worker.work(channel, template, setup, for_command)

    def _reap(self, executor: _Executor) -> None:
        """An executor is dead: take its exit code, and with it goes what it had started."""
        # As long as nobody has asked for the exit code, its number is not given to another process or group.
        os.waitid(os.P_PID, executor.pid, os.WEXITED | os.WNOWAIT)
        executor.kill()
        _, wait_status = os.waitpid(executor.pid, 0)
        self._selector.unregister(executor.pidfd)
        os.close(executor.pidfd)
        if executor.channel is not None:
            executor.channel.close()
        if executor.ended is not None:
            self._working.remove(executor)
            executor.ended(os.waitstatus_to_exitcode(wait_status))
        elif executor in self._idle:
            self._idle.remove(executor)
            if time.monotonic() - executor.forked_at >= limits.POOL_IDLE_SECONDS_MIN:
                self._refill_due = True


def _check_single_thread() -> None:
    """A fork copies one thread only; locks that others hold would stay locked for ever."""
    if threading.active_count() != 1 or len(os.listdir("/proc/self/task")) != 1:
        raise RuntimeError("a template must not have threads")
