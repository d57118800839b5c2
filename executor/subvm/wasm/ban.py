"""The float ban of deterministic mode (spec executor/07 "Float ban").

Each banned instruction becomes ``call $ban; unreachable``, with one function ``$ban`` appended whose body traps. A trap
with ``$ban`` as innermost frame is ``wasm_trap DeterministicMode``. The call is needed: the engine may report an
``unreachable`` alone at the place of an earlier branch. What follows the ``unreachable`` needs no change, since the
operands of the replaced instruction are then of any type.
"""

from __future__ import annotations

from executor.subvm.wasm.binary import encode_u32
from executor.subvm.wasm.edit import Appender
from executor.subvm.wasm.instructions import FLOATS, check_blocks, read_locals, scanner, walk
from executor.subvm.wasm.module import FuncType, Module

_SCANNER = scanner(FLOATS)
_NO_LOCALS_UNREACHABLE = b"\x00\x00\x0b"


def find_floats(module: Module) -> dict[int, list[int]]:
    """Offsets of the banned instructions, each one byte long, by position in the code section.

    All code is read for this, so a module that gets through has no instruction that is not allowed. Raises
    InvalidContract otherwise.
    """
    data = module.data
    sites: dict[int, list[int]] = {}
    for position, (start, end) in enumerate(module.bodies):
        function = module.imported_functions + position
        first, local_count = read_locals(data, start, end, function)
        check_blocks(data, first, end, function, local_count)
        found = [at for at, _ in walk(data, first, end, _SCANNER, function)]
        if found:
            sites[position] = found
    return sites


def ban_floats(appender: Appender, sites: dict[int, list[int]]) -> int | None:
    """Replaces the instructions at ``sites``; returns the function index of ``$ban``, None if there are no sites."""
    if not sites:
        return None
    ban = appender.add_function(FuncType(b"", b""), _NO_LOCALS_UNREACHABLE)
    replacement = b"\x10" + encode_u32(ban) + b"\x00"
    data = appender.module.data
    for position, offsets in sites.items():
        start, end = appender.module.bodies[position]
        parts = []
        for offset in offsets:
            parts.append(data[start:offset])
            start = offset + 1
        parts.append(data[start:end])
        appender.changed_bodies[position] = replacement.join(parts)
    return ban
