"""The float ban of deterministic mode (spec executor/07 "Float ban").

Each banned instruction becomes ``call $ban; unreachable``, with one function ``$ban`` appended whose body traps. A trap
with ``$ban`` as innermost frame is ``wasm_trap DeterministicMode``. The call is needed: the engine may report an
``unreachable`` alone at the place of an earlier branch. What follows the ``unreachable`` needs no change, since the
operands of the replaced instruction are then of any type.
"""

from __future__ import annotations

from pygenvm.executor.subvm.wasm.binary import encode_u32
from pygenvm.executor.subvm.wasm.edit import Editor
from pygenvm.executor.subvm.wasm.instructions import FLOATS, bodies, check_blocks, scanner, walk
from pygenvm.executor.subvm.wasm.module import FuncType, Module

_SCANNER = scanner(FLOATS)
UNREACHABLE_BODY = b"\x00\x00\x0b"  # no locals; unreachable; end


def find_floats(module: Module) -> dict[int, list[int]]:
    """Offsets of the banned instructions, each one byte long, by function index.

    All code is read for this, so a module that gets through has no instruction that is not allowed. Raises
    InvalidContract otherwise.
    """
    sites: dict[int, list[int]] = {}
    for body in bodies(module):
        check_blocks(module.data, body)
        found = [at for at, _ in walk(module.data, body, _SCANNER)]
        if found:
            sites[body.function] = found
    return sites


def ban_floats(editor: Editor, sites: dict[int, list[int]]) -> int | None:
    """Replaces the instructions at ``sites``; returns the function index of ``$ban``, None if there are no sites."""
    if not sites:
        return None
    ban = editor.add_function(FuncType(b"", b""), UNREACHABLE_BODY)
    replacement = b"\x10" + encode_u32(ban) + b"\x00"
    for function, offsets in sites.items():
        for offset in offsets:
            editor.edit(function, offset, offset + 1, replacement)
    return ban
