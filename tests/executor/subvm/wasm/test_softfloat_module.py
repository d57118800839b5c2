"""The softfloat module itself: what it exports and that it has no state."""

from __future__ import annotations

import math

import pytest

from pygenvm.executor.subvm.wasm.instructions import opcodes
from pygenvm.executor.subvm.wasm.module import ExternKind, read_module
from pygenvm.executor.subvm.wasm.names import module_name
from pygenvm.executor.subvm.wasm.prepare import prepare
from pygenvm.runners.softfloat.rewrite import EXTRAS, SPEC_IMPORTS, rewrite
from tests.executor.subvm.wasm.wasm_support import Run

# spec executor/07 "Soft floats": what the runner exports besides internal helpers.
PER_WIDTH = """
    add sub mul div mulAdd rem sqrt roundToInt eq le lt eq_signaling le_quiet lt_quiet gt_quiet ge_quiet isSignalingNaN
    to_i32 to_ui32 to_i64 to_ui64 to_i32_r_minMag to_ui32_r_minMag to_i64_r_minMag to_ui64_r_minMag
"""
CONVERSIONS = [f"{i}_to_{f}" for i in ("i32", "ui32", "i64", "ui64") for f in ("f32", "f64")]
ALL = {f"f{n}_{name}" for n in (32, 64) for name in PER_WIDTH.split()} | {*CONVERSIONS, "f32_to_f64", "f64_to_f32"}


def test_exports(softfloat_wasm: bytes) -> None:
    module = read_module(softfloat_wasm)
    functions = {item.name for item in module.exports if item.kind == ExternKind.FUNCTION}
    assert functions == ALL | EXTRAS.keys()
    assert [item.name for item in module.exports if item.kind != ExternKind.FUNCTION] == ["memory"]
    assert [limits.minimum for limits in module.memories] == [1]


def test_types_of_the_exports_are_those_that_rewritten_modules_import(softfloat_wasm: bytes) -> None:
    module = read_module(softfloat_wasm)
    types = {item.name: module.function_type(item.index) for item in module.exports if item.name != "memory"}
    imports = SPEC_IMPORTS | EXTRAS
    assert {name: types[name] for name in imports} == imports


def test_no_state_no_imports_no_table(softfloat_wasm: bytes) -> None:
    module = read_module(softfloat_wasm)
    assert (module.imports, module.tables, module.globals, module.elements) == ([], [], [], [])
    stores, global_access, memory_grow = range(0x36, 0x3F), (0x23, 0x24), 0x40
    assert not set(opcodes(module)) & {*stores, *global_access, memory_grow}


def test_name(softfloat_wasm: bytes) -> None:
    assert module_name(softfloat_wasm) == "softfloat"


def test_passes_the_ban_unchanged(softfloat_wasm: bytes) -> None:
    prepared = prepare(softfloat_wasm, deterministic=True)
    assert prepared.code == softfloat_wasm
    assert prepared.facts.ban_function is None
    assert prepared.facts.memory_exports == ("memory",)
    assert rewrite(softfloat_wasm) == softfloat_wasm


@pytest.mark.parametrize(
    ("name", "value", "result"),
    [
        ("f64_to_i32", math.nan, 0x7FFFFFFF),
        ("f64_to_i32", 1e300, 0x7FFFFFFF),
        ("f64_to_i32", -1e300, -0x80000000),
        ("f64_to_ui32", -1.0, 0),
        ("f64_to_ui32", math.inf, -1),
        ("f64_to_i64", math.nan, 0x7FFFFFFFFFFFFFFF),
        ("f64_to_i64", -math.inf, -0x8000000000000000),
        ("f64_to_ui64", math.nan, -1),
        ("f32_to_i32", -7.75, -7),
        ("f32_to_ui64", 7.75, 7),
    ],
)
def test_truncation_of_the_specification_gives_risc_v_values(
    softfloat_wasm: bytes, name: str, value: float, result: int
) -> None:
    run = Run(softfloat_wasm)
    toward_zero, inexact_is_no_flag = 1, 0
    assert run(name, value, toward_zero, inexact_is_no_flag) == result
    assert run(f"{name}_r_minMag", value, inexact_is_no_flag) == result


def test_rounding_modes(softfloat_wasm: bytes) -> None:
    run = Run(softfloat_wasm)
    rounded = [[run("f64_roundToInt", value, mode, 0) for mode in (0, 1, 2, 3)] for value in (2.5, -2.5, 0.5, 3.75)]
    assert rounded == [[2, 2, 2, 3], [-2, -2, -3, -2], [0, 0, 0, 1], [4, 3, 3, 4]]


def test_functions_without_instruction(softfloat_wasm: bytes) -> None:
    run = Run(softfloat_wasm)
    assert run("f64_mulAdd", 1 + 2.0**-52, 1 - 2.0**-53, -1.0) == 2.0**-53 - 2.0**-105
    assert run("f64_rem", 5.5, 2.0) == -0.5
    assert run("f64_eq_signaling", 1.0, 1.0) == 1
    assert run("f32_lt", 1.0, 2.0) == 1
    assert run("f32_isSignalingNaN", 1.0) == 0
