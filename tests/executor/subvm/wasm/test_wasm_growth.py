"""The memory counter: growth is charged when it happens, for all memories of a VM together (spec executor/08)."""

from __future__ import annotations

from typing import Any

import pytest
import wasmtime

from pygenvm.executor.subvm.wasm.prepare import PreparedModule, prepare
from tests.executor.subvm.wasm.wasm_support import Run, is_valid, wat
from tests.support.package_engine import engine

PAGE = 65_536
GROWING = """(module (memory (export "memory") {limits})
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size)))"""


def counting(text: str, *, trusted: bool = True) -> PreparedModule:
    wasm = wat(text)
    assert is_valid(wasm)
    return prepare(wasm, deterministic=True, trusted=trusted)


class Counted(Run):
    """A run with ``left`` bytes in the pool."""

    def __init__(self, prepared: PreparedModule, left: int, **extra: Any) -> None:
        super().__init__(prepared.code, **extra)
        self.left = left

    @property
    def left(self) -> int:
        left: int = self.memory_counter.value(self.store)
        return left

    @left.setter
    def left(self, value: int) -> None:
        self.memory_counter.set_value(self.store, value)


def test_growth_takes_its_bytes_from_the_pool() -> None:
    run = Counted(counting(GROWING.format(limits="1")), 3 * PAGE + 5)
    assert [run("grow", pages) for pages in (0, 1, 2)] == [1, 1, 2]
    assert (run("size"), run.left) == (4, 5)


def test_growth_that_the_pool_refuses_gives_minus_one_and_takes_nothing() -> None:
    run = Counted(counting(GROWING.format(limits="1")), 2 * PAGE - 1)
    assert [run("grow", pages) for pages in (2, 65_536, -1, 1, 1, 0)] == [-1, -1, -1, 1, -1, 2]
    assert (run("size"), run.left) == (2, PAGE - 1)


def test_growth_beyond_the_own_maximum_takes_nothing() -> None:
    run = Counted(counting(GROWING.format(limits="1 2")), 100 * PAGE)
    assert [run("grow", pages) for pages in (2, 1, 1)] == [-1, 1, -1]
    assert run.left == 99 * PAGE


def test_growth_from_nothing_that_the_pool_refuses_traps_in_the_appended_function() -> None:
    prepared = counting(GROWING.format(limits="0"))
    assert (prepared.facts.refused_function, prepared.facts.grow_function) == (2, 3)
    run = Counted(prepared, PAGE - 1)
    assert run("grow", 0) == 0
    with pytest.raises(wasmtime.Trap) as trap:
        run("grow", 1)
    assert trap.value.trap_code == wasmtime.TrapCode.UNREACHABLE
    assert [frame.func_index for frame in trap.value.frames] == [3, 0]
    run.left = PAGE
    assert [run("grow", pages) for pages in (1, 1)] == [0, -1]
    assert run.left == 0


def test_growth_from_nothing_beyond_the_own_maximum_is_no_matter_of_the_pool() -> None:
    run = Counted(counting(GROWING.format(limits="0 1")), 2 * PAGE)
    assert run("grow", 2) == -1


IMPORTING = """(module (import "a" "m" (memory 1))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"""


def importing(left: int, maximum: int | None) -> Counted:
    """A module that grows an imported memory which may have ``maximum`` pages."""
    prepared = counting(IMPORTING)
    assert prepared.facts.grown_import == ("a", "m")
    memory = wasmtime.MemoryType(wasmtime.Limits(1, maximum))
    pages = wasmtime.GlobalType(wasmtime.ValType.i64(), True)
    extra = {
        ("a", "m"): lambda store: wasmtime.Memory(store, memory),
        ("genvm counters", "maximum"): lambda store: wasmtime.Global(store, pages, wasmtime.Val.i64(maximum or 65_536)),
    }
    return Counted(prepared, left, extra=extra)


def test_an_imported_memory_is_counted_by_the_module_that_grows_it() -> None:
    run = importing(PAGE, None)
    assert [run("grow", 1), run("grow", 1), run.left] == [1, -1, 0]


