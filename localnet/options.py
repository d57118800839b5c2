"""The options of ``genvm local``, for argparse (:mod:`localnet.command_line`) and for command lines that need none.

Loading argparse takes as long as most of what a command loads, and most command lines are plain.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from argparse import ArgumentParser as Parser

#: Leaders that follow one whose result was not accepted, where nobody says how many.
ROTATIONS = 3


def plain(words: list[str]) -> SimpleNamespace | None:
    """What argparse would say of the words behind ``genvm``, if they are as most are.

    None where something is unusual, or wrong: that is for argparse.
    """
    from pygenvm.executor.config import LOG_LEVELS
    from pygenvm.executor.pool.handover import LOCAL, global_options

    found = global_options(["", *words])
    if found is None or found[0] != "local":
        return None
    _, config, log_fd, log_level, rest = found
    # Those that may stand before the command too.
    behind = next((number for number, word in enumerate(rest) if word in LOCAL), 0)
    network = PlainParser()
    network_options(network)
    command = PlainParser()
    network_options(command)
    json_option(command)
    COMMANDS[rest[behind]][2](command.as_parser())
    before, own = network.parsed(rest[:behind]), command.parsed(rest[behind + 1 :])
    if log_level not in (None, *LOG_LEVELS) or before is None or own is None:
        return None
    own |= {name: own[name] if own[name] is not None else value for name, value in before.items()}
    action = rest[behind]
    return SimpleNamespace(command="local", config=config, log_fd=log_fd, log_level=log_level, action=action, **own)


class PlainParser:
    """Takes options as a parser of argparse does, for command lines without abbreviations and errors."""

    prog = ""
    usage = ""

    def __init__(self) -> None:
        self._defaults: dict[str, Any] = {}
        self._options: dict[str, dict[str, Any]] = {}
        self._positional: list[tuple[str, dict[str, Any]]] = []

    def as_parser(self) -> Parser:
        """This, for functions that add options to either of them."""
        return cast("Parser", self)

    def set_defaults(self, **values: Any) -> None:
        self._defaults |= values

    def add_argument_group(self, _title: str) -> PlainParser:
        return self

    def add_argument(self, name: str, **how: Any) -> None:
        if not name.startswith("-"):
            self._positional.append((name, how))
            return
        self._options[name] = {"dest": name[2:].replace("-", "_"), **how}
        is_flag = how.get("action") == "store_true"
        self._defaults[self._options[name]["dest"]] = how.get("default", False if is_flag else None)

    def parsed(self, words: list[str]) -> dict[str, Any] | None:
        """The values of these words by name; None where argparse has to look at them."""
        values, positional, ended = {**self._defaults}, [], False
        left = iter(words)
        for word in left:
            name, equals, value = word.partition("=")
            if not word.startswith("-"):
                if ended:
                    return None
                positional.append(word)
                continue
            ended = bool(positional)
            how = self._options.get(name)
            if how is None:
                return None
            if how.get("action") == "store_true":
                if equals:
                    return None
                values[how["dest"]] = True
                continue
            if not equals:
                value = next(left, "-")
                if value.startswith("-"):
                    return None
            try:
                taken = how.get("type", str)(value)
            except Exception:
                return None
            if taken not in how.get("choices", (taken,)):
                return None
            values[how["dest"]] = [*(values[how["dest"]] or ()), taken] if how.get("action") == "append" else taken
        return self._with_positional(values, positional)

    def _with_positional(self, values: dict[str, Any], words: list[str]) -> dict[str, Any] | None:
        for name, how in self._positional:
            number = how.get("nargs")
            if (not words and number != "?") or (len(words) > 1 and number != "+"):
                return None
            try:
                taken = [how.get("type", str)(word) for word in words]
            except Exception:
                return None
            values[name] = taken if number == "+" else taken[0] if taken else None
            words = []
        return None if words else values


def _deploy_options(deploy: Parser) -> None:
    deploy.add_argument(
        "file", type=Path, metavar="FILE", help="the contract: Python text, a zip, a folder for one, or WebAssembly"
    )
    _call_options(deploy, value=True)
    deploy.add_argument("--name", metavar="NAME", help="name of the contract (default: that of the file)")
    deploy.set_defaults(changes=True)
    deploy.add_argument(
        "--salt", type=_amount, default=0, metavar="N", help="make the address depend on the sender and N alone"
    )


def _transaction_options(call: Parser) -> None:
    call.set_defaults(changes=True)
    _contract_and_method(call)
    _call_options(call, value=True)


def _view_options(view: Parser) -> None:
    _contract_and_method(view)
    _call_options(view, value=False)


def _schema_options(schema: Parser) -> None:
    schema.add_argument("target", nargs="?", metavar="FILE|CONTRACT", help="a file, or a deployed contract")
    _timeout_option(schema)
    _traceback_option(schema)


def _state_options(state: Parser) -> None:
    state.add_argument("contract", nargs="?", metavar="CONTRACT", help="address or name")
    state.add_argument("--raw", action="store_true", help="show the slots as they are")
    _timeout_option(state)


def _lint_options(check: Parser) -> None:
    check.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="a Python file, or a folder")
    check.add_argument("--rules", action="store_true", help="list what is looked for")


def _log_options(log: Parser) -> None:
    log.add_argument("--last", type=_count, default=20, metavar="N", help="how many (default: 20)")


def _export_options(export: Parser) -> None:
    export.add_argument("file", type=Path, metavar="FILE", help="for `genvm local import`, and `serve --fork`")


def _import_options(load: Parser) -> None:
    load.add_argument("file", type=Path, metavar="FILE", help="what `genvm local export` has written")
    load.set_defaults(changes=True)


def _serve_options(parser: Parser) -> None:
    parser.add_argument("--host", default="127.0.0.1", metavar="IP", help="address to listen at (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, default=4000, metavar="N", help="TCP port, 0 for any (default: 4000)")
    parser.add_argument(
        "--validators", type=_validators, default=5, metavar="N", help="validators of a new network (default: 5)"
    )
    parser.add_argument(
        "--finality-window",
        type=_duration,
        default=2.0,
        metavar="S",
        help="seconds from acceptance to finality in a new network (default: 2)",
    )
    parser.add_argument(
        "--chain-id", type=_amount, default=61999, metavar="N", help="chain id of a new network (default: 61999)"
    )
    parser.add_argument(
        "--fork", type=Path, metavar="FILE", help="begin with the state of a file that `genvm local export` wrote"
    )
    parser.add_argument(
        "--cors", action="append", default=[], metavar="ORIGIN", help="let web pages of this origin use the network too"
    )
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name by which others call this server"
    )
    _module_options(parser)
    _timeout_option(parser)


def _no_options(_parser: Parser) -> None:
    """Those of all commands are enough."""


def _contract_and_method(parser: Parser) -> None:
    parser.usage = f"{parser.prog} [CONTRACT] METHOD [options]"
    parser.add_argument(
        "words", nargs="+", metavar="[CONTRACT] METHOD", help="the contract (default: the last deployed), the method"
    )


def _call_options(parser: Parser, *, value: bool) -> None:
    parser.add_argument("--args", default="[]", metavar="JSON", help="positional arguments, a JSON array")
    parser.add_argument("--kwargs", default="{}", metavar="JSON", help="named arguments, a JSON object")
    parser.add_argument(
        "--from", dest="sender", default="alice", metavar="ACCOUNT", help="name or address (default: alice)"
    )
    if value:
        parser.add_argument(
            "--validators",
            type=_nodes,
            default=1,
            metavar="N",
            help="run N nodes: a leader, and N-1 validators that judge what it found; more than half of the N decide",
        )
        parser.add_argument(
            "--threshold",
            type=_count,
            metavar="T",
            help="settle nondet transactions: N operators with stake are drawn, T equal votes decide",
        )
        parser.add_argument(
            "--rotations",
            type=_few,
            metavar="N",
            help=f"leaders that follow one whose result was not accepted (default: {ROTATIONS})",
        )
        parser.add_argument(
            "--appeals",
            type=_few,
            metavar="N",
            help="larger committees that judge what one has not accepted, before the next leader (default: 0)",
        )
        parser.add_argument(
            "--appeal-accepted",
            action="store_true",
            default=None,
            help="appeal what a committee has accepted too; the last committee decides",
        )
        parser.add_argument(
            "--withhold",
            type=_node,
            action="append",
            metavar="NODE",
            help='a node that commits and never reveals, such as "validator 2"; it loses stake (may be repeated)',
        )
        service = parser.add_argument_group("operators of a settlement service, instead of this machine's")
        service.add_argument(
            "--service", type=_service_url, metavar="URL", help="the service: http://…, or unix:///path"
        )
        service.add_argument(
            "--key-file", type=Path, metavar="FILE", help="private key of the account there that pays fees and rewards"
        )
        service.add_argument("--token-file", type=Path, metavar="PATH", help="bearer token of the service")
        service.add_argument("--model-spec", type=_hash, metavar="HEX", help="what the operators are registered with")
        parser.add_argument(
            "--records",
            type=Path,
            metavar="FOLDER",
            help="keep what each node asked in its run, and bind its vote to that",
        )
        parser.add_argument(
            "--value", type=_amount, default=0, metavar="N", help="value to send, decimal or 0x… (default: 0)"
        )
        parser.add_argument(
            "--strict-views",
            action="store_true",
            help="contracts that a contract calls can neither send nor emit events, which nodes let them do for it",
        )
    parser.set_defaults(asks_modules=True)
    _module_options(parser)
    _timeout_option(parser)
    _traceback_option(parser)


def _module_options(parser: Parser) -> None:
    parser.add_argument(
        "--mocks",
        type=Path,
        metavar="FILE",
        help="answer language models and the web from a YAML file, and nobody else",
    )
    for name in ("llm", "web"):
        parser.add_argument(f"--{name}-config", type=Path, metavar="FILE", help=f"configuration of the {name} module")


def _traceback_option(parser: Parser) -> None:
    parser.add_argument(
        "--traceback",
        choices=("own", "full"),
        default="own",
        help="calls shown when the contract fails: those in its own files, or all of them (default: own)",
    )


def _timeout_option(parser: Parser) -> None:
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="wall time of each run before it ends with the VM error `timeout` (default: 60)",
    )


def _amount(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,78}|0x[0-9a-fA-F]{1,64}", text):
        raise _refused(f"{text[:80]!r} is not a whole number (decimal, or 0x and hex digits)")
    return int(text, 16 if text.startswith("0x") else 10)


def _node(text: str) -> str:
    if not re.fullmatch(r"leader|validator [1-9][0-9]{0,2}", text):
        raise _refused(f"{text[:80]!r} is neither leader nor validator N")
    return text


def _service_url(text: str) -> str:
    if not text.startswith(("http://", "https://", "unix:///")):
        raise _refused(f"{text[:80]!r} begins with none of http://, https:// and unix:///")
    return text


def _hash(text: str) -> bytes:
    if not re.fullmatch(r"0x[0-9a-fA-F]{64}", text):
        raise _refused(f"{text[:80]!r} is not 0x and 64 hex digits")
    return bytes.fromhex(text[2:])


def _nodes(text: str) -> int:
    from pygenvm.localnet import limits

    if not re.fullmatch(r"[1-9][0-9]{0,8}", text) or not 2 <= int(text) <= limits.NODES:
        raise _refused(f"{text[:80]!r} is not a number of nodes from 2 to {limits.NODES}")
    return int(text)


def _validators(text: str) -> int:
    from pygenvm.localnet import limits

    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) > limits.NODES:
        raise _refused(f"{text[:80]!r} is not a number of validators from 0 to {limits.NODES}")
    return int(text)


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) >= 1 << 16:
        raise _refused(f"{text[:80]!r} is not a port from 0 to 65535")
    return int(text)


def _duration(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text):
        raise _refused(f"{text[:80]!r} is not a number of seconds")
    return float(text)


def _few(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,2}", text):
        raise _refused(f"{text[:80]!r} is not a number from 0 to 99")
    return int(text)


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise _refused(f"{text[:80]!r} is not a number above 0")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or not float(text):
        raise _refused(f"{text[:80]!r} is not a number of seconds above 0")
    return float(text)


def network_options(parser: Parser | PlainParser, **how: Any) -> None:
    """Which network a command is for, before or behind its name."""
    parser.add_argument("--db", type=Path, metavar="FILE", help="the database", **how)
    parser.add_argument("--rpc", metavar="URL", help="the server of the network", **how)


def json_option(parser: Parser | PlainParser) -> None:
    """Of every command."""
    parser.add_argument("--json", action="store_true", help="print one JSON document, also for errors")


def _refused(why: str) -> Exception:
    """What argparse says of a value that cannot be."""
    from argparse import ArgumentTypeError

    return ArgumentTypeError(why)


#: Name to its line in the help, an example, and what adds its options.
COMMANDS: dict[str, tuple[str, str, Callable[[Parser], None]]] = {
    "deploy": ("deploy a contract", "deploy storage.py --args '[\"hello\"]' --value 10", _deploy_options),
    "call": ("call a method in a transaction", "call token transfer --args '[…]' --from bob", _transaction_options),
    "view": ("call a method without changing anything", "view token total_supply", _view_options),
    "schema": ("list the methods of a contract", "schema storage.py", _schema_options),
    "state": ("show the decoded storage of a contract", "state token --json", _state_options),
    "accounts": ("list accounts and contracts with their balances", "accounts --json", _no_options),
    "lint": ("look for mistakes in contracts without running them", "lint storage.py", _lint_options),
    "log": ("list transactions with results, events and messages", "log --last 5", _log_options),
    "export": ("write the network of a server to a file", "export state.network", _export_options),
    "import": ("go on with the network of a file", "import state.network", _import_options),
    "serve": ("run a network that clients connect to", "serve --validators 5", _serve_options),
}
