"""Console script ``genvm-modules``; its commands are those of ``genvm`` too (spec modules/01 §3, 04 §1)."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Mapping
from typing import Any

#: Subcommand, the module that implements it and its line in ``--help``.
COMMANDS: dict[str, tuple[str, str]] = {
    "llm": ("pygenvm.modules.cli.llm", "serve language models to contracts"),
    "web": ("pygenvm.modules.cli.web", "serve the web to contracts"),
    "webdriver": ("pygenvm.modules.cli.webdriver", "render web pages for the web service"),
    "check": ("pygenvm.modules.cli.check", "try the language models and the browser that are configured"),
}

_EPILOG = """\
examples:
  genvm-modules llm --print-config > llm.yaml      every key with its meaning; put your backends in
  genvm-modules check --config llm.yaml            does each of them answer?
  genvm-modules llm --config llm.yaml              serve until SIGTERM or Ctrl-C; the log is on stdout
  genvm-modules web                                the same for the web; it starts the browser by itself

`genvm-modules COMMAND --help` explains a command.
exit codes: 0 told to end; 1 it could not start (why is on stderr); 2 bad command line
"""

_INTERRUPTED = 130


def main(argv: list[str] | None = None, more: Mapping[str, tuple[str, str]] | None = None) -> int:
    """Entry point; returns the exit code. ``more`` are commands of parts that stand above the services."""
    from pygenvm.executor.descriptors import take_closed
    from pygenvm.executor.inherited import hear_signals

    take_closed((0, 1, 2))
    if argv is None:
        hear_signals()
    arguments = sys.argv[1:] if argv is None else argv
    command = next((word for word in arguments if not word.startswith("-")), None)
    commands = {**COMMANDS, **(more or {})}
    options = _parser(command, commands).parse_args(arguments)
    try:
        status = int(sys.modules[commands[options.command][0]].run(options))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has seen enough.
        with contextlib.suppress(OSError):
            sys.stdout.close()
        return 0
    return status


def _parser(command: str | None, known: Mapping[str, tuple[str, str]]) -> argparse.ArgumentParser:
    class ShowVersion(argparse.Action):
        def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
            from importlib.metadata import version

            print(f"genvm-modules {version('pygenvm')}")
            parser.exit()

    parser = argparse.ArgumentParser(
        prog="genvm-modules",
        description="Services through which contracts reach language models and the web.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", prog=parser.prog)
    for name, (module, text) in known.items():
        if name == command:
            __import__(module)
            sys.modules[module].add_parser(commands)
        else:
            commands.add_parser(name, help=text, add_help=False)
    return parser
