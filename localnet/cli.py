"""``genvm local``: deploy and call contracts on this machine, without a node."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

if TYPE_CHECKING:
    from pygenvm.executor.config import Config
    from pygenvm.executor.module_protocol.modules import ModuleName
    from pygenvm.localnet.chain.model import Execution, Receipt, Service, Settling
    from pygenvm.localnet.documents import Document
    from pygenvm.localnet.executors.base import Executor
    from pygenvm.localnet.executors.series import Lent
    from pygenvm.localnet.modules import Choices
    from pygenvm.localnet.net import LocalNet
    from pygenvm.localnet.render import Printer
    from pygenvm.localnet.rpc.client import Client

EXIT_OK, EXIT_CONTRACT, EXIT_USAGE, EXIT_INTERNAL, EXIT_UNPRINTED, EXIT_INTERRUPTED = 0, 1, 2, 3, 4, 130

PROJECT_FOLDER = ".pygenvm"
DATABASE = "local.db"
#: Of the file beside the database that has the state of the settlement.
SETTLEMENT_SUFFIX = ".settlement"
_ROTATIONS = 3

_DESCRIPTION = """\
An embedded node for authors: runs contracts in the real sandbox and keeps accounts, contracts, storage and a log of
transactions in one SQLite file.
"""

_EPILOG = """\
examples:
  genvm local deploy storage.py --args '["hello"]'
  genvm local view get_storage                          the last deployed contract
  genvm local call update_storage --args '["world"]'
  genvm local call token transfer --args '[{"$addr": "bob"}, 25]' --from alice
  genvm local call 0x5b38 donate --value 1000           the start of an address is enough
  genvm local lint storage.py                           look for mistakes before anything runs
  genvm local schema storage.py
  genvm local state token
  genvm local log --last 5 --json

faster (Linux):
  As long as `genvm pool` runs, in another terminal or with & behind it, deploy, call, view, schema, state, accounts and
  log take less than half the time, and do and print the same. `genvm pool --help` tells more.

which contract:
  A word that starts with 0x is an address, or the start of one if only one contract has it. Any other word is the
  name of a contract: that of its file, or --name; of several with one name, the last. Without a word it is the
  contract that you deployed last; if a deployment has failed since then, you are asked to name one. In `call` and
  `view` one word is the METHOD, two are CONTRACT METHOD. An empty METHOD ('') calls __receive__.

when a contract fails:
  The calls in its own files with their lines, the exception, its cause and how to fix it; --traceback full shows the
  calls in the SDK too. Arguments that do not fit the method are refused before anything is run.

values (--args, --kwargs, and everything that is printed):
  JSON, and         {"$addr": "0x…"}     an address; also the name of an account or a contract
                    {"$bytes": "0x00ff"} bytes
                    {"$int": "0x1f"}     an integer, for programs that cannot write large ones; plain ones may be
                                         of any size
  A key of your own that starts with $ gets one more $. A bare "0x…" is a string, but where the schema of the contract
  says `address` or `bytes` it is read as that. There are no fractions.

a network that clients connect to:
  genvm local serve runs one with validators, finality and appeals at port 4000, for gltest, genlayer-py, genlayer-js,
  the genlayer command line and tools of Ethereum. In its project the other commands go to it; --rpc URL names one
  elsewhere. genvm local export and import keep its state in a file.

programs (--json):
  One JSON document on stdout. `ok` tells success; `error` has kind and message, advice where there is any, and for a
  contract's failure also meaning, rule (of the linter that knew it), other_causes, exception, and traceback: the calls
  in the contract's own files (file, line, function, source), the innermost last (kinds: user_error, vm_error,
  internal_error, undetermined; usage, bad_value, not_found, insufficient_balance, no_schema, database, executor,
  settlement, listen, unreachable, shortage, interrupted, internal). deploy and call: contract, result, transaction
  (with outcome, events, messages, balances, storage, stdout, stderr; with --validators also validators: nodes,
  agreeing, accepted, votes; with --threshold also settlement: state, rounds, operators), delivered.
  view: contract, result, stdout, stderr. export, import: file, bytes. serve, when it listens: url, rpc, chain_id,
  validators, finality_window, database.
  schema: schema. state: fields, balance, slots. accounts: accounts. log: transactions (without a number: commands
  that failed and changed nothing, the last 200).
  lint: checked, findings (file, line, column, end_column, level, code, message, fix); `ok` means no errors.

