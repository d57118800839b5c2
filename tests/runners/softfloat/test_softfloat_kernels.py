"""The kernels leave the bits that NumPy's loops leave with hardware floats: single operations, sums, products."""

from __future__ import annotations

import itertools
import random
import struct

import pytest

from pygenvm.executor.subvm.wasm.instructions import FLOATS, SATURATING, bodies, scanner, walk
from pygenvm.executor.subvm.wasm.module import read_module
from pygenvm.runners.softfloat.rewrite import functions_by_name, instructions, kernels, rewrite
from tests.runners.softfloat.conftest import DATA, Both
from tests.runners.softfloat.float_patterns import ALL_SIZES, SIZES, mixed, near_one, packed, random_bits, specials

BINARY = ("add", "subtract", "multiply", "divide")
UNARY = ("square", "reciprocal", "sqrt")
EINSUM = (
    *("two", "contig_two", "stride0_contig_outcontig_two", "contig_stride0_outcontig_two", "outstride0_two"),
    "contig_contig_outstride0_two",
)
LOOPS = [(kind, name) for kind in ALL_SIZES for name in BINARY]
#: Loops that have no kernel: single operations are as fast. Sums are inside of `add`.
WITHOUT = {"DOUBLE_divide", "DOUBLE_reciprocal", "DOUBLE_sqrt", "FLOAT_sqrt"} | {
    *(f"{kind}_pairwise_sum" for kind in SIZES),
    *(f"{kind}_sum_of_products_muladd" for kind in ("float", "double")),
}
#: Operations that the rest of the interpreter gets from us, not from SoftFloat.
INSTRUCTIONS = {32: ("add", "sub", "mul", "div"), 64: ("add", "sub", "mul")}
RANDOM_CASES = 300_000
A, B, OUT = DATA, DATA + (4 << 20), DATA + (8 << 20)


def operands(size: int, name: str) -> tuple[bytes, bytes, int]:
    """Pairs of all special numbers, then random ones of several kinds; how many."""
    rng = random.Random(name)
    pairs = list(itertools.product(specials(size), repeat=2))
    first, second = packed([a for a, _ in pairs], size), packed([b for _, b in pairs], size)
    share = RANDOM_CASES // 5
    for spread, short in ((None, False), (2, False), (14, True), (30, True), (60, False)):
        if spread is None:
            first, second = first + random_bits(rng, size, share), second + random_bits(rng, size, share)
        else:
            first += near_one(rng, size, share, spread, short=short)
            second += near_one(rng, size, share, spread, short=short)
    return first, second, len(first) // size


@pytest.mark.parametrize(("kind", "name"), LOOPS, ids=lambda value: value)
def test_single_operations(both: Both, kind: str, name: str) -> None:
    size = ALL_SIZES[kind]
    first, second, count = operands(size, name)
    both.write(first, A)
    both.write(second, B)
    both.loop(f"{kind}_{name}", (A, B, OUT), (count,), (size,) * 3)
    both.check(OUT, size * count, size)
    # Next to each other: results at the edge of the range, and subnormal.
    rng = random.Random(f"edge {name}")
    exponents = [1, 2, 3, 24, 25, 53, 54, 63, 64, 65, 127, 128, 150, 151, 252, 253, 254]
    if size == 8:
        exponents += [510, 511, 512, 513, 1022, 1023, 1075, 2044, 2045, 2046]
    fraction = 23 if size == 4 else 52
    patterns = [
        [rng.getrandbits(1) << 8 * size - 1 | rng.choice(exponents) << fraction | rng.getrandbits(fraction)
         for _ in range(60_000)]
        for _ in range(2)
    ]  # fmt: skip
    both.write(packed(patterns[0], size), A)
    both.write(packed(patterns[1], size), B)
    both.loop(f"{kind}_{name}", (A, B, OUT), (60_000,), (size,) * 3)
    both.check(OUT, size * 60_000, size)


