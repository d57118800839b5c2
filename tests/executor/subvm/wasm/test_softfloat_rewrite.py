"""The soft-float rewriter on a module with everything that has an index."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import wasmtime

from pygenvm.executor.runner.wasm_sections import custom_section
from pygenvm.executor.subvm.wasm.binary import read_sections, write_sections
from pygenvm.executor.subvm.wasm.instructions import opcodes
from pygenvm.executor.subvm.wasm.module import read_module
from pygenvm.executor.subvm.wasm.names import module_name
from pygenvm.runners.softfloat.rewrite import EXTRAS, SPEC_IMPORTS, rewrite
from tests.executor.subvm.wasm.wasm_features import CALLS, ENVIRONMENT, FEATURES, logged
from tests.executor.subvm.wasm.wasm_support import Run, custom, is_valid, wat

# spec executor/07 "Soft floats", for N = 32; the 64 list has 64 for 32 and f32_to_f64 for the conversion.
ORDER_32 = """f32_add f32_mul f32_sub f32_div f32_lt_quiet f32_le_quiet f32_eq f32_ge_quiet f32_gt_quiet ui32_to_f32
    i32_to_f32 ui64_to_f32 i64_to_f32 f32_to_i32 f32_to_ui32 f32_to_i64 f32_to_ui64 f64_to_f32
    f32_roundToInt f32_sqrt"""


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
        "import sys; from pygenvm.runners.softfloat.rewrite import rewrite; "
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