language models and the web:
  The modules for that are started when a contract asks; they stay for the next commands, and end after ten minutes
  without one. The web is live, under the rules of nodes: http and https at public hosts. Language models are those
  whose key is in the environment (OPENAIKEY, ANTHROPICKEY, GEMINIKEY, XAIKEY, HEURISTKEY). --llm-config and
  --web-config have the keys that `genvm-modules llm --print-config` (or web) explains; only those that are to be others
  need to be there. --mocks FILE answers for both instead:
      llm: {"capital of France": Paris}
      web: {"example.com/price": '{"price": 42.5}'}
  An entry with a node (leader, validators, validator 2) is only for that one.

validators:
  --validators 5 runs a leader and four validators. Each is a node that asks the modules for itself; a validator gets
  the leader's results of nondet blocks, judges them, and compares the rest. Every node has one vote, the leader's is
  for itself. If no more than half of them agree, the transaction is undetermined: nothing changes, exit code 1.
  "validator 2" is the second place in the round after the leader, here and in mock files. A server draws for each
  transaction who takes part in which place.

settlement:
  --validators 5 --threshold 3 has operators with stake decide on each transaction with nondet blocks: 5 of 7 are drawn
  and vote on what a leader found. If 3 of them accept it, it holds; otherwise the next operator leads, at most
  --rotations times, then the transaction is undetermined. Each round leaves a receipt:
      genvm receipt export .pygenvm/local.db.settlement --intent 0x… > receipt.json
      genvm receipt verify receipt.json
  --appeals N has larger committees judge what one has not accepted; with --appeal-accepted what one has accepted too.
  --withhold "validator 2" shows what becomes of an operator that keeps its vote back.

  With --service URL, --key-file FILE and --model-spec HEX the operators are those of a service (`genvm settlement
  serve`, `genvm operator run`). Leaders are runs of this machine; what one found is published there as a task, with
  the code and storage that the transaction reads: whoever may ask the service sees them. The command waits until the
  task is settled (61 blocks), checks the receipt, and only then changes anything. The account pays 0.01 tokens for
  each operator, and 0.1 to each that votes as the quorum does.
      genvm receipt export http://127.0.0.1:4100 --intent 0x… > receipt.json

database:
  --db FILE, or else .pygenvm/local.db in this folder or in the nearest one above that has a .pygenvm folder. It is made
  by the first transaction; the folder of FILE has to be there, but for `serve`, which makes it. Delete it to start
  anew.

accounts and value:
  alice, bob, carol, dave, erin, frank, grace, heidi, ivan and judy have 1,000,000 GEN each, that is 10^24 units;
  `genvm local accounts` lists them. Value is counted in units. It only moves, it is never made or lost.

messages:
  Messages that a contract posts are delivered after its transaction, in order, each in a transaction of its own. One
  that fails comes back to its sender as a #error call with its value. After 100 the rest is not delivered.

exit codes: 0 done; 1 the contract failed, or validators did not agree, and nothing changed (lint: there are errors);
            2 bad command line or arguments, nothing was run; 3 the executor, a module or the database failed; 4 done,
            but the output could not be written (genvm local log has what was done); 130 interrupted
"""


_INTERRUPTED = (
    "interrupted: the running transaction was dropped; messages of an earlier one that were still to be delivered are"
    " delivered by the next deploy or call"
)


def default_database() -> Path:
    """``.pygenvm/local.db`` below the working directory or the nearest folder above with a ``.pygenvm``."""
    folder = Path.cwd()
    home = next((parent for parent in (folder, *folder.parents) if (parent / PROJECT_FOLDER).is_dir()), folder)
    return home / PROJECT_FOLDER / DATABASE


class _Parser(argparse.ArgumentParser):
    """Reports a bad command line as a JSON document where ``--json`` is asked for."""

    _json = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._json = "--json" in (args or ())
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            # Left to the parser of `genvm`, which knows nothing of --json.
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        if self._json:
            _print_json({"ok": False, "error": {"kind": "usage", "message": message}})
            self.exit(EXIT_USAGE)
        super().error(message)


def add_parser(commands: Any) -> None:
    """Adds ``local`` to the subcommands of ``genvm``."""
    parser = commands.add_parser(
        "local",
        help="deploy and call contracts on this machine, without a node",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--db", type=Path, metavar="FILE", help="the database (default: .pygenvm/local.db)")
    parser.add_argument("--rpc", metavar="URL", help="the server of the network (default: the one that runs here)")
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="COMMAND", action=_Subcommands, parser_class=_Parser
    )
    for name, (text, example, add_options) in _COMMANDS.items():
        actions.add_later(name, text, partial(_command, actions, name, text, example, add_options))


class _Subcommands(argparse._SubParsersAction):  # type: ignore[type-arg]
    """Makes the parser of a command when that is the one; all together take longer than most commands."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._later: dict[str, Callable[[], None]] = {}

    def add_later(self, name: str, text: str, add: Callable[[], None]) -> None:
        """:param add: calls :meth:`add_parser` for ``name``, without ``help``, which is ``text``."""
        self._choices_actions.append(self._ChoicesPseudoAction(name, (), text))
        self._name_parser_map[name] = None
        self._later[name] = add

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        add = self._later.pop(values[0], None)
        if add is not None:
            del self._name_parser_map[values[0]]
            add()
        super().__call__(parser, namespace, values, option_string)


