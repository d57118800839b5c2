"""Writes changed modules: sections replaced or extended, parts of functions replaced, functions appended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from typing import TypeAlias

from pygenvm.executor.limits import WASM_EDITED_BYTES, WASM_EDITED_BYTES_PER_BYTE
from pygenvm.executor.subvm.wasm import validate
from pygenvm.executor.subvm.wasm.binary import (
    ORDER,
    Reader,
    SectionId,
    encode_sized,
    encode_u32,
    encode_vector,
    write_sections,
)
from pygenvm.executor.subvm.wasm.instructions import GLOBALS, Body, bodies, scanner, walk
from pygenvm.executor.subvm.wasm.module import Export, ExternKind, FuncType, GlobalType, Module

_GLOBAL_SCANNER = scanner(GLOBALS)

#: ``data[start:end]`` of a module, and what takes its place.
Edit: TypeAlias = tuple[int, int, bytes]


def extended(module: Module, section_id: SectionId, items: list[bytes]) -> bytes:
    """Content of a vector section with ``items`` appended; also if the module lacks the section."""
    section = module.section(section_id)
    if section is None:
        return encode_vector(items)
    reader = Reader(module.data, section.start, section.end)
    count = reader.u32()
    return encode_u32(count + len(items)) + reader.take(reader.end - reader.pos) + b"".join(items)


def rebuild(
    module: Module,
    changed: dict[SectionId, bytes],
    custom: Callable[[str, bytes], bytes | None] = lambda name, content: content,
) -> bytes:
    """The module with the contents of ``changed``, new sections at their places.

    ``custom`` gets name and content of each custom section and returns its new content, or None to drop it.
    """
    out: list[tuple[int, str, bytes]] = []
    for section in module.sections:
        content: bytes | None = module.data[section.start : section.end]
        if section.id == SectionId.CUSTOM:
            content = custom(section.name, module.data[section.start : section.end])
        elif section.id in changed:
            content = changed[section.id]
        if content is not None:
            out.append((section.id, section.name, content))
    for section_id in changed:
        if module.section(section_id) is None:
            before = [i for i, item in enumerate(out) if item[0] and ORDER[item[0]] < ORDER[section_id]]
            out.insert(before[-1] + 1 if before else 0, (section_id, "", changed[section_id]))
    return write_sections(out)


class Editor:
    """Collects changes of a module. Indices that it returns are final, and no function, table, memory or type moves.

    Code is changed one function at a time, when the module is written: what is kept until then does not grow with it.
    Only defined globals move, behind the imported ones that are added: :meth:`move_globals` comes after those.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self._passes: list[Callable[[Body], Iterable[Edit]]] = []
        self._type_indices = {kind: index for index, kind in enumerate(module.types)}
        self._types: list[bytes] = []
        self._functions: list[bytes] = []
        self._bodies: list[bytes] = []
        self._imports: list[bytes] = []
        self._exports: list[Export] = []
        self._has_data = True
        self._export_names = {export.name for export in module.exports}

    def edit_bodies(self, edits: Callable[[Body], Iterable[Edit]]) -> None:
        """Changes every function by what ``edits`` says of it, in order; edits of several calls may not overlap."""
        self._passes.append(edits)

    def type_index(self, kind: FuncType) -> int:
        """Index of a function type, added if the module lacks it."""
        index = self._type_indices.get(kind)
        if index is None:
            index = self._type_indices[kind] = len(self.module.types) + len(self._types)
            self._types.append(kind.to_bytes())
        return index

    def add_function(self, kind: FuncType, body: bytes) -> int:
        """Appends a function; ``body`` has locals and final ``end``, without size."""
        self._functions.append(encode_u32(self.type_index(kind)))
        self._bodies.append(encode_sized(body))
        return len(self.module.functions) + len(self._functions) - 1

    def add_global_import(self, module: str, name: str, kind: GlobalType) -> int:
        """Appends one imported global; returns its index, that of all defined globals grows by one."""
        self._imports.append(encode_sized(module.encode()) + encode_sized(name.encode()) + b"\x03" + kind.to_bytes())
        return self.module.imported_globals + len(self._imports) - 1

    def move_globals(self) -> None:
        """Makes the functions use the defined globals at their new indices; once, when no import will be added."""
        if not self._imports or len(self.module.globals) == self.module.imported_globals:
            return
        data = self.module.data

        def edits(body: Body) -> Iterator[Edit]:
            for start, end in walk(data, body, _GLOBAL_SCANNER):
                yield start + 1, end, encode_u32(self._moved(Reader(data, start + 1, end).u32()))

        self.edit_bodies(edits)

    def drop_data(self) -> None:
        """Leaves the module without data segments, which no code of it may use."""
        self._has_data = False

    def add_export(self, wish: str, kind: ExternKind, index: int) -> str:
        """Exports an item as ``wish`` or, if that is taken, with ``$`` appended until it is free; returns the name."""
        name = wish
        while name in self._export_names:
            name += "$"
        self._export_names.add(name)
        self._exports.append(Export(name, kind, index))
        return name

    def to_bytes(self) -> bytes:
        """The changed module; the original bytes if nothing was added or changed."""
        module, changed = self.module, dict[SectionId, bytes]()
        # First of all: the changes of code may need further types.
        code = self._code() if self._bodies or self._passes else None
        if self._types:
            changed[SectionId.TYPE] = extended(module, SectionId.TYPE, self._types)
        if self._imports:
            changed[SectionId.IMPORT] = extended(module, SectionId.IMPORT, self._imports)
        if self._functions:
            changed[SectionId.FUNCTION] = extended(module, SectionId.FUNCTION, self._functions)
        if self._exports or (self._imports and module.exports):
            exports = (*map(self._moved_export, module.exports), *self._exports)
            changed[SectionId.EXPORT] = encode_vector(export.to_bytes() for export in exports)
        if code is not None:
            changed[SectionId.CODE] = code
        if not self._has_data:
            changed[SectionId.DATA] = encode_vector(())
        return rebuild(module, changed) if changed else module.data

    def _moved(self, index: int) -> int:
        return index if index < self.module.imported_globals else index + len(self._imports)

    def _moved_export(self, export: Export) -> Export:
        if export.kind != ExternKind.GLOBAL:
            return export
        return Export(export.name, export.kind, self._moved(export.index))

    def _code(self) -> bytes:
        """The code section. It grows by a multiple of the module at most, whatever the functions are made of."""
        data = self.module.data
        room = len(data) * WASM_EDITED_BYTES_PER_BYTE + WASM_EDITED_BYTES
        out = bytearray(encode_u32(len(self.module.bodies) + len(self._bodies)))
        for body, (start, end) in zip(bodies(self.module), self.module.bodies, strict=True):
            made = bytearray()
            for edit_start, edit_end, replacement in merge(*(edits(body) for edits in self._passes)):
                made += data[start:edit_start]
                made += replacement
                start = edit_end
                validate.check_edited_size(len(out) + len(made), room)
            made += data[start:end]
            out += encode_u32(len(made))
            out += made
        return bytes(out) + b"".join(self._bodies)
