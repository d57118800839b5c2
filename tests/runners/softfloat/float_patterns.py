"""Bit patterns of floats that show faults: special ones, and random ones of many kinds."""

from __future__ import annotations

import random
import struct
from array import array

#: Bytes of an element, by the prefix of NumPy's names, and of the same loops without kernels.
SIZES = {"FLOAT": 4, "DOUBLE": 8}
ALL_SIZES = {**SIZES, "OTHER_FLOAT": 4, "OTHER_DOUBLE": 8}


def specials(size: int) -> list[int]:
    """Around zeros, subnormals, powers of two, ties, the largest finite one, infinities and NaNs; both signs."""
    fraction = 23 if size == 4 else 52
    top = (1 << (8 * size - 1 - fraction)) - 1
    found = {0, 1, 2, 3, (1 << fraction) - 1, 1 << fraction - 1}
    found |= {(1 << fraction) + i for i in (-1, 0, 1, 2)}
    found |= {(top << fraction) + i for i in (-2, -1, 0, 1, 0x1234)}
    found |= {(top << fraction) + (1 << fraction - 1) + i for i in (0, 1, 0x1234)}
    found.add((1 << 8 * size - 1) - 1)
    middle = top >> 1
    for exponent in (1, 2, middle // 2, middle - 26, middle - 25, middle - 24, middle - 1, middle, middle + 1):
        half = 1 << fraction - 1
        found |= {(exponent << fraction) + i for i in (0, 1, 3, 0x55555, half, half + 1, half + 3, 2 * half - 1)}
    for exponent in (middle + fraction, middle + fraction + 1, middle + fraction + 2, top - 2, top - 1):
        found |= {(exponent << fraction) + i for i in (0, 1, 1 << fraction - 1, (1 << fraction) - 1)}
    return sorted(found | {pattern | 1 << 8 * size - 1 for pattern in found})


def packed(patterns: list[int], size: int) -> bytes:
    return array("I" if size == 4 else "Q", patterns).tobytes()


def random_bits(rng: random.Random, size: int, count: int) -> bytes:
    return rng.randbytes(size * count)


def near_one(rng: random.Random, size: int, count: int, spread: int = 0, short: bool = False) -> bytes:
    """Random signs and fractions, exponents `spread` powers of two around 1; `short` fractions make ties likely."""
    values = []
    for _ in range(count):
        value = rng.uniform(1, 2) if not short else 1 + rng.getrandbits(11) / 2048
        values.append(rng.choice((-1, 1)) * value * 2.0 ** rng.randint(-spread, spread))
    return struct.pack(f"<{count}{'f' if size == 4 else 'd'}", *values)


def mixed(rng: random.Random, size: int, count: int) -> bytes:
    """One kind of numbers, or several, with some special ones in between."""
    share_count = rng.choice((1, 1, 3))
    share = -(-count // share_count)
    parts = []
    for kind in rng.choices(range(5), weights=(8, 4, 4, 1, 1), k=share_count):
        if kind < 3:
            parts.append(near_one(rng, size, share, (0, 3, 30 if size == 4 else 60)[kind], short=kind == 1))
        else:
            parts.append(bytes(size * share) if kind == 3 else random_bits(rng, size, share))
    data = bytearray(b"".join(parts)[: size * count])
    if rng.random() < 0.5 and count:
        some = specials(size)
        for _ in range(rng.randint(1, 4)):
            at = size * rng.randrange(count)
            data[at : at + size] = rng.choice(some).to_bytes(size, "little")
    if rng.random() < 0.3:
        for i in range(count):
            if rng.random() < 0.3:
                data[size * i : size * (i + 1)] = bytes(size)
    return bytes(data)
