"""``genvm pool``: the template of a pool of executors (:mod:`executor.pool`)."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from pygenvm.cli.formatter import formatter


def add_parser(commands: Any) -> None:
    from pygenvm.executor import limits

    parser = commands.add_parser(
        "pool",
        help="make `genvm run` and `genvm local` faster, as long as it runs",
        description="Load once what every run needs, and keep executors ready. As long as this goes on, each\n"
        "`genvm run` of the same user hands itself over and takes half the time, and so do\n"
        "`genvm local deploy`, `call`, `view`, `schema`, `state`, `accounts` and `log`, after the first of\n"
        "them. Nothing else changes: where version, configuration, variables, limits or anything else differ\n"
        "from those of the pool, they go their own way, and a line of its log says why.\n"
        "Managers and test runners keep pools of their own (--fd).\n\n"
        "It says `takes over runs at ...` when it is ready. Ctrl-C or SIGTERM ends it; commands that it has\n"
        "then end too, unfinished (exit code 101 of `run`, 3 of `local`). After an upgrade start it again.",
        epilog="exit codes: 0 the client of --fd is gone; 1 there is such a pool already, it cannot listen, or that\n"
        "client does not keep to the protocol; 2 bad command line; a signal that ends it as usual",
        formatter_class=formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--fd", type=int, metavar="N", help="serve only the program at the other end of this socket")
    parser.add_argument(
        "--idle",
        type=_idle,
        default=limits.POOL_IDLE,
        metavar="N",
        help=f"executors that wait for jobs, at most {limits.POOL_IDLE_MAX} (default: {limits.POOL_IDLE})",
    )
    parser.add_argument(
        "--until-idle",
        type=_seconds,
        metavar="SECONDS",
        help="end when no command has come for so long, or one comes and the program has changed; what `genvm local` "
        "needs is loaded at once. Its commands leave such a pool behind them (`genvm local --help`)",
    )


def _idle(text: str) -> int:
    from pygenvm.executor import limits

    if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) > limits.POOL_IDLE_MAX:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number from 0 to {limits.POOL_IDLE_MAX}")
    return int(text)


def _seconds(text: str) -> float:
    from pygenvm.executor import limits

    most = limits.POOL_UNTIL_IDLE_SECONDS_MAX
    with contextlib.suppress(ValueError):
        if 0 < (number := float(text)) <= most:
            return number
    raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number of seconds above 0, at most {most:g}")


def run(options: argparse.Namespace) -> int:
    import socket
    import sys

    if sys.platform != "linux":
        print("Error: a pool of executors needs Linux", file=sys.stderr)
        return 1
    if options.fd is None:
        return _receive(options)
    from pygenvm.executor.pool.template import Template

    try:
        control = socket.socket(fileno=options.fd)
    except (OSError, ValueError, OverflowError) as error:
        print(f"Error: --fd: {error}", file=sys.stderr)
        return 1
    control.set_inheritable(False)
    Template(control, options.config, options.log_level, options.idle).serve()


def _receive(options: argparse.Namespace) -> int:
    import os
    import sys

    # What every run of a command line needs besides.
    from pygenvm.cli import handed_over, run, streams  # noqa: F401
    from pygenvm.executor.pool.reception import CannotListen, Reception
    from pygenvm.executor.pool.setup import Commands

    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    try:
        commands = Commands(handed_over.run, handed_over.load_local, handed_over.local)
        pool = Reception(options.config, options.log_level, options.idle, commands, options.until_idle)
    except CannotListen as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    pool.serve()