def _deploy_options(deploy: argparse.ArgumentParser) -> None:
    deploy.add_argument(
        "file", type=Path, metavar="FILE", help="the contract: Python text, a zip, a folder for one, or WebAssembly"
    )
    _call_options(deploy, value=True)
    deploy.add_argument("--name", metavar="NAME", help="name of the contract (default: that of the file)")
    deploy.set_defaults(changes=True)
    deploy.add_argument(
        "--salt", type=_amount, default=0, metavar="N", help="make the address depend on the sender and N alone"
    )


def _transaction_options(call: argparse.ArgumentParser) -> None:
    call.set_defaults(changes=True)
    _contract_and_method(call)
    _call_options(call, value=True)


def _view_options(view: argparse.ArgumentParser) -> None:
    _contract_and_method(view)
    _call_options(view, value=False)


def _schema_options(schema: argparse.ArgumentParser) -> None:
    schema.add_argument("target", nargs="?", metavar="FILE|CONTRACT", help="a file, or a deployed contract")
    _timeout_option(schema)
    _traceback_option(schema)


def _state_options(state: argparse.ArgumentParser) -> None:
    state.add_argument("contract", nargs="?", metavar="CONTRACT", help="address or name")
    state.add_argument("--raw", action="store_true", help="show the slots as they are")
    _timeout_option(state)


def _lint_options(check: argparse.ArgumentParser) -> None:
    check.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="a Python file, or a folder")
    check.add_argument("--rules", action="store_true", help="list what is looked for")


def _log_options(log: argparse.ArgumentParser) -> None:
    log.add_argument("--last", type=_count, default=20, metavar="N", help="how many (default: 20)")


def _export_options(export: argparse.ArgumentParser) -> None:
    export.add_argument("file", type=Path, metavar="FILE", help="for `genvm local import`, and `serve --fork`")


def _import_options(load: argparse.ArgumentParser) -> None:
    load.add_argument("file", type=Path, metavar="FILE", help="what `genvm local export` has written")
    load.set_defaults(changes=True)


def _serve_options(parser: argparse.ArgumentParser) -> None:
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


def run(options: argparse.Namespace) -> int:
    """Carries out one command; returns the exit code."""
    try:
        _check_config(options)
        if options.action == "serve":
            return _serve(options)
        with _executor(options) as options.executor:
            return _ACTIONS[options.action](options)
    except KeyboardInterrupt:
        failure = _Failure("interrupted", _INTERRUPTED, EXIT_INTERRUPTED)
    except Exception as error:
        failure = _failure(options, error)
    done: int | None = getattr(options, "done", None)
    if done is not None:
        # Whatever keeps us from telling what has happened is no verdict on it.
        why = failure.kind if failure.kind == "interrupted" else failure.message
        _complain(f"{'' if done else 'done, but '}the output could not be written: {why}")
        return done or EXIT_UNPRINTED
    if options.json:
        from pygenvm.localnet.documents import error_document

        _print_json(error_document(failure.kind, failure.message, failure.fix))
    else:
        _complain(failure.message, *failure.picture, *([f"fix: {failure.fix}"] if failure.fix else []))
    return failure.code


class _Failure(NamedTuple):
    """Why a command could not be carried out, and the exit code."""

    kind: str
    message: str
    code: int
    picture: Sequence[str] = ()
    fix: str = ""


