"""One test per rule of executor.subvm.wasm.validate: the module is refused, the cause names rule and place."""

from __future__ import annotations

import pytest

from pygenvm.executor import limits
from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.subvm.wasm.binary import HEADER, encode_section, encode_sized, encode_u32, encode_vector
from pygenvm.executor.subvm.wasm.prepare import prepare
from tests.executor.subvm.wasm.wasm_support import custom, wat

MINIMAL = wat('(module (func (export "f")))')


def refusal(wasm: bytes) -> str:
    """The cause; both modes must refuse alike."""
    causes = []
    for deterministic in (True, False):
        with pytest.raises(InvalidContract) as failure:
            prepare(wasm, deterministic=deterministic)
        assert failure.value.error.message == "invalid_contract"
        causes.append(failure.value.error.cause)
    assert causes[0] == causes[1]
    return causes[0]


def body(code: bytes, local_groups: bytes = b"\0") -> bytes:
    """A module with one function of these instructions."""
    return HEADER + b"".join(
        (
            encode_section(1, encode_vector([b"\x60\0\0"])),
            encode_section(3, encode_vector([b"\0"])),
            encode_section(10, encode_vector([encode_sized(local_groups + code + b"\x0b")])),
        )
    )


def test_helper_makes_valid_modules() -> None:
    prepare(body(b"\x01"), deterministic=True)


@pytest.mark.parametrize(
    ("text", "rule", "place"),
    [
        (
            "(func (param f64) (result i32) (i32.trunc_sat_f64_s (local.get 0)))",
            "saturating float-to-int",
            "function 0",
        ),
        ("(global i32 (i32.add (i32.const 1) (i32.const 2)))", "extended constant expressions", "initialiser"),
        ("(memory 1) (data (offset (i32.mul (i32.const 1) (i32.const 2))) 'x')", "extended constant", "initialiser"),
        ("(func (drop (i32x4.splat (i32.const 1))))", "SIMD not allowed", "function 0"),
        ("(func (param v128))", "SIMD not allowed", "value type"),
        ("(func (local v128))", "SIMD not allowed", "value type"),
        ("(memory 1 1 shared)", "threads not allowed", "memory limits"),
        ("(func (drop (i32.atomic.load (i32.const 0)))) (memory 1)", "threads not allowed", "function 0"),
        ("(func (drop (ref.null func)))", "reference types not allowed", "function 0"),
        ("(func (param externref))", "reference types not allowed", "value type"),
        ("(func (block (result funcref) unreachable) drop)", "reference types not allowed", "value type"),
        (
            "(func (drop (select (result i32) (i32.const 1) (i32.const 2) (i32.const 3))))",
            "reference types",
            "function 0",
        ),
        ("(func (drop (table.get 0 (i32.const 1)))) (table 1 funcref)", "reference types not allowed", "function 0"),
        ("(func (drop (table.size 0))) (table 1 funcref)", "reference types not allowed", "function 0"),
        ("(table 1 externref)", "reference types not allowed", "table"),
        ("(table 1 funcref) (table 1 funcref)", "reference types not allowed", "2 tables"),
        ("(table 1 funcref) (elem (i32.const 0) funcref (ref.null func))", "reference types not allowed", "element"),
        ("(global funcref (ref.null func))", "reference types not allowed", "value type"),
        ("(memory 1) (memory 1)", "multi-memory not allowed", "2 memories"),
        ("(memory i64 1)", "memory64 not allowed", "memory limits"),
        ("(table i64 1 funcref)", "memory64 not allowed", "table limits"),
        ("(tag)", "exceptions not allowed", "tag section"),
        ('(import "a" "b" (tag))', "exceptions not allowed", "tag"),
        ("(func (try_table))", "exceptions not allowed", "function 0"),
        ("(type (struct))", "typed references or GC not allowed", "type"),
        ("(rec (type (func)))", "typed references or GC not allowed", "type"),
        ("(func (drop (ref.i31 (i32.const 1))))", "typed references or GC not allowed", "function 0"),
        ("(type $f (func)) (func (param (ref $f)))", "typed references or GC not allowed", "value type"),
        ("(type $f (func)) (func (call_ref $f unreachable))", "typed references or GC not allowed", "function 0"),
        (
            "(func (drop (i64.add128 (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1))) drop)",
            "wide",
            "function 0",
        ),
    ],
)
def test_feature_is_refused(text: str, rule: str, place: str) -> None:
    cause = refusal(wat(f"(module {text})".replace("'", '"')))
    assert rule in cause
    assert place in cause


