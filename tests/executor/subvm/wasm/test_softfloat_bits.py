"""Every float instruction, computed by softfloat and by the processor, on the same operands, bit for bit."""

from __future__ import annotations

import itertools
import random
import struct
from dataclasses import dataclass

import pytest
import wasmtime

from pygenvm.runners.softfloat.rewrite import rewrite
from tests.support.package_engine import engine

SIZE = {"i32": 4, "f32": 4, "i64": 8, "f64": 8}
RANDOM_CASES = 40_000
SCALAR_CASES = 2_000  # for instructions that trap: one call per case


@dataclass(frozen=True)
class Instruction:
    name: str
    operands: tuple[str, ...]
    result: str
    traps: bool = False


def _instructions() -> list[Instruction]:
    found = []
    for f in ("f32", "f64"):
        found += [Instruction(f"{f}.{op}", (f, f), "i32") for op in ("eq", "ne", "lt", "gt", "le", "ge")]
        found += [
            Instruction(f"{f}.{op}", (f,), f) for op in ("abs", "neg", "ceil", "floor", "trunc", "nearest", "sqrt")
        ]
        found += [Instruction(f"{f}.{op}", (f, f), f) for op in ("add", "sub", "mul", "div", "min", "max", "copysign")]
        for i in ("i32", "i64"):
            for sign in "su":
                found.append(Instruction(f"{f}.convert_{i}_{sign}", (i,), f))
                found.append(Instruction(f"{i}.trunc_{f}_{sign}", (f,), i, traps=True))
                found.append(Instruction(f"{i}.trunc_sat_{f}_{sign}", (f,), i))
    found.append(Instruction("f32.demote_f64", ("f64",), "f32"))
    found.append(Instruction("f64.promote_f32", ("f32",), "f64"))
    return found


INSTRUCTIONS = _instructions()


def _wat() -> str:
    """Per instruction a function over arrays (a, b, out, count), and for those that trap one over single values."""
    functions = []
    for item in INSTRUCTIONS:
        loads = " ".join(
            f"({t}.load (i32.add (local.get {i}) (i32.mul (local.get 4) (i32.const {SIZE[t]}))))"
            for i, t in enumerate(item.operands)
        )
        out = f"(i32.add (local.get 2) (i32.mul (local.get 4) (i32.const {SIZE[item.result]})))"
        functions.append(
            f"""(func (export "{item.name}") (param i32 i32 i32 i32) (local i32)
            (loop $l ({item.result}.store {out} ({item.name} {loads}))
              (br_if $l (i32.lt_u (local.tee 4 (i32.add (local.get 4) (i32.const 1))) (local.get 3)))))"""
        )
    return f'(module (memory (export "memory") 64) {" ".join(functions)})'


class Machine:
    """The module, native or rewritten."""

    def __init__(self, softfloat: bytes | None) -> None:
        code = bytes(wasmtime.wat2wasm(_wat()))
        self.store = wasmtime.Store(engine())
        linker = wasmtime.Linker(engine())
        if softfloat is not None:
            code = rewrite(code)
            instance = linker.instantiate(self.store, wasmtime.Module(engine(), softfloat))
            linker.define_instance(self.store, "softfloat", instance)
        self.exports = linker.instantiate(self.store, wasmtime.Module(engine(), code)).exports(self.store)

    def run(self, item: Instruction, operands: list[bytes], count: int) -> bytes | None:
        """Results as one array; None if the instruction trapped."""
        memory = self.exports["memory"]
        pointers = [0, 1 << 20]
        for pointer, array in zip(pointers, operands, strict=False):
            memory.write(self.store, array, pointer)
        try:
            self.exports[item.name](self.store, *pointers, 2 << 20, count)
        except wasmtime.Trap:
            return None
        return bytes(memory.read(self.store, 2 << 20, (2 << 20) + count * SIZE[item.result]))


@pytest.fixture(scope="module")
def native() -> Machine:
    return Machine(None)


@pytest.fixture(scope="module")
def soft(softfloat_wasm: bytes) -> Machine:
    return Machine(softfloat_wasm)


