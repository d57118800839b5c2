"""The float ban: what it replaces, that only executing it traps, and that the trap can be told apart."""

from __future__ import annotations

from itertools import product

import pytest
import wasmtime

from pygenvm.executor.subvm.wasm.prepare import prepare
from tests.executor.subvm.wasm.wasm_support import Run, is_valid, wat

FLOAT = ("f32", "f64")
UNARY = [
    *((f"{f}.{op}", f, f) for f, op in product(FLOAT, ("abs", "neg", "ceil", "floor", "trunc", "nearest", "sqrt"))),
    *((f"{i}.trunc_{f}_{s}", f, i) for i, f, s in product(("i32", "i64"), FLOAT, "su")),
    *((f"{f}.convert_{i}_{s}", i, f) for i, f, s in product(("i32", "i64"), FLOAT, "su")),
    ("f32.demote_f64", "f64", "f32"),
    ("f64.promote_f32", "f32", "f64"),
]
BINARY = [
    *((f"{f}.{op}", f, f) for f, op in product(FLOAT, ("add", "sub", "mul", "div", "min", "max", "copysign"))),
    *((f"{f}.{op}", f, "i32") for f, op in product(FLOAT, ("eq", "ne", "lt", "gt", "le", "ge"))),
]
ALL = [(name, (kind,), result) for name, kind, result in UNARY] + [
    (name, (kind, kind), result) for name, kind, result in BINARY
]


def test_58_instructions_are_banned() -> None:
    assert len({name for name, _, _ in ALL}) == 58


@pytest.mark.parametrize(("name", "operands", "result"), ALL, ids=[name for name, _, _ in ALL])
def test_traps_when_executed(name: str, operands: tuple[str, ...], result: str) -> None:
    arguments = " ".join(f"({kind}.const 1)" for kind in operands)
    code = wat(f"""(module (memory 1)
      (func (export "f") (param i32) (result i32)
        (if (local.get 0) (then ({result}.store (i32.const 0) ({name} {arguments})) (return (i32.const 5))))
        (i32.const 6)))""")
    prepared = prepare(code, deterministic=True)
    assert prepared.facts.ban_function == 1
    assert is_valid(prepared.code)
    run = Run(prepared.code)
    assert run("f", 0) == 6
    with pytest.raises(wasmtime.Trap) as failure:
        run("f", 1)
    assert failure.value.trap_code == wasmtime.TrapCode.UNREACHABLE
    assert [frame.func_index for frame in failure.value.frames] == [1, 0]
    assert Run(prepare(code, deterministic=False).code)("f", 1) == 5


def test_moving_floats_is_allowed() -> None:
    code = wat("""(module (memory 1) (global $g (mut f32) (f32.const 1.5))
      (func $id (param f64) (result f64) (local.get 0))
      (func (export "f") (param f64 i32) (result i64) (local $x f64) (local $y f32)
        (f64.store (i32.const 8) (local.get 0))
        (local.set $x (f64.load (i32.const 8)))
        (f32.store (i32.const 0) (global.get $g))
        (global.set $g (f32.reinterpret_i32 (i32.load (i32.const 0))))
        (local.set $y (block (result f32) (f32.load (i32.const 0))))
        (drop (i32.reinterpret_f32 (local.tee $y (local.get $y))))
        (drop (f64.reinterpret_i64 (i64.const 5)))
        (i64.reinterpret_f64 (select (call $id (local.get $x)) (f64.const 2) (local.get 1)))))""")
    prepared = prepare(code, deterministic=True)
    assert prepared.facts.ban_function is None
    assert Run(prepared.code)("f", 3.25, 1) == 0x400A << 48
    assert Run(prepared.code)("f", 3.25, 0) == 0x4000 << 48


@pytest.mark.parametrize(
    "body",
    [
        # The engine turns a branch to a block that only traps into a conditional trap at the branch's place.
        "(block (br_if 0 (i32.eqz (local.get 0))) (drop (f64.add (f64.const 1) (f64.const 2))) unreachable)",
        "(if (local.get 0) (then (drop (f64.neg (f64.const 1))) unreachable))",
        "(block (block (br_if 0 (local.get 0)) (br 1)) (drop (f32.sqrt (f32.const 1))) unreachable)",
        "(block (block (br_table 1 0 (local.get 0))) (drop (f32.lt (f32.const 1) (f32.const 2))) unreachable)",
    ],
)
def test_branch_to_a_block_that_only_traps(body: str) -> None:
    code = wat(f"""(module (func (param i32) (unreachable))
      (func (export "f") (param i32) {body})
      (func (export "plain") (param i32) (if (local.get 0) (then unreachable))))""")
    prepared = prepare(code, deterministic=True)
    run = Run(prepared.code)
    run("f", 0)
    with pytest.raises(wasmtime.Trap) as failure:
        run("f", 1)
    assert failure.value.frames[0].func_index == prepared.facts.ban_function == 3
    with pytest.raises(wasmtime.Trap) as failure:
        run("plain", 1)
    assert failure.value.frames[0].func_index == 2


def test_indices_stay() -> None:
    code = wat("""(module (import "e" "f" (func $f)) (table 2 funcref) (elem (i32.const 0) $a $b)
      (func $a (result i32) (i32.const 10))
      (func $b (result i32) (i32.trunc_f64_s (f64.const 3)))
      (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0)))
      (func (export "many") (param i32) (result i32)
        (block (block (block (br_table 0 1 2 0 1 2 0 1 2 (local.get 0))) (return (call $a))) (return (i32.const 7)))
        (i32.trunc_f32_u (f32.ceil (f32.add (f32.const 1) (f32.mul (f32.const 2) (f32.const 2)))))))""")
    prepared = prepare(code, deterministic=True)
    assert prepared.facts.ban_function == 5
    nothing = {("e", "f"): lambda store: wasmtime.Func(store, wasmtime.FuncType([], []), lambda: None)}
    run = Run(prepared.code, extra=nothing)
    assert run("call", 0) == run("many", 0) == 10
    assert run("many", 1) == 7
    for name, argument, frames in (("call", 1, [5, 2, 3]), ("many", 2, [5, 4])):
        with pytest.raises(wasmtime.Trap) as failure:
            run(name, argument)
        assert [frame.func_index for frame in failure.value.frames] == frames


def test_code_that_stays_valid_only_by_polymorphism() -> None:
    code = wat("""(module (func (export "f") (param f64) (result f64 i32)
      (local.get 0) (i32.const 1)
      (if (param f64) (result f64 i32)
        (then (f64.neg) (f64.const 2) (f64.gt) (f64.convert_i32_s) (i32.const 4))
        (else (i32.const 3)))))""")
    assert is_valid(prepare(code, deterministic=True).code)


def test_data_count_section_and_bulk_memory_stay() -> None:
    code = wat("""(module (memory (export "m") 1) (data $d "abc")
      (func (export "f") (memory.init $d (i32.const 0) (i32.const 0) (i32.const 3)) (data.drop $d))
      (func (result f32) (f32.neg (f32.const 1))))""")
    prepared = prepare(code, deterministic=True)
    run = Run(prepared.code)
    run("f")
    assert run.memory("m")[:4] == b"abc\0"
