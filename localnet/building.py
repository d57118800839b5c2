"""Runners that only some contracts need, and that are built when somebody runs one of those."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeAlias

from pygenvm.localnet.errors import ExecutorError

#: Gets the code of a contract that is to be run, and gives what has to be done first. That may take minutes.
BeforeRun: TypeAlias = Callable[[bytes], Callable[[], None] | None]


def needs_nothing(_code: bytes) -> None:
    """A :data:`BeforeRun` for contracts that can all be run."""


def build_for(config: str | None, code: bytes) -> Callable[[], None] | None:
    """As :func:`runners.numeric.on_demand.build_for`, with progress, for commands.

    :param config: the file of the configuration.
    :raises ExecutorError: they cannot be built; what is returned raises it too.
    """
    # Imported here: others only need to know what may be asked.
    from pygenvm.executor.config import load_config
    from pygenvm.runners.numeric import on_demand

    with _told():
        build = on_demand.build_for(code, load_config(config), progress=True)
    return None if build is None else _told()(build)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    from pygenvm.runners.errors import BuildError

    try:
        yield
    except BuildError as error:
        raise ExecutorError(str(error)) from error