def _float_specials(bits: int) -> list[int]:
    """Bit patterns around zeros, subnormals, ones, halves, integer limits, infinities and NaNs."""
    fraction = 23 if bits == 32 else 52
    bias = (1 << bits - fraction - 2) - 1
    exponent_max = 2 * bias + 1
    found = {0, 1, 2, (1 << fraction) - 1, 1 << fraction, (1 << fraction) + 1}
    found |= {exponent_max << fraction, (exponent_max << fraction) - 1}
    # Quiet and signalling NaNs, with payloads.
    found |= {(exponent_max << fraction) | payload for payload in (1, 1 << fraction - 1, (1 << fraction) - 1, 0x1234)}
    pack = "<f" if bits == 32 else "<d"
    for value in (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.5, 1e10, float(1 << fraction), float(1 << fraction + 1)):
        found.add(int.from_bytes(struct.pack(pack, value), "little"))
    for power in (31, 32, 63, 64):
        exact = int.from_bytes(struct.pack(pack, float(1 << power)), "little")
        found |= {exact - 1, exact, exact + 1}
    if bits == 64:
        for near in (2**31 - 1, 2**31 - 0.5, 2**31 + 0.5, 2**32 - 1, 2**32 - 0.5, 1.401298464324817e-45, 3.5e38):
            found.add(int.from_bytes(struct.pack(pack, near), "little"))
    return sorted(found | {pattern | 1 << bits - 1 for pattern in found})


def _int_specials(bits: int) -> list[int]:
    found = {0, 1, (1 << bits) - 1, 1 << bits - 1, (1 << bits - 1) - 1}
    for power in (23, 24, 25, 31, 32, 52, 53, 54, 62, 63):
        if power < bits:
            found |= {(1 << power) + d & (1 << bits) - 1 for d in (-1, 0, 1)}
            found |= {-(1 << power) + d & (1 << bits) - 1 for d in (-1, 0, 1)}
    return sorted(found)


def _random(kind: str, rng: random.Random) -> int:
    bits = 8 * SIZE[kind]
    if kind[0] == "i":
        return rng.getrandbits(rng.randint(1, bits))
    # Half of the exponents near one, so that additions, remainders and roundings have something to do.
    if rng.random() < 0.5:
        return rng.getrandbits(bits)
    value = rng.uniform(-1, 1) * 2.0 ** rng.randint(-70, 70)
    return int.from_bytes(struct.pack("<f" if kind == "f32" else "<d", value), "little")


def _specials(kind: str) -> list[int]:
    bits = 8 * SIZE[kind]
    return _float_specials(bits) if kind[0] == "f" else _int_specials(bits)


def _cases(item: Instruction) -> list[tuple[int, ...]]:
    rng = random.Random(item.name)
    specials = [_specials(kind) for kind in item.operands]
    cases: list[tuple[int, ...]] = list(itertools.product(*specials))
    cases += [tuple(_random(kind, rng) for kind in item.operands) for _ in range(RANDOM_CASES)]
    return cases


def _arrays(item: Instruction, cases: list[tuple[int, ...]]) -> list[bytes]:
    return [b"".join(case[i].to_bytes(SIZE[kind], "little") for case in cases) for i, kind in enumerate(item.operands)]


def test_there_are_66_instructions() -> None:
    assert len({item.name for item in INSTRUCTIONS}) == 66


@pytest.mark.parametrize("item", [i for i in INSTRUCTIONS if not i.traps], ids=lambda item: item.name)
def test_same_bits(native: Machine, soft: Machine, item: Instruction) -> None:
    cases = _cases(item)
    arrays = _arrays(item, cases)
    expected = native.run(item, arrays, len(cases))
    found = soft.run(item, arrays, len(cases))
    assert expected is not None
    assert found is not None
    if found != expected:
        size = SIZE[item.result]
        at = next(i for i in range(len(cases)) if found[i * size :][:size] != expected[i * size :][:size])
        pytest.fail(
            f"{item.name}{[hex(x) for x in cases[at]]}: soft {found[at * size :][:size][::-1].hex()}, "
            f"native {expected[at * size :][:size][::-1].hex()}"
        )


@pytest.mark.parametrize("item", [i for i in INSTRUCTIONS if i.traps], ids=lambda item: item.name)
def test_same_bits_and_traps(native: Machine, soft: Machine, item: Instruction) -> None:
    cases = _cases(item)
    cases = cases[:-RANDOM_CASES] + cases[-SCALAR_CASES:]
    outcomes = set()
    for case in cases:
        arrays = _arrays(item, [case])
        expected = native.run(item, arrays, 1)
        assert soft.run(item, arrays, 1) == expected, hex(case[0])
        outcomes.add(expected is None)
    assert outcomes == {False, True}


@pytest.mark.parametrize(("name", "bits"), [("f32.div", 32), ("f64.div", 64)])
def test_nan_is_canonical(soft: Machine, name: str, bits: int) -> None:
    item = next(i for i in INSTRUCTIONS if i.name == name)
    zero = bytes(bits // 8)
    assert soft.run(item, [zero, zero], 1) == (0x7FC00000 if bits == 32 else 0x7FF8 << 48).to_bytes(bits // 8, "little")
