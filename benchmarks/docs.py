"""Puts numbers into ``docs/performance.md``: what stands between its marks is replaced."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from benchmarks.picture import picture
from benchmarks.results import Results
from benchmarks.table import breakdown_table, instruction_tables, markdown, rows_table, verdict

_DOCS = Path(__file__).parents[1] / "docs"
PAGE, PICTURE = _DOCS / "performance.md", _DOCS / "performance.svg"

#: Rows that are drawn; the others would only make the picture long.
_DRAWN = ("in-process", "pooled", "cold", "storage-read", "calldata", "floats", "memory")


class IncompleteResults(ValueError):
    """The page cannot be written from these results."""


def caption(results: Results) -> str:
    of = results.machine
    cores = f"{of['cores']} core{'s' if of['cores'] != '1' else ''}"
    return f"{of['date']}, {of['processor']}, {cores}, {of['Python']}, wasmtime {of['wasmtime']}"


def draw(results: Results) -> str:
    return picture([row for row in results.rows if row.name in _DRAWN], caption(results))


def write_docs(results: Results, page: Path = PAGE, drawing: Path = PICTURE) -> None:
    """:raises IncompleteResults: a part has not been measured."""
    if not results.rows or not results.breakdowns or results.instructions is None:
        raise IncompleteResults("the page needs everything: run all benchmarks, breakdown and instructions included")
    text = page.read_text(encoding="utf-8")
    for name, make in _PARTS.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        content = f"{begin}\n\n{make(results)}\n\n{end}"
        text, count = pattern.subn(lambda _, content=content: content, text)  # type: ignore[misc]
        if count != 1:
            raise IncompleteResults(f"{page.name} has {count} places for: {name}")
    page.write_text(text, encoding="utf-8")
    drawing.write_text(draw(results), encoding="utf-8")


def _machine(results: Results) -> str:
    return markdown(["machine", ""], list(results.machine.items()))


def _rows(results: Results) -> str:
    verdicts = "All targets are met."
    if results.missed:
        verdicts = "Missed: " + "; ".join(row.title for row in results.missed) + "."
    return f"{markdown(*rows_table(results.rows))}\n\n{verdicts}"


def _breakdowns(results: Results) -> str:
    return "\n\n".join(f"{markdown(*breakdown_table(one))}\n\n{verdict(one)}" for one in results.breakdowns)


def _instructions(results: Results) -> str:
    assert results.instructions is not None
    return "\n\n".join(markdown(*table) for table in instruction_tables(results.instructions))


_PARTS: dict[str, Callable[[Results], str]] = {
    "machine": _machine,
    "rows": _rows,
    "breakdowns": _breakdowns,
    "instructions": _instructions,
}
