"""What executors have from whoever they were forked from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from pygenvm.executor.frozen import Frozen

if TYPE_CHECKING:
    import socket

    from pygenvm.executor.config import Config
    from pygenvm.executor.observer import Observer
    from pygenvm.executor.pool.rehearsal import Rehearsal
    from pygenvm.executor.run.prepared import Prepared

    #: From a command line of ``genvm run``, the descriptor for its log, what is ready for it and its configuration to
    #: its exit code.
    RunCommand: TypeAlias = Callable[[list[str], int, Prepared | None, Callable[[], Config]], int]


class Commands(metaclass=Frozen):
    """What the command lines of processes that have connected by themselves mean."""

    run: RunCommand
    load_local: Callable[[], None]
    """Loads what commands of ``genvm local`` need."""
    local: Callable[[list[str], socket.socket, Config], int]
    """From such a command line, where there are executors for its runs, and their configuration to its exit code."""


class Setup(metaclass=Frozen):
    """What executors get from their template. ``log_level`` is for jobs that name none, ``commands`` for visits."""

    configure: Callable[[], Config]
    log_level: str | None
    prepared: Prepared | None
    rehearsal: Rehearsal | None
    observers: Sequence[Observer] = ()
    commands: Commands | None = None
