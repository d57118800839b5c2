"""The command of the benchmarks; ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.breakdown import breakdowns
from benchmarks.docs import IncompleteResults, draw, write_docs
from benchmarks.instructions import counted
from benchmarks.results import Results
from benchmarks.rows import ROWS
from benchmarks.support import BenchmarkError, compile_own_packages
from benchmarks.table import print_results

OUTPUT = Path(__file__).parents[1] / "build" / "benchmarks"
_BREAKDOWN, _INSTRUCTIONS = "breakdown", "instructions"
_BREAKDOWN_ROUNDS = 60

_NAMES = "\n".join(f"  {name:20}{(measure.__doc__ or '').splitlines()[0]}" for name, (measure, _) in ROWS.items())
_EPILOG = f"""\
benchmarks:
{_NAMES}
  {_BREAKDOWN:20}Where the time of one call goes, stage by stage.
  {_INSTRUCTIONS:20}Instructions inside the sandbox, counted exactly (compiles an interpreter at first).

Each benchmark runs ours and its yardstick in turns, round by round; the table has medians, quartiles and the ratio of
the medians. Numbers from a busy machine are worth little: look at `load before` in the last line.

examples:
  python -m benchmarks                              everything, a few minutes
  python -m benchmarks pooled cold --rounds 20
  python -m benchmarks --write-docs                 everything, and docs/performance.md from it
  python -m benchmarks --from results.json --write-docs

exit codes: 0 measured, whatever the targets say; 1 something did not work; 2 bad command line
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures what pygenvm promises about speed and memory, each row beside its yardstick.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    names = [*ROWS, _BREAKDOWN, _INSTRUCTIONS]
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure (default: everything)")
    parser.add_argument("--rounds", type=_positive, metavar="N", help="rounds of each (default: each has its own)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="results (default: build/benchmarks/results.json)")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="picture (default: build/benchmarks/performance.svg)")
    parser.add_argument("--from", type=Path, dest="source", metavar="FILE", help="measure nothing, show these results")
    parser.add_argument(
        "--write-docs", action="store_true", help="put the numbers into docs/performance.md, the picture beside it"
    )
    parser.set_defaults(known=names)
    return parser


def _positive(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not a number above 0")
    return int(text)


def main(argv: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(argv)
    unknown = [name for name in options.names if name not in options.known]
    if unknown:
        parser.error(f"no benchmark is called {unknown[0]!r}; there are {', '.join(options.known)}")
    if options.source is not None and options.names:
        parser.error("--from shows results as they are, without names")
    try:
        results = _load(options.source) if options.source else _measured(options.names or options.known, options.rounds)
        print_results(results)
        if options.source is None:
            _write(options.json or OUTPUT / "results.json", json.dumps(results.to_json(), indent=1) + "\n")
        _write(options.svg or OUTPUT / "performance.svg", draw(results))
        if options.write_docs:
            write_docs(results)
    except (BenchmarkError, IncompleteResults, OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _measured(names: list[str], rounds: int | None) -> Results:
    compile_own_packages()
    results = Results()
    progress = Console(stderr=True)
    for name in names:
        progress.print(f"measuring {name} …", style="dim")
        if name == _BREAKDOWN:
            results.breakdowns += breakdowns(rounds or _BREAKDOWN_ROUNDS)
        elif name == _INSTRUCTIONS:
            results.instructions = counted()
        else:
            measure, usual = ROWS[name]
            results.rows += measure(rounds or usual)
    return results


def _load(path: Path) -> Results:
    return Results.from_json(json.loads(path.read_bytes()))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
