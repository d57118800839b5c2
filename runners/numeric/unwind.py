"""longjmp without exceptions: functions that return as soon as somebody has jumped.

A sub-VM has no instruction that leaves several functions at once, and libjpeg tells of a broken image by longjmp. The
functions that can stand between it and setjmp are linked next to each other, between two exported marks. After each of
their calls they get: if the flag is set, return (whatever). src/unwind.c sets the flag and catches what returns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pygenvm.executor.subvm.wasm.binary import SectionId, encode_s, encode_vector
from pygenvm.executor.subvm.wasm.edit import Edit, Editor, rebuild
from pygenvm.executor.subvm.wasm.instructions import CALLS, INDIRECT_CALLS, Body, scanner, walk
from pygenvm.executor.subvm.wasm.module import ExternKind, Module, read_module
from pygenvm.runners.errors import BuildError

_FIRST, _LAST, _FLAG = "genlayer_unwind_first", "genlayer_unwind_last", "genlayer_unwinding"
#: Fewer would mean that the linker has put them elsewhere.
_FUNCTIONS_MIN = 200
_SCANNER = scanner(CALLS, INDIRECT_CALLS)
_ZERO = {0x7F: b"\x41\x00", 0x7E: b"\x42\x00", 0x7D: b"\x43" + bytes(4), 0x7C: b"\x44" + bytes(8)}
_I32_LOAD, _IF, _RETURN, _END = b"\x28\x02\x00", b"\x04\x40", b"\x0f", b"\x0b"
_ADDRESS = re.compile(rb"\x00\x41([\x80-\xff]*[\x00-\x7f])\x0b")


def with_returns(wasm: bytes) -> bytes:
    """The linked interpreter with the returns, and without the exports that show where they belong.

    :raises BuildError: the marks are not there, or not in their order.
    """
    module = read_module(wasm)
    marks = {item.name: item.index for item in module.exports if item.kind == ExternKind.FUNCTION}
    if not {_FIRST, _LAST, _FLAG} <= marks.keys():
        raise BuildError("the interpreter does not show which of its functions longjmp leaves")
    inside = range(marks[_FIRST] + 1, marks[_LAST])
    if len(inside) < _FUNCTIONS_MIN or marks[_FLAG] in inside:
        raise BuildError(f"the linker has put {len(inside)} functions between the marks of unwinding")
    looks = b"\x41" + encode_s(_address(module, marks[_FLAG])) + _I32_LOAD + _IF
    editor = Editor(module)

    def edits(body: Body) -> Iterator[Edit]:
        if body.function in inside:
            zeros = b"".join(_ZERO[kind] for kind in module.function_type(body.function).results)
            for _, end in walk(module.data, body, _SCANNER):
                yield end, end, looks + zeros + _RETURN + _END

    editor.edit_bodies(edits)
    kept = encode_vector(item.to_bytes() for item in module.exports if item.name not in (_FIRST, _LAST, _FLAG))
    return rebuild(read_module(editor.to_bytes()), {SectionId.EXPORT: kept})


def _address(module: Module, function: int) -> int:
    """What a function returns that returns a constant."""
    start, end = module.bodies[function - module.imported_functions]
    found = _ADDRESS.fullmatch(module.data[start:end])
    if found is None:
        raise BuildError("the flag of unwinding has no address")
    return sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(found[1]))