def _failure(options: argparse.Namespace, error: Exception) -> _Failure:
    from pygenvm.executor import shortage
    from pygenvm.executor.runner.contract_file import ContractFileError
    from pygenvm.localnet.errors import BadRequest, BadValue, LocalNetError

    message = shortage.explained(error)
    if options.interrupted():
        return _Failure("interrupted", _INTERRUPTED, EXIT_INTERRUPTED)
    if isinstance(error, BadValue):
        return _Failure(error.kind, message, EXIT_USAGE, error.picture, error.fix)
    if isinstance(error, BadRequest | ContractFileError):
        return _Failure(error.kind, message, EXIT_USAGE)
    if isinstance(error, LocalNetError):
        return _Failure(error.kind, message, EXIT_INTERNAL)
    if shortage.advice(error) is not None:
        return _Failure("shortage", message, EXIT_INTERNAL)
    # A bug of ours. Exit code 1 would blame the contract.
    traceback.print_exc()
    return _Failure("internal", f"{type(error).__name__}: {error}", EXIT_INTERNAL)


# --- commands ---------------------------------------------------------------------------------------


def _deploy(options: argparse.Namespace) -> int:
    from pygenvm.executor.runner.contract_file import read_contract
    from pygenvm.localnet.names import check_contract_name, name_from_file

    name = name_from_file(options.file.stem) if options.name is None else check_contract_name(options.name)
    execution = _net(options).deploy(
        read_contract(options.file),
        options.args,
        options.kwargs,
        value=options.value,
        sender=options.sender,
        salt=options.salt,
        name=name,
        path=options.file,
    )
    return _report_execution(options, execution)


def _call(options: argparse.Namespace) -> int:
    contract, method = _words(options)
    net = _net(options)
    execution = net.call(contract, method, options.args, options.kwargs, value=options.value, sender=options.sender)
    _note_failed_deployment(net, contract)
    return _report_execution(options, execution)


def _view(options: argparse.Namespace) -> int:
    from pygenvm.localnet.documents import view_document

    contract, method = _words(options)
    net = _net(options)
    receipt = net.view(contract, method, options.args, options.kwargs, sender=options.sender)
    _note_failed_deployment(net, contract)
    names = _names(net)
    _report(options, names, view_document(receipt, names), lambda printer: printer.view(receipt))
    return _exit_code(receipt)


def _schema(options: argparse.Namespace) -> int:
    from pygenvm.executor.runner.contract_file import read_contract
    from pygenvm.localnet.documents import failure_document, schema_document
    from pygenvm.localnet.schema import NoSchema

    net, target = _net(options), options.target
    is_file = target is not None and not target.startswith("0x") and (os.sep in target or Path(target).exists())
    try:
        schema = net.schema_of_code(read_contract(Path(target)), path=Path(target)) if is_file else net.schema(target)
    except NoSchema as error:
        receipt = error.receipt
        if receipt is None:
            raise
        names = _names(net)
        _report(options, names, failure_document(receipt, names), lambda printer: printer.failure(receipt))
        return _exit_code(receipt)
    if not is_file:
        _note_failed_deployment(net, target)
    _report(options, {}, schema_document(schema), lambda printer: printer.schema(schema))
    return EXIT_OK


def _state(options: argparse.Namespace) -> int:
    from pygenvm.localnet.documents import state_document
    from pygenvm.localnet.net import read_state

    net = _net(options)
    dump = read_state(net, options.contract)
    _note_failed_deployment(net, options.contract)
    _report(options, _names(net), state_document(dump), lambda printer: printer.state(dump, raw=options.raw))
    return EXIT_OK


def _accounts(options: argparse.Namespace) -> int:
    from pygenvm.localnet.documents import accounts_document

    infos = _net(options).accounts()
    _report(options, {}, accounts_document(infos), lambda printer: printer.accounts(infos))
    return EXIT_OK


def _lint(options: argparse.Namespace) -> int:
    from rich.console import Console

    from pygenvm.lint import Level, find_contracts, lint, report
    from pygenvm.localnet.errors import BadRequest
    from pygenvm.localnet.lint_settings import settings

    out = Console(highlight=False)
    if options.rules:
        if options.json:
            _print_json(report.rules_document())
        else:
            report.print_rules(out)
        return EXIT_OK
    if not options.paths:
        raise BadRequest("name the files or folders to check, or ask for --rules")
    known = settings(lambda: _net(options))
    contracts = list(dict.fromkeys(contract for path in options.paths for contract in find_contracts(path)))
    findings = [finding for contract in contracts for finding in lint(contract, known)]
    if options.json:
        _print_json(report.document(findings, [str(contract) for contract in contracts]))
    else:
        report.print_findings(out, findings, len(contracts))
    return EXIT_CONTRACT if any(finding.level is Level.ERROR for finding in findings) else EXIT_OK


