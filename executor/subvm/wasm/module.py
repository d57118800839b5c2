"""Reads the structure of a core module: everything but the instructions (spec executor/07 "Wasm features")."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

from pygenvm.executor.limits import (
    WASM_ELEMENTS_MAX,
    WASM_EXPORTS_MAX,
    WASM_FUNCTIONS_MAX,
    WASM_GLOBALS_MAX,
    WASM_IMPORTS_MAX,
    WASM_SEGMENTS_MAX,
    WASM_TYPE_VALUES_MAX,
    WASM_TYPES_MAX,
)
from pygenvm.executor.subvm.wasm import validate
from pygenvm.executor.subvm.wasm.binary import (
    Reader,
    Section,
    SectionId,
    encode_sized,
    encode_u32,
    malformed,
    read_sections,
)

#: Modules whose functions the executor provides.
HOST_MODULES = frozenset(("wasi_snapshot_preview1", "genlayer_sdk"))


class ExternKind(IntEnum):
    FUNCTION = 0
    TABLE = 1
    MEMORY = 2
    GLOBAL = 3


@dataclass(frozen=True, slots=True)
class FuncType:
    """Value types as their code bytes: 7f i32, 7e i64, 7d f32, 7c f64."""

    params: bytes
    results: bytes

    def to_bytes(self) -> bytes:
        """As in the type section."""
        return b"\x60" + encode_sized(self.params) + encode_sized(self.results)


@dataclass(frozen=True, slots=True)
class Limits:
    """Size of a table in elements or of a memory in pages of 65536 bytes; ``maximum`` None if not declared."""

    minimum: int
    maximum: int | None


@dataclass(frozen=True, slots=True)
class GlobalType:
    value: int
    mutable: bool

    def to_bytes(self) -> bytes:
        """As in an import."""
        return bytes((self.value, self.mutable))


ExternType: TypeAlias = FuncType | Limits | GlobalType


@dataclass(frozen=True, slots=True)
class Import:
    module: str
    field: str
    kind: ExternKind
    type: ExternType


@dataclass(frozen=True, slots=True)
class Export:
    name: str
    kind: ExternKind
    index: int

    def to_bytes(self) -> bytes:
        """As in the export section."""
        return encode_sized(self.name.encode()) + bytes((self.kind,)) + encode_u32(self.index)


@dataclass(slots=True)
class Module:
    """A module taken apart. Index spaces begin with the imports; ``data[start:end]`` are places in ``data``."""

    data: bytes
    sections: list[Section]
    types: list[FuncType] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    functions: list[int] = field(default_factory=list)  # type index by function index
    imported_functions: int = 0
    tables: list[Limits] = field(default_factory=list)
    memories: list[Limits] = field(default_factory=list)
    globals: list[GlobalType] = field(default_factory=list)
    imported_globals: int = 0
    exports: list[Export] = field(default_factory=list)
    start: int | None = None
    elements: list[tuple[int, int, int]] = field(default_factory=list)  # start, start of the indices, end
    bodies: list[tuple[int, int]] = field(default_factory=list)  # without the size; by function index - imports

    def section(self, section_id: SectionId) -> Section | None:
        """The section of that id."""
        for section in self.sections:
            if section.id == section_id:
                return section
        return None

    def function_type(self, index: int) -> FuncType:
        """Type of the function of that index."""
        return self.types[self.functions[index]]


def read_module(data: bytes) -> Module:
    """Takes a module apart.

    Raises InvalidContract for malformed bytes, refused features and exceeded limits. Types, stack discipline and most
    index bounds are left to the engine.
    """
    module = Module(data, read_sections(data))
    for section in module.sections:
        reader = Reader(data, section.start, section.end)
        if section.id in _READERS:
            _READERS[section.id](module, reader)
            reader.finish(f"section {section.id}")
    if len(module.bodies) != len(module.functions) - module.imported_functions:
        raise malformed("module: function and code section differ", len(data))
    return module


def _read_types(module: Module, reader: Reader) -> None:
    for _ in range(reader.count("types", WASM_TYPES_MAX)):
        at = reader.pos
        validate.check_type_form(reader.byte(), at)
        module.types.append(FuncType(_read_value_types(reader), _read_value_types(reader)))


def _read_value_types(reader: Reader) -> bytes:
    count = reader.count("values of one type", WASM_TYPE_VALUES_MAX)
    at = reader.pos
    types = reader.take(count)
    if types.strip(validate.VALUE_TYPES):
        for offset, code in enumerate(types, at):
            validate.check_value_type(code, offset)
    return types


def _read_imports(module: Module, reader: Reader) -> None:
    for _ in range(reader.count("imports", WASM_IMPORTS_MAX)):
        at = reader.pos
        from_module, from_field = reader.name(), reader.name()
        validate.check_import(from_module, at)
        at = reader.pos
        kind = reader.byte()
        validate.check_extern_kind(kind, at)
        extern: ExternType
        if kind == ExternKind.FUNCTION:
            extern = module.types[_read_type_index(module, reader)]
        elif kind == ExternKind.TABLE:
            extern = _read_table(module, reader)
        elif kind == ExternKind.MEMORY:
            extern = _read_memory(module, reader)
        else:
            extern = _read_global_type(module, reader)
        module.imports.append(Import(from_module, from_field, ExternKind(kind), extern))
    module.imported_functions = len(module.functions)
    module.imported_globals = len(module.globals)


def _read_type_index(module: Module, reader: Reader) -> int:
    at = reader.pos
    index = reader.u32()
    if index >= len(module.types):
        raise malformed("type index", at)
    module.functions.append(index)
    validate.check_count("functions", len(module.functions), WASM_FUNCTIONS_MAX, at)
    return index


def _read_limits(reader: Reader, *, memory: bool) -> Limits:
    at = reader.pos
    flags = reader.byte()
    validate.check_limit_flags(flags, memory=memory, offset=at)
    return Limits(reader.u32(), reader.u32() if flags else None)


def _read_table(module: Module, reader: Reader) -> Limits:
    at = reader.pos
    validate.check_table_type(reader.byte(), at)
    limits = _read_limits(reader, memory=False)
    module.tables.append(limits)
    validate.check_single_table(len(module.tables))
    return limits


def _read_memory(module: Module, reader: Reader) -> Limits:
    limits = _read_limits(reader, memory=True)
    module.memories.append(limits)
    validate.check_single_memory(len(module.memories))
    return limits


def _read_global_type(module: Module, reader: Reader) -> GlobalType:
    at = reader.pos
    value = reader.byte()
    validate.check_value_type(value, at)
    mutable = reader.byte()
    if mutable > 1:
        raise malformed("mutability", at + 1)
    extern = GlobalType(value, bool(mutable))
    module.globals.append(extern)
    validate.check_count("globals", len(module.globals), WASM_GLOBALS_MAX, at)
    return extern


def _read_functions(module: Module, reader: Reader) -> None:
    for _ in range(reader.count("functions", WASM_FUNCTIONS_MAX)):
        _read_type_index(module, reader)


def _read_tables(module: Module, reader: Reader) -> None:
    for _ in range(reader.u32()):
        _read_table(module, reader)


def _read_memories(module: Module, reader: Reader) -> None:
    for _ in range(reader.u32()):
        _read_memory(module, reader)


def _read_globals(module: Module, reader: Reader) -> None:
    for _ in range(reader.count("globals", WASM_GLOBALS_MAX)):
        _read_global_type(module, reader)
        _skip_constant(reader)


def _skip_constant(reader: Reader) -> None:
    """A constant or global.get, and the end of the expression."""
    at = reader.pos
    opcode = reader.byte()
    if opcode in (0x23, 0x41):
        reader.skip_numbers(1)
    elif opcode == 0x42:
        for _ in range(10):
            if reader.byte() < 0x80:
                break
    elif opcode == 0x43:
        reader.skip(4)
    elif opcode == 0x44:
        reader.skip(8)
    else:
        validate.refuse_constant(opcode, at)
    at = reader.pos
    end = reader.byte()
    if end != 0x0B:
        validate.refuse_constant(end, at)


def _read_exports(module: Module, reader: Reader) -> None:
    spaces = (module.functions, module.tables, module.memories, module.globals)
    names: set[str] = set()
    for _ in range(reader.count("exports", WASM_EXPORTS_MAX)):
        at = reader.pos
        name = reader.name()
        kind, index = reader.byte(), reader.u32()
        validate.check_extern_kind(kind, at)
        if name in names or index >= len(spaces[kind]):
            raise malformed("export", at)
        names.add(name)
        module.exports.append(Export(name, ExternKind(kind), index))


def _read_start(module: Module, reader: Reader) -> None:
    module.start = reader.u32()


def _read_elements(module: Module, reader: Reader) -> None:
    for _ in range(reader.count("element segments", WASM_SEGMENTS_MAX)):
        at = reader.pos
        flags = reader.u32()
        validate.check_element_kind(flags, at)
        if flags == 2 and reader.u32():
            raise malformed("table index", at)
        if not flags & 1:
            _skip_constant(reader)
        if flags and reader.byte() != 0:
            raise malformed("element kind", reader.pos - 1)
        indices = reader.pos
        reader.skip_numbers(reader.count("elements", WASM_ELEMENTS_MAX))
        module.elements.append((at, indices, reader.pos))


def _read_code(module: Module, reader: Reader) -> None:
    function = module.imported_functions
    for _ in range(reader.count("function bodies", WASM_FUNCTIONS_MAX)):
        size = reader.u32()
        start = reader.pos
        validate.check_body_size(size, function, start)
        reader.skip(size)
        module.bodies.append((start, reader.pos))
        function += 1


def _read_data(module: Module, reader: Reader) -> None:
    for _ in range(reader.count("data segments", WASM_SEGMENTS_MAX)):
        at = reader.pos
        flags = reader.u32()
        if flags > 2 or (flags == 2 and reader.u32()):
            raise malformed("data segment", at)
        if flags != 1:
            _skip_constant(reader)
        reader.skip(reader.u32())


def _read_data_count(module: Module, reader: Reader) -> None:
    reader.u32()


_READERS = {
    SectionId.TYPE: _read_types,
    SectionId.IMPORT: _read_imports,
    SectionId.FUNCTION: _read_functions,
    SectionId.TABLE: _read_tables,
    SectionId.MEMORY: _read_memories,
    SectionId.GLOBAL: _read_globals,
    SectionId.EXPORT: _read_exports,
    SectionId.START: _read_start,
    SectionId.ELEMENT: _read_elements,
    SectionId.CODE: _read_code,
    SectionId.DATA: _read_data,
    SectionId.DATA_COUNT: _read_data_count,
}
