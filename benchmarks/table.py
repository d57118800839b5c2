"""Results as tables: for a terminal, as plain text, and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.breakdown import TOLERANCE, Breakdown
from benchmarks.measure import Numbers, Row
from benchmarks.results import Results

_PLAIN_WIDTH = 180
_VERDICTS = {True: "met", False: "MISSED", None: ""}
_STYLES = {"met": "green", "MISSED": "bold red"}

#: Columns with numbers stand at the right.
Cells = Sequence[Sequence[str]]


def rows_table(rows: Sequence[Row]) -> tuple[list[str], Cells]:
    header = ["what", "median", "quartiles", "yardstick", "its median", "ratio", "target", ""]
    return header, [
        (
            f"{row.title} ({row.note})" if row.note else row.title,
            f"{number(row.ours.median)} {row.unit}",
            _spread(row.ours),
            row.yardstick_is,
            f"{number(row.yardstick.median)} {row.unit}" if row.yardstick else "",
            row.ratio_text,
            row.target_text,
            _VERDICTS[row.met],
        )
        for row in rows
    ]


def breakdown_table(one: Breakdown) -> tuple[list[str], Cells]:
    cells = [(stage, f"{value:.2f}", f"{value / one.total:.0%}") for stage, value in one.stages]
    cells.append(("**sum of the stages**", f"{one.total:.2f}", "100%"))
    cells.append(("**the whole, without observers**", f"{one.whole:.2f}", ""))
    cells += [(f"afterwards: {stage}", f"{value:.2f}", "") for stage, value in one.afterwards]
    return [one.title, "ms", "share"], cells


def verdict(one: Breakdown) -> str:
    """Whether the breakdown can be believed."""
    within = "within" if one.adds_up else "NOT within"
    return f"The stages add up to {one.difference:+.1%} of the whole, {within} {TOLERANCE:.0%}."


def instruction_tables(found: dict[str, Any]) -> list[tuple[list[str], Cells]]:
    tables: list[tuple[list[str], Cells]] = []
    for one in found["calls"]:
        cells = [(name, f"{value:,}") for name, value in one["phases"]]
        cells.append((f"**all, with {one['host_calls']} host calls**", f"{one['total']:,}"))
        tables.append(([f"a call: {one['title']}", "instructions"], cells))
    prices = [
        (price["title"], f"{price['instructions']:,.0f}", f"{price['host_calls']:.1f}") for price in found["prices"]
    ]
    tables.append((["one more operation of a contract", "instructions", "host calls"], prices))
    return tables


def number(value: float) -> str:
    """Three significant digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _spread(numbers: Numbers) -> str:
    return f"{number(numbers.low)}-{number(numbers.high)}" if numbers.count > 1 else ""


def print_results(results: Results) -> None:
    """In colours on a terminal, plain elsewhere."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PLAIN_WIDTH, file=console.file, color_system=None)
    if results.rows:
        _print(console, *rows_table(results.rows))
    for one in results.breakdowns:
        _print(console, *breakdown_table(one))
        console.print(verdict(one), style=None if one.adds_up else "bold red")
    if results.instructions:
        for header, cells in instruction_tables(results.instructions):
            _print(console, header, cells)
    console.print("  ".join(f"{name}: {value}" for name, value in results.machine.items()), style="dim")
    if results.missed:
        console.print(f"{len(results.missed)} of the targets missed", style="bold red")
    elif any(row.met for row in results.rows):
        console.print("all targets met", style="bold green")


def _print(console: Console, header: Sequence[str], cells: Cells) -> None:
    table = Table(*header, show_lines=False)
    for position, column in enumerate(table.columns):
        if position and all(_is_number(line[position]) for line in cells):
            column.justify = "right"
    for line in cells:
        table.add_row(*(Text(cell.replace("**", ""), style=_STYLES.get(cell, "")) for cell in line))
    console.print(table)


def _is_number(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell[0] in "≤≥"


def markdown(header: Sequence[str], cells: Cells) -> str:
    marks = ["---", *("---:" if all(_is_number(line[i]) for line in cells) else "---" for i in range(1, len(header)))]
    lines = [header, marks, *cells]
    return "\n".join(f"| {' | '.join(cell or ' ' for cell in line)} |" for line in lines)