def _log(options: argparse.Namespace) -> int:
    from pygenvm.localnet.documents import log_document

    net = _net(options)
    receipts, names = net.log(options.last), _names(net)
    _report(options, names, log_document(receipts, names), lambda printer: printer.log(receipts))
    return EXIT_OK


def _serve(options: argparse.Namespace) -> int:
    from importlib.util import find_spec

    from pygenvm.localnet.errors import BadRequest, CannotListen

    if options.rpc:
        raise BadRequest("--rpc names a server that is there; serve is one itself")
    if find_spec("coincurve") is None:
        raise BadRequest("serve needs the package coincurve, which this Python does not have")
    from pygenvm.localnet.rpc.serve import Ready, run
    from pygenvm.modules.listening import ListenError

    def ready(told: Ready) -> None:
        if options.json:
            print(json.dumps(told.to_json()), flush=True)
        else:
            print(_SERVING.format(told=told, window=f"{told.finality_window:g}"), flush=True)

    try:
        return run(options, default_database(), ready)
    except ListenError as error:
        raise CannotListen(str(error)) from error


_SERVING = """\
genvm local serve: a network with chain id {told.chain_id}, {told.validators} validators and a finality window of \
{window} s
  page       {told.url}/
  JSON-RPC   {told.url}/api
  state      {told.path}

  genvm local deploy storage.py --args '["hello"]'      in this folder it goes to this network
  gltest tests --rpc-url {told.url}/api
  genlayer network set localnet
Ctrl-C ends it; the state stays."""


def _needed_client(options: argparse.Namespace) -> Client:
    from pygenvm.localnet.errors import BadRequest

    client = _client(options)
    if client is None:
        raise BadRequest("no server runs here; name one with --rpc URL (without one the network is the file of --db)")
    return client


def _export(options: argparse.Namespace) -> int:
    from pygenvm.localnet.rpc.remote import write_file

    client = _needed_client(options)
    data = _net(options).snapshot()
    write_file(options.file, data)
    _say(options, {"file": str(options.file), "bytes": len(data)}, f"{options.file} has the network at {client.url}")
    return EXIT_OK


def _import(options: argparse.Namespace) -> int:
    from pygenvm.localnet.rpc.remote import read_file

    client = _needed_client(options)
    data = read_file(options.file)
    _net(options).restore(data)
    _say(
        options,
        {"file": str(options.file), "bytes": len(data)},
        f"the network at {client.url} is that of {options.file}",
    )
    return EXIT_OK


def _say(options: argparse.Namespace, document: Document, text: str) -> None:
    if options.json:
        _print_json({"ok": True, **document})
    else:
        print(text)


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "deploy": _deploy,
    "call": _call,
    "view": _view,
    "schema": _schema,
    "state": _state,
    "accounts": _accounts,
    "lint": _lint,
    "log": _log,
    "export": _export,
    "import": _import,
}


# --- parts ------------------------------------------------------------------------------------------


#: Those that surely run a contract.
_RUNNING = ("deploy", "call", "view", "schema", "state")


@contextlib.contextmanager
def _executor(options: argparse.Namespace) -> Iterator[Executor]:
    """Runs contracts, which find LLM and web services while the context lasts."""
    from pygenvm.localnet.executors import pooled

    lent: Lent | None = getattr(options, "lent", None)
    with contextlib.ExitStack() as stack:
        asks_modules = getattr(options, "asks_modules", False) and _client(options) is None
        if lent is not None:
            modules: Mapping[Any, str] = stack.enter_context(_services(options, lent.config)) if asks_modules else {}
            soon = options.action in _RUNNING and _client(options) is None
            yield stack.enter_context(pooled.lent_runs(lent, modules, soon=soon))
            return
        config = getattr(options, "config", None)
        global_options = [f"--config={config}"] if config else []
        if asks_modules:
            global_options = stack.enter_context(_modules(options, config))
        yield stack.enter_context(pooled.few_runs(global_options))


def _modules(options: argparse.Namespace, config: str | None) -> contextlib.AbstractContextManager[list[str]]:
    """The global options for executors with the services."""
    from pygenvm.localnet.modules import modules_of_author

    return modules_of_author(config, _choices(options), on_start=_on_start, on_warning=_on_warning)


