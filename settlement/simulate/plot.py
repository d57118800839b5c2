"""What a simulation found as a picture: SVG, by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

from pygenvm.settlement.simulate.results import Outcome, Result
from pygenvm.settlement.simulate.settings import MEANINGS, TOKEN, Behaviour, Settings
from pygenvm.settlement.simulate.sweep import SHARES, Expected, Point, expected
from pygenvm.settlement.types.constants import MIN_PROVIDER_BOND, REQUEST_FEE_PER_OPERATOR

_WIDTH: Final = 1040
_MARGIN: Final = 24
_CURVES_TOP, _CURVES_HEIGHT = 112, 270
_BARS_TOP: Final = 472
_BAR_HEIGHT, _BAR_ROW = 12, 42
_INK, _PALE, _GRID = "#1f2933", "#52606d", "#e4e7eb"
_GOOD, _APART, _BAD, _NEUTRAL = "#2a6fbb", "#2f8f5b", "#c0392b", "#8795a1"

_Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a curve is drawn: shares of dishonest operators to the right, anything upwards."""

    left: float
    right: float
    #: From a value to 0 at the bottom and 1 at the top.
    level: Callable[[float], float]

    def at(self, point: _Point) -> _Point:
        share, value = point
        x = self.left + (self.right - self.left) * share * 100 / SHARES[-1]
        return x, _CURVES_TOP + _CURVES_HEIGHT * (1 - self.level(value))

    def line(self, points: Iterable[_Point], color: str, dash: str = "") -> str:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.at, points))
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"{dashed}/>'

    def dots(self, points: Iterable[_Point], color: str) -> list[str]:
        return [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#ffffff" stroke="{color}" stroke-width="2"/>'
            for x, y in map(self.at, points)
        ]

    def grid(self, marks: Sequence[tuple[float, str]]) -> list[str]:
        parts = []
        for value, text in marks:
            _, y = self.at((0, value))
            parts.append(f'<line x1="{self.left}" y1="{y:.1f}" x2="{self.right}" y2="{y:.1f}" stroke="{_GRID}"/>')
            parts.append(_text(self.left - 8, y + 4, text, anchor="end", color=_PALE))
        bottom = _CURVES_TOP + _CURVES_HEIGHT
        for percent in SHARES:
            x, _ = self.at((percent / 100, 1))
            parts.append(_text(x, bottom + 18, f"{percent} %", anchor="middle", color=_PALE))
        middle = (self.left + self.right) / 2
        parts.append(_text(middle, bottom + 36, "dishonest operators", anchor="middle", color=_PALE))
        return parts


