"""The ZAP container: a header, one root object of fixed size, and what its slots point to (spec settlement/02 §11).

All integers of the container are little-endian. A slot is eight bytes: where, relative to itself, and how many.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ("Builder", "ObjectBuilder", "ObjectReader", "U32List", "ZapError", "open_message")

_HEADER = struct.Struct("<4sHHII")
_MAGIC: Final = b"ZAP\0"
_VERSIONS: Final = (1, 2)
#: What writers of this family emit.
VERSION: Final = 2
_SLOT = struct.Struct("<II")
_LIST_SLOT = struct.Struct("<iI")
_ALIGNMENT: Final = 8


class ZapError(ValueError):
    """Bytes that are no message of this kind."""


class U32List(NamedTuple):
    """A list that was written before the object that points to it."""

    position: int
    length: int


class Builder:
    """Writes one message: lists first, then the root object, whose variable data follow (spec settlement/02 §11.2)."""

    def __init__(self, version: int = VERSION) -> None:
        self._version = version
        self.data = bytearray(_HEADER.size)

    def u32_list(self, values: Sequence[int]) -> U32List:
        """An empty list still aligns what follows."""
        position = self._aligned()
        self.data += struct.pack(f"<{len(values)}I", *values)
        return U32List(position, len(values))

    def root(self, size: int) -> ObjectBuilder:
        position = self._aligned()
        self.data += bytes(size)
        return ObjectBuilder(self.data, position)

    def finish(self, root: ObjectBuilder) -> bytes:
        _HEADER.pack_into(self.data, 0, _MAGIC, self._version, 0, root.position, len(self.data))
        return bytes(self.data)

    def _aligned(self) -> int:
        self.data += bytes(-len(self.data) % _ALIGNMENT)
        return len(self.data)


class ObjectBuilder:
    """Fills an object in place; bytes fields append their data in the order in which they are set."""

    def __init__(self, data: bytearray, position: int) -> None:
        self._data = data
        self.position = position

    def set(self, layout: str, offset: int, value: int) -> None:
        """A little-endian scalar; ``layout`` is a letter of :mod:`struct`."""
        struct.pack_into("<" + layout, self._data, self.position + offset, value)

    def fixed(self, offset: int, value: bytes) -> None:
        start = self.position + offset
        self._data[start : start + len(value)] = value

    def bytes(self, offset: int, value: bytes) -> None:
        if value:
            slot = self.position + offset
            _SLOT.pack_into(self._data, slot, len(self._data) - slot, len(value))
            self._data += value

    def list(self, offset: int, value: U32List) -> None:
        if value.length:
            slot = self.position + offset
            _LIST_SLOT.pack_into(self._data, slot, value.position - slot, value.length)


def open_message(data: bytes) -> tuple[ObjectReader, int]:
    """The root object of a message, and the size that its header declares (spec settlement/02 §11.3)."""
    if len(data) < _HEADER.size:
        raise ZapError("zap: buffer too small")
    magic, version, _, root, size = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise ZapError("zap: invalid magic bytes")
    if version not in _VERSIONS:
        raise ZapError("zap: unsupported version")
    if not _HEADER.size <= size <= len(data):
        raise ZapError("zap: buffer too small")
    return ObjectReader(data[:size], root), size


class ObjectReader:
    """Reads an object of a message; what is past the end reads as zero or as nothing."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position

    def get(self, layout: str, offset: int) -> int:
        size = struct.calcsize("<" + layout)
        found: int = struct.unpack("<" + layout, self.fixed(offset, size))[0]
        return found

    def fixed(self, offset: int, size: int) -> bytes:
        start = self._position + offset
        found = self._data[start : start + size]
        return found if len(found) == size else bytes(size)

    def bytes(self, offset: int) -> bytes:
        slot = self._position + offset
        relative, length = _SLOT.unpack(self.fixed(offset, _SLOT.size))
        start = slot + relative
        if not length or start < _HEADER.size or start + length > len(self._data):
            return b""
        return self._data[start : start + length]

    def u32_list(self, offset: int) -> tuple[int, ...]:
        slot = self._position + offset
        relative, count = _LIST_SLOT.unpack(self.fixed(offset, _LIST_SLOT.size))
        start = slot + relative
        if not count or start < _HEADER.size or start + 4 * count > len(self._data):
            return ()
        return struct.unpack_from(f"<{count}I", self._data, start)
