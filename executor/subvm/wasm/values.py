"""Values that instructions pass around many at once: what a few bytes can make the compiler keep.

A call, a block with a type or a branch to it can name a thousand values in two bytes, and the compiler's memory grows
with their number, for blocks with its square. And every branch may have to bring a value for each local of its
function, where those differ. Code that makes its values one by one needs a byte or more for each. So there is a limit
in proportion to the code: whether a module is accepted depends on its bytes, not on the compiler's memory or number of
threads.
"""

from __future__ import annotations

from pygenvm.executor import limits
from pygenvm.executor.subvm.wasm import validate
from pygenvm.executor.subvm.wasm.binary import Reader
from pygenvm.executor.subvm.wasm.instructions import (
    BR_TABLE,
    BRANCHES,
    CALLS,
    ENDS,
    INDIRECT_CALLS,
    PLAIN_BLOCKS,
    TYPED_BLOCKS,
    Body,
    bodies,
    scanner,
    walk,
)
from pygenvm.executor.subvm.wasm.module import FuncType, Module

_CALL, _RETURN_CALL = 0x10, 0x12
_CALL_OPCODES = frozenset((0x10, 0x11, 0x12, 0x13))
_BRANCH_OPCODES = frozenset((0x0C, 0x0D))
_LOOP, _END = 0x03, 0x0B
_EMPTY = FuncType(b"", b"")
_BRANCHES = scanner(BRANCHES)
_SCANNER = scanner(CALLS, INDIRECT_CALLS, TYPED_BLOCKS, PLAIN_BLOCKS, BRANCHES, ENDS)


def arity(module: Module, opcode: int, operand: Reader) -> int:
    """Operands and results of a call or typed block; 0 if its index is out of range, which the engine refuses."""
    kind = _called(module, operand.u32()) if opcode in (_CALL, _RETURN_CALL) else _type(module, operand.u32())
    return len(kind.params) + len(kind.results)


def check_values(module: Module) -> None:
    """Refuses a module whose instructions name far more values than its code could make one by one.

    :raises InvalidContract: as said.
    """
    for body in bodies(module):
        _check_locals(module, body)
    # Where no type is longer, no code can exceed the limit.
    if all(len(kind.params) + len(kind.results) <= limits.WASM_VALUES_PER_BYTE for kind in module.types):
        return
    total = size = 0
    for body in bodies(module):
        total += _values(module, body)
        size += body.last - body.start
    validate.check_values("module", total, limits.WASM_VALUES_PER_BYTE * size + limits.WASM_MODULE_VALUES)


def _check_locals(module: Module, body: Body) -> None:
    """Refuses a function whose branches bring more values of locals than the compiler can keep."""
    size = body.last - body.start
    most = min(limits.WASM_BRANCH_LOCALS_PER_BYTE * size + limits.WASM_BRANCH_LOCALS, limits.WASM_BRANCH_LOCALS_MAX)
    count = len(module.function_type(body.function).params) + body.locals
    # A label of br_table has a byte, any other branch two.
    if size * count <= most:
        return
    branches = 0
    for start, end in walk(module.data, body, _BRANCHES, with_tables=True):
        branches += Reader(module.data, start + 1, end).u32() + 1 if module.data[start] == BR_TABLE else 1
        validate.check_branch_locals(branches * count, most, body.function, body.first)


def _values(module: Module, body: Body) -> int:
    """Values that the instructions of a function name."""
    data = module.data
    most = limits.WASM_VALUES_PER_BYTE * (body.last - body.start) + limits.WASM_FUNCTION_VALUES
    place = f"function {body.function}, offset {body.first:#x}"
    #: What a branch to each label passes; the outermost is that of the function.
    labels = [len(module.function_type(body.function).results)]
    named = of_blocks = 0
    for start, end in walk(data, body, _SCANNER, with_tables=True):
        opcode = data[start]
        operand = Reader(data, start + 1, end)
        if opcode in _CALL_OPCODES:
            named += arity(module, opcode, operand)
        elif opcode in _BRANCH_OPCODES:
            named += _passed(labels, operand.u32())
        elif opcode == BR_TABLE:
            named += sum(_passed(labels, operand.u32()) for _ in range(operand.u32() + 1))
        elif opcode == _END:
            # One more than there are blocks is malformed; the engine says so.
            if len(labels) > 1:
                labels.pop()
        else:
            kind = _block_type(module, data[start + 1], operand)
            of_blocks += len(kind.params) + len(kind.results)
            labels.append(len(kind.params if opcode == _LOOP else kind.results))
        validate.check_values(place, named + of_blocks, most)
        validate.check_block_values(of_blocks, body.function, body.first)
    return named + of_blocks


def _passed(labels: list[int], depth: int) -> int:
    return labels[-1 - depth] if depth < len(labels) else 0


def _block_type(module: Module, code: int, operand: Reader) -> FuncType:
    if code == 0x40:
        return _EMPTY
    if 0x7C <= code <= 0x7F:
        return FuncType(b"", bytes((code,)))
    return _type(module, operand.u32())


def _called(module: Module, index: int) -> FuncType:
    return module.function_type(index) if index < len(module.functions) else _EMPTY


def _type(module: Module, index: int) -> FuncType:
    return module.types[index] if index < len(module.types) else _EMPTY
