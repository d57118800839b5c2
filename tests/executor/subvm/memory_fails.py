"""Runs a guest again and again, each time in a process of its own where another allocation of the interpreter fails.

Prints a JSON object: by "one 17" (only allocation 17 fails) or "all 17" (that one, and all that come after it), how the
process ended: RIGHT, INTERNAL, WRONG, another exit code, or minus the number of a signal.
"""

from __future__ import annotations

import _testcapi  # type: ignore[import-not-found]
import ctypes
import json
import os
import sys
from pathlib import Path

from pygenvm.executor.outcome import InternalError, VMError
from pygenvm.executor.runner.actions import run_actions
from pygenvm.executor.runner.contract import parse_contract
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.subvm.closed import ClosedWorld
from pygenvm.executor.subvm.wasmtime_c import Function
from tests.support.execution import wat

RIGHT, INTERNAL, WRONG = 0, 10, 11
#: Allocations from the call of the entry function to its end are fewer.
ALLOCATIONS = 90

#: Any other result of a host function than the right one is told.
GUEST = wat(
    """(module (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $stat (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func $check (param i32 i32) (if (i32.ne (local.get 0) (local.get 1)) (then (call $exit (i32.const 99)))))
    (func (export "_start")
      (call $check (call $stat (i32.const 1) (i32.const 64)) (i32.const 0))
      (call $check (call $stat (i32.const 77) (i32.const 64)) (i32.const 8))
      (call $exit (i32.const 3))))"""
)
EXPECTED = VMError("exit_code 3")


class NoRunners:
    """The guest needs none."""


def run(world: ClosedWorld) -> int:
    vm = world.vm(b"")
    try:
        run_actions(parse_contract(GUEST), vm, NoRunners(), lambda: None)  # type: ignore[arg-type]
        outcome = vm.outcome
    except (MemoryError, ctypes.ArgumentError, SystemError):
        # The last is what Python 3.11 says where it has no memory for a frame.
        return INTERNAL
    if isinstance(outcome, InternalError):
        return INTERNAL
    return RIGHT if outcome == EXPECTED else WRONG


def run_without_memory(world: ClosedWorld, first: int, end: int) -> int:
    call = Function.__call__

    def armed(self: Function) -> None:
        _testcapi.set_nomemory(first, end)
        try:
            call(self)
        finally:
            _testcapi.remove_mem_hooks()

    Function.__call__ = armed  # type: ignore[method-assign]
    return run(world)


def main(folder: Path) -> None:
    world = ClosedWorld(ArtefactStore(folder))
    assert run(world) == RIGHT
    ends: dict[str, int] = {}
    for first in range(ALLOCATIONS):
        for name, end in (("one", first + 1), ("all", 0)):
            child = os.fork()
            if not child:
                status = WRONG
                try:
                    status = run_without_memory(world, first, end)
                finally:
                    os._exit(status)
            ends[f"{name} {first}"] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps(ends))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
