"""Unsigned LEB128: a number in groups of seven bits, least significant first (spec executor/01).

All bytes but the last have their top bit set. Eight groups are seven bytes: long numbers change between the two forms
in lanes of 64 bits, many lanes at once, so that a number of a megabyte takes time in proportion to its length; and in
pieces, because other threads of the executor have to wait while the interpreter is inside an operation on a huge
integer. Ships inside the sandbox too, so only the standard library is used.
"""

from __future__ import annotations

import re

__all__ = ("NotMinimal", "read_uleb", "write_uleb")

_TAIL = re.compile(rb"[\x80-\xff]*+[\x00-\x7f]")
_LOOP_GROUPS = 10
"""Up to this many groups a loop over bytes is faster than lanes."""
_PIECE_LANES = 1 << 13


class NotMinimal(ValueError):
    """The last of several groups is zero: the number has a shorter form."""


def write_uleb(number: int) -> bytes | bytearray:
    """The bytes of a number that is not negative."""
    if number < 0x4000:
        if number < 0x80:
            return bytes((number,))
        return bytes((number & 0x7F | 0x80, number >> 7))
    if number < 0x200000:
        return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14))
    if number.bit_length() > 7 * _LOOP_GROUPS:
        return _split_groups(number)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return out


def read_uleb(data: bytes, pos: int) -> tuple[int, int]:
    """The number at ``pos`` and the position after it.

    Raises ``IndexError`` when ``data`` ends first, :class:`NotMinimal` for a number that :func:`write_uleb` writes
    otherwise.
    """
    number = shift = 0
    start = pos
    while shift < 7 * _LOOP_GROUPS:
        group = data[pos]
        pos += 1
        if group < 0x80:
            if group == 0 and shift:
                raise NotMinimal("most significant octet can not be zero")
            return number | group << shift, pos
        number |= (group & 0x7F) << shift
        shift += 7
    tail = _TAIL.match(data, pos)
    if tail is None:
        raise IndexError("the number does not end")
    if data[tail.end() - 1] == 0:
        raise NotMinimal("most significant octet can not be zero")
    return _join_groups(data[start : tail.end()]), tail.end()


# Lanes


def _masks(lanes: int) -> tuple[int, int, int, int]:
    """Per lane: 7 of 16 bits, 14 of 32, 28 of 64, and the top bit of each byte."""
    m7, m14, m28, top = (
        int.from_bytes(lane.to_bytes(8, "little") * lanes, "little")
        for lane in (0x007F007F007F007F, 0x00003FFF00003FFF, 0x000000000FFFFFFF, 0x8080808080808080)
    )
    return m7, m14, m28, top


_FEW_LANES = tuple(_masks(lanes) for lanes in range(9))


def _join_groups(groups: bytes) -> int:
    """Number with these 7-bit groups, least significant first; top bits are ignored."""
    if len(groups) <= 8 * _PIECE_LANES:
        return int.from_bytes(_joined(groups), "little")
    packed = bytearray()
    for start in range(0, len(groups), 8 * _PIECE_LANES):
        packed += _joined(groups[start : start + 8 * _PIECE_LANES])
    return int.from_bytes(packed, "little")


def _joined(groups: bytes) -> bytearray:
    """Seven bytes per eight groups."""
    lanes = (len(groups) + 7) // 8
    m7, m14, m28, _ = _FEW_LANES[lanes] if lanes < len(_FEW_LANES) else _masks(lanes)
    number = int.from_bytes(groups, "little")
    number = (number & m7) | ((number >> 8) & m7) << 7
    number = (number & m14) | ((number >> 16) & m14) << 14
    number = (number & m28) | ((number >> 32) & m28) << 28
    packed = bytearray(number.to_bytes(8 * lanes, "little"))
    del packed[7::8]
    return packed


def _split_groups(number: int) -> bytearray:
    """Unsigned LEB128 of a positive number."""
    count = (number.bit_length() + 6) // 7
    lanes = (count + 7) // 8
    packed = number.to_bytes(7 * lanes, "little")
    if lanes <= _PIECE_LANES:
        out = _split(packed)
    else:
        out = bytearray()
        for start in range(0, len(packed), 7 * _PIECE_LANES):
            out += _split(packed[start : start + 7 * _PIECE_LANES])
    del out[count:]
    out[-1] &= 0x7F
    return out


def _split(packed: bytes) -> bytearray:
    """Eight groups with their top bits set per seven bytes."""
    lanes = len(packed) // 7
    m7, m14, m28, top = _FEW_LANES[lanes] if lanes < len(_FEW_LANES) else _masks(lanes)
    wide = bytearray(8 * lanes)
    for index in range(7):
        wide[index::8] = packed[index::7]
    spread = int.from_bytes(wide, "little")
    spread = (spread & m28) | ((spread >> 28) & m28) << 32
    spread = (spread & m14) | ((spread >> 14) & m14) << 16
    spread = (spread & m7) | ((spread >> 7) & m7) << 8
    return bytearray((spread | top).to_bytes(8 * lanes, "little"))