def picture(settings: Settings, result: Result, points: Sequence[Point]) -> str:
    """Quorum and cost of forgery against the share of dishonest operators, and income by behaviour."""
    behaviours = [behaviour for behaviour in Behaviour if result.behaved[behaviour].draws]
    height = _BARS_TOP + 40 + _BAR_ROW * len(behaviours) + _MARGIN
    caption = (
        f"{settings.operators} operators, {settings.tasks} tasks, {settings.threshold} of {settings.n},"
        f" {settings.pool} operators for a model, seed {settings.seed}."
        " Points are simulated; blue, red and gray lines are what chance and rules say."
    )
    curve = [expected(settings, members) for members in range(settings.pool * SHARES[-1] // 100 + 1)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
        f' font-family="Helvetica, Arial, sans-serif" font-size="12" fill="{_INK}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(_MARGIN, 28, "Quorum settlement, simulated", size=16, bold=True),
        _text(_MARGIN, 46, caption, color=_PALE),
        *_quorum(points, curve),
        *_cost(settings, points, curve),
        *_income(result, behaviours),
    ]
    return "\n".join([*parts, "</svg>", ""])


def _quorum(points: Sequence[Point], curve: Sequence[Expected]) -> list[str]:
    frame = _Frame(72, 480, lambda share: share)
    apart = [(point.percent / 100, point.apart.share(Outcome.RIGHT)) for point in points]
    right = [(point.cartel_share, point.cartel.share(Outcome.RIGHT)) for point in points]
    forged = [(point.cartel_share, point.cartel.share(Outcome.FORGED)) for point in points]
    return [
        _text(_MARGIN, 78, "Does the quorum hold?", size=14, bold=True),
        *_legend(
            _MARGIN,
            98,
            (("right, each cheats alone", _APART), ("right, one cartel", _GOOD), ("forged by the cartel", _BAD)),
        ),
        *frame.grid([(mark / 4, f"{25 * mark} %") for mark in range(5)]),
        frame.line([(one.share, one.right) for one in curve], _GOOD),
        frame.line([(one.share, one.forged) for one in curve], _BAD),
        frame.line(apart, _APART),
        *frame.dots(apart, _APART),
        *frame.dots(right, _GOOD),
        *frame.dots(forged, _BAD),
    ]


def _cost(settings: Settings, points: Sequence[Point], curve: Sequence[Expected]) -> list[str]:
    beforehand = settings.n * REQUEST_FEE_PER_OPERATOR / TOKEN
    bond = settings.threshold * MIN_PROVIDER_BOND / TOKEN
    losses = [(one.share, loss) for one in curve if (loss := one.loss_per_forgery) is not None]
    measured = [(point.cartel_share, loss) for point in points if (loss := point.loss_per_forgery) is not None]
    locked = [(one.share, one.locked) for one in curve if one.forged]
    # Of the smallest cartels a forgery is dearer than any scale shows.
    ceiling = 1000 * max(one.locked for one in curve)
    losses = [(share, loss) for share, loss in losses if loss <= ceiling]
    # A cartel that loses nothing, as when others err, has no place on a scale of powers.
    measured = [(share, loss) for share, loss in measured if loss > 0]
    values = [beforehand, bond, *(value for _, value in (*losses, *measured, *locked))]
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    frame = _Frame(592, 1000, lambda value: (log10(value) - low) / (high - low))
    end = SHARES[-1] / 100
    return [
        _text(544, 78, "What does a forgery cost? (tokens)", size=14, bold=True),
        *_legend(
            544,
            98,
            (("lost for each one, asking at random", _BAD), ("locked as stake meanwhile", _NEUTRAL)),
        ),
        *frame.grid([(10.0**power, f"{10.0**power:g}") for power in range(low, high + 1)]),
        frame.line([(0, bond), (end, bond)], _NEUTRAL, "5 4"),
        frame.line([(0, beforehand), (end, beforehand)], _BAD, "5 4"),
        frame.line(locked, _NEUTRAL),
        frame.line(losses, _BAD),
        *frame.dots(measured, _BAD),
        _halo(996, frame.at((0, bond))[1] - 6, f"least stake that can forge: {bond:g}", _PALE),
        _halo(996, frame.at((0, beforehand))[1] + 14, f"fee, where the draw is computed first: {beforehand:g}", _BAD),
    ]


def _income(result: Result, behaviours: Sequence[Behaviour]) -> list[str]:
    rows = []
    for behaviour in behaviours:
        one = result.behaved[behaviour]
        income, net = one.per_draw(one.income) / TOKEN, one.per_draw(one.income - one.work) / TOKEN
        rows.append((behaviour, income, net))
    lowest = min(0.0, *(min(income, net) for _, income, net in rows))
    highest = max(0.0, *(max(income, net) for _, income, net in rows))
    left, right = 430, _WIDTH - 90
    scale = (right - left) / ((highest - lowest) or 1)
    zero = left - lowest * scale
    bottom = _BARS_TOP + 28 + _BAR_ROW * len(rows)
    parts = [
        _text(_MARGIN, _BARS_TOP - 8, "What does it pay? (tokens for each draw)", size=14, bold=True),
        *_legend(
            _MARGIN, _BARS_TOP + 12, (("income by the ledger", _GOOD), ("less what running the model cost", _NEUTRAL))
        ),
    ]
    for index, (behaviour, income, net) in enumerate(rows):
        top = _BARS_TOP + 32 + _BAR_ROW * index
        parts.append(_text(_MARGIN, top + 12, behaviour.value, bold=True))
        parts.append(_text(_MARGIN, top + 27, MEANINGS[behaviour], color=_PALE, size=11))
        for y, value, color in ((top, income, _GOOD), (top + _BAR_HEIGHT + 2, net, _NEUTRAL)):
            start, length = min(zero, zero + value * scale), abs(value) * scale
            parts.append(
                f'<rect x="{start:.1f}" y="{y}" width="{max(length, 1):.1f}" height="{_BAR_HEIGHT}" fill="{color}"/>'
            )
            # Beside the end of the bar; of a loss that is its start, behind the zero.
            parts.append(_text((zero if value < 0 else start + length) + 6, y + 10, f"{value:+.3f}", size=11))
    parts.append(
        f'<line x1="{zero:.1f}" y1="{_BARS_TOP + 24}" x2="{zero:.1f}" y2="{bottom}" stroke="{_INK}" stroke-width="1"/>'
    )
    return parts


def _legend(left: float, y: float, entries: Iterable[tuple[str, str]]) -> list[str]:
    parts = []
    for text, color in entries:
        parts.append(f'<rect x="{left}" y="{y - 10}" width="11" height="11" fill="{color}"/>')
        parts.append(_text(left + 16, y, text))
        left += 40 + 6 * len(text)
    return parts


def _halo(right: float, y: float, text: str, color: str) -> str:
    """Readable where lines run below it; renderers differ in whether they know paint-order."""
    outline = f'<text x="{right}" y="{y:.1f}" font-size="11" text-anchor="end" stroke="#ffffff" stroke-width="4">'
    return f"{outline}{escape(text)}</text>" + _text(right, y, text, anchor="end", color=color, size=11)


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", color: str = _INK, size: int = 12, bold: bool = False
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{color}"{weight}>'
        f"{escape(text)}</text>"
    )
