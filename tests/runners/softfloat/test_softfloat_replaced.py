"""The rewriter gives a function `X` the code of `X__soft`."""

from __future__ import annotations

import pytest

from pygenvm.executor.subvm.wasm.module import read_module
from pygenvm.executor.subvm.wasm.names import module_name, set_module_name
from pygenvm.runners.softfloat.rewrite import functions_by_name, kernels, rewrite, with_needed_names
from tests.executor.subvm.wasm.wasm_support import Run, is_valid, wat

#: `twice` is reached by a call, from the table and as an export; its form in integer code says that it ran.
MODULE = """(module
    (type $f (func (param f64) (result f64)))
    (table funcref (elem $twice $other))
    (global $seen (export "seen") (mut i32) (i32.const 0))
    (func $other (type $f) (f64.add (local.get 0) (f64.const 1)))
    (func $twice__soft (type $f) (local i64)
        (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
        (local.set 1 (i64.reinterpret_f64 (local.get 0)))
        (f64.reinterpret_i64 (i64.add (local.get 1) (i64.const 0x10000000000000))))
    (func $twice (export "twice") (type $f) (f64.add (local.get 0) (local.get 0)))
    (func (export "called") (type $f) (call $other (call $twice (local.get 0))))
    (func (export "by_table") (param f64 i32) (result f64)
        (call_indirect (type $f) (local.get 0) (local.get 1))))"""


def test_wherever_it_is_called_from(softfloat_wasm: bytes) -> None:
    code = wat(MODULE)
    module = read_module(code)
    names = functions_by_name(module)
    assert kernels(module) == {names["twice"][0]: names["twice__soft"][0]}
    run = Run(rewrite(code), softfloat_wasm)
    assert run("twice", 3.0) == 6.0
    assert run("called", 3.0) == 7.0
    assert run("by_table", 3.0, 0) == 6.0
    assert run("by_table", 3.0, 1) == 4.0
    assert run.instance.exports(run.store)["seen"].value(run.store) == 3


def test_functions_for_instructions(softfloat_wasm: bytes) -> None:
    """They are called in the place of the import, but not in functions for rare operands."""
    code = wat("""(module
        (global $seen (export "seen") (mut i32) (i32.const 0))
        (func $f64_add__instruction (param f64 f64) (result f64)
            (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
            (call $slow__rare (local.get 0) (local.get 1)))
        (func $slow__rare (param f64 f64) (result f64) (f64.add (local.get 0) (local.get 1)))
        (func (export "add") (param f64 f64) (result f64) (f64.add (local.get 0) (local.get 1)))
        (func (export "mul") (param f64 f64) (result f64) (f64.mul (local.get 0) (local.get 1))))""")
    run = Run(rewrite(with_needed_names(code)), softfloat_wasm)
    assert (run("add", 2.0, 1.0), run("mul", 2.0, 3.0), run("add", 5.0, 1.0)) == (3.0, 6.0, 6.0)
    assert run.instance.exports(run.store)["seen"].value(run.store) == 2
    for wrong in ("$f64_plus__instruction", "$f32_add__instruction"):
        with pytest.raises(ValueError, match="is no import of that type"):
            rewrite(wat(f"(module (func {wrong} (param f64 f64) (result f64) (f64.add (local.get 0) (local.get 1))))"))


def test_nothing_is_replaced_with_hardware_floats() -> None:
    run = Run(wat(MODULE))
    assert run("called", 3.0) == 7.0
    assert run.instance.exports(run.store)["seen"].value(run.store) == 0


def test_names_stay_and_twice_is_once() -> None:
    code = rewrite(wat(MODULE))
    assert is_valid(code)
    assert {"twice", "twice__soft", "other"} < functions_by_name(read_module(code)).keys()
    assert rewrite(code) == code


def test_only_needed_names_are_kept(softfloat_wasm: bytes) -> None:
    code = with_needed_names(set_module_name(wat(MODULE), "python"))
    assert module_name(code) == "python"
    assert functions_by_name(read_module(code)).keys() == {"twice", "twice__soft"}
    assert Run(rewrite(code), softfloat_wasm)("called", 3.0) == 7.0
    with pytest.raises(ValueError, match="no integer code of its own"):
        with_needed_names(wat("(module (func $x))"))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("(func $x__soft)", "x__soft: replaces 0 functions"),
        ("(func $x (param i32)) (func $x__soft)", "x__soft has not the type"),
        ('(import "m" "x" (func $x)) (func $x__soft)', "x__soft: imported"),
    ],
)
def test_a_form_needs_just_one_function(text: str, fault: str) -> None:
    code = wat(f"(module {text} (func (result f32) (f32.add (f32.const 1) (f32.const 1))))")
    with pytest.raises(ValueError, match=fault):
        rewrite(code)


def test_a_form_of_two_functions_of_one_name() -> None:
    code = wat("(module (func $x) (func $y) (func $x__soft) (func (result f32) (f32.neg (f32.const 1))))")
    ambiguous = code.replace(b"\x01\x01y", b"\x01\x01x")
    assert ambiguous != code
    with pytest.raises(ValueError, match="x__soft: replaces 2 functions"):
        rewrite(ambiguous)
