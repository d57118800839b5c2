"""Gatekeeping of WebAssembly modules: one function per rule (spec executor/07 "Wasm features").

The engine validates types and stack discipline. The rules here are those that it has no switch for, those that bound
the work of compiling hostile modules, and, as a cheap second opinion, the proposals that are switched off there too.
Every function returns None or raises InvalidContract with a cause that names the rule and the place.
"""

from __future__ import annotations

from typing import NoReturn

from pygenvm.executor.limits import (
    WASM_BLOCK_VALUES_MAX,
    WASM_FUNCTION_BODY_BYTES_MAX,
    WASM_LOCALS_MAX,
    WASM_MODULE_BYTES,
)
from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.subvm.wasm.counters import COUNTERS_MODULE

HEADER = b"\x00asm\x01\x00\x00\x00"
VALUE_TYPES = b"\x7c\x7d\x7e\x7f"

_SIMD = "SIMD"
_THREADS = "threads"
_REFERENCES = "reference types"
_EXCEPTIONS = "exceptions"
_GC = "typed references or GC"
_MULTI_MEMORY = "multi-memory"
_SATURATING = "saturating float-to-int"

_PREFIXES = {0xFB: _GC, 0xFD: _SIMD, 0xFE: _THREADS}
_OPCODES = {
    **dict.fromkeys((0x06, 0x07, 0x08, 0x09, 0x0A, 0x18, 0x19, 0x1F), _EXCEPTIONS),
    **dict.fromkeys((0x1C, 0x25, 0x26, 0xD0, 0xD1, 0xD2), _REFERENCES),
    **dict.fromkeys((0x14, 0x15, 0xD3, 0xD4, 0xD5, 0xD6), _GC),
    **dict.fromkeys(range(0xE0, 0xE7), "stack switching"),
}
_VALUE_TYPES = {0x7B: _SIMD, 0x70: _REFERENCES, 0x6F: _REFERENCES, 0x69: _EXCEPTIONS, 0x74: _EXCEPTIONS}
_GC_TYPES = frozenset((0x63, 0x64, *range(0x6A, 0x6F), 0x71, 0x72, 0x73))


def _refuse(rule: str, place: str) -> NoReturn:
    raise InvalidContract(f"wasm: {rule} ({place})")


def _refuse_feature(feature: str, place: str) -> NoReturn:
    _refuse(f"{feature} not allowed", place)


def check_module_size(size: int) -> None:
    """The module is not larger than our tools and the compiler should have to handle."""
    if size > WASM_MODULE_BYTES:
        _refuse(f"module larger than {WASM_MODULE_BYTES} bytes", f"{size} bytes")


def check_header(data: bytes) -> None:
    """A core module of version 1 in binary form: no component, and no WAT text, which the engine would accept."""
    if data[:8] == HEADER:
        return
    if data[:4] != HEADER[:4]:
        _refuse("not a binary module", "offset 0")
    if data[6:8] == b"\x01\x00":
        _refuse_feature("component model", "offset 4")
    _refuse("unknown version of the binary format", "offset 4")


def check_section_id(section_id: int, offset: int) -> None:
    """Only sections of core modules without exceptions."""
    if section_id == 13:
        _refuse_feature(_EXCEPTIONS, f"tag section at offset {offset:#x}")
    if section_id > 12:
        _refuse(f"unknown section id {section_id}", f"offset {offset:#x}")


def check_count(what: str, count: int, limit: int, offset: int) -> None:
    """The module has at most ``limit`` of ``what``."""
    if count > limit:
        _refuse(f"more than {limit} {what}", f"{count} at offset {offset:#x}")


def check_type_form(form: int, offset: int) -> None:
    """The type section declares function types only."""
    if form in (0x4E, 0x4F, 0x50, 0x5E, 0x5F):
        _refuse_feature(_GC, f"type at offset {offset:#x}")
    if form != 0x60:
        _refuse(f"unknown type form {form:#x}", f"offset {offset:#x}")


def check_value_type(code: int, offset: int) -> None:
    """Values are i32, i64, f32 or f64."""
    if code in VALUE_TYPES:
        return
    place = f"value type at offset {offset:#x}"
    if code in _VALUE_TYPES:
        _refuse_feature(_VALUE_TYPES[code], place)
    if code in _GC_TYPES:
        _refuse_feature(_GC, place)
    _refuse(f"unknown value type {code:#x}", place)


def check_table_type(code: int, offset: int) -> None:
    """Tables hold functions and have no initialiser."""
    if code != 0x70:
        _refuse_feature(_REFERENCES if code == 0x6F else _GC, f"table at offset {offset:#x}")


def check_extern_kind(kind: int, offset: int) -> None:
    """Imports and exports are functions, tables, memories and globals."""
    if kind == 4:
        _refuse_feature(_EXCEPTIONS, f"tag at offset {offset:#x}")
    if kind > 4:
        _refuse(f"unknown import or export kind {kind}", f"offset {offset:#x}")


def check_import(module: str, offset: int) -> None:
    """The counters of a VM cannot be imported: their module is not there for contracts."""
    if module == COUNTERS_MODULE:
        _refuse("reserved import", f"offset {offset:#x}")


