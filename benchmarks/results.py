"""Everything that one run of the benchmarks found, and its form as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.breakdown import Breakdown
from benchmarks.machine import machine
from benchmarks.measure import Row

FORMAT = 1


@dataclass
class Results:
    machine: dict[str, str] = field(default_factory=machine)
    rows: list[Row] = field(default_factory=list)
    breakdowns: list[Breakdown] = field(default_factory=list)
    instructions: dict[str, Any] | None = None

    @property
    def missed(self) -> list[Row]:
        return [row for row in self.rows if row.met is False]

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "machine": self.machine,
            "rows": [row.to_json() for row in self.rows],
            "breakdowns": [one.to_json() for one in self.breakdowns],
            "instructions": self.instructions,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Results:
        """:raises ValueError: it is of another version."""
        if values.get("format") != FORMAT:
            raise ValueError(f"these are no results of format {FORMAT}")
        return cls(
            values["machine"],
            [Row.from_json(row) for row in values["rows"]],
            [Breakdown.from_json(one) for one in values["breakdowns"]],
            values["instructions"],
        )
