"""Seeded inputs for the functions of `math`: special values, and random ones where functions are hard."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Sequence
from random import Random

_MAGNITUDES = (
    *(0.0, 5e-324, 1e-323, 2.225073858507201e-308, 2.2250738585072014e-308, 1e-308, 1e-300, 1e-20, 2.0**-53, 2.0**-27),
    *(
        1e-8,
        0.1,
        0.25,
        1 / 3,
        0.5,
        1 - 2.0**-53,
        1.0,
        1 + 2.0**-52,
        1.5,
        2.0,
        math.e,
        math.pi,
        math.pi / 2,
        math.pi / 4,
    ),
    *(
        2.5,
        3.0,
        10.0,
        18.5,
        22.0,
        27.3,
        100.0,
        170.0,
        171.0,
        171.5,
        171.624376956302,
        171.7,
        172.0,
        307.5,
        308.3,
        323.4,
    ),
    # around the ends of exp, sinh, expm1, exp2 and erfc
    *(709.782712893384, 709.7827128933841, 710.0, 710.4758600739439, 710.475860073944, 745.1332191019411, 745.14),
    *(
        1022.5,
        1023.999,
        1024.0,
        1074.5,
        1075.5,
        36.7,
        26.6,
        5.9,
        1e5,
        2.0**31,
        2.0**32,
        2.0**52,
        2.0**53,
        2.0**63,
        1e17,
    ),
    *(1e22, 1e50, 1e154, 1.3407807929942597e154, 1e200, 1e305, 2.5e305, 2.55e305, 1.7976931348623157e308, math.inf),
)
SPECIAL = (*_MAGNITUDES, *(-value for value in _MAGNITUDES), math.nan)
#: Fewer, whose pairs make the special arguments of functions of two.
SPECIAL_OF_PAIRS = (
    *(0.0, 5e-324, 2.225073858507201e-308, 2.2250738585072014e-308, 1e-150, 2.0**-53, 0.5, 1 - 2.0**-53, 1.0),
    *(1 + 2.0**-52, 2.0, 2.5, 3.0, 1023.0, 1024.0, 1074.0, 2.0**31, 2.0**53, 1e154, 1.7976931348623157e308, math.inf),
)


def unary(count: int, seed: int) -> list[float]:
    random = Random(seed)
    return [*SPECIAL, *(_one(random) for _ in range(count))]


def pairs(count: int, seed: int) -> list[tuple[float, float]]:
    random = Random(seed)
    special = [*SPECIAL_OF_PAIRS, *(-value for value in SPECIAL_OF_PAIRS), math.nan]
    return [*itertools.product(special, special), *((_one(random), _one(random)) for _ in range(count))]


def _one(random: Random) -> float:
    sign = random.choice((-1, 1))
    match random.randrange(11):
        case 0:
            value: float = struct.unpack("<d", random.randbytes(8))[0]
            return value
        case 1:
            return sign * math.ldexp(random.random() + 0.5, random.randint(-1080, 1023))
        case 2:
            return random.uniform(-1, 1)
        case 3:
            return random.uniform(-10, 10)
        case 4:
            return random.uniform(-800, 800)
        case 5:  # near one
            return 1 + sign * math.pow(2, random.uniform(-52, 0))
        case 6:  # near multiples of a quarter turn
            return sign * random.randint(0, 400) * math.pi / 4 * (1 + random.choice((-1, 0, 1)) * 2.0**-52)
        case 7:
            return random.randint(-400, 400) / 2
        case 8:  # near the poles of gamma
            return -random.randint(0, 180) + sign * math.pow(2, random.uniform(-50, -1))
        case 9:  # large arguments of periodic functions
            return sign * math.pow(10, random.uniform(5, 308))
        case _:
            return sign * math.pow(10, random.uniform(-30, 30))


def pack(values: Sequence[float] | Sequence[tuple[float, ...]]) -> bytes:
    flat = [part for value in values for part in (value if isinstance(value, tuple) else (value,))]
    return struct.pack(f"<{len(flat)}d", *flat)
