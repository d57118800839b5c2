"""``genvm run``: execute one message for a host (spec executor/10)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pygenvm.cli.formatter import formatter

if TYPE_CHECKING:
    from pygenvm.executor.config import Config
    from pygenvm.executor.run.prepared import Prepared

_EPILOG = """\
The message is JSON text: contract_address, sender_address, origin_address (base64 of 20 bytes), chain_id (decimal
text), value, is_init, datetime (RFC 3339). The host is the node: it owns storage, balances and the calldata.

exit codes: 0 the run completed, whatever its result; 1 it could not start; 2 bad command line
"""


_HOST_DATA = '{"node_address": "0x…", "tx_id": "0x…"}'


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "run",
        help="execute one message for a host (what nodes call)",
        description="Execute one message for a host and send it the result.",
        epilog=_EPILOG,
        formatter_class=formatter,
        allow_abbrev=False,
    )
    parser.usage = f"{parser.prog} --message TEXT --host ADDR --host-data TEXT [options]"
    parser.add_argument("--message", required=True, metavar="TEXT", help="the message, as JSON text")
    parser.add_argument("--host", required=True, metavar="ADDR", help="unix://PATH or host:port")
    # Not for argparse to ask for: without it a run does not start, and the command line is no bad one (spec).
    parser.add_argument(
        "--host-data", metavar="TEXT", help="required: a JSON object with the strings node_address and tx_id"
    )
    parser.add_argument("--cookie", metavar="TEXT", help="passed to modules and logs (default: random)")
    parser.add_argument("--sync", action="store_true", help="take over leader results without validating them")
    parser.add_argument("--debug-mode", action="store_true", help="allow :latest and :test runners, real trace times")
    parser.add_argument(
        "--print",
        action="append",
        default=[],
        dest="printed",
        choices=["result", "fingerprint", "stderr-full"],
        help="write this to stdout at the end; repeatable",
    )
    parser.add_argument(
        "--permissions",
        default="rwscn",
        metavar="S",
        help="subset of r(ead) w(rite) s(end) c(all) n(ondet); S: s, but not for contracts that are called",
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the host and module traffic to FILE")
    parser.add_argument(
        "--trace",
        action="store_true",
        help="log each request, VM and instantiation with its time (level info, target executor::trace)",
    )


def run(options: argparse.Namespace) -> NoReturn:
    """Carries out the run and leaves the process with its exit code."""
    from pygenvm.executor.config import load_config
    from pygenvm.executor.run.process import leave

    leave(carry_out(options, options.log_fd, lambda: load_config(options.config)))


def carry_out(
    options: argparse.Namespace, log_fd: int, configure: Callable[[], Config], prepared: Prepared | None = None
) -> int:
    """The exit code of the run."""
    from pygenvm.executor.arguments import RunArguments
    from pygenvm.executor.run.process import run_command

    if options.host_data is None:
        # What it holds is checked in the order of the specification, after the host was reached.
        print(f"Error: --host-data is missing; give for example {_HOST_DATA}", file=sys.stderr)
        return 1
    arguments = RunArguments(
        message=options.message,
        host=options.host,
        host_data=options.host_data,
        permissions=options.permissions,
        sync=options.sync,
        debug_mode=options.debug_mode,
        printed=frozenset(options.printed),
        record=options.record,
        trace=options.trace,
        **({} if options.cookie is None else {"cookie": options.cookie}),
    )
    return run_command(arguments, configure, log_fd=log_fd, log_level=options.log_level, prepared=prepared)
