"""``genvm run``: execute one message for a host (spec executor/10)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from pygenvm.executor.config import Config
    from pygenvm.executor.run.prepared import Prepared

    Options: TypeAlias = argparse.Namespace | SimpleNamespace

_EPILOG = """\
The message is JSON text: contract_address, sender_address, origin_address (base64 of 20 bytes), chain_id (decimal
text), value, is_init, datetime (RFC 3339). The host is the node: it owns storage, balances and the calldata.

exit codes: 0 the run completed, whatever its result; 1 it could not start; 2 bad command line; 101 the
            pool that carried it out has ended (`genvm pool`)
"""


_HOST_DATA = '{"node_address": "0x…", "tx_id": "0x…"}'


def _path(text: str) -> Path:
    # Loading it takes longer than most of what a run loads.
    from pathlib import Path

    return Path(text)


#: Options, as argparse takes them.
_OPTIONS: dict[str, dict[str, Any]] = {
    "--message": {"required": True, "metavar": "TEXT", "help": "the message, as JSON text"},
    "--host": {"required": True, "metavar": "ADDR", "help": "unix://PATH or host:port"},
    # Not for argparse to ask for: without it a run does not start, and the command line is no bad one (spec).
    "--host-data": {
        "metavar": "TEXT",
        "help": "required: a JSON object with the strings node_address and tx_id",
    },
    "--cookie": {"metavar": "TEXT", "help": "passed to modules and logs (default: random)"},
    "--sync": {"action": "store_true", "help": "take over leader results without validating them"},
    "--debug-mode": {"action": "store_true", "help": "allow :latest and :test runners, real trace times"},
    "--print": {
        "action": "append",
        "default": [],
        "dest": "printed",
        "choices": ["result", "fingerprint", "stderr-full"],
        "help": "write this to stdout at the end; repeatable",
    },
    "--permissions": {
        "default": "rwscn",
        "metavar": "S",
        "help": "subset of r(ead) w(rite) s(end) c(all) n(ondet); S: s, but not for contracts that are called",
    },
    "--record": {"type": _path, "metavar": "FILE", "help": "write the host and module traffic to FILE"},
    "--trace": {
        "action": "store_true",
        "help": "log each request, VM and instantiation with its time (level info, target executor::trace)",
    },
}


def add_parser(commands: Any) -> None:
    from pygenvm.cli.formatter import formatter

    parser = commands.add_parser(
        "run",
        help="execute one message for a host (what nodes call)",
        description="Execute one message for a host and send it the result.",
        epilog=_EPILOG,
        formatter_class=formatter,
        allow_abbrev=False,
    )
    parser.usage = f"{parser.prog} --message TEXT --host ADDR --host-data TEXT [options]"
    for name, how in _OPTIONS.items():
        parser.add_argument(name, **how)


def plain(words: list[str]) -> SimpleNamespace | None:
    """What argparse would say of a command line, if that is as programs write it; loading it takes milliseconds.

    None where something is unusual, or wrong: that is for argparse.
    """
    from pygenvm.executor.config import LOG_LEVELS
    from pygenvm.executor.pool.handover import global_options

    found = global_options(["", *words])
    if found is None:
        return None
    _, config, log_fd, log_level, rest = found
    if log_level not in (None, *LOG_LEVELS):
        return None
    values: dict[str, Any] = {}
    for name, how in _OPTIONS.items():
        values[name] = False if "action" in how and how["action"] == "store_true" else how.get("default")
    missing = {name for name, how in _OPTIONS.items() if how.get("required")}
    left = iter(rest)
    for word in left:
        name, equals, value = word.partition("=")
        if name not in _OPTIONS:
            return None
        how = _OPTIONS[name]
        missing.discard(name)
        if how.get("action") == "store_true":
            if equals:
                return None
            values[name] = True
            continue
        if not equals:
            value = next(left, "-")
            if value.startswith("-"):
                return None
        if value not in how.get("choices", (value,)):
            return None
        taken = how.get("type", str)(value)
        values[name] = [*values[name], taken] if how.get("action") == "append" else taken
    if missing:
        return None
    named = {_OPTIONS[name].get("dest", name[2:].replace("-", "_")): value for name, value in values.items()}
    return SimpleNamespace(command="run", config=config, log_fd=log_fd, log_level=log_level, **named)


def run(options: Options) -> NoReturn:
    """Carries out the run and leaves the process with its exit code."""
    from pygenvm.executor.config import load_config
    from pygenvm.executor.run.process import leave

    leave(carry_out(options, options.log_fd, lambda: load_config(options.config)))


def carry_out(options: Options, log_fd: int, configure: Callable[[], Config], prepared: Prepared | None = None) -> int:
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
