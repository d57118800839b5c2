"""The depth counter: a limit of calls inside each other that is the same on every build (spec executor/08 "Stack").

How deep calls can go in a given native stack depends on the code generator. So functions are made to count: each takes
an estimate of its stack frame from a global of the VM when it is entered and gives it back when it is left, and calls
``$overflow``, which traps, when not enough is left. A trap with ``$overflow`` as innermost frame is ``wasm_trap
StackOverflow``.

The estimate of a contract's function counts every parameter, result, local and value of any instruction at once. No
instruction that makes a value is shorter than two bytes, and a further byte is needed to use it, so 3 bytes of code are
at most one value; operands and results of calls and of typed blocks are many values at once and come on top. That is an
upper bound, but far above what real code keeps, so the values of instructions count up to WASM_FRAME_VALUES_MAX only,
and interpreter loops of 50 kB stay cheap. A contract that is made to keep more than that alive in one large function
can still reach the engine's own limit first, which has the same name. Functions that call nothing, or only in tail
position, are not counted unless their frame is large. In runners, which are trusted, far fewer functions count, with
tighter estimates: :mod:`executor.subvm.wasm.recursion`.

The counter is imported by each module that counts, as global (mut i32) ``DEPTH_GLOBAL`` of ``COUNTERS_MODULE``. The VM
defines it once, with ``WASM_DEPTH_BYTES``, so that modules calling each other share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pygenvm.executor.limits import WASM_FRAME_VALUES_MAX, WASM_UNCOUNTED_FRAME_BYTES_MAX
from pygenvm.executor.subvm.wasm.ban import UNREACHABLE_BODY
from pygenvm.executor.subvm.wasm.binary import Reader, encode_s, encode_u32
from pygenvm.executor.subvm.wasm.counters import COUNTERS_MODULE, DEPTH_GLOBAL
from pygenvm.executor.subvm.wasm.edit import Edit, Editor
from pygenvm.executor.subvm.wasm.instructions import (
    CALLS,
    INDIRECT_CALLS,
    RETURN,
    TYPED_BLOCKS,
    Body,
    bodies,
    scanner,
    walk,
)
from pygenvm.executor.subvm.wasm.module import FuncType, GlobalType, Module
from pygenvm.executor.subvm.wasm.recursion import counted_functions
from pygenvm.executor.subvm.wasm.values import arity

_SCANNER = scanner(CALLS, INDIRECT_CALLS, TYPED_BLOCKS)
# A run of returns is one step; calls are listed one by one.
_EXITS = scanner(CALLS, INDIRECT_CALLS, runs=(RETURN,))
_CALL, _CALL_INDIRECT, _RETURN_CALL, _RETURN_CALL_INDIRECT = 0x10, 0x11, 0x12, 0x13
_RETURN = 0x0F
_I32 = 0x7F

# Return address, frame pointer and every register that a callee may have to save, on any architecture.
_FRAME_BASE = 192
_VALUE_BYTES = 8
_CODE_BYTES_PER_VALUE = 3


def count_depth(editor: Editor, *, trusted: bool) -> int | None:
    """Makes a module's functions count; returns the index of ``$overflow``, None if no function needs to count."""
    module = editor.module
    taken = _taken(module, trusted)
    if not any(taken(body) for body in bodies(module)):
        return None
    counter = encode_u32(editor.add_global_import(COUNTERS_MODULE, DEPTH_GLOBAL, GlobalType(_I32, True)))
    overflow = editor.add_function(FuncType(b"", b""), UNREACHABLE_BODY)
    call_overflow = b"\x10" + encode_u32(overflow)

    def edits(body: Body) -> Iterator[Edit]:
        if size := taken(body):
            yield from _counting(editor, body, size, counter, call_overflow)

    editor.edit_bodies(edits)
    return overflow


def _taken(module: Module, trusted: bool) -> Callable[[Body], int]:
    """How many bytes a function takes from the counter; 0 if it does not count."""
    chosen = counted_functions(module) if trusted else None
    if chosen is None:
        return lambda body: _frame(module, body)
    return lambda body: chosen.get(body.function, 0)


def _frame(module: Module, body: Body) -> int:
    """Upper bound of a function's frame; 0 if it need not count."""
    data = module.data
    kind = module.function_type(body.function)
    passed = len(kind.params) + len(kind.results)
    made = (body.last - body.first) // _CODE_BYTES_PER_VALUE
    calls = False
    for start, end in walk(data, body, _SCANNER):
        opcode = data[start]
        taken = arity(module, opcode, Reader(data, start + 1, end))
        made += taken
        passed = max(passed, taken)
        calls = calls or opcode in (_CALL, _CALL_INDIRECT)
    values = 2 * passed + body.locals + 1 + min(made, WASM_FRAME_VALUES_MAX)
    frame = _FRAME_BASE + _VALUE_BYTES * values
    return frame if calls or frame > WASM_UNCOUNTED_FRAME_BYTES_MAX else 0


def _counting(editor: Editor, body: Body, size: int, counter: bytes, call_overflow: bytes) -> Iterator[Edit]:
    """The counting of one function; a block takes the place of its label, so that branches to it stay."""
    data, kind = editor.module.data, editor.module.function_type(body.function)
    frame = b"\x41" + encode_s(size)
    local = encode_u32(len(kind.params) + body.locals)  # one more, after all others
    enter = (
        *(b"\x23", counter, frame, b"\x6b\x22", local),  # global.get, i32.const, i32.sub, local.tee
        *(b"\x41\x00\x48\x04\x40", call_overflow, b"\x00\x0b"),  # i32.const 0, i32.lt_s, if, call, unreachable, end
        *(b"\x20", local, b"\x24", counter),  # local.get, global.set
        *(b"\x02", _result_block(editor, kind.results)),
    )
    leave = b"".join((b"\x23", counter, frame, b"\x6a\x24", counter))  # global.get, i32.const, i32.add, global.set
    yield body.start, body.first, _with_local(data, body) + b"".join(enter)
    for start, end in walk(data, body, _EXITS):
        if data[start] == _RETURN:
            yield start, end, (leave + b"\x0f") * (end - start)
        elif data[start] in (_RETURN_CALL, _RETURN_CALL_INDIRECT):
            yield start, start, leave
    yield body.last, body.last, b"\x0b" + leave


def _with_local(data: bytes, body: Body) -> bytes:
    """The declaration of locals with one i32 appended."""
    reader = Reader(data, body.start, body.first)
    groups = reader.u32()
    return encode_u32(groups + 1) + data[reader.pos : body.first] + b"\x01\x7f"


def _result_block(editor: Editor, results: bytes) -> bytes:
    """Type of a block without operands that leaves these results."""
    if not results:
        return b"\x40"
    if len(results) == 1:
        return results
    return encode_s(editor.type_index(FuncType(b"", results)))
