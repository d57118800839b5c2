"""What the commands ``llm``, ``web`` and ``webdriver`` have in common: their options, where their configuration is
found, and how they begin and end."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygenvm.executor.config import ConfigError, executable_dir
from pygenvm.executor.limits import CONFIG_BYTES_MAX

if TYPE_CHECKING:
    from pygenvm.modules.log import Logger
    from pygenvm.modules.process import MakePart, Running

LOG_TARGET = "genvm_modules::cli"

_FOLDER = Path(__file__).parent.parent
#: Instead of a path: the configuration is on stdin.
STDIN = Path("-")


def add_common_options(parser: argparse.ArgumentParser, name: str) -> None:
    """Those that all services have."""
    parser.add_argument(
        "--config",
        dest="module_config",
        type=Path,
        metavar="PATH",
        help=f"YAML configuration, - for stdin (default: ${{exeDir}}/../config/{_file_name(name)}, "
        "and where that is not, what --print-config prints)",
    )
    parser.add_argument(
        "--print-config", action="store_true", help="print a configuration with every key explained, and end"
    )
    parser.add_argument(
        "--die-with-parent", action="store_true", help="end when the process that started this one has ended"
    )
    parser.add_argument(
        "--ready-fd",
        type=int,
        metavar="N",
        help='for programs: a line of JSON on this descriptor, {"listening": ADDRESS} or {"error": TEXT}',
    )
    parser.add_argument(
        "--log-level",
        choices=["trace", "debug", "info", "warn", "error"],
        default=argparse.SUPPRESS,
        help="overrides log_level of the configuration",
    )


def _file_name(name: str) -> str:
    return f"genvm-module-{name}.yaml"


@dataclass(frozen=True)
class Source:
    """A configuration as text. ``path`` is None for stdin; ``shipped``: it came with the program."""

    path: Path | None
    text: str
    shipped: bool = False

    @property
    def name(self) -> str:
        return "stdin" if self.path is None else str(self.path)

    def document(self) -> dict[str, Any]:
        """With its placeholders replaced.

        :raises ConfigError: it will not do.
        """
        from pygenvm.modules.config import read_document

        return read_document(self.path, self.text, executable_dir())

    def located(self) -> contextlib.AbstractContextManager[None]:
        """Errors raised inside tell the line of their key."""
        from pygenvm.modules.config import located

        return located(self.path, self.text)


def default_file(name: str) -> Path:
    """The sample configuration that comes with the program."""
    return _FOLDER / name / "default.yaml"


def find_config(name: str, path: Path | None) -> Source:
    """The configuration that a command without or with ``--config`` uses.

    :raises ConfigError: it cannot be read.
    """
    from pygenvm.modules.config import read_text

    if path == STDIN:
        data = sys.stdin.buffer.read(CONFIG_BYTES_MAX + 1)
        if len(data) > CONFIG_BYTES_MAX:
            raise ConfigError(f"stdin: more than {CONFIG_BYTES_MAX} bytes")
        return Source(None, data.decode("utf-8", "replace"))
    if path is not None:
        return Source(path, read_text(path))
    installed = Path(os.path.normpath(executable_dir() / ".." / "config" / _file_name(name)))
    if installed.is_file():
        return Source(installed, read_text(installed))
    return Source(default_file(name), read_text(default_file(name)), shipped=True)


def serve_module(name: str, options: argparse.Namespace, make: Callable[[], MakePart]) -> int:
    """The process of an LLM or web service; ``make`` imports what is behind it."""

    def running(document: Mapping[str, Any], log: Logger) -> tuple[Callable[[], Running], float, int]:
        from pygenvm.modules.process import Hosted

        hosted = Hosted(name, document, make(), log=log)
        return (lambda: hosted), hosted.grace_seconds, hosted.blocking_threads

    return serve(name, options, running)


def serve(
    name: str,
    options: argparse.Namespace,
    running: Callable[[Mapping[str, Any], Logger], tuple[Callable[[], Running], float, int]],
) -> int:
    """Run a service until it is told to end; the exit code.

    :param running: from a document to the service, the seconds of grace that its sessions have, and worker threads.
    """
    if options.print_config:
        sys.stdout.write(default_file(name).read_text())
        return 0
    ready = _Ready(options.ready_fd)
    try:
        source = find_config(name, options.module_config)
        document = source.document()
        with source.located():
            _run(name, options, source, document, running, ready)
    except ConfigError as error:
        return _failed(str(error), ready)
    except Exception as error:
        # A script that does not load, a browser that is not there: their exceptions say it.
        from pygenvm.modules.service import chain

        return _failed(f"cannot start: {chain(error)}", ready)
    return 0


def _failed(text: str, ready: _Ready) -> int:
    print(f"Error: {text}", file=sys.stderr)
    ready.tell(error=text)
    return 1


def _run(
    name: str,
    options: argparse.Namespace,
    source: Source,
    document: dict[str, Any],
    running: Callable[[Mapping[str, Any], Logger], tuple[Callable[[], Running], float, int]],
    ready: _Ready,
) -> None:
    from pygenvm.modules.config import log_settings
    from pygenvm.modules.log import Logger
    from pygenvm.modules.process import run

    settings = log_settings(document)
    level = getattr(options, "log_level", None) or settings.level
    log = Logger(level=level, disabled=settings.disabled)
    why = "there is no other" if source.shipped else "as asked" if options.module_config else "installed"
    log.info("configuration", path=source.name, why=why)
    this, grace, threads = running(document, log)
    run(
        this,
        log=log,
        grace=grace,
        die_with_parent=options.die_with_parent,
        threads=threads,
        on_listening=lambda address: ready.tell(listening=address),
    )


class _Ready:
    """The line for whoever started this process: it serves, or why it does not."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def tell(self, **told: str) -> None:
        """The first call writes and closes the descriptor; it may be closed already."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        with contextlib.suppress(OSError):
            os.write(descriptor, json.dumps(told).encode() + b"\n")
            os.close(descriptor)
