"""The name section: reading a module's own name, and setting it (spec executor/07 "Linking", "Soft floats")."""

from __future__ import annotations

import contextlib

from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.subvm.wasm.binary import Reader, Section, SectionId, encode_sized, read_sections, write_sections

NAME_SECTION = "name"
MODULE_NAME = 0

# Custom sections that describe the toolchain or positions in the code, which any rewriting makes wrong.
_DROPPED = ("producers",)
_DROPPED_PREFIXES = (".debug_",)


def is_debug(name: str) -> bool:
    """Whether builders drop the custom section of that name."""
    return name in _DROPPED or name.startswith(_DROPPED_PREFIXES)


def read_subsections(content: bytes) -> list[tuple[int, bytes]]:
    """(id, content) of each part of a name section; InvalidContract if malformed."""
    reader = Reader(content, 0, len(content))
    parts = []
    while reader.pos < reader.end:
        part_id = reader.byte()
        parts.append((part_id, reader.take(reader.u32())))
    return parts


def write_subsections(parts: list[tuple[int, bytes]]) -> bytes:
    """Inverse of :func:`read_subsections`."""
    return b"".join(bytes((part_id,)) + encode_sized(content) for part_id, content in parts)


def own_name(wasm: bytes, sections: list[Section]) -> str | None:
    """Name that the module of these ``sections`` gives itself; None if it has none.

    Custom sections cannot make a module invalid: malformed ones say nothing from the fault on. Of several name sections
    the last that names the module counts. This is how the engine names modules in frames.
    """
    name = None
    for section in sections:
        if section.name == NAME_SECTION:
            with contextlib.suppress(InvalidContract):
                reader = Reader(wasm, section.start, section.end)
                if reader.byte() != MODULE_NAME:  # parts are in order of their ids, so no later one names the module
                    continue
                size = reader.u32()
                part = Reader(wasm, reader.pos, reader.pos + size)
                reader.skip(size)
                found = part.name()
                part.finish("module name")
                name = found
    return name


def module_name(wasm: bytes) -> str | None:
    """A module's own name; None if it has none. Raises InvalidContract if its sections are malformed."""
    return own_name(wasm, read_sections(wasm))


def set_module_name(wasm: bytes, name: str) -> bytes:
    """The module under another name, without ``.debug_*`` and ``producers`` sections; other names are kept.

    Raises InvalidContract if the module's sections or its name section are malformed.
    """
    kept: list[tuple[int, str, bytes]] = []
    parts: list[tuple[int, bytes]] = []
    for section in read_sections(wasm):
        content = wasm[section.start : section.end]
        if section.name == NAME_SECTION:
            parts = [part for part in read_subsections(content) if part[0] != MODULE_NAME]
        elif not is_debug(section.name):
            kept.append((section.id, section.name, content))
    parts.insert(0, (MODULE_NAME, encode_sized(name.encode())))
    kept.append((SectionId.CUSTOM, NAME_SECTION, write_subsections(parts)))
    return write_sections(kept)
