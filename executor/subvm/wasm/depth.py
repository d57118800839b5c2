"""The depth counter: a limit of calls inside each other that is the same on every build (spec executor/08 "Stack").

How deep calls can go in a given native stack depends on the code generator. So functions are made to count: each takes
an estimate of its stack frame from a global of the VM when it is entered and gives it back when it is left, and calls
``$overflow``, which traps, when not enough is left. A trap with ``$overflow`` as innermost frame is ``wasm_trap
StackOverflow``.

The estimate is an upper bound of what the compiler may put on the stack: every parameter, local and value of any
instruction at once. No instruction that adds a value is shorter than two bytes, and the value has to be used by a
further byte, which gives 8 bytes of stack per 3 bytes of code; operands and results of calls and typed blocks are many
values at once and come on top. Functions that call nothing, or only in tail position, are not counted unless their
frame could be large.

The counter is imported by each module that counts, as global (mut i32) ``DEPTH_GLOBAL`` of ``DEPTH_MODULE``. The VM
defines it once, with ``WASM_DEPTH_BYTES``, so that modules calling each other share it.
"""

from __future__ import annotations

from dataclasses import dataclass

from executor.limits import WASM_UNCOUNTED_FRAME_BYTES_MAX
from executor.subvm.wasm import validate
from executor.subvm.wasm.ban import UNREACHABLE_BODY
from executor.subvm.wasm.binary import Reader, encode_s, encode_u32
from executor.subvm.wasm.edit import Editor
from executor.subvm.wasm.instructions import (
    CALLS,
    GLOBALS,
    INDIRECT_CALLS,
    RETURN,
    TYPED_BLOCKS,
    Body,
    bodies,
    scanner,
    walk,
)
from executor.subvm.wasm.module import FuncType, GlobalType, Module

DEPTH_MODULE = validate.DEPTH_MODULE
DEPTH_GLOBAL = "remaining"

_SCANNER = scanner(CALLS, INDIRECT_CALLS, TYPED_BLOCKS, GLOBALS, RETURN)
_CALL, _CALL_INDIRECT, _RETURN_CALL, _RETURN_CALL_INDIRECT = 0x10, 0x11, 0x12, 0x13
_RETURN, _GLOBAL_GET, _GLOBAL_SET = 0x0F, 0x23, 0x24
_I32 = 0x7F

# Return address, frame pointer and every register that a callee may have to save, on any architecture.
_FRAME_BASE = 192
_VALUE_BYTES = 8


@dataclass(slots=True)
class _Function:
    """What counting has to know of a function."""

    body: Body
    frame: int
    calls: bool
    globals: list[tuple[int, int]]
    exits: list[tuple[int, int]]

    @property
    def counted(self) -> bool:
        return self.calls or self.frame > WASM_UNCOUNTED_FRAME_BYTES_MAX


def count_depth(editor: Editor) -> int | None:
    """Makes a module's functions count; returns the index of ``$overflow``, None if no function needs to count.

    Raises InvalidContract for a function whose frame may exceed WASM_FRAME_BYTES_MAX.
    """
    functions = [_read(editor.module, body) for body in bodies(editor.module)]
    if not any(function.counted for function in functions):
        return None
    counter = encode_u32(editor.add_global_import(DEPTH_MODULE, DEPTH_GLOBAL, GlobalType(_I32, True)))
    overflow = editor.add_function(FuncType(b"", b""), UNREACHABLE_BODY)
    for function in functions:
        _move_globals(editor, function)
        if function.counted:
            _count(editor, function, counter, b"\x10" + encode_u32(overflow))
    return overflow


def _read(module: Module, body: Body) -> _Function:
    data = module.data
    kind = module.function_type(body.function)
    values = len(kind.params) + len(kind.results) + body.locals + 1
    function = _Function(body, 0, False, [], [])
    for start, end in walk(data, body, _SCANNER):
        opcode = data[start]
        if opcode == _RETURN:
            function.exits.append((start, end))
        elif opcode in (_GLOBAL_GET, _GLOBAL_SET):
            function.globals.append((start, end))
        else:
            values += _arity(module, opcode, Reader(data, start + 1, end))
            if opcode in (_CALL, _CALL_INDIRECT):
                function.calls = True
            elif opcode in (_RETURN_CALL, _RETURN_CALL_INDIRECT):
                function.exits.append((start, end))
    function.frame = _FRAME_BASE + _VALUE_BYTES * values + _VALUE_BYTES * (body.last - body.first) // 3
    if function.counted:
        validate.check_frame(function.frame, body.function)
    return function


def _arity(module: Module, opcode: int, operand: Reader) -> int:
    """Operands and results of a call or typed block; 0 if its index is out of range, which the engine refuses."""
    index = operand.u32()
    if opcode in (_CALL, _RETURN_CALL):
        if index >= len(module.functions):
            return 0
        index = module.functions[index]
    if index >= len(module.types):
        return 0
    kind = module.types[index]
    return len(kind.params) + len(kind.results)


def _move_globals(editor: Editor, function: _Function) -> None:
    """Defined globals come one later, after the counter."""
    data = editor.module.data
    for start, end in function.globals:
        index = Reader(data, start + 1, end).u32()
        if index >= editor.module.imported_globals:
            editor.edit(function.body.function, start, end, data[start : start + 1] + encode_u32(index + 1))


def _count(editor: Editor, function: _Function, counter: bytes, call_overflow: bytes) -> None:
    """Writes the counting into one function; a block takes the place of its label, so that branches to it stay."""
    module, body = editor.module, function.body
    kind = module.function_type(body.function)
    frame = b"\x41" + encode_s(function.frame)
    local = encode_u32(len(kind.params) + body.locals)  # one more, after all others
    enter = (
        *(b"\x23", counter, frame, b"\x6b\x22", local),  # global.get, i32.const, i32.sub, local.tee
        *(b"\x41\x00\x48\x04\x40", call_overflow, b"\x00\x0b"),  # i32.const 0, i32.lt_s, if, call, unreachable, end
        *(b"\x20", local, b"\x24", counter),  # local.get, global.set
        *(b"\x02", _result_block(editor, kind.results)),
    )
    leave = b"".join((b"\x23", counter, frame, b"\x6a\x24", counter))  # global.get, i32.const, i32.add, global.set
    editor.edit(body.function, body.start, body.first, _with_local(module.data, body) + b"".join(enter))
    for start, _ in function.exits:
        editor.edit(body.function, start, start, leave)
    editor.edit(body.function, body.last, body.last, b"\x0b" + leave)


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
