"""The instruction grammar as one bytes regex, and the walk over function bodies that it makes cheap.

A possessive repeat eats the run of instructions that nobody asks about in C code, and a group catches the next one that
somebody does. Each alternative starts with opcodes of its own, so that there is one way to read a body; what no
alternative reads, the walk refuses. ``br_table`` is the one instruction that a regex cannot measure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import Pattern
from typing import NamedTuple

from pygenvm.executor.limits import WASM_BLOCKS_MAX, WASM_BLOCKS_TIMES_LOCALS_MAX, WASM_BR_TABLE_MAX, WASM_LOCALS_MAX
from pygenvm.executor.subvm.wasm import validate
from pygenvm.executor.subvm.wasm.binary import LEB32, LEB64, Reader, malformed
from pygenvm.executor.subvm.wasm.module import Module

_END = 0x0B
BR_TABLE = 0x0E

RETURN = rb"\x0f"
MEMORY_GROW = rb"\x40\x00"
GLOBALS = rb"[\x23\x24]" + LEB32
CALLS = rb"[\x10\x12]" + LEB32
INDIRECT_CALLS = rb"[\x11\x13]" + LEB32 + rb"\x00"
# Blocks, loops and ifs without operands, and those whose type is the index of a function type.
BRANCHES = rb"[\x0c\x0d]" + LEB32
ENDS = rb"\x0b"
PLAIN_BLOCKS = rb"[\x02-\x04][\x40\x7c-\x7f]"
TYPED_BLOCKS = rb"[\x02-\x04](?:[\x00-\x3f]|[\x80-\xff]{1,4}+[\x00-\x7f])"
FLOATS = rb"[\x5b-\x66\x8b-\xa6\xa8-\xab\xae-\xbb]"
SATURATING = rb"\xfc[\x00-\x07]"

# Alternatives by frequency. The memory argument leaves out bit 6 of the alignment, which announces a memory index.
_ALTERNATIVES = (
    rb"[\x20-\x22\x41]" + LEB32,  # local.*, i32.const
    rb"[\x00\x01\x05\x1a\x1b\x45-\x5a\x67-\x8a\xa7\xac\xad\xbc-\xc4]",  # without immediates
    rb"[\x28-\x3e](?:[\x00-\x3f]|[\x80-\xbf][\x80-\xff]{0,3}+[\x00-\x7f])" + LEB32,  # loads and stores
    BRANCHES,
    ENDS,
    PLAIN_BLOCKS,
    CALLS,
    rb"\x42" + LEB64,
    GLOBALS,
    RETURN,
    INDIRECT_CALLS,
    FLOATS,
    TYPED_BLOCKS,
    rb"\x43[\x00-\xff]{4}",
    rb"\x44[\x00-\xff]{8}",
    rb"\x3f\x00",  # memory.size
    MEMORY_GROW,
    rb"\xfc(?:\x08" + LEB32 + rb"\x00|[\x09\x0d]" + LEB32 + rb"|[\x0a\x0e]\x00\x00|\x0b\x00|\x0c" + LEB32 + rb"\x00)",
)


def scanner(*wanted: bytes, runs: tuple[bytes, ...] = ()) -> Pattern[bytes]:
    """A pattern for :func:`walk` that stops at instructions of the ``wanted`` alternatives.

    They are named above, or grammar of their own that the allowed instructions do not have. Those of ``runs`` are
    wanted too, but as many as follow each other are one step.
    """
    dull = rb"|".join(item for item in _ALTERNATIVES if item not in wanted and item not in runs)
    stops = (*wanted, *(rb"(?:%s)++" % item for item in runs), rb"\x0e")
    return re.compile(rb"(?:%s)*+(%s|)" % (dull, rb"|".join(stops)))


_BLOCK_SCANNER = scanner(PLAIN_BLOCKS, TYPED_BLOCKS)
_BLOCK_BYTES_MIN = 3  # opcode, type, end


class Body(NamedTuple):
    """A function's place: locals at ``start``, instructions at ``first``, the final ``end`` at ``last``."""

    function: int
    start: int
    first: int
    last: int
    locals: int


def bodies(module: Module) -> Iterator[Body]:
    """All defined functions, in order."""
    data = module.data
    for function, (start, end) in enumerate(module.bodies, module.imported_functions):
        last = end - 1
        if start == end or data[last] != _END:
            raise malformed(f"function {function}: no end", last)
        if data[start] == 0 < last - start:
            yield Body(function, start, start + 1, last, 0)
            continue
        reader = Reader(data, start, last)
        total = 0
        for _ in range(reader.count("groups of locals", WASM_LOCALS_MAX)):
            total += reader.u32()
            validate.check_locals(total, function, start)
            validate.check_value_type(reader.byte(), reader.pos - 1)
        yield Body(function, start, reader.pos, last, total)


def walk(data: bytes, body: Body, pattern: Pattern[bytes], *, with_tables: bool = False) -> Iterator[tuple[int, int]]:
    """Yields (start, end) of each wanted instruction of a function, ``with_tables`` also of each ``br_table``.

    Raises InvalidContract at the first instruction that the grammar does not know.
    """
    match = pattern.match
    pos, last = body.first, body.last
    while pos < last:
        found = match(data, pos, last)
        assert found is not None  # every part of the pattern may be empty
        start, pos = found.span(1)
        if start == pos:
            if start == last:
                return
            validate.refuse_instruction(data, start, last, body.function)
        if data[start] == BR_TABLE:
            reader = Reader(data, pos, last)
            reader.skip_numbers(reader.count("labels of br_table", WASM_BR_TABLE_MAX) + 1)
            pos = reader.pos
            if with_tables:
                yield start, pos
        else:
            yield start, pos


def check_blocks(data: bytes, body: Body) -> None:
    """Refuses a function with too many blocks; counts them only if it is long enough to have them."""
    most = min(WASM_BLOCKS_MAX, WASM_BLOCKS_TIMES_LOCALS_MAX // max(body.locals, 1))
    if body.last - body.first < _BLOCK_BYTES_MIN * most:
        return
    for count, _ in enumerate(walk(data, body, _BLOCK_SCANNER), start=1):
        validate.check_blocks(count, most, body.function, body.first)


_EVERY = scanner(*_ALTERNATIVES)


def opcodes(module: Module) -> Iterator[int]:
    """First byte of every instruction but br_table and the final ends, in order; slow, for builds and tests."""
    for body in bodies(module):
        for at, _ in walk(module.data, body, _EVERY):
            yield module.data[at]
