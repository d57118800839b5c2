"""What ``genvm local lint`` prints. Texts of a contract never reach the terminal with control characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from pygenvm.executor.terminal_text import visible
from pygenvm.lint.check import rules
from pygenvm.lint.model import Finding, Level

_STYLES = {Level.ERROR: "bold red", Level.WARNING: "bold yellow", Level.INFO: "bold cyan"}
_SOURCE_CHARACTERS = 160


def document(findings: Sequence[Finding], checked: Sequence[str]) -> dict[str, Any]:
    """The findings for programs. Lines and columns count from 1; ``ok``: there are no errors."""
    return {
        "ok": not any(finding.level is Level.ERROR for finding in findings),
        "checked": list(checked),
        "findings": [
            {
                "file": str(finding.path),
                "line": finding.place.line,
                "column": finding.place.column + 1,
                "end_column": finding.place.end + 1,
                "level": str(finding.level),
                "code": finding.code,
                "message": finding.message,
                "fix": finding.fix,
            }
            for finding in findings
        ],
    }


def rules_document() -> dict[str, Any]:
    """All rules for programs."""
    return {
        "ok": True,
        "rules": [
            {"code": rule.code, "level": str(rule.level), "family": family, "title": rule.title, "fix": rule.advice}
            for family, rule in rules()
        ],
    }


def print_findings(out: Console, findings: Sequence[Finding], checked: int) -> None:
    """Each finding with its line, and what there is in all."""
    for finding in findings:
        place = f"{finding.path}:{finding.place.line}:{finding.place.column + 1}"
        head = Text(f"{visible(place)}: ", "bold").append(str(finding.level), _STYLES[finding.level])
        _print(out, head.append(f" {finding.code} ", "dim").append(_line(finding.message)))
        _print_source(out, finding)
        _print(out, Text("  fix: ", "green").append(_line(finding.fix)))
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    what = [_count(number, str(level)) for level, number in counts.items() if number and level is not Level.INFO]
    if counts[Level.INFO]:
        what.append(_count(counts[Level.INFO], "note"))
    style = "red" if counts[Level.ERROR] else "yellow" if counts[Level.WARNING] else "green"
    _print(out, Text(f"{', '.join(what) or 'nothing to say'} in {_count(checked, 'contract')}", style))


def print_rules(out: Console) -> None:
    """The list of rules by family."""
    last = ""
    for family, rule in rules():
        if family != last:
            _print(out, Text(family, "bold"))
            last = family
        _print(out, Text(f"  {rule.code} ").append(f"{rule.level:<8}", _STYLES[rule.level]).append(rule.title))


def _print_source(out: Console, finding: Finding) -> None:
    """The line with a mark below the place; of a long line what is around the place."""
    place, source = finding.place, finding.source
    if not source.strip():
        return
    # Every character becomes one or more that are visible, so the mark is measured on what is shown.
    start = max(0, min(place.column - _SOURCE_CHARACTERS // 2, len(source) - _SOURCE_CHARACTERS))
    end = start + _SOURCE_CHARACTERS
    before, marked = _line(source[start : place.column]), _line(source[place.column : min(place.end, end)])
    after = _line(source[min(max(place.end, place.column), end) : end])
    indent = len(before) - len(before.lstrip(" "))
    shift = 0 if start else indent
    _print(out, Text(f"    {before[shift:]}{marked}{after}".rstrip()))
    blank = Text(before[shift:])
    _print(out, Text("    " + " " * blank.cell_len).append("^" * max(Text(marked).cell_len, 1), _STYLES[finding.level]))


def _line(text: str) -> str:
    """On one line, without anything that a terminal obeys."""
    return visible(text).replace("\t", " ").replace("\n", "\\x0a")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _print(out: Console, text: Text) -> None:
    out.print(text, soft_wrap=True)
