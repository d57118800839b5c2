"""Commands that other processes have handed over (:mod:`executor.pool.reception`), in an executor of the pool.

As :func:`cli.main.main` carries them out in a process of their own, but everything is loaded, and signals are taken
over already (:mod:`executor.run.termination`).
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from pygenvm.cli import main, streams
from pygenvm.cli import run as run_command
from pygenvm.executor.config import Config
from pygenvm.executor.run import termination
from pygenvm.executor.run.prepared import Prepared


def run(words: list[str], log_fd: int, prepared: Prepared | None, configure: Callable[[], Config]) -> int:
    """The exit code of ``genvm run``."""
    streams.take_over()
    try:
        options = run_command.plain(words[1:]) or main.parser_of("run").parse_args(words[1:])
        return run_command.carry_out(options, log_fd, configure, prepared)
    except SystemExit as end:
        return streams.settled(int(end.code or 0))
    except Exception as error:
        return main.told(error, "run")


def load_local() -> None:
    """Everything that most commands of ``genvm local`` import or make once."""
    from pygenvm.cli import signals  # noqa: F401
    from pygenvm.localnet import ahead

    ahead.load()
    parser = main.kept_parsers["local"] = main.parser_of("local")
    # That of each command is made when somebody asks for it; and what is looked up in the standard library by the way.
    for words in ("deploy file", "call method", "view method", "schema", "state", "accounts", "log"):
        parser.parse_args(["local", *words.split()])


def local(words: list[str], connection: socket.socket, config: Config) -> int:
    """The exit code of ``genvm local``; its contracts run in executors that come through ``connection``."""
    from pygenvm.cli import signals
    from pygenvm.executor.pool.client import LentPool
    from pygenvm.localnet.executors.series import Lent

    streams.take_over()

    def begin() -> None:
        # They mean what they mean to a command now. One that came before was remembered.
        if termination.requested():
            raise KeyboardInterrupt

    lent = Lent(LentPool(connection), config)
    return main.settled(lambda: main.carry_out("local", words[1:], begin, signals.USUAL, lent=lent))
