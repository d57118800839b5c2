"""Rounds of measurements, and what is said about them.

A round lets every contestant run once, in an order that rotates, so that a machine that gets busy hurts all of them.
What counts is the ratio of the medians.
"""

from __future__ import annotations

import dataclasses
import gc
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TIMES = "\u00d7"


@dataclass(frozen=True, slots=True)
class Numbers:
    """Samples of one quantity."""

    median: float
    low: float
    """First quartile."""
    high: float
    """Third quartile."""
    least: float
    count: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Numbers:
        if len(samples) == 1:
            return cls(samples[0], samples[0], samples[0], samples[0], 1)
        low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
        return cls(median, low, high, min(samples), len(samples))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Numbers are in ``unit``."""

    name: str
    """Of the benchmark that measured it."""
    title: str
    unit: str
    ours: Numbers
    yardstick: Numbers | None = None
    yardstick_is: str = ""
    ratio_at_most: float | None = None
    """Target of ours / yardstick."""
    value_at_most: float | None = None
    """Target of ours."""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return None if self.yardstick is None else self.ours.median / self.yardstick.median

    @property
    def ratio_text(self) -> str:
        """How it compares, in the direction in which the target is stated."""
        if self.ratio is None:
            return ""
        return f"{1 / self.ratio:.1f} {_TIMES} faster" if self._states_speed else f"{self.ratio:.2f} {_TIMES}"

    @property
    def target_text(self) -> str:
        parts = []
        if self.ratio_at_most is not None:
            limit = self.ratio_at_most
            parts.append(f"≥ {1 / limit:g} {_TIMES} faster" if self._states_speed else f"≤ {limit:g} {_TIMES}")
        if self.value_at_most is not None:
            parts.append(f"≤ {self.value_at_most:g} {self.unit}")
        return ", ".join(parts)

    @property
    def met(self) -> bool | None:
        """None: there is no target."""
        checks = []
        if self.ratio_at_most is not None and self.ratio is not None:
            checks.append(self.ratio <= self.ratio_at_most)
        if self.value_at_most is not None:
            checks.append(self.ours.median <= self.value_at_most)
        return all(checks) if checks else None

    @property
    def _states_speed(self) -> bool:
        return self.ratio_at_most is not None and self.ratio_at_most < 1

    def to_json(self) -> dict[str, Any]:
        """All fields, and what follows from them."""
        derived = {"ratio": self.ratio, "target": self.target_text, "met": self.met}
        return {**dataclasses.asdict(self), **derived}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Row:
        fields = {field.name: values[field.name] for field in dataclasses.fields(cls)}
        for name in ("ours", "yardstick"):
            if fields[name] is not None:
                fields[name] = Numbers(**fields[name])
        return cls(**fields)


def interleaved(
    contestants: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Samples of each contestant, which returns one per call; the first ``warm_up`` rounds are not counted."""
    names = list(contestants)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(warm_up + rounds):
        gc.collect()
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            value = contestants[name]()
            if number >= warm_up:
                samples[name].append(value)
    return samples


def scaled(samples: Sequence[float], factor: float) -> Numbers:
    return Numbers.of([value * factor for value in samples])