def check_limit_flags(flags: int, *, memory: bool, offset: int) -> None:
    """Limits are 32-bit, unshared, in pages of 64 KiB."""
    place = f"{'memory' if memory else 'table'} limits at offset {offset:#x}"
    if flags & 4:
        _refuse_feature("memory64", place)
    if flags & 2:
        _refuse_feature(_THREADS, place)
    if flags & 8:
        _refuse_feature("custom page sizes", place)
    if flags > 1:
        _refuse(f"unknown limit flags {flags:#x}", place)


def check_single_memory(count: int) -> None:
    """At most one memory, imported or defined."""
    if count > 1:
        _refuse_feature(_MULTI_MEMORY, f"{count} memories")


def check_single_table(count: int) -> None:
    """At most one table, imported or defined: more came with reference types."""
    if count > 1:
        _refuse_feature(_REFERENCES, f"{count} tables")


def check_element_kind(flags: int, offset: int) -> None:
    """Element segments list function indices, not expressions."""
    if flags > 7:
        _refuse(f"unknown element segment kind {flags}", f"offset {offset:#x}")
    if flags > 3:
        _refuse_feature(_REFERENCES, f"element segment at offset {offset:#x}")


def refuse_constant(opcode: int, offset: int) -> NoReturn:
    """Initialisers and offsets are a single constant or global.get; ``opcode`` is neither."""
    place = f"initialiser at offset {offset:#x}"
    if opcode in (0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E) or opcode in (0x23, 0x41, 0x42):
        _refuse_feature("extended constant expressions", place)
    if opcode in (0xD0, 0xD2):
        _refuse_feature(_REFERENCES, place)
    if opcode in _PREFIXES:
        _refuse_feature(_PREFIXES[opcode], place)
    _refuse("not a constant", place)


def check_body_size(size: int, function: int, offset: int) -> None:
    """No function is so large that compiling it takes unreasonably long."""
    if size > WASM_FUNCTION_BODY_BYTES_MAX:
        _refuse(
            f"function body larger than {WASM_FUNCTION_BODY_BYTES_MAX} bytes",
            f"function {function}, offset {offset:#x}",
        )


def check_locals(count: int, function: int, offset: int) -> None:
    """No function declares more locals than the engine takes."""
    if count > WASM_LOCALS_MAX:
        _refuse(f"more than {WASM_LOCALS_MAX} locals", f"function {function}, offset {offset:#x}")


def check_blocks(count: int, limit: int, function: int, offset: int) -> None:
    """No function has so many blocks, for its number of locals, that the compiler's quadratic passes matter."""
    if count > limit:
        _refuse(f"more than {limit} blocks", f"function {function}, offset {offset:#x}")


def check_values(place: str, count: int, limit: int) -> None:
    """Instructions do not pass around far more values at once than code of this size can make one by one."""
    if count > limit:
        _refuse(f"calls, blocks and branches of more than {limit} values", place)


def check_block_values(count: int, function: int, offset: int) -> None:
    """No function has blocks of so many values that the compiler's quadratic passes matter."""
    if count > WASM_BLOCK_VALUES_MAX:
        _refuse(f"blocks of more than {WASM_BLOCK_VALUES_MAX} values", f"function {function}, offset {offset:#x}")


def check_branch_locals(count: int, limit: int, function: int, offset: int) -> None:
    """The branches of a function do not bring more values of its locals together than the compiler can keep."""
    if count > limit:
        place = f"function {function}, offset {offset:#x}"
        _refuse(f"more than {limit} branches times locals", place)


def check_edited_size(size: int, limit: int) -> None:
    """What we add to the code to count and to ban stays in proportion to the module."""
    if size > limit:
        _refuse(f"code that would have more than {limit} bytes with our counters", f"{size} bytes")


def refuse_instruction(data: bytes, offset: int, end: int, function: int) -> NoReturn:
    """The instruction at ``offset`` is of no allowed proposal, or cut off by the ``end`` of the function."""
    place = f"function {function}, offset {offset:#x}"
    opcode = data[offset]
    if opcode in _PREFIXES:
        _refuse_feature(_PREFIXES[opcode], place)
    if opcode in _OPCODES:
        _refuse_feature(_OPCODES[opcode], place)
    if opcode in (0x02, 0x03, 0x04) and offset + 1 < end and 0x40 < data[offset + 1] < 0x80:
        check_value_type(data[offset + 1], offset + 1)
    if 0x28 <= opcode <= 0x3E and offset + 1 < end and data[offset + 1] & 0x40:
        _refuse_feature(_MULTI_MEMORY, place)
    if opcode == 0xFC and offset + 1 < end:
        operation = data[offset + 1]
        if operation < 8:
            _refuse_feature(_SATURATING, place)
        if operation in (0x0F, 0x10, 0x11):
            _refuse_feature(_REFERENCES, place)
        if 0x13 <= operation <= 0x16:
            _refuse_feature("wide arithmetic", place)
    _refuse(f"undecodable instruction {opcode:#04x}", place)
