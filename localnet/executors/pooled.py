"""Executors from a pool of started ones (:mod:`executor.pool`), where that pays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.pool.client import SUPPORTED, ExecutorPool
from pygenvm.executor.spawn import StartedExecutor
from pygenvm.executor.spawn.pooled import start_pooled
from pygenvm.executor.spawn.process import own_command
from pygenvm.localnet import limits
from pygenvm.localnet.executors.base import Executor
from pygenvm.localnet.executors.process import ExecutorProcess
from pygenvm.localnet.executors.series import ReusedExecutors
from pygenvm.localnet.executors.starting import StartingExecutor


class PooledExecutor(StartingExecutor):
    """Executors of this installation's own ``genvm``; :meth:`close` ends the pool.

    It is started by the first run.
    """

    def __init__(self, *, options: Sequence[str] = (), grace: float = limits.RUN_GRACE_SECONDS, idle: int = 1) -> None:
        """
        :param options: global options (spec executor/10), such as ``--config=PATH``.
        :param idle: how many wait for runs. Commands execute transactions one after the other, and what views need
            besides is forked when they need it.
        """
        super().__init__(grace)
        self._pool = ExecutorPool(own_command(options), idle=idle)

    @property
    def pid(self) -> int | None:
        """Process id of the pool's template; None if there is none."""
        return self._pool.pid

    def close(self) -> None:
        """End all executors, also those that run."""
        self._pool.close()

    async def _start(self, arguments: RunArguments, stdout: int, stderr: int, log: int) -> StartedExecutor:
        return await start_pooled(self._pool, arguments, stdout=stdout, stderr=stderr, log=log)


@contextlib.contextmanager
def many_runs(options: Sequence[str] = (), *, idle: int = 1) -> Iterator[Executor]:
    """The executor for many runs: from a pool, where there can be one. Parameters as for :class:`PooledExecutor`."""
    if not SUPPORTED:
        yield ExecutorProcess(options=options)
        return
    with contextlib.closing(PooledExecutor(options=options, idle=idle)) as executor:
        yield executor


@contextlib.contextmanager
def series_of_runs(options: Sequence[str] = ()) -> Iterator[Executor]:
    """The executor for many runs of one author: as few processes as that takes (:mod:`localnet.executors.series`)."""
    if not SUPPORTED:
        yield ExecutorProcess(options=options)
        return
    with contextlib.closing(ReusedExecutors(options=options)) as executor:
        yield executor
