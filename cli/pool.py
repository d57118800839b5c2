"""``genvm pool``: the template of a pool of executors (:mod:`executor.pool`)."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(commands: Any) -> None:
    from pygenvm.executor import limits

    parser = commands.add_parser(
        "pool",
        help="keep executors ready for another process of ours",
        description="Load once what every run needs, and fork executors for the jobs that come through a socket. "
        "Managers and test runners start this; it is of no use to people.",
        epilog="exit codes: 0 the client is gone; 1 it does not keep to the protocol; 2 bad command line",
        allow_abbrev=False,
    )
    parser.add_argument("--fd", type=int, required=True, metavar="N", help="descriptor of the control socket")
    parser.add_argument(
        "--idle",
        type=int,
        default=limits.POOL_IDLE,
        choices=range(limits.POOL_IDLE_MAX + 1),
        metavar="N",
        help=f"executors that wait for jobs, at most {limits.POOL_IDLE_MAX} (default: {limits.POOL_IDLE})",
    )


def run(options: argparse.Namespace) -> int:
    import socket
    import sys

    if sys.platform != "linux":
        print("Error: a pool of executors needs Linux", file=sys.stderr)
        return 1
    from pygenvm.executor.pool.template import Template

    try:
        control = socket.socket(fileno=options.fd)
    except (OSError, ValueError, OverflowError) as error:
        print(f"Error: --fd: {error}", file=sys.stderr)
        return 1
    control.set_inheritable(False)
    Template(control, options.config, options.log_level, options.idle).serve()
