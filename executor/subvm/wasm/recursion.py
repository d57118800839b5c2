"""Which functions of a runner's module count how deep calls go: few, and hardly ever the busy ones.

One function of every recursion is enough. The bytes of a module tell which recursions it may have: a function leads to
those that it calls, and an indirect call to every function of its type in the table. So all is counted if there is no
cycle of functions that do not count. Functions that are called at many places are the busy ones (allocators, reference
counts, errors): in that order, each is left uncounted unless it would close a cycle of such functions, or make a chain
of them that takes more than WASM_UNCOUNTED_CHAIN_BYTES_MAX. A function that counts also takes the bytes of the longest
chain that it may call before another one counts.

Functions that lead to no recursion end a stack, once; they are not counted either, up to
WASM_UNCOUNTED_FRAME_BYTES_MAX for a chain of them.

The estimate of a frame follows what the compiler makes of functions of C programs, with room to spare: a test compares
what counts in CPython with the real frames. It is no bound for code that is made to exceed it; runners are not. All of
it together is three to ten times what a recursion really takes, which would end recursions of CPython before CPython
does. So the native stack is larger than the counter, from which a function takes one part of WASM_RUNNER_FRAME_PARTS.
"""

from __future__ import annotations

from math import isqrt

from pygenvm.executor.limits import (
    WASM_RUNNER_FRAME_PARTS,
    WASM_UNCOUNTED_CHAIN_BYTES_MAX,
    WASM_UNCOUNTED_FRAME_BYTES_MAX,
)
from pygenvm.executor.subvm.wasm.binary import Reader
from pygenvm.executor.subvm.wasm.instructions import CALLS, INDIRECT_CALLS, Body, bodies, scanner, walk
from pygenvm.executor.subvm.wasm.module import HOST_MODULES, ExternKind, Module

_SCANNER = scanner(CALLS, INDIRECT_CALLS)
_CALL, _CALL_INDIRECT = 0x10, 0x11

# Return address, frame pointer, and the registers that functions save on x86-64. Where there are more of them, they
# hold what would otherwise be in the frame.
_FRAME_BASE = 56
_VALUE_BYTES = 8
_VALUES_OF_CODE_MAX = 128


def counted_functions(module: Module) -> dict[int, int] | None:
    """The functions that count, and how many stack bytes each takes; None if the bytes do not tell who calls whom.

    They do not where a table is shared with other modules, nor with tail calls, which leave no frame.
    """
    outside = [item.kind for item in module.imports] + [item.kind for item in module.exports]
    calls = None if ExternKind.TABLE in outside else _read_calls(module)
    return None if calls is None else calls.choose()


