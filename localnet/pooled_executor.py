"""Takes executors from a pool of started ones (:mod:`executor.pool`)."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence

from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.pool.client import SUPPORTED, ExecutorPool, PooledRun, PoolError
from pygenvm.localnet import limits
from pygenvm.localnet.errors import ExecutorError
from pygenvm.localnet.executor_process import (
    Executor,
    ExecutorProcess,
    StartedExecutor,
    StartingExecutor,
    own_command,
    own_environment,
)


class PooledExecutor(StartingExecutor):
    """Executors of this installation's own ``genvm``; :meth:`close` ends the pool.

    It is started by the first run.
    """

    def __init__(self, *, options: Sequence[str] = (), grace: float = limits.RUN_GRACE_SECONDS) -> None:
        """:param options: global options (spec executor/10), such as ``--config=PATH``."""
        super().__init__(grace)
        # Transactions are executed one after the other.
        self._pool = ExecutorPool(own_command(options), idle=1, environment=own_environment())

    @property
    def pid(self) -> int | None:
        """Process id of the pool's template; None if there is none."""
        return self._pool.pid

    def close(self) -> None:
        """End all executors, also those that run."""
        self._pool.close()

    async def _start(self, arguments: RunArguments, stdout: int, stderr: int, log: int) -> StartedExecutor:
        try:
            return _FromPool(await self._pool.run(arguments, stdout=stdout, stderr=stderr, log=log))
        except PoolError as error:
            raise ExecutorError(str(error)) from error


@contextlib.contextmanager
def many_runs(options: Sequence[str] = ()) -> Iterator[Executor]:
    """The executor for many runs: from a pool, where there can be one. ``options`` as for :class:`PooledExecutor`."""
    if not SUPPORTED:
        yield ExecutorProcess(options=options)
        return
    with contextlib.closing(PooledExecutor(options=options)) as executor:
        yield executor


class _FromPool:
    """A :class:`StartedExecutor` that belongs to a template."""

    def __init__(self, run: PooledRun) -> None:
        self._run = run

    def terminate(self) -> None:
        self._run.signal(signal.SIGTERM)

    def kill(self) -> None:
        self._run.kill()

    async def wait(self) -> int:
        try:
            return await self._run.wait()
        except PoolError as error:
            raise ExecutorError(str(error)) from error
