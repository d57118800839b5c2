"""Recursive Length Prefix, strict: one encoding for each value, nothing after it, bounded depth and number of items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from pygenvm.localnet.rpc.raw.errors import RawError

Item: TypeAlias = "bytes | list[Item]"
Encodable: TypeAlias = "bytes | int | Sequence[Encodable]"

#: Lists inside each other; a transaction with an access list has four.
_DEPTH: Final = 8
#: Strings and lists of one transaction.
_ITEMS: Final = 100_000


def decode(data: bytes) -> Item:
    """:raises RawError: not the encoding of a value, or more than that."""
    item, end, _ = _item(data, 0, len(data), _DEPTH, _ITEMS)
    if end != len(data):
        raise RawError(f"{len(data) - end} bytes follow the end of the RLP encoding")
    return item


def decode_list(data: bytes) -> list[Item]:
    """:raises RawError: not the encoding of a list."""
    item = decode(data)
    if not isinstance(item, list):
        raise RawError("a list is expected in RLP, a string is there")
    return item


def _item(data: bytes, start: int, end: int, depth: int, left: int) -> tuple[Item, int, int]:
    """A value that ends no later than ``end``, where it ends, and how many more there may be."""
    if start >= end:
        raise RawError("the RLP encoding is cut off")
    if not left:
        raise RawError(f"the RLP encoding has more than {_ITEMS} items")
    left -= 1
    first = data[start]
    if first < 0x80:
        return data[start : start + 1], start + 1, left
    is_list = first >= 0xC0
    begin, stop = _extent(data, start, end, first - (0xC0 if is_list else 0x80))
    if not is_list:
        if stop - begin == 1 and data[begin] < 0x80:
            raise RawError("a small byte has an RLP prefix, which it must not have")
        return data[begin:stop], stop, left
    if not depth:
        raise RawError(f"RLP lists are inside each other more than {_DEPTH} levels deep")
    items: list[Item] = []
    while begin < stop:
        item, begin, left = _item(data, begin, stop, depth - 1, left)
        items.append(item)
    return items, stop, left


def _extent(data: bytes, start: int, end: int, short: int) -> tuple[int, int]:
    """Where the content of a string or list begins and ends; ``short`` is its length, or 55 and the size of that."""
    begin, length = start + 1, short
    if short > 55:
        begin += short - 55
        size = data[start + 1 : min(begin, end)]
        if len(size) < short - 55:
            raise RawError("the RLP encoding is cut off")
        length = int.from_bytes(size, "big")
        if not size[0] or length <= 55:
            raise RawError("a length in RLP is not written in the shortest way")
    if length > end - begin:
        raise RawError("the RLP encoding is cut off")
    return begin, begin + length


def encode(value: Encodable) -> bytes:
    """Of bytes, of numbers (big-endian without leading zeros) and of sequences of them."""
    if isinstance(value, int):
        value = value.to_bytes((value.bit_length() + 7) // 8, "big")
    if isinstance(value, bytes):
        if len(value) == 1 and value[0] < 0x80:
            return value
        return _prefix(0x80, len(value)) + value
    body = b"".join(encode(item) for item in value)
    return _prefix(0xC0, len(body)) + body


def _prefix(kind: int, length: int) -> bytes:
    if length <= 55:
        return bytes([kind + length])
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([kind + 55 + len(size)]) + size
