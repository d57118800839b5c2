"""Writes changed modules: sections replaced or extended, functions and exports appended, so that no index shifts."""

from __future__ import annotations

from collections.abc import Callable

from executor.subvm.wasm.binary import (
    ORDER,
    Reader,
    SectionId,
    encode_sized,
    encode_u32,
    encode_vector,
    write_sections,
)
from executor.subvm.wasm.module import ExternKind, FuncType, Module


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


class Appender:
    """Collects additions to a module. Indices returned are final; nothing that exists changes its index."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.changed_bodies: dict[int, bytes] = {}
        """New bodies, without size, by position in the code section."""
        self._types: list[bytes] = []
        self._functions: list[bytes] = []
        self._bodies: list[bytes] = []
        self._exports: list[bytes] = []
        self._export_names = {export.name for export in module.exports}

    def add_function(self, kind: FuncType, body: bytes) -> int:
        """Appends a function; ``body`` has locals and final ``end``, without size."""
        self._functions.append(encode_u32(len(self.module.types) + len(self._types)))
        self._types.append(kind.to_bytes())
        self._bodies.append(body)
        return len(self.module.functions) + len(self._functions) - 1

    def add_export(self, wish: str, kind: ExternKind, index: int) -> str:
        """Exports an item as ``wish`` or, if that is taken, with ``$`` appended until it is free; returns the name."""
        name = wish
        while name in self._export_names:
            name += "$"
        self._export_names.add(name)
        self._exports.append(encode_sized(name.encode()) + bytes((kind,)) + encode_u32(index))
        return name

    def to_bytes(self) -> bytes:
        """The changed module; the original bytes if nothing was added or changed."""
        module, changed = self.module, dict[SectionId, bytes]()
        if self._functions:
            changed[SectionId.TYPE] = extended(module, SectionId.TYPE, self._types)
            changed[SectionId.FUNCTION] = extended(module, SectionId.FUNCTION, self._functions)
        if self._exports:
            changed[SectionId.EXPORT] = extended(module, SectionId.EXPORT, self._exports)
        if self._functions or self.changed_bodies:
            changed[SectionId.CODE] = self._code()
        return rebuild(module, changed) if changed else module.data

    def _code(self) -> bytes:
        data = self.module.data
        bodies = [
            encode_sized(self.changed_bodies.get(position) or data[start:end])
            for position, (start, end) in enumerate(self.module.bodies)
        ]
        return encode_vector((*bodies, *map(encode_sized, self._bodies)))
