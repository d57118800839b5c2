"""Values as they lie in a request: checked, but not made.

Calldata is canonical (spec executor/01), so what a contract passes on to another one need not be decoded and encoded
again. Decoded, 6 MB of it can take 400 MB, and a contract that calls another one waits with its request until that has
ended. :func:`checked` accepts exactly what :func:`executor.primitives.calldata.decode` accepts.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from typing import Any, Final, final

from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.primitives.calldata import MAX_DEPTH, MAX_ITEMS, MAX_LENGTH, DecodingError
from pygenvm.executor.primitives.uleb import read_uleb
from pygenvm.executor.subvm.types import Buffer

#: It takes whatever can be indexed and cut.
_number: Callable[[Buffer, int], tuple[int, int]] = read_uleb  # type: ignore[assignment]

# Kinds of values, and whole headers.
_SPECIAL, _NATURAL, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP = range(7)
_NULL, _FALSE, _TRUE, _ADDRESS = b"\x00\x08\x10\x18"

#: Entries of maps of so few entries are found when the map is checked, those of others when they are asked for.
_FEW_ENTRIES: Final = 16
#: A request is a map that holds a payload, and that may be one.
_LEVELS: Final = 2
#: Longer texts are checked in pieces of this length.
_TEXT_PIECE_BYTES: Final = 1 << 16


@final
class Encoded:
    """A value of checked calldata; ``data[start:end]`` is its encoding. As short-lived as the data, unless copied."""

    __slots__ = ("_data", "_entries", "_head", "end", "start")

    def __init__(self, data: Buffer, start: int, end: int, entries: list[tuple[str, Encoded]] | None = None) -> None:
        self._data = data
        self._head = data[start]
        self._entries = entries
        self.start = start
        self.end = end

    @property
    def encoding(self) -> Buffer:
        """The slice of the request, without a copy where that is big."""
        return self._data[self.start : self.end]

    def to_bytes(self) -> bytes:
        """A copy of the encoding."""
        return bytes(self.encoding)

    def decode(self) -> Any:
        """The value, with everything in it."""
        return calldata.decode(self.encoding)

    # --- questions ---------------------------------------------------------------------------------

    @property
    def is_null(self) -> bool:
        return self._head == _NULL

    @property
    def is_map(self) -> bool:
        return self._head & 7 == _MAP

    def boolean(self) -> bool | None:
        """The value if it is true or false."""
        return None if self._head not in (_FALSE, _TRUE) else self._head == _TRUE

    def natural(self, below: int) -> int | None:
        """The value if it is an integer from 0 to ``below``, without that."""
        # Seven bits to a byte, three of them the kind's.
        if self._head & 7 != _NATURAL or 7 * (self.end - self.start) > below.bit_length() + 16:
            return None
        value = _number(self._data, self.start)[0] >> 3
        return value if value < below else None

    def address(self) -> Address | None:
        """The value if it is an address."""
        return Address(bytes(self._data[self.start + 1 : self.end])) if self._head == _ADDRESS else None

    def text(self) -> str | None:
        """The value if it is a text."""
        return str(self._content(), "utf-8") if self._head & 7 == _TEXT else None

    def blob(self) -> Buffer | None:
        """The value if it is a byte string, without a copy where that is big."""
        return self._content() if self._head & 7 == _BYTES else None

    def elements(self) -> Iterator[Encoded] | None:
        """The elements if it is an array."""
        return self._each_element() if self._head & 7 == _ARRAY else None

    def entries(self) -> Iterator[tuple[str, Encoded]] | None:
        """Keys and values, in order, if it is a map."""
        if not self.is_map:
            return None
        return self._each_entry() if self._entries is None else iter(self._entries)

    def _content(self) -> Buffer:
        return self._data[_number(self._data, self.start)[1] : self.end]

    def _each_element(self) -> Iterator[Encoded]:
        pos = _number(self._data, self.start)[1]
        while pos < self.end:
            element = Encoded(self._data, pos, _end_of(self._data, pos, _Room()))
            yield element
            pos = element.end

    def _each_entry(self) -> Iterator[tuple[str, Encoded]]:
        pos = _number(self._data, self.start)[1]
        while pos < self.end:
            key, pos = _key(self._data, pos, None)
            value = Encoded(self._data, pos, _end_of(self._data, pos, _Room()))
            yield key.decode(), value
            pos = value.end


def checked(data: Buffer) -> Encoded:
    """The value whose encoding is ``data``.

    :raises ValueError: where :func:`executor.primitives.calldata.decode` raises one.
    """
    try:
        value = _checked(data, 0, _Room(), _LEVELS)
    except IndexError as error:
        raise DecodingError("unexpected end of memory") from error
    if value.end != len(data):
        raise DecodingError(f"{len(data) - value.end} bytes behind the value")
    return value


class _Room:
    """What is left of the limits of one value, its containers' together."""

    __slots__ = ("depth", "items")

    def __init__(self) -> None:
        self.items = MAX_ITEMS
        self.depth = MAX_DEPTH

    def take(self, items: int) -> None:
        if items > self.items:
            raise DecodingError(f"more than {MAX_ITEMS} items")
        self.items -= items


