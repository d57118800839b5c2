"""Executors as a parent process has them: how one is started, ended, and what it prints.

:mod:`executor.spawn.process` starts a ``genvm run`` of its own, :mod:`executor.spawn.pooled` takes one from a pool;
either way there is a :class:`StartedExecutor`. Executors that carry out several runs are in
:mod:`executor.spawn.series`.
"""

from __future__ import annotations

from typing import Protocol


class SpawnError(Exception):
    """An executor cannot be started, or nobody knows how it ended."""


class StartedExecutor(Protocol):
    """An executor that has been started for one run."""

    @property
    def pid(self) -> int:
        """Its process."""

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); does nothing once it has ended."""

    def kill(self) -> None:
        """End it and everything that it has started, at once."""

    async def wait(self) -> int:
        """Exit code, or minus the number of the signal that ended it.

        :raises SpawnError: nobody knows.
        """
        ...
