"""The float ban of deterministic mode (spec executor/07 "Float ban").

Each banned instruction becomes ``call $ban; unreachable``, with one function ``$ban`` appended whose body traps. A trap
with ``$ban`` as innermost frame is ``wasm_trap DeterministicMode``. The call is needed: the engine may report an
``unreachable`` alone at the place of an earlier branch. What follows the ``unreachable`` needs no change, since the
operands of the replaced instruction are then of any type.
"""

from __future__ import annotations

from collections.abc import Iterator

from pygenvm.executor.subvm.wasm.binary import encode_u32
from pygenvm.executor.subvm.wasm.edit import Edit, Editor
from pygenvm.executor.subvm.wasm.instructions import FLOATS, Body, scanner, walk
from pygenvm.executor.subvm.wasm.module import FuncType, Module

#: Banned instructions have one byte each.
_RUNS = scanner(runs=(FLOATS,))
UNREACHABLE_BODY = b"\x00\x00\x0b"  # no locals; unreachable; end


def has_floats(module: Module, body: Body) -> bool:
    """Whether a function has banned instructions. All of it is read for this, so all of it is allowed then.

    :raises InvalidContract: an instruction is not.
    """
    found = False
    for _ in walk(module.data, body, _RUNS):
        found = True
    return found


def ban_floats(editor: Editor) -> int:
    """Replaces all banned instructions; returns the function index of ``$ban``."""
    ban = editor.add_function(FuncType(b"", b""), UNREACHABLE_BODY)
    replacement = b"\x10" + encode_u32(ban) + b"\x00"
    data = editor.module.data

    def edits(body: Body) -> Iterator[Edit]:
        for start, end in walk(data, body, _RUNS):
            yield start, end, replacement * (end - start)

    editor.edit_bodies(edits)
    return ban
