"""Distances between results of two Pythons, in units in the last place."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

#: Complex results are measured as a whole: in units in the last place of the larger part.
_REAL = ("cmath.phase", "cmath.polar", "cmath.isfinite", "cmath.isinf", "cmath.isnan", "cmath.isclose", "complex abs")

Results = Mapping[str, Sequence[bytes]]
#: Status and value of one call.
Result = tuple[int, tuple[float, float]]


@dataclass
class Comparison:
    """One function: calls, results that differ, the largest distance and where it is, and results of another class."""

    calls: int
    different: int = 0
    ulps: int = 0
    at: tuple[float, ...] = ()
    other: list[tuple[tuple[float, ...], Result, Result]] = field(default_factory=list)


def unpack(packed: bytes) -> list[tuple[float, float]]:
    flat = struct.unpack(f"<{len(packed) // 8}d", packed)
    return list(zip(flat[::2], flat[1::2], strict=True))


def is_complex(name: str) -> bool:
    return name.startswith(("cmath", "complex")) and name not in _REAL


def compare(
    name: str, calls: Sequence[tuple[float, ...]], found: Sequence[bytes], native: Sequence[bytes]
) -> Comparison:
    """Compares two results of :mod:`math_battery` for one function."""
    comparison = Comparison(len(calls))
    rows = zip(calls, found[0], native[0], unpack(found[1]), unpack(native[1]), strict=True)
    for call, status, native_status, value, expected in rows:
        if status != native_status or any(_class(a) != _class(b) for a, b in zip(value, expected, strict=True)):
            comparison.other.append((call, (status, value), (native_status, expected)))
            continue
        ulps = _complex_ulps(value, expected) if is_complex(name) else max(map(_ulps, value, expected))
        comparison.different += ulps > 0
        if ulps > comparison.ulps:
            comparison.ulps, comparison.at = ulps, call
    return comparison


def _class(value: float) -> tuple[str, float]:
    """What has to be the same whatever the rounding: NaN, the sign and infinity, the sign of zero."""
    if value != value:
        return "nan", 0.0
    if math.isinf(value) or value == 0:
        return repr(value), 0.0
    return "finite", math.copysign(1, value)


def _position(value: float) -> int:
    """Place of a float in the order of all floats, zero at 0."""
    bits: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def _ulps(first: float, second: float) -> int:
    return 0 if first != first else abs(_position(first) - _position(second))


def _complex_ulps(first: tuple[float, float], second: tuple[float, float]) -> int:
    finite = [(a, b) for a, b in zip(first, second, strict=True) if math.isfinite(a)]
    if not finite:
        return 0
    unit = math.ulp(max(abs(part) for pair in finite for part in pair))
    return math.ceil(max(abs(a - b) for a, b in finite) / unit)