def test_instruction_with_memory_index() -> None:
    assert "multi-memory not allowed (function 0, offset" in refusal(body(b"\x41\0\x28\x42\0\0\x1a"))


def test_custom_page_size() -> None:
    assert "custom page sizes" in refusal(HEADER + encode_section(5, b"\x01\x08\x01\x00"))


def test_all_saturating_truncations() -> None:
    for operation in range(8):
        assert "saturating float-to-int" in refusal(body(bytes((0x00, 0xFC, operation, 0x1A))))


def test_place_is_function_index_and_offset_in_the_module() -> None:
    wasm = wat('(module (import "e" "f" (func)) (func) (func (drop (i32.trunc_sat_f32_u (f32.const 1)))))')
    offset = wasm.index(b"\xfc\x01")
    assert refusal(wasm) == f"wasm: saturating float-to-int not allowed (function 2, offset {offset:#x})"


def test_text_is_refused() -> None:
    assert "not a binary module" in refusal(b"(module)")


def test_empty_is_refused() -> None:
    assert "not a binary module" in refusal(b"")


def test_component_is_refused() -> None:
    assert "component model" in refusal(wat("(component)"))


def test_other_version_is_refused() -> None:
    assert "unknown version" in refusal(b"\0asm\x02\0\0\0")


def test_module_size() -> None:
    too_large = MINIMAL + bytes(limits.WASM_MODULE_BYTES)
    assert f"module larger than {limits.WASM_MODULE_BYTES} bytes" in refusal(too_large)


def test_function_body_size() -> None:
    largest = limits.WASM_FUNCTION_BODY_BYTES_MAX - 2
    prepare(body(b"\x01" * largest), deterministic=True)
    assert "function body larger" in refusal(body(b"\x01" * (largest + 1)))


def test_blocks() -> None:
    most = limits.WASM_BLOCKS_MAX
    prepare(body(b"\x02\x40\x0b" * most), deterministic=True)
    prepare(body(b"\x02\x40\x0b" * most, encode_vector([b"\x09\x7f"])), deterministic=True)
    assert f"more than {most} blocks (function 0" in refusal(body(b"\x02\x40\x0b" * (most + 1)))
    assert f"more than {most} blocks" in refusal(body(b"\x03\x40" * (most + 1) + b"\x0b" * (most + 1)))


def test_blocks_times_locals() -> None:
    local_count = 1_000
    most = limits.WASM_BLOCKS_TIMES_LOCALS_MAX // local_count
    groups = encode_vector([encode_u32(local_count) + b"\x7f"])
    prepare(body(b"\x02\x40\x0b" * most, groups), deterministic=True)
    assert f"more than {most} blocks (function 0" in refusal(body(b"\x02\x40\x0b" * (most + 1), groups))


def test_locals() -> None:
    most = limits.WASM_LOCALS_MAX
    prepare(body(b"", encode_vector([encode_u32(most) + b"\x7f"])), deterministic=True)
    assert f"more than {most} locals" in refusal(body(b"", encode_vector([encode_u32(most) + b"\x7f", b"\x01\x7e"])))


def test_groups_of_locals() -> None:
    assert "groups of locals" in refusal(body(b"", encode_vector([b"\0\x7f"] * (limits.WASM_LOCALS_MAX + 1))))


def test_br_table() -> None:
    most = limits.WASM_BR_TABLE_MAX
    prepare(body(b"\x41\0\x0e" + encode_u32(most) + bytes(most + 1)), deterministic=True)
    cause = refusal(body(b"\x41\0\x0e" + encode_u32(most + 1) + bytes(most + 2)))
    assert f"more than {most} labels of br_table" in cause


@pytest.mark.parametrize(
    ("section", "limit", "what"),
    [
        (1, limits.WASM_TYPES_MAX, "types"),
        (2, limits.WASM_IMPORTS_MAX, "imports"),
        (3, limits.WASM_FUNCTIONS_MAX, "functions"),
        (6, limits.WASM_GLOBALS_MAX, "globals"),
        (7, limits.WASM_EXPORTS_MAX, "exports"),
        (9, limits.WASM_SEGMENTS_MAX, "element segments"),
        (10, limits.WASM_FUNCTIONS_MAX, "function bodies"),
        (11, limits.WASM_SEGMENTS_MAX, "data segments"),
    ],
)
def test_count(section: int, limit: int, what: str) -> None:
    cause = refusal(HEADER + encode_section(section, encode_u32(limit + 1)))
    assert f"more than {limit} {what}" in cause


