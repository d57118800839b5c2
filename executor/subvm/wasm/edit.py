"""Writes changed modules: sections replaced or extended, parts of functions replaced, functions appended."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pygenvm.executor.subvm.wasm.binary import (
    ORDER,
    Reader,
    SectionId,
    encode_sized,
    encode_u32,
    encode_vector,
    write_sections,
)
from pygenvm.executor.subvm.wasm.instructions import GLOBALS, bodies, scanner, walk
from pygenvm.executor.subvm.wasm.module import Export, ExternKind, FuncType, GlobalType, Module

_GLOBAL_SCANNER = scanner(GLOBALS)


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

    Only defined globals move, behind the imported ones that are added: :meth:`move_globals` comes after those.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self.edits: dict[int, list[tuple[int, int, bytes]]] = {}
        """(start, end, replacement) of ``module.data`` by function index; they may not overlap."""
        self._type_indices = {kind: index for index, kind in enumerate(module.types)}
        self._types: list[bytes] = []
        self._functions: list[bytes] = []
        self._bodies: list[bytes] = []
        self._imports: list[bytes] = []
        self._exports: list[Export] = []
        self._export_names = {export.name for export in module.exports}

    def edit(self, function: int, start: int, end: int, replacement: bytes) -> None:
        """Replaces ``module.data[start:end]``, a part of the body of that function."""
        self.edits.setdefault(function, []).append((start, end, replacement))

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
        for body in bodies(self.module):
            for start, end in walk(data, body, _GLOBAL_SCANNER):
                index = self._moved(Reader(data, start + 1, end).u32())
                self.edit(body.function, start + 1, end, encode_u32(index))

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
        if self._types:
            changed[SectionId.TYPE] = extended(module, SectionId.TYPE, self._types)
        if self._imports:
            changed[SectionId.IMPORT] = extended(module, SectionId.IMPORT, self._imports)
        if self._functions:
            changed[SectionId.FUNCTION] = extended(module, SectionId.FUNCTION, self._functions)
        if self._exports or (self._imports and module.exports):
            exports = (*map(self._moved_export, module.exports), *self._exports)
            changed[SectionId.EXPORT] = encode_vector(export.to_bytes() for export in exports)
        if self._bodies or self.edits:
            changed[SectionId.CODE] = encode_vector((*self._edited_bodies(), *self._bodies))
        return rebuild(module, changed) if changed else module.data

    def _moved(self, index: int) -> int:
        return index if index < self.module.imported_globals else index + len(self._imports)

    def _moved_export(self, export: Export) -> Export:
        if export.kind != ExternKind.GLOBAL:
            return export
        return Export(export.name, export.kind, self._moved(export.index))

    def _edited_bodies(self) -> Iterator[bytes]:
        data = self.module.data
        for function, (start, end) in enumerate(self.module.bodies, self.module.imported_functions):
            parts: list[bytes] = []
            for edit_start, edit_end, replacement in sorted(self.edits.get(function, ())):
                parts += (data[start:edit_start], replacement)
                start = edit_end
            parts.append(data[start:end])
            yield encode_sized(b"".join(parts))