def _services(
    options: argparse.Namespace, config: Config
) -> contextlib.AbstractContextManager[Mapping[ModuleName, str]]:
    """The addresses of the services."""
    from pygenvm.localnet.modules import services_of_author

    return services_of_author(config, _choices(options), on_start=_on_start, on_warning=_on_warning)


def _choices(options: argparse.Namespace) -> Choices:
    from pygenvm.localnet.modules import Choices

    return Choices(options.mocks, {"llm": options.llm_config, "web": options.web_config})


def _on_start(name: str) -> None:
    print(f"starting the {name} module", file=sys.stderr, flush=True)


def _on_warning(text: str) -> None:
    print(f"genvm local: warning: {text}", file=sys.stderr, flush=True)


def _check_config(options: argparse.Namespace) -> None:
    """The executor reads it; commands that need none must not pass over a damaged one."""
    if options.config is None:
        return
    from pygenvm.executor.config import ConfigError, load_config
    from pygenvm.localnet.errors import BadRequest

    try:
        load_config(options.config)
    except ConfigError as error:
        raise BadRequest(f"--config: {error}") from error


def _client(options: argparse.Namespace) -> Client | None:
    """The server that a command is for: that of ``--rpc``, or the one that runs in this project."""
    if not hasattr(options, "client"):
        options.client = None
        folder = default_database().parent
        # Looked for without what the client needs: most projects have no server.
        if options.rpc or (not options.db and (folder / "server.json").exists()):
            from pygenvm.localnet.rpc.client import Client, Unreachable
            from pygenvm.localnet.rpc.remote import NoServer
            from pygenvm.localnet.rpc.running import client_of

            try:
                options.client = Client(options.rpc) if options.rpc else client_of(folder)
            except Unreachable as error:
                raise NoServer(str(error)) from error
    client: Client | None = options.client
    return client


def _remote_net(options: argparse.Namespace, client: Client) -> LocalNet:
    from pygenvm.localnet import limits
    from pygenvm.localnet.building import build_for
    from pygenvm.localnet.errors import BadRequest
    from pygenvm.localnet.rpc.remote import RemoteNet

    for name in _OF_THE_SERVER:
        if getattr(options, name, None) not in (None, False, 1):
            word = "--" + name.replace("_", "-")
            raise BadRequest(
                f"{word} is for a network without a server; that at {client.url} has its own. Give it to"
                " `genvm local serve`, if that has such an option, or name another network with --db FILE"
            )
    return RemoteNet(
        client,
        executor=options.executor,
        timeout=getattr(options, "timeout", limits.RUN_SECONDS),
        # The server finds them too, where it is on this machine.
        before_run=functools.partial(build_for, options.config),
    )


#: Options that a server decides on for itself.
_OF_THE_SERVER = (
    *("validators", "threshold", "rotations", "appeals", "records", "strict_views"),
    *("mocks", "llm_config", "web_config"),
)


def _net(options: argparse.Namespace) -> LocalNet:
    from pygenvm.localnet import limits
    from pygenvm.localnet.building import build_for
    from pygenvm.localnet.chain.database import PathError, check_path
    from pygenvm.localnet.errors import BadRequest
    from pygenvm.localnet.net import LocalNet

    client = _client(options)
    if client is not None:
        return _remote_net(options, client)
    path: Path = options.db or default_database()
    if options.db:
        folder = path.absolute().parent
        if not folder.is_dir():
            raise BadRequest(f"--db: there is no folder {path.parent}; make it first")
        try:
            check_path(path)
        except PathError as error:
            raise BadRequest(f"--db: {error}") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise BadRequest(f"--db: {folder} cannot be written to, as a database in it has to be; choose another FILE")

    def on_wait() -> None:
        seconds = f"{limits.LOCK_SECONDS:g} seconds"
        print(f"waiting for another genvm local command on {path} (at most {seconds})", file=sys.stderr)

    timeout = getattr(options, "timeout", limits.RUN_SECONDS)
    strict_views = getattr(options, "strict_views", False)
    return LocalNet(
        path,
        executor=options.executor,
        timeout=timeout,
        on_wait=on_wait,
        strict_views=strict_views,
        validators=getattr(options, "validators", 1) - 1,
        settling=_settling(options, path),
        before_run=functools.partial(build_for, options.config),
    )


