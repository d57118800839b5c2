"""Host functions that fail: nothing but a trap or a number ever goes back to the engine."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from pygenvm.executor.machine import EXIT_ESCAPED
from pygenvm.executor.outcome import InternalError
from pygenvm.executor.runner.actions import run_actions
from pygenvm.executor.runner.contract import parse_contract
from pygenvm.executor.subvm.closed import ClosedWorld
from tests.support.execution import artefacts, on_big_stack, wat
from tests.support.paths import ROOT


@pytest.mark.parametrize(
    ("case", "numbers"),
    [
        # The two that ctypes makes of a callback's arguments, in each of the three calls.
        pytest.param("calls", 6, marks=pytest.mark.slow),
        # Of the arguments, and of two addresses, each time that the engine asks for place and size.
        pytest.param("grows", 45, marks=pytest.mark.slow),
        ("begins", 19),
    ],
)
def test_whatever_allocation_fails_the_engine_gets_no_garbage(case: str, numbers: int, tmp_path: Path) -> None:
    """Where even the callback cannot be begun, the process ends at once."""
    pytest.importorskip("_testcapi")
    done = subprocess.run(
        [sys.executable, "-m", "tests.executor.subvm.memory_fails", str(tmp_path), case],
        cwd=ROOT,
        # Without a measurement of its coverage, whose tracer does not survive a failed allocation.
        env={name: value for name, value in os.environ.items() if not name.startswith("COV_")},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    ends = json.loads(done.stdout)
    from tests.executor.subvm.memory_fails import INTERNAL, RIGHT

    assert set(ends.values()) <= {RIGHT, INTERNAL, EXIT_ESCAPED}, ends
    assert {RIGHT, INTERNAL} <= set(ends.values())
    escaped = [name for name, end in ends.items() if end == EXIT_ESCAPED and name.startswith("one")]
    assert 0 < len(escaped) <= numbers, escaped


class Held:
    """Something that a host function has in hand."""


def test_nothing_is_held_that_a_failed_host_function_had_in_hand() -> None:
    code = wat(
        """(module (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (memory (export "memory") 1) (func (export "_start") (drop (call $random (i32.const 0) (i32.const 8)))))"""
    )
    held: list[weakref.ref[Held]] = []

    def failing(_: memoryview) -> None:
        thing = Held()
        held.append(weakref.ref(thing))
        raise ValueError("no chance")

    def work() -> None:
        vm = ClosedWorld(artefacts()).vm(b"")
        vm.wasi.random = failing
        run_actions(parse_contract(code), vm, None, lambda: None)  # type: ignore[arg-type]
        assert isinstance(vm.outcome, InternalError)
        assert "no chance" in vm.outcome.message
        assert "failing" in vm.outcome.message
        assert held[0]() is None
        vm.close()

    gc.disable()
    try:
        on_big_stack(work)
    finally:
        gc.enable()
