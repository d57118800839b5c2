"""Console script ``genvm``. Subcommands are imported only when they are asked for: start-up time counts."""

from __future__ import annotations

import os
import sys

# As for type checkers; what is imported here, a run that is handed over waits for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping
    from typing import Any

    from pygenvm.cli.signals import Handler
    from pygenvm.executor.pool.forked import ForkedExecutor

#: Subcommand, the module that implements it and its line in ``genvm --help``.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("pygenvm.cli.run", "execute one message for a host (what nodes call)"),
    "pool": ("pygenvm.cli.pool", "make `genvm run` and `genvm local` faster, as long as it runs"),
    "precompile": ("pygenvm.cli.precompile", "compile the installed runners ahead of the first run"),
    "parse-version-pattern": ("pygenvm.cli.parse_version", "print the version that contract code on stdin declares"),
    "runners": ("pygenvm.runners.cli", "build, list and verify the built-in runners (Python and its libraries)"),
    "replay": ("pygenvm.cli.replay", "run a recorded execution again, or compare two records"),
    "local": ("pygenvm.localnet.cli", "deploy and call contracts on this machine, without a node"),
    "manager": ("pygenvm.manager.command", "serve the operator's API, and install versions of the executor"),
    "receipt": ("pygenvm.settlement.cli", "verify, show and export receipts of settlement"),
    "settlement": (
        "pygenvm.settlement.commands",
        "serve settlement over HTTP, or simulate operators, some of whom cheat",
    ),
    "operator": ("pygenvm.cli.operator", "take part in settlement: answer tasks, commit and reveal"),
    "llm": ("pygenvm.modules.cli.llm", "serve language models to contracts"),
    "web": ("pygenvm.modules.cli.web", "serve the web to contracts"),
    "webdriver": ("pygenvm.modules.cli.webdriver", "render web pages for the web service"),
    "modules": ("pygenvm.modules.cli.modules", "try the language models and the browser that are configured"),
}

EPILOG = """\
examples:
  genvm runners build                                   once: build Python for the sandbox (minutes)
  genvm local deploy examples/contracts/storage.py --args '["hello"]'
  genvm local view get_storage
  genvm run --host unix:///tmp/host.sock --message '{…}' --host-data '{"node_address":"0x…","tx_id":"0x…"}'

`genvm COMMAND --help` explains a command. Exit code 4 of any command but `run` and `pool`: it is done, but its output
could not be written (a full disk, a reader that is gone).
"""

_INTERRUPTED = 130
#: So many more objects than before are looked through for garbage.
_GARBAGE = 100_000
#: Commands that are told to end in their own ways.
_OWN_SIGNALS = ("run", "pool", "manager", "llm", "web", "webdriver", "settlement", "operator")
#: Exit codes of commands that could not do their work, if not 1.
_FAILED = {"local": 3, "replay": 3}


def program_version() -> str:
    """Version of the installed distribution."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pygenvm")
    except PackageNotFoundError:
        return "unknown"


#: Made ahead by processes from which others are forked, by command.
kept_parsers: dict[str, argparse.ArgumentParser] = {}


def parser_of(command: str | None) -> argparse.ArgumentParser:
    kept = kept_parsers.get(command or "")
    if kept is not None:
        return kept
    import argparse

    class ShowVersion(argparse.Action):
        def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
            print(f"genvm {program_version()}")
            parser.exit()

    def descriptor(text: str) -> int:
        number = int(text)
        if not 0 <= number < 1 << 31:
            raise ValueError
        return number

    from pygenvm.cli.formatter import formatter

    parser = argparse.ArgumentParser(
        prog="genvm",
        description="Executor for intelligent contracts.",
        epilog=EPILOG,
        formatter_class=formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="print the version and exit")
    parser.add_argument("--config", metavar="PATH", help="YAML configuration (default: ${exeDir}/../config/genvm.yaml)")
    parser.add_argument(
        "--log-fd", type=descriptor, default=2, metavar="N", help="descriptor for log lines (default: 2)"
    )
    parser.add_argument("--log-level", choices=["trace", "debug", "info", "warn", "error"], help="overrides the config")
    # With a name given argparse need not make up one, for which it would import half of the library.
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", prog=parser.prog)
    for name, (module, text) in COMMANDS.items():
        if name == command:
            __import__(module)
            sys.modules[module].add_parser(commands)
        elif command is None:
            commands.add_parser(name, help=text, add_help=False)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code (2 for a bad command line).

    Without ``argv`` this is the process's own command line, and its output streams are taken over too.
    """
    if argv is None:
        from pygenvm.executor import inherited

        inherited.hear_signals()
    lacks_pool = False
    if argv is None and sys.platform == "linux" and ("run" in sys.argv or "local" in sys.argv):
        try:
            from pygenvm.executor.pool import handover

            lacks_pool = handover.attempt(sys.argv)
        except KeyboardInterrupt:
            return _INTERRUPTED
    if argv is None:
        from pygenvm.cli import own_modules

        own_modules.install()
    if _command_of(sys.argv[1:] if argv is None else argv) == "run":
        # What is loaded from here on stays: looking through it for garbage takes a fifteenth of a run. The run itself
        # turns collections on again (executor.run.process).
        import gc

        gc.disable()
    from pygenvm.executor.descriptors import take_closed

    closed = take_closed((0, 1, 2))
    if argv is not None:
        return _main(argv)[0]
    try:
        forked = _forked(sys.argv)
        from pygenvm.cli import streams

        streams.take_over(closed)
    except KeyboardInterrupt:
        return _INTERRUPTED
    if forked is None:
        return settled(lambda: _main(sys.argv[1:]))
    status = settled(lambda: _main(sys.argv[1:], forked))
    if lacks_pool and status != _INTERRUPTED:
        try:
            from pygenvm.cli import standby

            standby.leave()
        except KeyboardInterrupt:
            pass  # What the command did is done and told.
    if "asyncio" not in sys.modules:
        # Nothing is left to be ended, and all is printed: taking the interpreter apart takes a while.
        os._exit(status)
    return status