def _settling(options: argparse.Namespace, path: Path) -> Settling | None:
    """With a threshold, operators with stake decide."""
    threshold = getattr(options, "threshold", None)
    rotations = getattr(options, "rotations", None)
    appeals = getattr(options, "appeals", None)
    records = getattr(options, "records", None)
    service = getattr(options, "service", None)
    appeal_accepted = getattr(options, "appeal_accepted", None)
    withholding = getattr(options, "withhold", None)
    needing = {
        "--rotations": rotations,
        "--appeals": appeals,
        "--appeal-accepted": appeal_accepted,
        "--withhold": withholding,
        "--records": records,
        "--service": service,
    }
    given = [name for name, value in needing.items() if value is not None]
    if threshold is None and not given:
        return None
    from pygenvm.localnet import limits
    from pygenvm.localnet.chain.model import Settling
    from pygenvm.localnet.errors import BadRequest
    from pygenvm.settlement.blocks.signatures import MissingLibrary, require_library
    from pygenvm.settlement.types.constants import MIN_N

    nodes: int = options.validators
    if threshold is None:
        raise BadRequest(f"{given[0]} needs --threshold")
    if nodes < MIN_N:
        raise BadRequest(f"--threshold needs --validators N, from {MIN_N} on")
    if not nodes // 2 < threshold <= nodes:
        raise BadRequest(f"--threshold must be more than half of the {nodes} nodes, and at most all of them")
    try:
        require_library()
    except MissingLibrary as error:
        raise BadRequest(f"--threshold: {error}") from error
    if appeal_accepted and not appeals:
        raise BadRequest("--appeal-accepted needs --appeals N, from 1 on")
    if service is not None and withholding is not None:
        raise BadRequest("--withhold is for operators of this machine, and those of --service are others")
    rotations = _ROTATIONS if rotations is None else rotations
    last = (nodes + 1) * 2 ** (appeals or 0) - 1
    if last > limits.NODES:
        raise BadRequest(f"--appeals: the last would need {last} nodes, of at most {limits.NODES}")
    state = path.with_name(path.name + SETTLEMENT_SUFFIX)
    return Settling(
        state,
        nodes,
        threshold,
        rotations,
        appeals or 0,
        records,
        appeal_accepted=bool(appeal_accepted),
        withholding=frozenset(withholding or ()),
        service=_service(options),
    )