def test_the_maximum_of_an_imported_memory_is_its_own_and_not_what_the_import_says() -> None:
    run = importing(100 * PAGE, 3)
    assert [run("grow", pages) for pages in (3, 1, 2, 1, 1)] == [-1, 1, -1, 2, -1]
    assert run.left == 98 * PAGE


# --- a machine without memory: an engine that is told a smaller limit refuses in the same way ----


@pytest.mark.parametrize("limits", ["0", "1", "1 10", "1 4"])
def test_growth_that_only_the_machine_refuses_traps_in_a_function_of_its_own(limits: str) -> None:
    prepared = counting(GROWING.format(limits=limits))
    run = Counted(prepared, 100 * PAGE)
    run.store.set_limits(memory_size=3 * PAGE)
    size = int(limits[0])
    assert run("grow", 3 - size) == size
    left = run.left
    with pytest.raises(wasmtime.Trap) as trap:
        run("grow", 1)
    assert [frame.func_index for frame in trap.value.frames] == [
        prepared.facts.refused_function,
        prepared.facts.grow_function,
        0,
    ]
    assert run.left == left
    # What the pool or the memory's own maximum refuses too is no affair of the machine.
    run.left = PAGE - 1
    assert run("grow", 1) == -1


def test_growth_beyond_the_maximum_of_a_machine_without_memory_is_refused_as_everywhere() -> None:
    run = Counted(counting(GROWING.format(limits="1 4")), 100 * PAGE)
    run.store.set_limits(memory_size=3 * PAGE)
    assert [run("grow", pages) for pages in (2, 2, 65_536, -1)] == [1, -1, -1, -1]


def test_growth_of_an_imported_memory_that_only_the_machine_refuses() -> None:
    run = importing(100 * PAGE, 4)
    run.store.set_limits(memory_size=2 * PAGE)
    assert [run("grow", pages) for pages in (1, 3)] == [1, -1]
    with pytest.raises(wasmtime.Trap, match="unreachable"):
        run("grow", 2)


@pytest.mark.parametrize("trusted", [False, True])
def test_globals_keep_their_meaning_when_counters_come_before_them(trusted: bool) -> None:
    text = """(module (import "a" "g" (global $imported i32)) (memory 1)
      (global $first (mut i32) (global.get $imported)) (global $second (mut i64) (i64.const 20))
      (export "first" (global $first)) (export "imported" (global $imported))
      (data (global.get $imported) "x")
      (func $sum (result i32) (i32.add (global.get $first) (i32.wrap_i64 (global.get $second))))
      (func (export "f") (result i32)
        (global.set $second (i64.add (global.get $second) (i64.const 1)))
        (global.set $first (i32.add (global.get $first) (global.get $imported)))
        (drop (memory.grow (i32.const 1)))
        (call $sum)))"""
    prepared = counting(text, trusted=trusted)
    assert (prepared.facts.overflow_function is None) == trusted
    kind = wasmtime.GlobalType(wasmtime.ValType.i32(), False)
    extra = {("a", "g"): lambda store: wasmtime.Global(store, kind, wasmtime.Val.i32(100))}
    if not trusted:
        depth = wasmtime.GlobalType(wasmtime.ValType.i32(), True)
        extra["genvm counters", "depth"] = lambda store: wasmtime.Global(store, depth, wasmtime.Val.i32(1000))
    run = Run(prepared.code, extra=extra)
    assert [run("f"), run("f")] == [221, 322]
    exports = run.instance.exports(run.store)
    assert [exports[name].value(run.store) for name in ("first", "imported")] == [300, 100]


def test_modules_that_never_grow_import_nothing() -> None:
    prepared = counting('(module (memory 1) (func (export "f") (drop (memory.size)) (drop (i32.const 0x40))))')
    assert prepared.facts.grow_function is None
    assert wasmtime.Module(engine(), prepared.code).imports == []
