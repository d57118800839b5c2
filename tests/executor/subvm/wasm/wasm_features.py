"""A module with everything that has an index, the imports that it wants, and calls of its exports."""

from __future__ import annotations

import wasmtime

from tests.executor.subvm.wasm.wasm_support import wat

_TEXT = """
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
  {saturate}
  (func (export "grow") (result i32) (drop (memory.grow (i32.const 1))) (memory.size))
  (func (export "trap") (param f64) (result i32) (i32.trunc_f64_s (local.get 0)))
)"""
_SATURATE = '(func (export "saturate") (param f64) (result i64) (i64.trunc_sat_f64_u (local.get 0)))'

FEATURES = wat(_TEXT.replace("{saturate}", _SATURATE))
FEATURES_ALLOWED = wat(_TEXT.replace("{saturate}", ""))
"""Without what sub-VMs refuse."""

SATURATING_CALL = ("saturate", 1e30)
CALLS: list[tuple[str, *tuple[float, ...]]] = [
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
    SATURATING_CALL,
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