def _forked(words: list[str]) -> ForkedExecutor | None:
    """The executor for the runs of the command line ``words``, if it surely has some."""
    if sys.platform != "linux" or "local" not in words:
        return None
    from pygenvm.executor.pool import handover

    options = handover.global_options(words)
    if options is None or options[0] != "local" or not handover.runs_here(options[4]):
        return None
    import gc

    from pygenvm.executor.pool.forked import ForkedExecutor

    # Most of what there is in such a process is what it has loaded, which stays.
    gc.set_threshold(_GARBAGE)
    try:
        return ForkedExecutor(options[1])
    except OSError:
        return None  # The first run says what the system has no room for.


def settled(command: Callable[[], tuple[int, bool]]) -> int:
    """The exit code of a command; all that can be printed is.

    :param command: carries it out; its exit code, and whether it is one that changes something.
    """
    from pygenvm.cli import streams

    changes = False
    try:
        status, changes = command()
    except SystemExit as end:
        # How argparse ends: with a number.
        status = int(end.code or 0)
    except KeyboardInterrupt:
        status = _INTERRUPTED
    return streams.settled(status, changes=changes)


def _main(arguments: list[str], forked: ForkedExecutor | None = None) -> tuple[int, bool]:
    """Exit code, and whether the command is one that changes something."""
    command = _command_of(arguments)
    if command not in _OWN_SIGNALS:
        return carry_out(command, arguments, forked=forked)
    try:
        return _run(command, arguments)
    except Exception as error:
        return told(error, command), False


def carry_out(
    command: str | None,
    arguments: list[str],
    begin: Callable[[], None] = lambda: None,
    afterwards: Mapping[int, Handler] | None = None,
    **given: object,
) -> tuple[int, bool]:
    """As :func:`_main`, for a command that signals interrupt.

    :param begin: called when they do.
    :param afterwards: as for :func:`cli.signals.interrupting`.
    :param given: options that are no words.
    """
    from pygenvm.cli import signals
    from pygenvm.executor import shortage

    shortage.keep_back()
    others = {}
    try:
        if command == "local":
            from pygenvm.localnet import direct

            others = {"hold_off": direct.hold_off}
        with signals.interrupting(afterwards, **others) as interrupted:
            begin()
            return _run(command, arguments, interrupted=interrupted, **given)
    except Exception as error:
        return told(error, command), False


def told(error: Exception, command: str | None) -> int:
    """The exit code, if it is something of the machine that has run out; else the error is raised again."""
    from pygenvm.executor import shortage

    if shortage.advice(error) is None:
        raise error
    print(f"Error: {shortage.explained(error)}", file=sys.stderr)
    return _FAILED.get(command or "", 1)


def _run(command: str | None, arguments: list[str], **given: object) -> tuple[int, bool]:
    if command == "run":
        # Before anything that takes time: a run that is told to end still has a result to deliver.
        from pygenvm.executor.run import termination

        termination.install()
    from pygenvm.executor.descriptors import take_closed

    if command == "run":
        from pygenvm.cli import run

        plain = run.plain(arguments)
        if plain is not None:
            take_closed((plain.log_fd,))
            run.run(plain)
    options = _plain_local(arguments) if command == "local" else None
    if options is None:
        options = parser_of(command).parse_args(arguments)
    vars(options).update(given)
    take_closed((options.log_fd,))
    module = sys.modules[COMMANDS[options.command][0]]
    return int(module.run(options)), getattr(options, "changes", False)


def _plain_local(arguments: list[str]) -> Any:
    from pygenvm.localnet import cli, options  # noqa: F401

    return options.plain(arguments)


def _command_of(arguments: list[str]) -> str | None:
    """The first word that is a command and not the value of a global option; none where help for all is asked for."""
    words = iter(arguments)
    for word in words:
        if word in ("--config", "--log-fd", "--log-level"):
            next(words, None)
        elif word in ("-h", "--help"):
            return None
        elif not word.startswith("-"):
            return word if word in COMMANDS else None
    return None


if __name__ == "__main__":
    sys.exit(main())
