"""Executors on this machine: out of a pool of this installation's own, or as a process each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter

from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.pool.client import SUPPORTED, ExecutorPool
from pygenvm.executor.pool.errors import PoolError
from pygenvm.executor.spawn import SpawnError, StartedExecutor
from pygenvm.executor.spawn.output import Output
from pygenvm.executor.spawn.pooled import start_pooled
from pygenvm.executor.spawn.process import own_command, start_process
from pygenvm.manager import limits
from pygenvm.manager.errors import RequestError
from pygenvm.manager.executions.backend import Ended, Execution, Job
from pygenvm.manager.executions.pipes import Lines, Pipe


class LocalExecutors:
    """The :class:`manager.executions.backend.Backend` of one machine."""

    def __init__(self, *, idle: int, options: tuple[str, ...] = ()) -> None:
        """
        :param idle: executors that wait for runs; 0: each run is a process of its own.
        :param options: global options of this installation's own executor.
        """
        self._command = own_command(options)
        self._idle = idle if SUPPORTED else 0
        self._nowhere = os.open(os.devnull, os.O_WRONLY)
        self._pool = self._new_pool()
        #: How many runs each pool has, the current one and those that are to be closed after their last run.
        self._users: Counter[ExecutorPool | None] = Counter()
        self._renewing: asyncio.TimerHandle | None = None
        self._running: set[_Running] = set()

    def _new_pool(self) -> ExecutorPool | None:
        return ExecutorPool(self._command, idle=self._idle) if self._idle else None

    def warm_up(self) -> None:
        """Starts the pool; does not wait for it."""
        if self._pool is not None:
            # Whatever is wrong is said to the first run.
            with contextlib.suppress(PoolError):
                self._pool.start()

    def environment_changed(self) -> None:
        # The template of a pool keeps the variables that it was started with. Nodes set several, one by one.
        if self._idle and self._renewing is None:
            self._renewing = asyncio.get_running_loop().call_later(limits.POOL_RENEWAL_SECONDS, self._renew)

    def _renew(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None
            old, self._pool = self._pool, self._new_pool()
            self.warm_up()
            self._users[old] += 1
            self._leave(old)

    def _leave(self, pool: ExecutorPool | None) -> None:
        """A run of ``pool`` has ended; the last one closes it, if it is the current one no more."""
        self._users[pool] -= 1
        if not self._users[pool]:
            del self._users[pool]
            if pool is not None and pool is not self._pool:
                asyncio.get_running_loop().run_in_executor(None, pool.close)

    async def start(self, job: Job) -> Execution:
        self._renew()
        arguments = job.arguments() if self._pool is not None and job.executor.own else None
        pool = self._pool if arguments is not None else None
        self._users[pool] += 1
        streams = _Streams(job)
        try:
            streams.open()
            executor = await self._start(job, pool, arguments, streams)
        except BaseException as error:
            streams.close()
            self._leave(pool)
            if isinstance(error, OSError):
                why = f"cannot start the executor: no pipe for its output: {error.strerror}"
                raise RequestError(why) from error
            if isinstance(error, SpawnError):
                raise RequestError(str(error)) from error
            raise
        running = _Running(executor, streams)
        self._running.add(running)

        def ended(_: object) -> None:
            self._running.discard(running)
            self._leave(pool)

        running.ended.add_done_callback(ended)
        return running

    async def _start(
        self, job: Job, pool: ExecutorPool | None, arguments: RunArguments | None, streams: _Streams
    ) -> StartedExecutor:
        """:raises SpawnError: it cannot be started."""
        log, *captured = (pipe.write_fd for pipe in streams.pipes)
        stdout, stderr = captured or (self._nowhere, self._nowhere)
        try:
            if pool is not None and arguments is not None:
                return await start_pooled(pool, arguments, stdout=stdout, stderr=stderr, log=log)
            command = self._command if job.executor.own else job.executor.command
            return await start_process(command, job.words(), stdout=stdout, stderr=stderr, log=log)
        finally:
            for pipe in streams.pipes:
                pipe.close_write_end()

    async def close(self) -> None:
        for running in list(self._running):
            running.kill()
        if self._renewing is not None:
            self._renewing.cancel()
        for pool in {self._pool, *self._users}:
            if pool is not None:
                await asyncio.to_thread(pool.close)
        await asyncio.gather(*(running.ended for running in list(self._running)), return_exceptions=True)
        if self._nowhere >= 0:
            os.close(self._nowhere)
            self._nowhere = -1


class _Streams:
    """What one executor writes: its log, and what is captured of its output."""

    def __init__(self, job: Job) -> None:
        self._lines = Lines(job.on_log)
        self._outputs = [
            Output(limits.OUTPUT_HEAD_BYTES, limits.OUTPUT_TAIL_BYTES) for _ in range(2 * job.capture_output)
        ]
        self.pipes: list[Pipe] = []
        self._watch: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """:raises OSError: there are too many open files."""
        self.pipes.append(Pipe(self._lines.feed, at_once=limits.LOG_READ_BYTES))
        for output in self._outputs:
            self.pipes.append(Pipe(output.feed))
        # Of a short run all is there when it has ended: nobody needs to wake up for each piece of it.
        self._watch = asyncio.get_running_loop().call_later(limits.PIPE_WATCH_SECONDS, self._watch_all)

    def _watch_all(self) -> None:
        for pipe in self.pipes:
            pipe.watch()

    def finish(self) -> tuple[str, str]:
        """Once the executor is gone: all that it wrote to stdout and stderr."""
        self._stop_watching()
        for pipe in self.pipes:
            pipe.finish()
        self._lines.end()
        stdout, stderr = (output.captured().text() for output in self._outputs) if self._outputs else ("", "")
        return stdout, stderr

    def close(self) -> None:
        self._stop_watching()
        for pipe in self.pipes:
            pipe.close()

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()


class _Running:
    """A run on this machine. ``ended`` is done when it has ended and its output is complete."""

    def __init__(self, executor: StartedExecutor, streams: _Streams) -> None:
        self._executor = executor
        self.ended = asyncio.create_task(self._watch(streams))

    @property
    def pid(self) -> int:
        return self._executor.pid

    def terminate(self) -> None:
        self._executor.terminate()

    def kill(self) -> None:
        self._executor.kill()

    async def wait(self) -> Ended:
        return await asyncio.shield(self.ended)

    async def _watch(self, streams: _Streams) -> Ended:
        try:
            status = await self._executor.wait()
        except SpawnError:
            # The pool's template was killed, and this executor with it.
            status = -signal.SIGKILL
        finally:
            at = time.monotonic()
            # What it left behind.
            self._executor.kill()
            stdout, stderr = streams.finish()
        return Ended(status, stdout, stderr, at)