def _checked(data: Buffer, start: int, room: _Room, levels: int) -> Encoded:
    """The value at ``start``; of maps with few entries in maps with few entries, the entries, ``levels`` deep."""
    if not levels or data[start] & 7 != _MAP:
        return Encoded(data, start, _end_of(data, start, room))
    header, pos = _number(data, start)
    count = header >> 3
    if not 0 < count <= _FEW_ENTRIES:
        return Encoded(data, start, _end_of(data, start, room))
    room.take(count)
    room.depth -= 1
    entries: list[tuple[str, Encoded]] = []
    key: bytes | None = None
    for _ in range(count):
        key, pos = _key(data, pos, key)
        value = _checked(data, pos, room, levels - 1)
        entries.append((key.decode(), value))
        pos = value.end
    room.depth += 1
    return Encoded(data, start, pos, entries)


def _end_of(data: Buffer, pos: int, room: _Room) -> int:
    """Where the value at ``pos`` ends. IndexError where ``data`` ends first."""
    size = len(data)
    # The container that is being read: its values to come, whether it is a map, and its last key.
    left = 1
    in_map = False
    key: bytes | None = None
    parents: list[tuple[int, bool, bytes | None]] = []
    while True:
        if in_map:
            key, pos = _key(data, pos, key)
        header = data[pos]
        if header > 0x7F:
            header, pos = _number(data, pos)
        else:
            pos += 1
        kind = header & 7
        number = header >> 3
        if kind in (_TEXT, _BYTES):
            end = pos + number
            if end > size or number > MAX_LENGTH:
                raise DecodingError("unexpected end of memory")
            if kind == _TEXT:
                _check_text(data, pos, end)
            pos = end
        elif kind in (_ARRAY, _MAP):
            if number:
                room.take(number)
                if len(parents) == room.depth:
                    raise DecodingError(f"nested more than {MAX_DEPTH} levels deep")
                parents.append((left, in_map, key))
                left, in_map, key = number, kind == _MAP, None
                continue
        elif kind == _SPECIAL:
            if header == _ADDRESS:
                pos += Address.SIZE
                if pos > size:
                    raise DecodingError("unexpected end of memory")
            elif header not in (_NULL, _FALSE, _TRUE):
                raise DecodingError("unknown special")
        elif kind > _MAP:
            raise DecodingError(f"invalid type {kind}")
        left -= 1
        while not left:
            if not parents:
                return pos
            left, in_map, key = parents.pop()
            left -= 1


def _key(data: Buffer, pos: int, previous: bytes | None) -> tuple[bytes, int]:
    """The key at ``pos`` and where it ends; it must come behind the previous one."""
    length = data[pos]
    if length > 0x7F:
        length, pos = _number(data, pos)
    else:
        pos += 1
    end = pos + length
    if end > len(data) or length > MAX_LENGTH:
        raise DecodingError("unexpected end of memory")
    key = bytes(data[pos:end])
    if not key.isascii():
        _check_text(key, 0, length)
    # UTF-8 has the order of the texts.
    if previous is not None and previous >= key:
        raise DecodingError("unordered calldata keys")
    return key, end


def _check_text(data: Buffer, start: int, end: int) -> None:
    """:raises UnicodeDecodeError: not UTF-8."""
    if end - start <= _TEXT_PIECE_BYTES:
        str(data[start:end], "utf-8")
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    for piece in range(start, end, _TEXT_PIECE_BYTES):
        decoder.decode(data[piece : min(piece + _TEXT_PIECE_BYTES, end)])
    decoder.decode(b"", final=True)
