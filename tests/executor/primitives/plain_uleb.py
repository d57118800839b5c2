"""Unsigned LEB128 as spec executor/01 defines it, one group at a time."""

from __future__ import annotations


def plain_uleb(number: int) -> bytes:
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*groups, number))


def read_plain_uleb(data: bytes, pos: int) -> tuple[int, int]:
    """The number and the position after it. ``IndexError`` when ``data`` ends first; any number of groups will do."""
    number = shift = 0
    while True:
        number |= (data[pos] & 0x7F) << shift
        shift, pos = shift + 7, pos + 1
        if data[pos - 1] < 0x80:
            return number, pos
