"""Functions that return when somebody has jumped (runners/numeric/unwind.py), in a module of their own."""

from __future__ import annotations

from typing import Any

import pytest
import wasmtime

from pygenvm.runners.errors import BuildError
from pygenvm.runners.numeric import unwind
from tests.support.package_engine import engine

#: `jump` sets the flag. `work` calls it by way of functions of all result types, and would trap if one went on.
_TEXT = """
(module
  (memory (export "memory") 1)
  (type $jump (func))
  (table 1 funcref)
  (elem (i32.const 0) $jump)
  (func $first (export "genlayer_unwind_first") (result i32) (i32.const 1))
  (func $jump (if (global.get $jumps) (then (i32.store (i32.const 1024) (i32.const 1)))))
  (func $i32 (result i32)
    (call_indirect (type $jump) (i32.const 0)) (if (global.get $jumps) (then unreachable)) (i32.const 1))
  (func $i64 (result i64) (drop (call $i32)) (if (global.get $jumps) (then unreachable)) (i64.const 2))
  (func $f32 (result f32) (f32.const 1) (call $i64) (drop) (if (global.get $jumps) (then unreachable)))
  (func $f64 (result f64) (local i32)
    (loop (result f64)
      (br_table 0 0 (block (result i32)
        (call $f32) (drop) (if (global.get $jumps) (then unreachable)) (br 2 (f64.const 8))))))
  {padding}
  (func $last (export "genlayer_unwind_last") (result i32) (i32.const 2))
  (func $flag (export "genlayer_unwinding") (result i32) (i32.const 1024))
  (func (export "work") (result f64) (call $f64))
  (global $jumps (export "jumps") (mut i32) (i32.const 0)))
"""


def module(padding: int = 200) -> bytes:
    return bytes(wasmtime.wat2wasm(_TEXT.replace("{padding}", "(func)" * padding)))


def exports(wasm: bytes) -> tuple[wasmtime.Store, Any]:
    store = wasmtime.Store(engine())
    return store, wasmtime.Instance(store, wasmtime.Module(engine(), wasm), []).exports(store)


def test_all_functions_return_when_the_flag_is_set() -> None:
    store, found = exports(unwind.with_returns(module()))
    assert found["work"](store) == 8.0
    found["jumps"].set_value(store, 1)
    assert found["work"](store) == 0.0
    assert found["memory"].read(store, 1024, 1028) == b"\1\0\0\0"


def test_without_them_the_program_goes_on() -> None:
    store, found = exports(module())
    found["jumps"].set_value(store, 1)
    with pytest.raises(wasmtime.Trap, match="unreachable"):
        found["work"](store)


def test_the_marks_are_not_exported() -> None:
    _, found = exports(unwind.with_returns(module()))
    assert sorted(found) == ["jumps", "memory", "work"]


def test_a_linker_with_another_order_is_noticed() -> None:
    with pytest.raises(BuildError, match="5 functions between the marks"):
        unwind.with_returns(module(padding=0))
    with pytest.raises(BuildError, match="does not show"):
        unwind.with_returns(bytes(wasmtime.wat2wasm("(module)")))
