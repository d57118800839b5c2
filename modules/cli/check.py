"""``genvm-modules check`` and ``genvm modules check``: try what is configured, and show what to do."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygenvm.modules.cli.serving import Source, find_config

if TYPE_CHECKING:
    from pygenvm.modules.check import Row

_EPILOG = """\
examples:
  genvm modules check                                  what the services use without --config
  genvm modules check --config llm.yaml                your backends; the browser as without a configuration
  genvm modules check --config llm.yaml --config web.yaml --json
  genvm modules check --only browser                   is there a Chromium that works?

Each model gets one short prompt for each thing that it is said to support, which may cost a fraction of a cent.
exit codes: 0 all that was tried works; 1 something does not, or no model can be used;
            2 bad command line or configuration
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "check",
        help="try the language models and the browser that are configured",
        description="Try each configured model and the browser: does it answer, how fast, what can it do, what does "
        "it cost, and what to do if it does not.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        type=Path,
        dest="module_configs",
        metavar="PATH",
        help="configuration of the llm or the web service, told apart by their keys; - for stdin; repeatable "
        "(default: those that the services use)",
    )
    parser.add_argument("--only", choices=["llm", "browser"], help="try only these")
    parser.add_argument("--seconds", type=_seconds, default=30.0, metavar="N", help="for each prompt (default: 30)")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON instead of a table")


_STYLES = {"ok": "green", "failed": "bold red", "skipped": "yellow"}


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number <= 3600:
        raise ValueError
    return number


def run(options: argparse.Namespace) -> int:
    from pygenvm.executor.config import ConfigError

    try:
        llm, web = _sources(options.module_configs)
        rows = asyncio.run(_rows(llm, web, options.only, options.seconds))
    except ConfigError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    if options.as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        _print_table(rows)
    return _status(rows, options.only)


def _sources(paths: Iterable[Path]) -> tuple[Source, Source]:
    """The configurations of the LLM and of the web service."""
    from pygenvm.modules.config import ConfigError

    found: dict[str, Source] = {}
    for path in paths:
        source = find_config("llm", path)
        name = "llm" if "backends" in source.document() else "web"
        if name in found:
            raise ConfigError(f"a second configuration of the {name} service", file=source.name)
        found[name] = source
    return found.get("llm") or find_config("llm", None), found.get("web") or find_config("web", None)


async def _rows(llm: Source, web: Source, only: str | None, seconds: float) -> list[Row]:
    from pygenvm.modules.check import check_browser, check_models
    from pygenvm.modules.log import Logger

    rows: list[Row] = []
    if only != "browser":
        document = llm.document()
        with llm.located():
            rows += await check_models(document, seconds=seconds)
    if only != "llm":
        document = web.document()
        with web.located():
            # What goes wrong stands in the row.
            rows.append(await check_browser(document, seconds=seconds, log=Logger(fd=2, level="error")))
    return rows


def _status(rows: list[Row], only: str | None) -> int:
    usable = only == "browser" or any(row.kind == "model" and row.state == "ok" for row in rows)
    return 0 if usable and not any(row.state == "failed" for row in rows) else 1


def _print_table(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pygenvm.executor.terminal_text import one_line, visible

    def text(value: str) -> Text:
        return Text(one_line(value))

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", "name", "provider", "answers in", "JSON", "images", "price"):
        table.add_column(title, overflow="fold", justify="right" if title == "answers in" else "left")
    for row in rows:
        took = "" if row.latency_seconds is None else f"{row.latency_seconds:.2f} s"
        table.add_row(
            Text(row.state, _STYLES[row.state]),
            text(row.name),
            text(row.provider),
            text(took),
            text(_yes_or_no(row.json)),
            text(_yes_or_no(row.image)),
            text(row.price),
        )
    console = Console(highlight=False)
    console.print(table)
    for row in rows:
        if row.error or row.remedy:
            console.print()
            told = Text.assemble((row.state, _STYLES[row.state]), f" {one_line(row.name)}: {one_line(row.error)}")
            # The terminal breaks the lines, so that what is copied has none.
            console.print(told, soft_wrap=True)
            if row.remedy:
                console.print(Text(f"  {visible(row.remedy)}"), soft_wrap=True)


def _yes_or_no(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"
