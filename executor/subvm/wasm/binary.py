"""LEB128 numbers and sections of WebAssembly core modules, read within bounds and written canonically."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from pygenvm.executor.limits import WASM_CUSTOM_SECTIONS_MAX, WASM_NAME_BYTES_MAX
from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.subvm.wasm import validate

HEADER = validate.HEADER

# One LEB128 number as a bytes regex: up to 32 and up to 64 bits.
LEB32 = rb"[\x80-\xff]{0,4}+[\x00-\x7f]"
LEB64 = rb"[\x80-\xff]{0,9}+[\x00-\x7f]"

# Skips 2**k LEB128 numbers in one step; together they skip any count without compiling a pattern per count.
_SKIP = tuple(re.compile(rb"(?:%s){%d}+" % (LEB32, 1 << k)) for k in range(32))


class SectionId(IntEnum):
    CUSTOM = 0
    TYPE = 1
    IMPORT = 2
    FUNCTION = 3
    TABLE = 4
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    START = 8
    ELEMENT = 9
    CODE = 10
    DATA = 11
    DATA_COUNT = 12


# Position in the file by section id; custom sections (0) may stand anywhere.
ORDER = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 10)


@dataclass(frozen=True, slots=True)
class Section:
    """``data[start:end]`` is the content, without id and size; ``name`` is that of a custom section, else ""."""

    id: SectionId
    start: int
    end: int
    name: str = ""


def malformed(what: str, offset: int) -> InvalidContract:
    """The error for bytes that are no WebAssembly, to be raised."""
    return InvalidContract(f"wasm: malformed {what} at offset {offset:#x}")


def encode_u32(value: int) -> bytes:
    """Shortest unsigned LEB128."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_s(value: int) -> bytes:
    """Shortest signed LEB128."""
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)


def encode_vector(items: Iterable[bytes]) -> bytes:
    """Count and items."""
    parts = list(items)
    return encode_u32(len(parts)) + b"".join(parts)


def encode_sized(content: bytes) -> bytes:
    """Length and bytes: names, function bodies."""
    return encode_u32(len(content)) + content


def encode_section(section_id: int, content: bytes) -> bytes:
    """Id, size, content."""
    return bytes((section_id,)) + encode_sized(content)


class Reader:
    """A cursor over ``data[pos:end]``; every method raises InvalidContract instead of leaving that range."""

    __slots__ = ("data", "end", "pos")

    def __init__(self, data: bytes, pos: int, end: int) -> None:
        self.data = data
        self.pos = pos
        self.end = end

    def byte(self) -> int:
        pos = self.pos
        if pos >= self.end:
            raise malformed("module: unexpected end", pos)
        self.pos = pos + 1
        return self.data[pos]

    def u32(self) -> int:
        """Unsigned LEB128 of at most 32 bits and 5 bytes."""
        data, pos, end = self.data, self.pos, self.end
        if pos < end and (value := data[pos]) < 0x80:
            self.pos = pos + 1
            return value
        value = 0
        for shift in (0, 7, 14, 21, 28):
            if pos >= end:
                raise malformed("module: unexpected end", pos)
            byte = data[pos]
            pos += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >> 32:
                    break
                self.pos = pos
                return value
        raise malformed("number", self.pos)

    def count(self, what: str, limit: int) -> int:
        """Length of a vector of ``what``, at most ``limit``."""
        at = self.pos
        value = self.u32()
        validate.check_count(what, value, limit, at)
        return value

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        start = self.pos
        self.skip(size)
        return self.data[start : self.pos]

    def skip(self, size: int) -> None:
        if size > self.end - self.pos:
            raise malformed("module: unexpected end", self.pos)
        self.pos += size

    def skip_numbers(self, count: int) -> None:
        """Skips ``count`` LEB128 numbers of up to 5 bytes."""
        k = 0
        while count:
            if count & 1:
                found = _SKIP[k].match(self.data, self.pos, self.end)
                if found is None:
                    raise malformed("vector of numbers", self.pos)
                self.pos = found.end()
            count >>= 1
            k += 1

    def name(self) -> str:
        """A length-prefixed UTF-8 text."""
        at = self.pos
        size = self.count("name bytes", WASM_NAME_BYTES_MAX)
        try:
            return self.take(size).decode("utf-8")
        except UnicodeDecodeError:
            raise malformed("UTF-8", at) from None

    def finish(self, what: str) -> None:
        """Raises unless everything was read."""
        if self.pos != self.end:
            raise malformed(f"{what}: bytes left over", self.pos)


def read_sections(data: bytes) -> list[Section]:
    """All sections of a module in file order; header, ids, order and sizes are checked, contents are not."""
    validate.check_module_size(len(data))
    validate.check_header(data)
    sections: list[Section] = []
    reader = Reader(data, len(HEADER), len(data))
    last = customs = 0
    while reader.pos < reader.end:
        at = reader.pos
        section_id = reader.byte()
        validate.check_section_id(section_id, at)
        size = reader.u32()
        start = reader.pos
        reader.skip(size)
        name = ""
        if section_id == SectionId.CUSTOM:
            customs += 1
            validate.check_count("custom sections", customs, WASM_CUSTOM_SECTIONS_MAX, at)
            content = Reader(data, start, reader.pos)
            name = content.name()
            start = content.pos
        elif ORDER[section_id] <= last:
            raise malformed("section order", at)
        else:
            last = ORDER[section_id]
        sections.append(Section(SectionId(section_id), start, reader.pos, name))
    return sections


def write_sections(sections: Iterable[tuple[int, str, bytes]]) -> bytes:
    """A module of (id, name of the custom section or "", content), in the order given."""
    parts = [HEADER]
    for section_id, name, content in sections:
        if section_id == SectionId.CUSTOM:
            content = encode_sized(name.encode()) + content
        parts.append(encode_section(section_id, content))
    return b"".join(parts)