class _Calls:
    """Who calls whom. Nodes are functions, by index, and behind them the types, each for its indirect calls."""

    def __init__(self, module: Module) -> None:
        functions = len(module.functions)
        types = {kind: functions + index for index, kind in enumerate(module.types)}
        #: The node of each type; equal ones are the same.
        self.types = [types[kind] for kind in module.types]
        self.defined = range(module.imported_functions, functions)
        #: Functions that other modules may call while they are called from here.
        self.entered: set[int] = set()
        nodes = functions + len(module.types)
        self.callees: list[set[int]] = [set() for _ in range(nodes)]
        self.callers: list[set[int]] = [set() for _ in range(nodes)]
        #: Stack bytes of a function, and the places that call it by its index.
        self.frames = [0] * nodes
        self.places = [0] * nodes

    def add(self, caller: int, callee: int) -> None:
        self.callees[caller].add(callee)
        self.callers[callee].add(caller)

    def choose(self) -> dict[int, int]:
        """Function and stack bytes of those that count."""
        chosen, ends = self._ends()
        #: Nodes that do not count, and the stack bytes of the longest chain of them that each begins or ends.
        below = {node: 0 for node in range(len(self.frames)) if node not in ends and node not in self.defined}
        above = dict(below)
        counted = []
        for function in sorted(set(self.defined) - ends, key=lambda function: (-self.places[function], function)):
            frame = self.frames[function]
            longest_below = max((below[node] for node in self.callees[function] if node in below), default=0)
            longest_above = max((above[node] for node in self.callers[function] if node in above), default=0)
            if (
                # Nobody else answers for what is below a function that another module calls.
                function in self.entered
                or longest_above + frame + longest_below > WASM_UNCOUNTED_CHAIN_BYTES_MAX
                or self._comes_back(function, below)
            ):
                counted.append(function)
                continue
            below[function] = longest_below + frame
            above[function] = longest_above + frame
            self._lengthen(below, function, self.callers)
            self._lengthen(above, function, self.callees)
        for function in counted:
            chain = max((below[node] for node in self.callees[function] if node in below), default=0)
            chosen[function] = self.frames[function] + chain
        return {function: -(-size // WASM_RUNNER_FRAME_PARTS) for function, size in chosen.items()}

    def _ends(self) -> tuple[dict[int, int], set[int]]:
        """The nodes that lead to no recursion; before them those that count all the same, and what they take."""
        chosen: dict[int, int] = {}
        longest: dict[int, int] = {}
        left = [len(callees) for callees in self.callees]
        ready = [node for node, count in enumerate(left) if not count]
        for node in ready:
            chain = self.frames[node] + max((longest[callee] for callee in self.callees[node]), default=0)
            if chain > WASM_UNCOUNTED_FRAME_BYTES_MAX and node in self.defined:
                chosen[node], chain = chain, 0
            longest[node] = chain
            for caller in self.callers[node]:
                left[caller] -= 1
                if not left[caller]:
                    ready.append(caller)
        return chosen, set(longest)

    def _comes_back(self, function: int, through: dict[int, int]) -> bool:
        """Whether ``function`` is called again by what it calls, with nothing but ``through`` between."""
        seen: set[int] = set()
        waiting = [function]
        while waiting:
            for callee in self.callees[waiting.pop()]:
                if callee == function:
                    return True
                if callee in through and callee not in seen:
                    seen.add(callee)
                    waiting.append(callee)
        return False

    def _lengthen(self, longest: dict[int, int], node: int, beyond: list[set[int]]) -> None:
        """Makes the chains that go on beyond ``node`` as long as it says."""
        waiting = [node]
        while waiting:
            node = waiting.pop()
            for other in beyond[node]:
                chain = longest[node] + self.frames[other]
                if other in longest and longest[other] < chain:
                    longest[other] = chain
                    waiting.append(other)


def _read_calls(module: Module) -> _Calls | None:
    """The calls of a module; None if one is a tail call. Indices out of range are left to the engine."""
    data = module.data
    calls = _Calls(module)
    functions, types = range(len(module.functions)), range(len(module.types))
    for body in bodies(module):
        caller = body.function
        calls.frames[caller] = _frame(module, body)
        for start, end in walk(data, body, _SCANNER):
            index = Reader(data, start + 1, end).u32()
            if data[start] == _CALL and index in functions:
                calls.add(caller, index)
                calls.places[index] += 1
            elif data[start] == _CALL_INDIRECT and index in types:
                calls.add(caller, calls.types[index])
            elif data[start] not in (_CALL, _CALL_INDIRECT):
                return None
    for _, start, end in module.elements:
        reader = Reader(data, start, end)
        for _ in range(reader.u32()):
            index = reader.u32()
            if index in functions:
                calls.add(calls.types[module.functions[index]], index)
    # Functions of other modules may call what this one exports; the executor's own do not.
    imports = [item.module for item in module.imports if item.kind == ExternKind.FUNCTION]
    of_others = [index for index, name in enumerate(imports) if name not in HOST_MODULES]
    exported = {item.index for item in module.exports if item.kind == ExternKind.FUNCTION}
    if of_others:
        calls.entered = exported.intersection(calls.defined)
    for imported in of_others:
        for entered in calls.entered:
            calls.add(imported, entered)
    return calls


def _frame(module: Module, body: Body) -> int:
    kind = module.function_type(body.function)
    # What is on the operand stack, and has a place of its own because places are not shared well: few values more in
    # large functions than in small ones.
    of_code = min(isqrt(body.last - body.first), _VALUES_OF_CODE_MAX)
    return _FRAME_BASE + _VALUE_BYTES * (len(kind.params) + len(kind.results) + body.locals + of_code)
