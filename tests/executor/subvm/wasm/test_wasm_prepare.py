"""What prepare changes and reports besides the float ban."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.runner.wasm_sections import custom_section
from pygenvm.executor.subvm.facts import ModuleFacts
from pygenvm.executor.subvm.wasm.binary import HEADER, encode_section, encode_sized
from pygenvm.executor.subvm.wasm.module import ExternKind, FuncType, read_module
from pygenvm.executor.subvm.wasm.names import module_name, set_module_name
from pygenvm.executor.subvm.wasm.prepare import PreparedModule, prepare
from pygenvm.runners.softfloat.rewrite import rewrite
from tests.executor.subvm.wasm.wasm_support import Run, custom, is_valid, wat
from tests.support.properties import examples


def facts(text: str, *, deterministic: bool = True) -> ModuleFacts:
    return prepare(wat(text), deterministic=deterministic).facts


@pytest.mark.parametrize("deterministic", [True, False])
def test_nothing_to_change_gives_the_same_bytes(deterministic: bool) -> None:
    code = wat('(module $m (memory (export "memory") 1) (func (export "_start")))')
    assert prepare(code, deterministic=deterministic) == PreparedModule(
        code, ModuleFacts("m", None, None, None, None, None, ("memory",), 65536, 0, None, False, False), b""
    )


def test_nondet_keeps_floats() -> None:
    code = wat('(module (func (export "f") (result f64) (f64.add (f64.const 1) (f64.const 2))))')
    assert prepare(memoryview(code), deterministic=False).code == code


def test_empty_module() -> None:
    assert prepare(HEADER, deterministic=True) == PreparedModule(
        HEADER, ModuleFacts(None, None, None, None, None, None, (), 0, 0, None, False, False), b""
    )


def test_module_without_code_gets_its_memory_exported() -> None:
    code = wat('(module (memory 2) (data (i32.const 3) "abc"))') + custom("tail", b"")
    prepared = prepare(code, deterministic=True)
    assert prepared.facts.memory_exports == ("$memory",)
    assert prepared.facts.memory_bytes == 2 * 65536
    assert Run(prepared.code).memory("$memory")[3:6] == b"abc"


def test_memory_export_avoids_taken_names() -> None:
    code = wat('(module (memory 1) (func (export "$memory")) (global (export "$memory$") i32 (i32.const 1)))')
    prepared = prepare(code, deterministic=False)
    assert prepared.facts.memory_exports == ("$memory$$",)
    assert len(Run(prepared.code).memory("$memory$$")) == 65536


def test_first_export_of_the_memory_counts() -> None:
    assert facts('(module (memory (export "a") (export "b") 1))').memory_exports == ("a",)


def test_imported_memory_is_exported_and_not_counted() -> None:
    code = wat(
        '(module (import "lib" "memory" (memory 3)) (func (export "f") (i32.store (i32.const 0) (i32.const 77))))'
    )
    prepared = prepare(code, deterministic=True)
    assert prepared.facts.memory_exports == ("$memory",)
    assert prepared.facts.memory_bytes == 0
    shared = {("lib", "memory"): lambda store: wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(3, None)))}
    run = Run(prepared.code, extra=shared)
    run("f")
    assert run.memory("$memory")[:2] == b"\x4d\0"


def test_tables() -> None:
    assert facts("(module (table 12 100 funcref))").table_elements == 12
    assert facts('(module (import "a" "t" (table 12 funcref)))').table_elements == 0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ('(import "genlayer_sdk" "f" (func))', True),
        ('(import "other" "passed on" (func))', True),
        ('(import "other" "t" (table 1 funcref))', True),
        ('(table (export "t") 1 funcref)', True),
        ("(table 1 funcref)", False),
        ('(import "other" "m" (memory 1)) (func (export "f"))', False),
    ],
)
def test_which_modules_may_call_the_host(fields: str, expected: bool) -> None:
    assert facts(f"(module {fields})").may_call_host is expected


def test_facts_survive_json() -> None:
    fields = '(import "a" "m" (memory 1)) (func (drop (memory.grow (i32.const 1))) (drop (f32.neg (f32.const 1))))'
    found = facts(f"(module $n {fields})")
    assert (found.ban_function, found.grown_import) == (1, ("a", "m"))
    assert ModuleFacts.from_json(json.loads(json.dumps(found.to_json()))) == found
    with pytest.raises(KeyError):
        ModuleFacts.from_json({})
    with pytest.raises(TypeError):
        ModuleFacts.from_json({"memory_exports": []})


def test_structure_for_linking_checks() -> None:
    module = read_module(
        wat("""(module (import "a" "f" (func (param i32 f64) (result i64)))
          (import "a" "g" (global (mut i32))) (import "a" "t" (table 1 5 funcref)) (import "a" "m" (memory 2))
          (func $main) (export "_start" (func $main)) (export "again" (func 0)))""")
    )
    kinds = [(item.module, item.field, item.kind) for item in module.imports]
    assert kinds == [("a", name, kind) for name, kind in zip("fgtm", (0, 3, 1, 2), strict=True)]
    assert module.imports[0].type == FuncType(b"\x7f\x7c", b"\x7e")
    assert [(e.name, e.kind, module.function_type(e.index)) for e in module.exports] == [
        ("_start", ExternKind.FUNCTION, FuncType(b"", b"")),
        ("again", ExternKind.FUNCTION, FuncType(b"\x7f\x7c", b"\x7e")),
    ]


# --- names ----------------------------------------------------------------------------------------


def _named(*contents: bytes, code: bytes = wat('(module (func (export "f") unreachable))')) -> bytes:
    return code + b"".join(custom("name", content) for content in contents)


def _part(name: bytes) -> bytes:
    return b"\0" + encode_sized(encode_sized(name))


@pytest.mark.parametrize(
    "code",
    [
        _named(),
        _named(_part(b"a")),
        _named(_part(b"")),
        _named(_part(b"a"), _part(b"b")),
        _named(_part(b"a") + _part(b"b")),
        _named(b"\0\x05\x0fabc", _part(b"b")),
        _named(_part(b"a") + b"\x01\xff"),
        _named(b"\x01\x02\xff\xff" + _part(b"c")),
        _named(_part(b"a"), b"\xff\xff"),
        _named(_part(b"\xff")),
        _named(b"\x01\x01\x00" + _part(b"z")),
        _named(b"\0" + encode_sized(encode_sized(b"q") + b"xx")),
        HEADER + custom("name", _part(b"front")) + _named()[8:],
        _named(_part("é€𝄞".encode())),
    ],
)
def test_name_is_the_one_that_frames_show(code: bytes) -> None:
    with pytest.raises(wasmtime.Trap) as failure:
        Run(code)("f")
    assert module_name(code) == prepare(code, deterministic=True).facts.name == failure.value.frames[0].module_name


def test_set_module_name() -> None:
    code = wat('(module $old (func $inner (export "f") unreachable))')
    code += custom("producers", b"p") + custom(".debug_line", b"d") + custom("other", b"o")
    renamed = set_module_name(code, "new")
    assert module_name(renamed) == "new"
    assert [custom_section(renamed, name) for name in ("producers", ".debug_line", "other")] == [None, None, b"o"]
    with pytest.raises(wasmtime.Trap) as failure:
        Run(renamed)("f")
    assert [(f.module_name, f.func_name) for f in failure.value.frames] == [("new", "inner")]


def test_set_module_name_adds_a_name_section() -> None:
    assert set_module_name(HEADER, "x") == HEADER + encode_section(0, b"\x04name" + b"\0\x02\x01x")


def test_set_module_name_refuses_malformed_names() -> None:
    with pytest.raises(InvalidContract):
        set_module_name(HEADER + custom("name", b"\0\xff"), "x")


# --- hostile bytes --------------------------------------------------------------------------------

SEEDS = [
    wat(text)
    for text in (
        """(module $seed (import "a" "f" (func (param i32))) (import "a" "g" (global i64)) (table 3 funcref)
          (memory 1 4) (global (mut f32) (f32.const 1)) (export "m" (memory 0)) (start 1)
          (elem (i32.const 0) 0 1) (elem func 1) (data $d "xyz") (data (i32.const 1) "q")
          (func (local i32 i64) (call 0 (i32.const 3)) (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)))
          (func (param $p f64) (result f64) (block $b (br_if $b (i32.const 0)) (br_table $b 1 $b (i32.const 70000)))
            (f64.add (local.get $p) (f64.const 2)))
          (func (result i32) (loop (result i32) (i32.load offset=300 align=1 (i32.const 1)))))""",
        '(module (import "e" "m" (memory 1)) (func (export "f") (drop (f32.sqrt (f32.const 2)))))',
    )
]


def _assert_only_invalid_contract(wasm: bytes) -> None:
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: prepare(wasm, deterministic=True, trusted=False).code,
        lambda: rewrite(wasm),
        lambda: set_module_name(wasm, "n"),
    )
    for run in ways:
        try:
            run()
        except InvalidContract:
            continue


@given(st.binary(max_size=300), st.booleans())
@examples(200)
def test_random_bytes_are_refused_cleanly(data: bytes, with_header: bool) -> None:
    _assert_only_invalid_contract(HEADER + data if with_header else data)


@given(st.data())
@examples(200)
def test_mutations_are_refused_cleanly_or_stay_as_valid_as_they_were(data: st.DataObject) -> None:
    wasm = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(8, len(wasm) - 1))
        end = at + data.draw(st.integers(0, 2))
        wasm[at:end] = data.draw(st.binary(max_size=3))
        if len(wasm) < 9:
            break
    mutant = bytes(wasm)
    _assert_only_invalid_contract(mutant)
    if is_valid(mutant):
        # The engine knows no mutant that our reader does not: the seeds have no features that are refused here only.
        for deterministic, trusted in itertools.product((True, False), repeat=2):
            assert is_valid(prepare(mutant, deterministic=deterministic, trusted=trusted).code)
        assert is_valid(rewrite(mutant))


@given(st.integers(0, len(SEEDS[0]) - 1))
@examples(100)
def test_cut_modules_are_refused_cleanly(size: int) -> None:
    _assert_only_invalid_contract(SEEDS[0][:size])
