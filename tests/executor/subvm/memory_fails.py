"""Runs a guest again and again, each time in a process of its own where another allocation of the interpreter fails.

Which guest, and what it does then, is chosen by name. Prints a JSON object: by "one 17" (only allocation 17 fails) or
"all 17" (that one, and all that come after it), how the process ended: RIGHT, INTERNAL, WRONG, another exit code, or
minus the number of a signal.
"""

from __future__ import annotations

import _testcapi  # type: ignore[import-not-found]
import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from pygenvm.executor.outcome import InternalError, InternalErrorRaised, VMError
from pygenvm.executor.runner.actions import run_actions
from pygenvm.executor.runner.contract import parse_contract
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.subvm.closed import ClosedWorld
from pygenvm.executor.subvm.wasmtime_c import Function, Linker
from tests.support.execution import wat

RIGHT, INTERNAL, WRONG = 0, 10, 11
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
#: Any other memory than the right one is told.
GROWING = wat(
    """(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 2)
    (func $check (param i32 i32) (if (i32.ne (local.get 0) (local.get 1)) (then (call $exit (i32.const 99)))))
    (func (export "_start")
      (call $check (i32.load (i32.const 131068)) (i32.const 0))
      (call $check (memory.grow (i32.const 3)) (i32.const 2))
      (call $check (memory.size) (i32.const 5))
      (call $check (i32.load (i32.const 327676)) (i32.const 0))
      (i32.store (i32.const 131068) (i32.const 7))
      (i32.store (i32.const 327676) (i32.const 7))
      (call $exit (i32.const 3))))"""
)
EXPECTED = VMError("exit_code 3")


class Case(NamedTuple):
    """What runs, what it does while no memory is found, and more allocations than that takes."""

    guest: bytes
    owner: Any
    name: str
    allocations: int


CASES = {
    "calls": Case(GUEST, Function, "__call__", 90),
    "grows": Case(GROWING, Function, "__call__", 120),
    "begins": Case(GROWING, Linker, "instantiate", 60),
}


class NoRunners:
    """The guest needs none."""


def run(world: ClosedWorld, guest: bytes) -> int:
    vm = world.vm(b"")
    try:
        run_actions(parse_contract(guest), vm, NoRunners(), lambda: None)  # type: ignore[arg-type]
        outcome = vm.outcome
    except (MemoryError, ctypes.ArgumentError, SystemError):
        # The last is what Python 3.11 says where it has no memory for a frame.
        return INTERNAL
    except InternalErrorRaised:
        return INTERNAL
    finally:
        vm.close()
    if isinstance(outcome, InternalError):
        return INTERNAL
    return RIGHT if outcome == EXPECTED else WRONG


def run_without_memory(world: ClosedWorld, case: Case, first: int, end: int) -> int:
    call = getattr(case.owner, case.name)

    def armed(*arguments: Any) -> None:
        _testcapi.set_nomemory(first, end)
        try:
            call(*arguments)
        finally:
            _testcapi.remove_mem_hooks()

    setattr(case.owner, case.name, armed)
    status = run(world, case.guest)
    setattr(case.owner, case.name, call)
    # What has failed leaves nothing to who comes later.
    return status if run(world, case.guest) == RIGHT else WRONG


def main(folder: Path, case: Case) -> None:
    world = ClosedWorld(ArtefactStore(folder))
    # The second leaves a memory to the others.
    assert [run(world, case.guest) for _ in range(2)] == [RIGHT] * 2
    ends: dict[str, int] = {}
    for first in range(case.allocations):
        for name, end in (("one", first + 1), ("all", 0)):
            child = os.fork()
            if not child:
                status = WRONG
                try:
                    status = run_without_memory(world, case, first, end)
                finally:
                    os._exit(status)
            ends[f"{name} {first}"] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps(ends))


if __name__ == "__main__":
    main(Path(sys.argv[1]), CASES[sys.argv[2]])