def _service(options: argparse.Namespace) -> Service | None:
    """The settlement service that is asked, if it is not this machine's operators."""
    from pygenvm.localnet.chain.model import Service
    from pygenvm.localnet.errors import BadRequest
    from pygenvm.settlement.operator.keys import key_in, token_in

    missing = [name for name in ("key_file", "model_spec") if getattr(options, name) is None]
    if options.service is None:
        given = [name for name in ("key_file", "model_spec", "token_file") if getattr(options, name) is not None]
        if given:
            raise BadRequest(f"--{given[0].replace('_', '-')} needs --service")
        return None
    if missing:
        raise BadRequest(f"--service needs --{missing[0].replace('_', '-')}")

    def on_task(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    try:
        secret, token = key_in(options.key_file).secret, token_in(options.token_file)
        return Service(options.service, secret, options.model_spec, token, on_task)
    except (OSError, ValueError) as error:
        raise BadRequest(str(error)) from error


def _names(net: LocalNet) -> Any:
    from pygenvm.localnet.documents import contract_names

    return contract_names(net.contracts())


def _note_failed_deployment(net: LocalNet, word: str | None) -> None:
    """The name of a contract may be that of a newer one that could not be deployed."""
    failed = net.failed_deployment() if word else None
    if failed is not None and failed.transaction.name == word:
        _complain(f"note: the last deployment of {word} failed; this is the contract deployed before it")


def _words(options: argparse.Namespace) -> tuple[str | None, str]:
    """CONTRACT, None where it was left out, and METHOD."""
    from pygenvm.localnet.errors import BadRequest

    words: list[str] = options.words
    if len(words) > 2:
        raise BadRequest(f"too many words: {' '.join(words)} (arguments go into --args, a JSON array)")
    method = words[-1]
    if method.startswith("0x"):
        raise BadRequest(f"no METHOD after the address {method}")
    return (words[0] if len(words) == 2 else None), method


def _exit_code(receipt: Receipt) -> int:
    from pygenvm.executor.outcome import InternalError

    if receipt.ok:
        return EXIT_OK
    return EXIT_INTERNAL if isinstance(receipt.outcome, InternalError) else EXIT_CONTRACT


def _report_execution(options: argparse.Namespace, execution: Execution) -> int:
    from pygenvm.localnet.documents import execution_document

    options.done = _exit_code(execution.receipt)
    names = _names(_net(options))
    _report(options, names, execution_document(execution, names), lambda printer: printer.execution(execution))
    return _exit_code(execution.receipt)


def _report(options: argparse.Namespace, names: Any, document: Document, for_people: Callable[[Printer], None]) -> None:
    if options.json:
        _print_json(document)
        return
    from rich.console import Console

    from pygenvm.localnet.render import Printer

    full = getattr(options, "traceback", "own") == "full"
    for_people(Printer(Console(highlight=False), Console(stderr=True, highlight=False), names, full=full))


def _complain(message: str, *more: str) -> None:
    from pygenvm.executor.terminal_text import visible

    for line in (f"genvm local: {message}", *more):
        print(visible(line), file=sys.stderr)


def _print_json(document: Any) -> None:
    # ASCII only: whatever a contract returns, the document is readable in every locale.
    print(json.dumps(document, indent=2))


def _command(
    actions: Any, name: str, text: str, example: str, add_options: Callable[[argparse.ArgumentParser], None]
) -> None:
    parser: argparse.ArgumentParser = actions.add_parser(
        name,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"example: genvm local {example}\n\n`genvm local --help` explains contracts, values and exit codes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    # Also accepted here; SUPPRESS keeps the one that stands before the command.
    parser.add_argument("--db", type=Path, default=argparse.SUPPRESS, metavar="FILE", help="the database")
    parser.add_argument("--rpc", default=argparse.SUPPRESS, metavar="URL", help="the server of the network")
    parser.add_argument("--json", action="store_true", help="print one JSON document, also for errors")
    add_options(parser)


def _no_options(_parser: argparse.ArgumentParser) -> None:
    """Those of all commands are enough."""


def _contract_and_method(parser: argparse.ArgumentParser) -> None:
    parser.usage = f"{parser.prog} [CONTRACT] METHOD [options]"
    parser.add_argument(
        "words", nargs="+", metavar="[CONTRACT] METHOD", help="the contract (default: the last deployed), the method"
    )


def _call_options(parser: argparse.ArgumentParser, *, value: bool) -> None:
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
            help=f"leaders that follow one whose result was not accepted (default: {_ROTATIONS})",
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


def _module_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mocks",
        type=Path,
        metavar="FILE",
        help="answer language models and the web from a YAML file, and nobody else",
    )
    for name in ("llm", "web"):
        parser.add_argument(f"--{name}-config", type=Path, metavar="FILE", help=f"configuration of the {name} module")


def _traceback_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--traceback",
        choices=("own", "full"),
        default="own",
        help="calls shown when the contract fails: those in its own files, or all of them (default: own)",
    )


def _timeout_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="wall time of each run before it ends with the VM error `timeout` (default: 60)",
    )


def _amount(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,78}|0x[0-9a-fA-F]{1,64}", text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not a whole number (decimal, or 0x and hex digits)")
    return int(text, 16 if text.startswith("0x") else 10)


def _node(text: str) -> str:
    if not re.fullmatch(r"leader|validator [1-9][0-9]{0,2}", text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is neither leader nor validator N")
    return text


def _service_url(text: str) -> str:
    if not text.startswith(("http://", "https://", "unix:///")):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} begins with none of http://, https:// and unix:///")
    return text


def _hash(text: str) -> bytes:
    if not re.fullmatch(r"0x[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not 0x and 64 hex digits")
    return bytes.fromhex(text[2:])


def _nodes(text: str) -> int:
    from pygenvm.localnet import limits

    if not re.fullmatch(r"[1-9][0-9]{0,8}", text) or not 2 <= int(text) <= limits.NODES:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not a number of nodes from 2 to {limits.NODES}")
    return int(text)


def _validators(text: str) -> int:
    from pygenvm.localnet import limits

    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) > limits.NODES:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not a number of validators from 0 to {limits.NODES}")
    return int(text)


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) >= 1 << 16:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not a port from 0 to 65535")
    return int(text)


def _duration(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not a number of seconds")
    return float(text)


def _few(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,2}", text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not a number from 0 to 99")
    return int(text)


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not a number above 0")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or not float(text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not a number of seconds above 0")
    return float(text)


#: Name to its line in the help, an example, and what adds its options.
_COMMANDS: dict[str, tuple[str, str, Callable[[argparse.ArgumentParser], None]]] = {
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
