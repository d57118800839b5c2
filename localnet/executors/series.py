"""Executors that carry out runs one after the other, and answer questions for storage themselves."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pygenvm.executor.frozen import Frozen
from pygenvm.executor.host_protocol.host import Host
from pygenvm.executor.pool.errors import PoolError
from pygenvm.executor.spawn import SpawnError
from pygenvm.executor.spawn.known_runs import KnownRuns
from pygenvm.executor.spawn.lines import BlockingLine, Line, LoopLine
from pygenvm.executor.spawn.series import Gone, SeriesExecutor
from pygenvm.localnet import direct, limits
from pygenvm.localnet.errors import ExecutorError
from pygenvm.localnet.executors.base import RunReport, RunRequest, arguments_of

# What needs an event loop, or a process of a pool, is loaded where there is one.
if TYPE_CHECKING:
    import socket

    from pygenvm.executor.config import Config
    from pygenvm.executor.pool.client import ExecutorPool, LentPool
    from pygenvm.executor.pool.forked import ForkedExecutor


class Lent(metaclass=Frozen):
    """Executors of a pool that is there already, and the configuration that it has."""

    pool: LentPool
    config: Config


class ReusedExecutors:
    """An :class:`localnet.executors.base.Executor` for many short runs; :meth:`close` ends all of them.

    A run that does not end by itself ends its executor, and so do some others (:mod:`executor.pool.series`).
    """

    def __init__(
        self,
        *,
        options: Sequence[str] = (),
        grace: float = limits.RUN_GRACE_SECONDS,
        modules: Mapping[str, str] = {},
    ) -> None:
        """
        :param options: global options (spec executor/10), such as ``--config=PATH``.
        :param modules: addresses of modules that are not those of the configuration.
        """
        self._options = tuple(options)
        self._modules = modules
        self._grace = grace
        #: What forks of their process have left to that.
        self._others: list[object] = []
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._pool = self._new_pool()
        self._waiting: list[SeriesExecutor] = []
        self._known = KnownRuns()

    def _new_pool(self) -> ExecutorPool:
        from pygenvm.executor.pool.client import ExecutorPool
        from pygenvm.executor.spawn.process import own_command

        return ExecutorPool(own_command(self._options), idle=1)

    async def _start(self) -> SeriesExecutor:
        """:raises SpawnError: there is none."""
        return await SeriesExecutor.start(self._pool, self._modules)

    def _after_fork(self) -> None:
        """In a fork of the process all connections are those of the other one, which goes on talking through them."""
        if self._process != os.getpid():
            self._others += (self._pool, *self._waiting)
            self._begin()

    @property
    def waiting(self) -> list[int]:
        """Processes that wait for a run, the next one last."""
        return [executor.pid for executor in self._waiting]

    def close(self) -> None:
        """End all executors, also those that run."""
        self._after_fork()
        waiting, self._waiting = self._waiting, []
        for executor in waiting:
            executor.end()
        self._pool.close()

    def start(self) -> None:
        """Starts the pool, so that the first run waits less. Whatever prevents that, the run tells."""
        self._after_fork()
        with contextlib.suppress(PoolError):
            self._pool.start()

    async def __call__(self, host: Host, request: RunRequest) -> RunReport:
        try:
            return await self.carry_out(host, request)
        except SpawnError as error:
            raise ExecutorError(str(error)) from error

    async def carry_out(self, host: Host, request: RunRequest) -> RunReport:
        """:raises SpawnError: there is no executor; Gone: it was gone before it did anything."""
        self._after_fork()
        started = time.monotonic()
        arguments = arguments_of("", request)
        while True:
            is_new = not self._waiting
            executor = await self._start() if is_new else self._waiting.pop()
            try:
                run = await executor.carry_out(host, arguments, request.timeout, self._grace, self._known)
            except Gone:
                # Somebody has killed it while it waited. One that never lived is a sign of something worse.
                if is_new:
                    raise
                continue
            break
        if executor.usable:
            if len(self._waiting) < limits.REUSED_EXECUTORS:
                self._waiting.append(executor)
            else:
                executor.end()
        seconds = time.monotonic() - started
        return RunReport(run.status, run.failure, run.timed_out, run.stdout, run.stderr, run.log, seconds)


class LentExecutors(ReusedExecutors):
    """The same with executors that are :class:`Lent`."""

    def __init__(self, lent: Lent, modules: Mapping[str, str]) -> None:
        """:param modules: addresses of modules that are not those of the configuration."""
        self._lent = lent
        super().__init__(modules=modules)

    async def order(self) -> None:
        """Get the one for the first run, which makes itself ready. Whatever prevents that, the run tells."""
        with contextlib.suppress(SpawnError):
            self._waiting.append(await self._start())

    def _new_pool(self) -> ExecutorPool:
        return self._lent.pool

    async def _start(self) -> SeriesExecutor:
        # The level of the pool's own log is none of a command's.
        return await SeriesExecutor.start(self._pool, self._modules, self._lent.config.log_level, _line())


class ForkedExecutors(ReusedExecutors):
    """The same with one executor, which this process has forked of itself."""

    def __init__(
        self, forked: ForkedExecutor, modules: Mapping[str, str], meanwhile: Callable[[], object] = lambda: None
    ) -> None:
        """
        :param modules: addresses of modules that are not those of the configuration.
        :param meanwhile: done once while it is waited for.
        """
        self._forked = forked
        self._meanwhile = meanwhile
        self._has_begun = False
        super().__init__(modules=modules)

    def close(self) -> None:
        """Nothing: it ends with this process, and nobody has to wait for that."""

    def _new_pool(self) -> Any:  # Nobody asks it for others.
        return None

    async def _start(self) -> SeriesExecutor:
        """:raises Gone: it has had its runs."""
        if self._has_begun:
            raise Gone("there is no other executor")
        self._has_begun = True
        self._forked.connection.setblocking(False)
        stderr = os.fdopen(self._forked.stderr, "r+b", closefd=False)
        executor = SeriesExecutor(
            self._forked, self._forked.connection, stderr, self._modules, line=_line(), may_be_gone=False
        )
        executor.call_soon(self._meanwhile)
        return executor


def _line() -> Callable[[socket.socket], Line]:
    """How this thread waits for an executor."""
    return partial(BlockingLine, watched=direct.watched) if direct.is_on() else LoopLine
