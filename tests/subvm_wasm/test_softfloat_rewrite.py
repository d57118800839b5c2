"""The soft-float rewriter on a module with everything that has an index."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import wasmtime
from wasm_support import Run, custom, is_valid, wat

from executor.subvm.wasm.binary import custom_section, read_sections, write_sections
from executor.subvm.wasm.instructions import opcodes
from executor.subvm.wasm.module import read_module
from executor.subvm.wasm.names import module_name
from runners.softfloat.rewrite import EXTRAS, SPEC_IMPORTS, rewrite

# spec executor/07 "Soft floats", for N = 32; the 64 list has 64 for 32 and f32_to_f64 for the conversion.
ORDER_32 = """f32_add f32_mul f32_sub f32_div f32_lt_quiet f32_le_quiet f32_eq f32_ge_quiet f32_gt_quiet ui32_to_f32
    i32_to_f32 ui64_to_f32 i64_to_f32 f32_to_i32 f32_to_ui32 f32_to_i64 f32_to_ui64 f64_to_f32
    f32_roundToInt f32_sqrt"""

FEATURES = wat("""
(module $features
  (type $binary (func (param f64 f64) (result f64)))
  (import "env" "memory" (memory 1))
  (import "env" "twice" (func $twice (param f64) (result f64)))
  (import "env" "scale" (global $scale f64))
  (import "env" "log" (func $log (param i32)))
  (table 8 funcref)
  (global $state (mut f64) (f64.const 1.5))
  (export "mem" (memory 0))
  (export "state" (global $state))
  (export "twice again" (func $twice))
  (start $begin)
  (elem (i32.const 0) $add $mul)
  (elem $passive func $sub $twice_all)
  (elem (table 0) (i32.const 4) func $add)
  (elem declare func $mul)
  (data $hello "hello")
  (data (i32.const 100) "\\01\\02\\03")
  (func $begin (call $log (i32.const 7)) (global.set $state (f64.add (global.get $state) (f64.const 1))))
  (func $add (type $binary) (f64.add (local.get 0) (local.get 1)))
  (func $mul (type $binary) (local $unused i32) (local f32 f32) (f64.mul (local.get 0) (local.get 1)))
  (func $sub (type $binary) (f64.sub (local.get 0) (local.get 1)))
  (func $twice_all (param f64) (result f64) (return_call $twice (f64.neg (local.get 0))))
  (func (export "state now") (result f64) (global.get $state))
  (func (export "indirect") (param i32 f64 f64) (result f64)
    (call_indirect (type $binary) (local.get 1) (local.get 2) (local.get 0)))
  (func (export "tail") (param f64) (result f64) (return_call $twice_all (f64.mul (local.get 0) (global.get $scale))))
  (func (export "tail indirect") (param i32 f64 f64) (result f64)
    (return_call_indirect (type $binary) (local.get 1) (local.get 2) (local.get 0)))
  (func (export "table ops") (param f64 f64) (result f64)
    (table.init $passive (i32.const 6) (i32.const 0) (i32.const 1))
    (elem.drop $passive)
    (table.copy (i32.const 7) (i32.const 6) (i32.const 1))
    (call_indirect (type $binary) (local.get 0) (local.get 1) (i32.const 7)))
  (func (export "switch") (param i32 f64) (result f64)
    (block $d (block $c (block $b (block $a
      (br_table $a $b $c $d (local.get 0)))
      (return (f64.sqrt (local.get 1))))
      (return (f64.abs (local.get 1))))
      (return (f64.floor (local.get 1))))
    (f64.copysign (f64.ceil (local.get 1)) (f64.const -1)))
  (func $pair (param f64) (result f64 f64)
    (local.get 0) (local.get 0) (f64.const 2) f64.div)
  (func (export "multi") (param f64) (result f64 i32)
    (local.get 0)
    (block (param f64) (result f64 f64) (call $pair))
    f64.lt
    (if (result f64 i32) (then (f64.const 1) (i32.const 10)) (else (f64.const 2) (i32.const 20))))
  (func (export "bulk") (result i32)
    (memory.init $hello (i32.const 0) (i32.const 0) (i32.const 5))
    (memory.copy (i32.const 10) (i32.const 0) (i32.const 5))
    (memory.fill (i32.const 15) (i32.const 33) (i32.const 3))
    (data.drop $hello)
    (i32.load (i32.const 14)))
  (func (export "select") (param i32) (result f64)
    (select (f64.convert_i32_s (local.get 0)) (f64.const 0.5) (i64.eqz (i64.const -9223372036854775808))))
  (func (export "saturate") (param f64) (result i64) (i64.trunc_sat_f64_u (local.get 0)))
  (func (export "grow") (result i32) (drop (memory.grow (i32.const 1))) (memory.size))
  (func (export "trap") (param f64) (result i32) (i32.trunc_f64_s (local.get 0)))
)""")

CALLS = [
    ("state now",),
    ("twice again", 4.0),
    ("indirect", 0, 1.5, 2.0),
    ("indirect", 1, 1.5, 2.0),
    ("indirect", 4, 1.5, 4.0),
    ("tail", 1.25),
    ("tail indirect", 1, 3.0, 7.0),
    ("table ops", 10.0, 0.5),
    ("switch", 0, 2.0),
    ("switch", 1, -2.5),
    ("switch", 2, -2.5),
    ("switch", 99, 2.5),
    ("multi", 8.0),
    ("multi", -8.0),
    ("bulk",),
    ("select", 12345),
    ("saturate", 1e30),
    ("grow",),
    ("trap", -123.75),
]

logged: list[int] = []


def _twice(store: wasmtime.Store) -> wasmtime.Func:
    f64 = wasmtime.ValType.f64()
    return wasmtime.Func(store, wasmtime.FuncType([f64], [f64]), lambda x: x * 2)


ENVIRONMENT = {
    ("env", "memory"): lambda store: wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(1, None))),
    ("env", "twice"): _twice,
    ("env", "scale"): lambda store: wasmtime.Global(
        store, wasmtime.GlobalType(wasmtime.ValType.f64(), False), wasmtime.Val.f64(3.0)
    ),
    ("env", "log"): lambda store: wasmtime.Func(store, wasmtime.FuncType([wasmtime.ValType.i32()], []), logged.append),
}


def test_same_values(softfloat_wasm: bytes) -> None:
    native = Run(FEATURES, extra=ENVIRONMENT)
    soft = Run(rewrite(FEATURES), softfloat_wasm, ENVIRONMENT)
    assert logged[-2:] == [7, 7]
    for name, *arguments in CALLS:
        assert soft(name, *arguments) == native(name, *arguments), name
    assert soft.memory("mem") == native.memory("mem")


def test_imports_are_those_of_the_specification_then_the_extras_in_use() -> None:
    module = read_module(rewrite(FEATURES))
    before = len(read_module(FEATURES).imports)
    added = module.imports[before:]
    assert {item.module for item in added} == {"softfloat"}
    names = [item.field for item in added]
    spec_32 = ORDER_32.split()
    spec_64 = ["f32_to_f64" if name == "f64_to_f32" else name.replace("f32", "f64") for name in spec_32]
    assert names[:40] == spec_32 + spec_64
    assert names[40:] == ["f64_copysign", "i32_trunc_f64_s", "i64_trunc_sat_f64_u"]
    assert all(item.type == (SPEC_IMPORTS | EXTRAS)[item.field] for item in added)


def test_no_banned_instruction_is_left() -> None:
    left = set(opcodes(read_module(rewrite(FEATURES))))
    assert not left & {*range(0x5B, 0x67), *range(0x8B, 0xA7), *range(0xA8, 0xAC), *range(0xAE, 0xBC)}


def test_twice_is_once() -> None:
    once = rewrite(FEATURES)
    assert rewrite(once) == once


def test_nothing_to_replace_changes_nothing() -> None:
    code = wat('(module (func (export "f") (param f64) (result i64) (i64.reinterpret_f64 (local.get 0))))')
    assert rewrite(code) == code


def test_module_without_imports_and_memory(softfloat_wasm: bytes) -> None:
    code = wat('(module (func (export "f") (param f32) (result f32) (f32.min (local.get 0) (f32.const 2))))')
    code = rewrite(code + custom("odd", b"kept"))
    assert custom_section(code, "odd") == b"kept"
    run = Run(code, softfloat_wasm)
    assert (run("f", 1.0), run("f", 3.0)) == (1.0, 2.0)


def test_names_are_shifted_and_added(softfloat_wasm: bytes) -> None:
    code = rewrite(FEATURES)
    assert module_name(code) == "features"
    run = Run(code, softfloat_wasm, ENVIRONMENT)
    with pytest.raises(wasmtime.Trap) as failure:
        run("trap", 1e10)
    inner, outer = failure.value.frames
    assert inner.module_name == "softfloat"
    # The exporting function has no name of its own in the text; a named one is looked at below.
    assert outer.module_name == "features"

    named = wat(
        "(module $m (func $inner (param f64) (result i32) (local $x f64) (i32.trunc_f64_u (local.get 0)))"
        ' (func $outer (export "go") (result i32) (call $inner (f64.const -1))))'
    )
    run = Run(rewrite(named), softfloat_wasm)
    with pytest.raises(wasmtime.Trap) as failure:
        run("go")
    assert [(f.func_name, f.func_index) for f in failure.value.frames[1:]] == [("inner", 41), ("outer", 42)]
    assert b"softfloat.f64_add" in rewrite(named)


def test_stale_custom_sections_are_dropped_and_others_kept() -> None:
    names = ("producers", ".debug_info", "reloc.CODE", "target_features", "genvm.version")
    out = rewrite(FEATURES + b"".join(custom(name, b"\x01x") for name in names))
    assert [custom_section(out, name) for name in names] == [None, None, None, b"\x01x", b"\x01x"]
    assert is_valid(out)


def test_padded_numbers() -> None:
    """Linkers write indices padded to five bytes."""
    plain = wat("(module (func (call 1)) (func (drop (f64.add (f64.const 1) (f64.const 2)))))")
    short, padded = b"\x04\x00\x10\x01\x0b", b"\x08\x00\x10\x81\x80\x80\x80\x00\x0b"
    assert short in plain
    sections = [(s.id, s.name, plain[s.start : s.end].replace(short, padded)) for s in read_sections(plain)]
    long = write_sections(sections)
    assert is_valid(long)
    assert len(long) > len(plain)
    assert rewrite(long) == rewrite(plain)


def test_output_does_not_depend_on_the_process() -> None:
    program = (
        "import sys; from runners.softfloat.rewrite import rewrite; "
        "sys.stdout.buffer.write(rewrite(sys.stdin.buffer.read()))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            input=FEATURES,
            stdout=subprocess.PIPE,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {rewrite(FEATURES)}
