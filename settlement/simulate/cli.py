"""``genvm settlement simulate``: the quorum settlement with thousands of operators, some of whom cheat."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pygenvm.executor.terminal_text import one_line

if TYPE_CHECKING:
    from pygenvm.settlement.simulate.settings import Behaviour, Settings

_BROKEN = 1
_BAD_COMMAND_LINE = 2
_UNUSABLE = 3

_EPILOG = """\
examples:
  genvm settlement simulate
  genvm settlement simulate --mix honest=60,colluding=40 --plot cartel.svg
  genvm settlement simulate --cooldown 61 --json

Amounts are tokens: the bond of an operator is 1, a slash 0.1, and 0.01 is burnt for each operator of a task.

exit codes: 0 done; 1 the engine broke a rule, for which there is no excuse; 2 bad command line;
            3 the plot cannot be written
"""


def add_parser(actions: Any) -> None:
    simulate = actions.add_parser(
        "simulate",
        help="play thousands of operators and tasks, and count who got what",
        description="Plays a population on the real engine, then others with more and more dishonest operators.",
        epilog=_EPILOG + _meanings(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = simulate.add_argument
    # Defaults are those of Settings: what is not given is not passed on.
    for name, kind, text in (
        ("operators", int, "how many there are (2000)"),
        ("tasks", int, "how many are asked (2000)"),
        ("models", int, "operators are divided among so many models (25)"),
        ("n", int, "operators for each task (5)"),
        ("threshold", int, "so many have to agree (3)"),
        ("seed", int, "another one gives another run (1)"),
        ("cooldown", int, "heights between leaving and taking the stake back (60)"),
        ("reward", _amount, "for each operator that agreed (0.1)"),
        ("stake", _amount, "that each operator registers with (1.5)"),
        ("work-cost", _amount, "what running the model once costs, outside of the ledger (0.02)"),
        ("error", float, "share of honest runs that differ from the others (0.02)"),
        ("guessable", float, "share of tasks with the output that one would guess (0.2)"),
    ):
        metavar = {int: "N", _amount: "TOKENS", float: "SHARE"}[kind]
        add(f"--{name}", type=kind, default=argparse.SUPPRESS, metavar=metavar, help=text)
    add(
        "--mix",
        type=_mix,
        default=argparse.SUPPRESS,
        metavar="NAME=WEIGHT,…",
        help="behaviours (honest=64,lazy=8,withholding=4,copying=4,dissenting=6,colluding=10,flapping=4)",
    )
    add("--plot", type=Path, metavar="FILE", help="also draw it, as SVG")
    add("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    from pygenvm.settlement.simulate.audit import RuleBroken

    try:
        settings = _settings(options)
    except ValueError as error:
        print(f"genvm settlement simulate: error: {error}", file=sys.stderr)
        return _BAD_COMMAND_LINE
    plot: Path | None = options.plot
    try:
        if plot is not None:
            # Whoever has waited for a picture should not then learn that it cannot be written.
            plot.open("a").close()
        return _simulate(settings, plot, as_json=options.json)
    except RuleBroken as error:
        print(f"Error: the engine broke a rule: {one_line(str(error))}", file=sys.stderr)
        return _BROKEN
    except OSError as error:
        print(f"Error: {one_line(str(error))}", file=sys.stderr)
        return _UNUSABLE


def _simulate(settings: Settings, plot: Path | None, *, as_json: bool) -> int:
    from rich.console import Console

    from pygenvm.settlement.simulate import report
    from pygenvm.settlement.simulate.sweep import sweep, tasks_in_all
    from pygenvm.settlement.simulate.world import World

    with _progress(2 * (settings.tasks + tasks_in_all(settings))) as progress:
        result = World(settings).run(progress)
        points = sweep(settings, progress)
    if plot is not None:
        from pygenvm.settlement.simulate.plot import picture

        plot.write_text(picture(settings, result, points), encoding="utf-8")
    if as_json:
        print(report.as_json(settings, result, points))
    else:
        report.print_tables(Console(highlight=False, soft_wrap=True), settings, result, points)
    return 0


@contextmanager
def _progress(steps: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; elsewhere nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = TextColumn("simulating"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=steps)
        yield lambda done: bar.advance(task, done)


def _settings(options: argparse.Namespace) -> Settings:
    from dataclasses import fields

    from pygenvm.settlement.simulate.settings import Settings

    names = {field.name for field in fields(Settings)}
    return Settings(**{name: value for name, value in vars(options).items() if name in names})


def _amount(text: str) -> int:
    """Tokens as base units."""
    try:
        units = Decimal(text) * 10**18
        whole = int(units)
    except (InvalidOperation, ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not an amount") from None
    if whole != units:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} has more than 18 decimals")
    return whole


def _mix(text: str) -> dict[Behaviour, int]:
    from pygenvm.settlement.simulate.settings import Behaviour

    mix: dict[Behaviour, int] = {}
    for part in text.split(","):
        name, _, weight = part.partition("=")
        try:
            behaviour = Behaviour(name.strip())
        except ValueError:
            known = ", ".join(each.value for each in Behaviour)
            raise argparse.ArgumentTypeError(f"{name[:80]!r} is none of {known}") from None
        if behaviour in mix or not weight.strip().isascii() or not weight.strip().isdigit() or len(weight) > 9:
            raise argparse.ArgumentTypeError(f"{part[:80]!r} is not a name and its weight, once")
        mix[behaviour] = int(weight)
    return mix


def _meanings() -> str:
    from pygenvm.settlement.simulate.settings import MEANINGS

    return "\nbehaviours:\n" + "".join(f"  {each.value:<12} {text}\n" for each, text in MEANINGS.items())
