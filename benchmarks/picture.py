"""The rows as a picture: ours against the yardstick, with the target as a line. SVG, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from benchmarks.measure import Row
from benchmarks.table import number

_WIDTH, _MARGIN = 960, 24
_TITLE_AT, _BARS_LEFT, _BARS_RIGHT = 24, 250, 700
_HEADER_HEIGHT, _ROW_HEIGHT, _BAR_HEIGHT = 64, 66, 15
_OURS, _YARDSTICK, _TARGET, _MISSED = "#2a6fbb", "#b9c2cc", "#c0392b", "#c0392b"


def picture(rows: Sequence[Row], caption: str) -> str:
    """Rows that have a target, each on a scale of its own."""
    shown = [row for row in rows if row.target_text]
    height = _HEADER_HEIGHT + _ROW_HEIGHT * len(shown) + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
        ' font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#1f2933">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_MARGIN}" y="24" font-size="16" font-weight="bold">pygenvm against its yardsticks</text>',
        f'<text x="{_MARGIN}" y="42" fill="#52606d">{escape(caption)}</text>',
        *_legend(),
    ]
    for position, row in enumerate(shown):
        parts += _row(row, _HEADER_HEIGHT + _ROW_HEIGHT * position)
    return "\n".join([*parts, "</svg>", ""])


def _legend() -> list[str]:
    parts = []
    for x, color, text in ((640, _OURS, "ours"), (700, _YARDSTICK, "yardstick")):
        parts.append(f'<rect x="{x}" y="13" width="12" height="12" fill="{color}"/>')
        parts.append(f'<text x="{x + 17}" y="24">{text}</text>')
    parts.append(f'<line x1="790" y1="12" x2="790" y2="27" stroke="{_TARGET}" stroke-width="2"/>')
    parts.append('<text x="797" y="24">target</text>')
    return parts


def _row(row: Row, top: int) -> list[str]:
    ours, limits = row.ours.median, _limits(row)
    yardstick = row.yardstick.median if row.yardstick else None
    longest = max(filter(None, (ours, yardstick, *limits)), default=1.0)
    scale = (_BARS_RIGHT - _BARS_LEFT) / longest
    parts = [f'<line x1="{_MARGIN}" y1="{top}" x2="{_WIDTH - _MARGIN}" y2="{top}" stroke="#e4e7eb"/>']
    for line, text in enumerate(_wrapped(row.title, 34)):
        parts.append(f'<text x="{_TITLE_AT}" y="{top + 20 + 15 * line}">{escape(text)}</text>')
    bars = [(top + 9, ours * scale, _OURS, f"{number(ours)} {row.unit}")]
    if row.yardstick:
        label = f"{number(row.yardstick.median)} {row.unit}"
        bars.append((top + 12 + _BAR_HEIGHT, row.yardstick.median * scale, _YARDSTICK, label))
        parts.append(
            f'<text x="{_BARS_LEFT}" y="{top + 58}" font-size="10" fill="#7b8794">{escape(row.yardstick_is)}</text>'
        )
    parts += [_bar(*bar) for bar in bars]
    for limit in limits:
        x = _BARS_LEFT + limit * scale
        parts.append(
            f'<line x1="{x:.1f}" y1="{top + 5}" x2="{x:.1f}" y2="{top + 46}" stroke="{_TARGET}" stroke-width="2"/>'
        )
    # Last, so that lines do not cross them.
    parts += [_label(*bar) for bar in bars]
    right = _WIDTH - _MARGIN
    color = _MISSED if row.met is False else "#1f2933"
    headline = row.ratio_text or ("met" if row.met else "missed")
    parts.append(
        f'<text x="{right}" y="{top + 21}" text-anchor="end" font-weight="bold" fill="{color}">'
        f"{escape(headline)}</text>"
    )
    if row.target_text:
        target = f"target {row.target_text}"
        parts.append(
            f'<text x="{right}" y="{top + 37}" text-anchor="end" font-size="10" fill="{color}">{escape(target)}</text>'
        )
    return parts


def _limits(row: Row) -> list[float]:
    """Where lines stand, in units of the row."""
    limits = [row.value_at_most] if row.value_at_most else []
    if row.ratio_at_most is not None and row.yardstick is not None:
        limits.append(row.ratio_at_most * row.yardstick.median)
    return limits


def _bar(top: int, length: float, color: str, _label: str) -> str:
    return f'<rect x="{_BARS_LEFT}" y="{top}" width="{max(length, 1):.1f}" height="{_BAR_HEIGHT}" fill="{color}"/>'


def _label(top: int, length: float, _color: str, label: str) -> str:
    at = f'x="{_BARS_LEFT + length + 6:.1f}" y="{top + 12}"'
    # Renderers differ in whether they know paint-order: a white text below does the same.
    return f'<text {at} stroke="#ffffff" stroke-width="4">{escape(label)}</text><text {at}>{escape(label)}</text>'


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