@pytest.mark.parametrize("kind", ALL_SIZES)
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_number(both: Both, kind: str, name: str) -> None:
    size = ALL_SIZES[kind]
    rng = random.Random(name)
    data = packed(specials(size), size) + random_bits(rng, size, RANDOM_CASES) + near_one(rng, size, 1000, 20)
    both.write(data, A)
    both.loop(f"{kind}_{name}", (A, OUT), (len(data) // size,), (size, size))
    both.check(OUT, len(data), size)


@pytest.mark.parametrize(("kind", "name"), LOOPS, ids=lambda value: value)
def test_strides_overlaps_and_reductions(both: Both, kind: str, name: str) -> None:
    """Any step, also zero and negative; results that are operands of later steps; lengths from zero."""
    size = ALL_SIZES[kind]
    rng = random.Random(f"strides {name}")
    room = 4096
    for _ in range(120):
        data = mixed(rng, size, room)
        both.write(data, A)
        length = rng.choice((0, 1, 2, 7, 8, 9, 15, 16, 17, 127, 128, 129, 200, 300))
        steps = [size * rng.choice((-2, -1, 0, 1, 1, 1, 2, 3)) for _ in range(3)]
        places = [A + size * rng.randrange(1000, 2000) for _ in range(3)]
        choice = rng.random()
        if choice < 0.4:  # a reduction
            places[0], steps[0], steps[2] = places[2], 0, 0
            if rng.random() < 0.2:
                places[1] = places[2] - size * rng.randrange(3)
            places[0] = places[2]
        elif choice < 0.6:  # accumulate
            places[0], places[2], steps[0], steps[2] = A + 8000, A + 8000 + size, size, size
        elif choice < 0.8:
            places[2], steps[2] = places[0], steps[0]
        both.loop(f"{kind}_{name}", places, (length,), steps)
        both.check(A, size * room, size)


def test_zero_keeps_its_sign_in_sums(both: Both) -> None:
    for kind, size in SIZES.items():
        minus = (1 << 8 * size - 1).to_bytes(size, "little")
        for length in (0, 1, 5, 8, 9, 100, 500):
            both.write(minus * (length + 1), A)
            both.loop(f"{kind}_add", (A, A + size, A), (length,), (0, size, 0))
            assert both.check(A, size, size) == minus


@pytest.mark.parametrize("kind", ALL_SIZES)
def test_dot(both: Both, kind: str) -> None:
    size = ALL_SIZES[kind]
    rng = random.Random(f"dot {kind}")
    for _ in range(200):
        length = rng.choice((0, 1, 2, 3, 5, 8, 31, 100, 255, 256, 257, 300, 512, 513, 1000))
        both.write(mixed(rng, size, 3 * length + 1), A)
        both.write(mixed(rng, size, 3 * length + 1), B)
        places = [at + size * length for at in (A, B)]
        steps = [size * rng.choice((-1, 0, 1, 1, 1, 2)) for _ in range(2)]
        out = OUT if rng.random() < 0.9 else places[0]
        both.call(f"{kind}_dot", places[0], steps[0], places[1], steps[1], out, length, 0)
        both.check(out, size, size)


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("name", EINSUM)
def test_einsum(both: Both, kind: str, name: str) -> None:
    size = SIZES[kind.upper()]
    rng = random.Random(f"einsum {kind} {name}")
    for _ in range(100):
        count = rng.choice((0, 1, 2, 3, 4, 5, 9, 100, 256, 300))
        both.write(mixed(rng, size, 2000), A)
        places = [A + size * (400 + 400 * i) for i in range(3)]
        steps = [size * rng.choice((-1, 0, 1, 1)) for _ in range(3)]
        if rng.random() < 0.2:
            places[2] = places[0] + size * rng.randrange(-2, 3)
        both.einsum(f"{kind}_sum_of_products_{name}", places, steps, count)
        both.check(A, size * 2000, size)


def shapes(rng: random.Random) -> tuple[int, int, int]:
    if rng.random() < 0.15:
        return rng.choice((1, 3, 17)), rng.choice((255, 256, 257, 600)), rng.choice((1, 4, 5))
    return (
        rng.choice((0, 1, 2, 5, 16, 17, 33)),
        rng.choice((0, 1, 2, 3, 8, 40)),
        rng.choice((0, 1, 2, 3, 4, 5, 7, 8, 21)),
    )


@pytest.mark.parametrize("kind", ALL_SIZES)
def test_matrix_products(both: Both, kind: str) -> None:
    """Rows, columns, transposed and reversed views, repeated matrices, stacks, and results that overlap operands."""
    size = ALL_SIZES[kind]
    rng = random.Random(f"matmul {kind}")
    for _ in range(250):
        m, n, p = shapes(rng)
        outer = rng.choice((1, 1, 2, 3))
        both.write(mixed(rng, size, 2 * outer * m * n + 1), A)
        both.write(mixed(rng, size, 2 * outer * n * p + 1), B)
        both.write(b"\xab" * (size * outer * m * p), OUT)
        steps_a, at_a = view(rng, A, m, n, size)
        steps_b, at_b = view(rng, B, n, p, size)
        steps_out, at_out = ((p * size, size), OUT) if rng.random() < 0.7 else ((size, m * size), OUT)
        outers = [rng.choice((0, m * n * size)), rng.choice((0, n * p * size)), m * p * size]
        if rng.random() < 0.1:
            at_out = rng.choice((at_a, at_b, at_a + size))
        both.loop(f"{kind}_matmul", (at_a, at_b, at_out), (outer, m, n, p), (*outers, *steps_a, *steps_b, *steps_out))
        both.check(OUT, size * outer * m * p, size)
        both.check(A, 1 << 18, size)
        both.check(B, 1 << 18, size)


def view(rng: random.Random, at: int, rows: int, columns: int, size: int) -> tuple[tuple[int, int], int]:
    """Steps to the next row and column, and the place of the first element, of a view of a matrix."""
    choice = rng.randrange(6)
    if choice == 0 and rows:  # backwards
        return (-columns * size, size), at + (rows - 1) * columns * size
    if choice == 1:  # transposed
        return (size, rows * size), at
    if choice == 2:  # one row, repeated
        return (0, size), at
    if choice == 3:  # every second element
        return (2 * columns * size, 2 * size) if rows * columns else (0, 0), at
    return (columns * size, size), at


def test_products_of_numbers_of_all_sizes(both: Both) -> None:
    """Sums that grow and shrink by more than a run's fixed point holds, cancel out, overflow and become subnormal."""
    rng = random.Random("sizes")
    for spread in (0, 5, 12, 14, 20, 40, 60):
        for base in (-63, -60, -30, 0, 30, 50, 63):
            values = [
                rng.choice((-1, 1))
                * rng.uniform(1, 2)
                * 2.0 ** max(-126, min(126, base + rng.randint(-spread, spread)))
                for _ in range(2 * 24 * 300)
            ]
            data = b"".join(struct.pack("<f", value) for value in values)
            both.write(data[: 4 * 24 * 300], A)
            both.write(data[4 * 24 * 300 :], B)
            both.loop("FLOAT_matmul", (A, B, OUT), (1, 24, 300, 24), (0, 0, 0, 1200, 4, 96, 4, 96, 4))
            both.check(OUT, 4 * 24 * 24, 4)
            # The second half takes away what the first one adds, so that little or nothing is left.
            both.write(data[: 4 * 150], A)
            both.write(b"".join(struct.pack("<f", -value) for value in values[:150]), A + 600)
            both.write(data[4000:4600] * 2, B)
            both.call("FLOAT_dot", A, 4, B, 4, OUT, 300, 0)
            both.check(OUT, 4, 4)


def test_runs_of_different_sizes(both: Both) -> None:
    """Products that follow are much larger or much smaller than the sum so far, also when that is zero or subnormal."""
    rng = random.Random("runs")
    for shift in range(-64, 65):
        for first in (
            bytes(1024),
            near_one(rng, 4, 256),
            near_one(rng, 4, 255) + bytes(4),
            bytes(1020) + packed([3], 4),
        ):
            second = [value * 2.0**shift for value in struct.unpack("<256f", near_one(rng, 4, 256, 4))]
            both.write(first + struct.pack("<256f", *second) + near_one(rng, 4, 44), A)
            both.write(near_one(rng, 4, 256, 3) + near_one(rng, 4, 300), B)
            both.call("FLOAT_dot", A, 4, B, 4, OUT, 556, 0)
            both.call("FLOAT_dot", A, 4, B, 4, OUT + 4, 512, 0)
            both.loop("FLOAT_matmul", (A, B, OUT + 8), (1, 1, 300, 1), (0, 0, 0, 0, 4, 4, 0, 0, 0))
            both.check(OUT, 12, 4)


def test_kernels_have_no_float_instructions(loops_wasm: bytes) -> None:
    """The optimiser put none back. Left are those in functions for rare operands, and in NumPy's loops."""
    module = read_module(loops_wasm)
    names = {index: name for name, indices in functions_by_name(module).items() for index in indices}
    pattern = scanner(FLOATS, SATURATING)
    with_floats = {names[body.function] for body in bodies(module) if any(walk(module.data, body, pattern))}
    loops = {f"{kind}_{name}" for kind in ALL_SIZES for name in (*BINARY, *UNARY, "dot", "matmul", "pairwise_sum")}
    loops |= {f"{kind}_sum_of_products_{name}" for kind in ("float", "double") for name in (*EINSUM, "muladd")}
    operations = [f"f{bits}_{name}" for bits, names in INSTRUCTIONS.items() for name in names]
    assert with_floats - loops == {f"{name}__rare" for name in operations if "sub" not in name}
    replaced = {names[index] for index in kernels(module)}
    assert replaced == {name for name in loops - WITHOUT if not name.startswith("OTHER_")}
    assert sorted(instructions(module)) == sorted(operations)
    soft = read_module(rewrite(loops_wasm))
    assert not any(True for body in bodies(soft) for _ in walk(soft.data, body, pattern))
