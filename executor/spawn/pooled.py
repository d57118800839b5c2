"""An executor out of a pool of started ones (:mod:`executor.pool`)."""

from __future__ import annotations

import signal

from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.pool.client import ExecutorPool, PooledRun
from pygenvm.executor.pool.errors import PoolError
from pygenvm.executor.spawn import SpawnError, StartedExecutor


async def start_pooled(
    pool: ExecutorPool, arguments: RunArguments, *, stdout: int, stderr: int, log: int
) -> StartedExecutor:
    """An executor that writes to copies of the three descriptors.

    :raises SpawnError: there is none.
    """
    try:
        return _FromPool(await pool.run(arguments, stdout=stdout, stderr=stderr, log=log))
    except PoolError as error:
        raise SpawnError(str(error)) from error


class _FromPool:
    """A :class:`StartedExecutor` that belongs to a template."""

    def __init__(self, run: PooledRun) -> None:
        self._run = run

    @property
    def pid(self) -> int:
        return self._run.pid

    def terminate(self) -> None:
        self._run.signal(signal.SIGTERM)

    def kill(self) -> None:
        self._run.kill()

    async def wait(self) -> int:
        try:
            return await self._run.wait()
        except PoolError as error:
            raise SpawnError(str(error)) from error