def test_imported_and_defined_functions_count_together() -> None:
    most = limits.WASM_FUNCTIONS_MAX
    wasm = HEADER + b"".join(
        (
            encode_section(1, encode_vector([b"\x60\0\0"])),
            encode_section(2, encode_vector([b"\0\0\0\0"])),
            encode_section(3, encode_vector([b"\0"] * most)),
        )
    )
    assert f"more than {most} functions" in refusal(wasm)


def test_values_of_a_type() -> None:
    most = limits.WASM_TYPE_VALUES_MAX
    cause = refusal(HEADER + encode_section(1, b"\x01\x60" + encode_sized(b"\x7f" * (most + 1)) + b"\0"))
    assert f"more than {most} values of one type" in cause


def test_elements() -> None:
    most = limits.WASM_ELEMENTS_MAX
    segment = b"\x01\x01\x00" + encode_u32(most + 1)
    assert f"more than {most} elements" in refusal(HEADER + encode_section(9, segment))


def test_custom_sections() -> None:
    most = limits.WASM_CUSTOM_SECTIONS_MAX
    prepare(MINIMAL + custom("x", b"") * most, deterministic=True)
    assert f"more than {most} custom sections" in refusal(MINIMAL + custom("x", b"") * (most + 1))


def test_name_length() -> None:
    most = limits.WASM_NAME_BYTES_MAX
    assert f"more than {most} name bytes" in refusal(MINIMAL + custom("x" * (most + 1), b""))


@pytest.mark.parametrize(
    ("wasm", "fault"),
    [
        (HEADER + b"\x0e\0", "unknown section id 14"),
        (HEADER + b"\x01\x01\x00" * 2, "section order"),
        (HEADER + encode_section(10, b"\0") + encode_section(3, b"\0"), "section order"),
        (HEADER + b"\x01\x05\x00", "unexpected end"),
        (HEADER + b"\x01\xff\xff\xff\xff\x7f", "number"),
        (HEADER + b"\x01\x80\x80\x80\x80\x80\x00", "number"),
        (HEADER + b"\x01\x02\x00\x00", "bytes left over"),
        (HEADER + encode_section(1, b"\x01\x61\0\0"), "unknown type form"),
        (HEADER + encode_section(1, b"\x01\x60\x01\x01\0"), "unknown value type 0x1"),
        (HEADER + encode_section(2, b"\x01\0\0\x05\0"), "unknown import or export kind 5"),
        (HEADER + encode_section(2, b"\x01\0\0\0\0"), "type index"),
        (HEADER + encode_section(2, b"\x01\x01\xff\0\0\0"), "UTF-8"),
        (HEADER + encode_section(3, b"\x01\0"), "type index"),
        (HEADER + encode_section(5, b"\x01\x10\0"), "unknown limit flags 0x10"),
        (HEADER + encode_section(6, b"\x01\x7f\x02\x41\0\x0b"), "mutability"),
        (HEADER + encode_section(6, b"\x01\x7f\0\x0b"), "not a constant"),
        (HEADER + encode_section(7, b"\x01\0\0\0"), "malformed export"),
        (
            MINIMAL.replace(b"\x01\x01f\0\0", b"\x02\x01f\0\0\x01f\0\0").replace(b"\x07\x05", b"\x07\x09"),
            "malformed export",
        ),
        (HEADER + encode_section(9, b"\x01\x08"), "unknown element segment kind"),
        (HEADER + encode_section(9, b"\x01\x02\x01"), "table index"),
        (HEADER + encode_section(9, b"\x01\x01\x01"), "element kind"),
        (HEADER + encode_section(9, b"\x01\x01\x00\x05\x80"), "vector of numbers"),
        (HEADER + encode_section(11, b"\x01\x03"), "data segment"),
        (
            HEADER + encode_section(1, b"\x01\x60\0\0") + encode_section(3, b"\x01\0"),
            "function and code section differ",
        ),
        (body(b"\x01")[:-1] + b"\x01", "function 0: no end"),
        (body(b"\x06"), "exceptions"),
        (body(b"\x27"), "undecodable instruction 0x27"),
        (body(b"\x43"), "undecodable instruction 0x43"),
        (body(b"\x42" + b"\x80" * 10 + b"\0"), "undecodable instruction 0x42"),
        (body(b"\xfc\x12"), "undecodable instruction 0xfc"),
    ],
)
def test_malformed(wasm: bytes, fault: str) -> None:
    assert fault in refusal(wasm)
