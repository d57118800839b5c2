"""The instruction grammar as one bytes regex, and the walk over function bodies that it makes cheap.

A possessive repeat eats the run of instructions that nobody asks about in C code, and a group catches the next one that
somebody does. Each alternative starts with opcodes of its own, so that there is one way to read a body; what no
alternative reads, the walk refuses. ``br_table`` is the one instruction that a regex cannot measure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import Pattern

from executor.limits import WASM_BLOCKS_MAX, WASM_BLOCKS_TIMES_LOCALS_MAX, WASM_BR_TABLE_MAX, WASM_LOCALS_MAX
from executor.subvm.wasm import validate
from executor.subvm.wasm.binary import LEB32, LEB64, Reader
from executor.subvm.wasm.module import Module

# Opcode classes (bodies of a regex character set).
_BARE = rb"\x00\x01\x05\x0b\x0f\x1a\x1b\x45-\x5a\x67-\x8a\xa7\xac\xad\xbc-\xc4"
_FLOAT = rb"\x5b-\x66\x8b-\xa6\xa8-\xab\xae-\xbb"

BR_TABLE = 0x0E
# Block types: none, a value type, or the index of a function type.
BLOCKS = rb"[\x02-\x04](?:[\x00-\x40\x7c-\x7f]|[\x80-\xff]{1,4}+[\x00-\x7f])"
CALLS = rb"[\x10\x12]" + LEB32
FLOATS = rb"[" + _FLOAT + rb"]"
SATURATING = rb"\xfc[\x00-\x07]"

# Alternatives by frequency. The memory argument leaves out bit 6 of the alignment, which announces a memory index.
_ALTERNATIVES = (
    rb"[\x0c\x0d\x20-\x24\x41]" + LEB32,  # br, br_if, local.*, global.*, i32.const
    rb"[" + _BARE + rb"]",
    rb"[\x28-\x3e](?:[\x00-\x3f]|[\x80-\xbf][\x80-\xff]{0,3}+[\x00-\x7f])" + LEB32,  # loads and stores
    BLOCKS,
    CALLS,
    rb"\x42" + LEB64,
    rb"[\x11\x13]" + LEB32 + rb"\x00",  # call_indirect, return_call_indirect
    FLOATS,
    rb"\x43[\x00-\xff]{4}",
    rb"\x44[\x00-\xff]{8}",
    rb"[\x3f\x40]\x00",  # memory.size, memory.grow
    rb"\xfc(?:\x08" + LEB32 + rb"\x00|[\x09\x0d]" + LEB32 + rb"|[\x0a\x0e]\x00\x00|\x0b\x00|\x0c" + LEB32 + rb"\x00)",
)


def scanner(*wanted: bytes) -> Pattern[bytes]:
    """A pattern for :func:`walk` that stops at instructions of the ``wanted`` alternatives.

    They are ``BLOCKS``, ``CALLS``, ``FLOATS``, or grammar of their own that the allowed instructions do not have.
    """
    dull = rb"|".join(item for item in _ALTERNATIVES if item not in wanted)
    return re.compile(rb"(?:%s)*+(%s|)" % (dull, rb"|".join((*wanted, rb"\x0e"))))


_BLOCK_SCANNER = scanner(BLOCKS)
_BLOCK_BYTES_MIN = 3  # opcode, type, end


def read_locals(data: bytes, start: int, end: int, function: int) -> tuple[int, int]:
    """(offset of the first instruction, number of locals) of the body ``data[start:end]``."""
    if start < end and data[start] == 0:
        return start + 1, 0
    reader = Reader(data, start, end)
    total = 0
    for _ in range(reader.count("groups of locals", WASM_LOCALS_MAX)):
        total += reader.u32()
        validate.check_locals(total, function, start)
        validate.check_value_type(reader.byte(), reader.pos - 1)
    return reader.pos, total


def walk(data: bytes, pos: int, end: int, pattern: Pattern[bytes], function: int) -> Iterator[tuple[int, int]]:
    """Yields (start, end) of each wanted instruction of the instructions ``data[pos:end]``.

    Raises InvalidContract at the first instruction that the grammar does not know.
    """
    match = pattern.match
    while pos < end:
        found = match(data, pos, end)
        assert found is not None  # every part of the pattern may be empty
        start, pos = found.span(1)
        if start == pos:
            if start == end:
                return
            validate.refuse_instruction(data, start, end, function)
        if data[start] == BR_TABLE:
            reader = Reader(data, pos, end)
            reader.skip_numbers(reader.count("labels of br_table", WASM_BR_TABLE_MAX) + 1)
            pos = reader.pos
        else:
            yield start, pos


def check_blocks(data: bytes, pos: int, end: int, function: int, local_count: int) -> None:
    """Refuses instructions ``data[pos:end]`` with too many blocks; counts them only if there is room for so many."""
    most = min(WASM_BLOCKS_MAX, WASM_BLOCKS_TIMES_LOCALS_MAX // max(local_count, 1))
    if end - pos <= _BLOCK_BYTES_MIN * most:
        return
    for count, _ in enumerate(walk(data, pos, end, _BLOCK_SCANNER, function), start=1):
        validate.check_blocks(count, most, function, pos)


_EVERY = scanner(*_ALTERNATIVES)


def opcodes(module: Module) -> Iterator[int]:
    """First byte of every instruction of a module but br_table, in order; slow, for builds and tests."""
    for function, (start, end) in enumerate(module.bodies, module.imported_functions):
        first, _ = read_locals(module.data, start, end, function)
        for at, _ in walk(module.data, first, end, _EVERY, function):
            yield module.data[at]
