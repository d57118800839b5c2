"""``genvm local``: deploy and call contracts on this machine, without a node."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pygenvm.executor.frozen import Frozen

if TYPE_CHECKING:
    import argparse
    from types import SimpleNamespace
    from typing import TypeAlias

    from pygenvm.executor.config import Config
    from pygenvm.executor.module_protocol.modules import ModuleName
    from pygenvm.executor.pool.forked import ForkedExecutor
    from pygenvm.localnet.chain.model import Execution, Receipt, Service, Settling
    from pygenvm.localnet.documents import Document, Names
    from pygenvm.localnet.executors.base import Executor
    from pygenvm.localnet.executors.series import Lent
    from pygenvm.localnet.modules import Choices
    from pygenvm.localnet.net import LocalNet
    from pygenvm.localnet.render import Printer
    from pygenvm.localnet.rpc.client import Client

    Options: TypeAlias = argparse.Namespace | SimpleNamespace

EXIT_OK, EXIT_CONTRACT, EXIT_USAGE, EXIT_INTERNAL, EXIT_UNPRINTED, EXIT_INTERRUPTED = 0, 1, 2, 3, 4, 130

PROJECT_FOLDER = ".pygenvm"
DATABASE = "local.db"
#: Of the file beside the database that has the state of the settlement.
SETTLEMENT_SUFFIX = ".settlement"

_INTERRUPTED = (
    "interrupted: the running transaction was dropped; messages of an earlier one that were still to be delivered are"
    " delivered by the next deploy or call"
)
#: What is told of a transaction that is stored where its command has not come to its end.
_STORED = (
    "transaction #{number} is stored; messages of it that were still to be delivered are delivered by the next"
    " deploy or call"
)
_INTERRUPTED_AT_SERVER = (
    "interrupted: the server goes on with what it was asked; `genvm local log` tells what it has done"
)


def default_database() -> Path:
    """``.pygenvm/local.db`` below the working directory or the nearest folder above with a ``.pygenvm``.

    :raises BadRequest: there is no working directory.
    """
    try:
        folder = Path.cwd()
    except OSError as error:
        from pygenvm.localnet.errors import BadRequest

        raise BadRequest("the folder that you are in is gone: go to another one, or name a file with --db") from error
    home = next((parent for parent in (folder, *folder.parents) if (parent / PROJECT_FOLDER).is_dir()), folder)
    return home / PROJECT_FOLDER / DATABASE


def add_parser(commands: Any) -> None:
    """Adds ``local`` to the subcommands of ``genvm``."""
    from pygenvm.localnet import command_line

    command_line.add_parser(commands)


def run(options: Options) -> int:
    """Carries out one command; returns the exit code."""
    try:
        _check_config(options)
        if options.action == "serve":
            return _serve(options)
        with _executor(options) as options.executor:
            return _ACTIONS[options.action](options)
    except KeyboardInterrupt:
        failure = _interrupted(options)
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

        print_json(error_document(failure.kind, failure.message, failure.fix))
    else:
        _complain(failure.message, *failure.picture, *([f"fix: {failure.fix}"] if failure.fix else []))
    return failure.code


class _Failure(metaclass=Frozen):
    """Why a command could not be carried out, and the exit code."""

    kind: str
    message: str
    code: int
    picture: Sequence[str] = ()
    fix: str = ""


def _interrupted(options: Options) -> _Failure:
    if options.action not in ("deploy", "call"):
        text = "interrupted"
    elif getattr(options, "client", None) is not None:
        text = _INTERRUPTED_AT_SERVER
    elif (stored := _stored(options)) is not None:
        text = f"interrupted: {_STORED.format(number=stored)}"
    else:
        text = _INTERRUPTED
    return _Failure("interrupted", text, EXIT_INTERRUPTED)


def _stored(options: Options) -> int | None:
    """Number of the transaction of this command, if it is stored."""
    net: LocalNet | None = getattr(options, "net", None)
    return None if net is None else net.stored


def _failure(options: Options, error: Exception) -> _Failure:
    from pygenvm.executor import shortage
    from pygenvm.executor.runner.contract_file import ContractFileError
    from pygenvm.localnet.errors import BadRequest, BadValue, LocalNetError

    message = shortage.explained(error)
    if options.interrupted():
        return _interrupted(options)
    stored = _stored(options)
    if stored is not None and getattr(options, "done", None) is None:
        message += f"; {_STORED.format(number=stored)}"
    if isinstance(error, BadValue):
        return _Failure(error.kind, message, EXIT_USAGE, error.picture, error.fix)
    if isinstance(error, BadRequest | ContractFileError):
        return _Failure(error.kind, message, EXIT_USAGE)
    if isinstance(error, LocalNetError):
        return _Failure(error.kind, message, EXIT_INTERNAL)
    if shortage.advice(error) is not None:
        return _Failure("shortage", message, EXIT_INTERNAL)
    # A bug of ours. Exit code 1 would blame the contract.
    import traceback

    traceback.print_exc()
    return _Failure("internal", f"{type(error).__name__}: {error}", EXIT_INTERNAL)


# --- commands ---------------------------------------------------------------------------------------


def _deploy(options: Options) -> int:
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


def _call(options: Options) -> int:
    contract, method = _words(options)
    net = _net(options)
    execution = net.call(contract, method, options.args, options.kwargs, value=options.value, sender=options.sender)
    _note_failed_deployment(net, contract)
    return _report_execution(options, execution)


def _view(options: Options) -> int:
    contract, method = _words(options)
    net = _net(options)
    receipt = net.view(contract, method, options.args, options.kwargs, sender=options.sender)
    _note_failed_deployment(net, contract)

    def document(names: Names) -> Document:
        from pygenvm.localnet.documents import view_document

        return view_document(receipt, names)

    if not options.json:
        from pygenvm.localnet.plain import whole_text

        text = whole_text(receipt)
        if text is not None:
            print(text)
            return EXIT_OK
    _report(options, lambda: _names(net), document, lambda printer: printer.view(receipt))
    return _exit_code(receipt)


def _schema(options: Options) -> int:
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
        failure = functools.partial(failure_document, receipt)
        _report(options, lambda: _names(net), failure, lambda printer: printer.failure(receipt))
        return _exit_code(receipt)
    if not is_file:
        _note_failed_deployment(net, target)
    _report(options, dict, lambda _: schema_document(schema), lambda printer: printer.schema(schema))
    return EXIT_OK


def _state(options: Options) -> int:
    from pygenvm.localnet.documents import state_document
    from pygenvm.localnet.net import read_state

    net = _net(options)
    dump = read_state(net, options.contract)
    _note_failed_deployment(net, options.contract)
    _report(
        options,
        lambda: _names(net),
        lambda _: state_document(dump),
        lambda printer: printer.state(dump, raw=options.raw),
    )
    return EXIT_OK


def _accounts(options: Options) -> int:
    from pygenvm.localnet.documents import accounts_document

    infos = _net(options).accounts()
    _report(options, dict, lambda _: accounts_document(infos), lambda printer: printer.accounts(infos))
    return EXIT_OK


def _lint(options: Options) -> int:
    from rich.console import Console

    from pygenvm.lint import Level, find_contracts, lint, report
    from pygenvm.localnet.errors import BadRequest
    from pygenvm.localnet.lint_settings import settings

    out = Console(highlight=False)
    if options.rules:
        if options.json:
            print_json(report.rules_document())
        else:
            report.print_rules(out)
        return EXIT_OK
    if not options.paths:
        raise BadRequest("name the files or folders to check, or ask for --rules")
    known = settings(lambda: _net(options))
    contracts = list(dict.fromkeys(contract for path in options.paths for contract in find_contracts(path)))
    findings = [finding for contract in contracts for finding in lint(contract, known)]
    if options.json:
        print_json(report.document(findings, [str(contract) for contract in contracts]))
    else:
        report.print_findings(out, findings, len(contracts))
    return EXIT_CONTRACT if any(finding.level is Level.ERROR for finding in findings) else EXIT_OK


def _log(options: Options) -> int:
    from pygenvm.localnet.documents import log_document

    net = _net(options)
    receipts = net.log(options.last)
    _report(
        options, lambda: _names(net), functools.partial(log_document, receipts), lambda printer: printer.log(receipts)
    )
    return EXIT_OK


def _serve(options: Options) -> int:
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
        return run(cast("argparse.Namespace", options), default_database(), ready)
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


def _needed_client(options: Options) -> Client:
    from pygenvm.localnet.errors import BadRequest

    client = _client(options)
    if client is None:
        raise BadRequest("no server runs here; name one with --rpc URL (without one the network is the file of --db)")
    return client


def _export(options: Options) -> int:
    from pygenvm.localnet.rpc.remote import write_file

    client = _needed_client(options)
    data = _net(options).snapshot()
    write_file(options.file, data)
    _say(options, {"file": str(options.file), "bytes": len(data)}, f"{options.file} has the network at {client.url}")
    return EXIT_OK


def _import(options: Options) -> int:
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


def _say(options: Options, document: Document, text: str) -> None:
    if options.json:
        print_json({"ok": True, **document})
    else:
        print(text)


_ACTIONS: dict[str, Callable[[Options], int]] = {
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


@contextlib.contextmanager
def _executor(options: Options) -> Iterator[Executor]:
    """Runs contracts, which find LLM and web services while the context lasts."""
    from pygenvm.executor.pool.handover import RUNNING
    from pygenvm.localnet import direct
    from pygenvm.localnet.executors import commands

    forked: ForkedExecutor | None = getattr(options, "forked", None)
    lent: Lent | None = getattr(options, "lent", None)
    with contextlib.ExitStack() as stack:
        asks_modules = getattr(options, "asks_modules", False) and _client(options) is None
        if (lent is not None or forked is not None) and _is_one_after_the_other(options):
            direct.turn_on()
        if lent is not None:
            modules: Mapping[Any, str] = stack.enter_context(_services(options, lent.config)) if asks_modules else {}
            soon = options.action in RUNNING and _client(options) is None
            yield commands.lent_runs(lent, modules, soon=soon)
            return
        config = getattr(options, "config", None)
        global_options = [f"--config={config}"] if config else []
        if forked is not None:
            meanwhile = functools.partial(_load_what_tells, json=options.json, of_view=options.action == "view")
            modules = {}
            if asks_modules:
                modules = stack.enter_context(_own_services(options, config))
            yield stack.enter_context(commands.forked_runs(forked, global_options, modules, meanwhile))
            return
        if asks_modules:
            global_options = stack.enter_context(_modules(options, config))
        yield stack.enter_context(commands.few_runs(global_options))


def _load_what_tells(*, json: bool, of_view: bool) -> None:
    """What the result is told with is loaded while the contract runs."""
    if json:
        import pygenvm.localnet.documents
    elif of_view:
        import pygenvm.localnet.plain
    else:
        import pygenvm.localnet.render  # noqa: F401


def _is_one_after_the_other(options: Options) -> bool:
    """Whether nothing of a command happens at the same time."""
    is_judged = getattr(options, "validators", 1) > 1 or getattr(options, "threshold", None) is not None
    return not is_judged and _client(options) is None


def _modules(options: Options, config: str | None) -> contextlib.AbstractContextManager[list[str]]:
    """The global options for executors with the services."""
    from pygenvm.localnet.modules import modules_of_author

    return modules_of_author(config, _choices(options), on_start=_on_start, on_warning=_on_warning)


def _services(options: Options, config: Config) -> contextlib.AbstractContextManager[Mapping[ModuleName, str]]:
    """The addresses of the services."""
    from pygenvm.localnet.modules import services_of_author

    return services_of_author(config, _choices(options), on_start=_on_start, on_warning=_on_warning)


def _own_services(options: Options, path: str | None) -> contextlib.AbstractContextManager[Mapping[ModuleName, str]]:
    """The same for executors with the configuration in the file ``path``."""
    from pygenvm.executor.config import ConfigError, load_config

    try:
        config = load_config(path)
    except ConfigError:
        # The executor says it.
        return contextlib.nullcontext({})
    return _services(options, config)


def _choices(options: Options) -> Choices:
    from pygenvm.localnet.modules import Choices

    return Choices(options.mocks, {"llm": options.llm_config, "web": options.web_config})


def _on_start(name: str) -> None:
    print(f"starting the {name} module", file=sys.stderr, flush=True)


def _on_warning(text: str) -> None:
    print(f"genvm local: warning: {text}", file=sys.stderr, flush=True)


def _check_config(options: Options) -> None:
    """The executor reads it; commands that need none must not pass over a damaged one."""
    if options.config is None:
        return
    from pygenvm.executor.config import ConfigError, load_config
    from pygenvm.localnet.errors import BadRequest

    try:
        load_config(options.config)
    except ConfigError as error:
        raise BadRequest(f"--config: {error}") from error


def _client(options: Options) -> Client | None:
    """The server that a command is for: that of ``--rpc``, or the one that runs in this project."""
    if not hasattr(options, "client"):
        options.client = None
        # Looked for without what the client needs: most projects have no server.
        if options.rpc or (not options.db and (default_database().parent / "server.json").exists()):
            from pygenvm.localnet.rpc.client import Client, Unreachable
            from pygenvm.localnet.rpc.remote import NoServer
            from pygenvm.localnet.rpc.running import client_of

            try:
                options.client = Client(options.rpc) if options.rpc else client_of(default_database().parent)
            except Unreachable as error:
                raise NoServer(str(error)) from error
    client: Client | None = options.client
    return client


def _remote_net(options: Options, client: Client) -> LocalNet:
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


def _net(options: Options) -> LocalNet:
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
    net = LocalNet(
        path,
        executor=options.executor,
        timeout=timeout,
        on_wait=on_wait,
        strict_views=strict_views,
        validators=getattr(options, "validators", 1) - 1,
        settling=_settling(options, path),
        before_run=functools.partial(build_for, options.config),
    )
    # Of several the first one has the command; others look up names.
    options.net = getattr(options, "net", net)
    return net


def _settling(options: Options, path: Path) -> Settling | None:
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
    from pygenvm.localnet.options import ROTATIONS

    rotations = ROTATIONS if rotations is None else rotations
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


def _service(options: Options) -> Service | None:
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


def _names(net: LocalNet) -> Names:
    from pygenvm.localnet.documents import contract_names

    return contract_names(net.contracts())


def _note_failed_deployment(net: LocalNet, word: str | None) -> None:
    """The name of a contract may be that of a newer one that could not be deployed."""
    failed = net.failed_deployment() if word else None
    if failed is not None and failed.transaction.name == word:
        _complain(f"note: the last deployment of {word} failed; this is the contract deployed before it")


def _words(options: Options) -> tuple[str | None, str]:
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


def _report_execution(options: Options, execution: Execution) -> int:
    from pygenvm.localnet.documents import execution_document

    options.done = _exit_code(execution.receipt)
    document = functools.partial(execution_document, execution)
    _report(options, lambda: _names(_net(options)), document, lambda printer: printer.execution(execution))
    return _exit_code(execution.receipt)


def _report(
    options: Options,
    names_of: Callable[[], Names],
    document: Callable[[Names], Document],
    for_people: Callable[[Printer], None],
) -> None:
    names = names_of()
    if options.json:
        print_json(document(names))
        return
    from rich.console import Console

    from pygenvm.localnet.render import Printer

    full = getattr(options, "traceback", "own") == "full"
    for_people(Printer(Console(highlight=False), Console(stderr=True, highlight=False), names, full=full))


def _complain(message: str, *more: str) -> None:
    from pygenvm.executor.terminal_text import visible

    for line in (f"genvm local: {message}", *more):
        print(visible(line), file=sys.stderr)


def print_json(document: Any) -> None:
    # ASCII only: whatever a contract returns, the document is readable in every locale.
    print(json.dumps(document, indent=2))
