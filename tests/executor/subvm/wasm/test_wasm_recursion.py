"""Which functions of runners count: one of every recursion, whatever the module, and few of the busy ones."""

from __future__ import annotations

import random

import pytest

from pygenvm.executor import limits
from pygenvm.executor.subvm.wasm.depth import count_depth
from pygenvm.executor.subvm.wasm.edit import Editor
from pygenvm.executor.subvm.wasm.module import read_module
from pygenvm.executor.subvm.wasm.prepare import PreparedModule, prepare
from pygenvm.executor.subvm.wasm.recursion import counted_functions
from tests.executor.subvm.wasm.test_wasm_depth import Vm
from tests.executor.subvm.wasm.wasm_support import is_valid, wat
from tests.support.call_graph import call_graph, longest_chains


def counted(text: str) -> set[int]:
    """The functions that count."""
    chosen = counted_functions(read_module(wat(text)))
    assert chosen is not None
    return set(chosen)


def counting(text: str) -> PreparedModule:
    wasm = wat(text)
    assert is_valid(wasm)
    return prepare(wasm, deterministic=False, trusted=True)


def test_what_never_recurses_is_left_as_it_is() -> None:
    text = """(module (type $t (func)) (table 2 funcref) (elem (i32.const 0) $leaf $middle)
      (func $leaf) (func $middle (call $leaf) (call $leaf))
      (func (export "f") (call $middle) (call_indirect (type $t) (i32.const 0))))"""
    # The entry has the table's type, but is not in it.
    assert counted(text) == set()
    assert counting(text).code == wat(text)


def test_one_function_of_a_recursion_counts_and_not_the_busy_one() -> None:
    text = """(module
      (func $busy (param i32) (if (local.get 0) (then (call $rare))))
      (func $rare (call $busy (i32.const 0)))
      (func $also (call $busy (i32.const 0)) (call $busy (i32.const 0)))
      (func (export "f") (call $also) (call $rare)))"""
    assert counted(text) == {1}
    assert counted("(module (func $self (call $self)) (func (call $self) (call $self)))") == {0}


def test_indirect_calls_lead_to_every_function_of_their_type_in_the_table() -> None:
    text = """(module (type $t (func (param i32))) (type $same (func (param i32))) (table 3 funcref)
      (elem (i32.const 0) $allocator $slot)
      (func $hash (param i32) (call_indirect (type $t) (i32.const 1) (local.get 0)))
      (func $allocator (param i32))
      (func $slot (type $same) (call $hash (i32.const 1)) (call $hash (i32.const 1)))
      (func $not_in_the_table (param i32) (call $hash (local.get 0)))
      (func $other_type (call $hash (i32.const 2))))"""
    assert counted(text) == {2}


def test_a_recursion_through_other_modules_counts() -> None:
    """The library's function is called again by what it calls in a module that it knows nothing of."""
    kept = """(module $kept (table (export "t") 1 funcref) (type $f (func (param i32)))
      (func (export "back") (param i32) (call_indirect (type $f) (local.get 0) (i32.const 0))))"""
    library = """(module $library (import "kept" "back" (func $back (param i32)))
      (func $inner (param i32) (call $back (local.get 0)))
      (func (export "again") (param i32) (call $inner (local.get 0)))
      (func (export "once") (param i32)))"""
    program = """(module $program (import "library" "again" (func $again (param i32)))
      (import "kept" "t" (table 1 funcref)) (elem (i32.const 0) $step)
      (func $step (export "step") (param i32) (if (local.get 0) (then (call $again (local.get 0))))))"""
    assert counted(library) == {2}
    modules = {name: counting(text) for name, text in (("kept", kept), ("library", library), ("program", program))}
    vm = Vm({name: prepared.code for name, prepared in modules.items()})
    vm.call("step", 0)
    assert vm.used == 0
    overflows = {prepared.facts.overflow_function for prepared in modules.values()}
    assert vm.overflow("step", 1)[0] in overflows


@pytest.mark.parametrize(
    "part",
    [
        '(import "a" "t" (table 1 funcref))',
        '(table (export "t") 1 funcref)',
        "(func $tail (param i32) (return_call $tail (local.get 0)))",
    ],
)
def test_where_the_bytes_do_not_tell_who_calls_whom_all_functions_count(part: str) -> None:
    wasm = wat(f"(module {part} (func $leaf) (func (call $leaf)))")
    assert counted_functions(read_module(wasm)) is None
    code = []
    for trusted in (True, False):
        editor = Editor(read_module(wasm))
        assert count_depth(editor, trusted=trusted) is not None
        code.append(editor.to_bytes())
    assert code[0] == code[1]


def test_chains_of_functions_that_do_not_count_are_short() -> None:
    """A recursion of 100 functions: several count, so that each takes about what it and the next ones need."""
    steps = "".join(f"(func $f{i} (call $f{(i + 1) % 100}))" for i in range(100))
    chosen = counted_functions(read_module(wat(f"(module {steps})")))
    assert chosen is not None
    assert 5 < len(chosen) < 20
    assert max(chosen.values()) < limits.WASM_UNCOUNTED_CHAIN_BYTES_MAX / 2


def test_long_chains_without_recursion_count_too() -> None:
    many = " ".join(["i64"] * (limits.WASM_UNCOUNTED_FRAME_BYTES_MAX // 16))
    steps = "".join(f"(func $f{i} (local {many}) (call $f{i + 1}))" for i in range(6))
    text = f'(module {steps} (func $f6) (func (export "f") (call $f0)))'
    assert counted(text) == {1, 3, 5} or counted(text) == {0, 2, 4}
    vm = Vm({"m": counting(text).code})
    vm.call("f")
    assert vm.used == 0


def test_bounds_fit_into_the_native_stack() -> None:
    """The whole of the counter in functions of runners, and below it what need not count."""
    uncounted = 2 * limits.WASM_UNCOUNTED_CHAIN_BYTES_MAX + limits.WASM_UNCOUNTED_FRAME_BYTES_MAX
    whole = limits.WASM_RUNNER_FRAME_PARTS * limits.WASM_DEPTH_BYTES
    assert whole + uncounted < limits.WASM_STACK_BYTES - (1 << 20)


KINDS = {"$a": "(param i32) (result i32)", "$b": "(param i32 i64 i32) (result i32)", "$c": "(param i32) (result i64)"}
RANDOM_WALK = """(func $turn (result i32)
  (global.set $state (i32.add (i32.mul (global.get $state) (i32.const 1103515245)) (i32.const 12345)))
  (i32.and (global.get $state) (i32.const 65536)))"""


def _random_module(chance: random.Random) -> str:
    """Functions that call each other at random; each calls one of those that it knows, as the state will have it."""
    kinds = [chance.choice(list(KINDS)) for _ in range(chance.randint(2, 25))]
    table = [index for index in range(len(kinds)) if chance.random() < 0.5]
    known = chance.choice((1, 2, 5))

    def call() -> str:
        indirect = table and chance.random() < 0.4
        target = chance.choice(table) if indirect else chance.randrange(len(kinds))
        operands = "(local.get 0) (i64.const 7) (local.get 0)" if kinds[target] == "$b" else "(local.get 0)"
        if indirect:
            return f"(call_indirect (type {kinds[target]}) {operands} (i32.const {table.index(target)}))"
        return f"(call $f{target} {operands})"

    functions = []
    for index, kind in enumerate(kinds):
        calls = [f"(if (call $turn) (then (drop {call()}) (br 1)))" for _ in range(chance.randint(0, known))]
        result = "(i64.extend_i32_u (local.get 0))" if kind == "$c" else "(local.get 0)"
        fuse = "(global.set $left (i32.sub (global.get $left) (i32.const 1))) (br_if 0 (i32.eqz (global.get $left)))"
        functions.append(f"(func $f{index} (type {kind}) (block {fuse} {' '.join(calls)} (drop {call()})) {result})")
    return f"""(module {" ".join(f"(type {name} (func {shape}))" for name, shape in KINDS.items())}
      (table {len(table)} funcref) (elem (i32.const 0) {" ".join(f"$f{index}" for index in table)})
      (global $state (mut i32) (i32.const {chance.getrandbits(31)})) (global $left (mut i32) (i32.const 0))
      {" ".join(functions)} {RANDOM_WALK}
      (func (export "run") (param i32) (global.set $left (local.get 0))
        (drop (call $f0 (local.get 0) {"(i64.const 7) (local.get 0)" if kinds[0] == "$b" else ""}))))"""


@pytest.mark.parametrize("seed", range(40))
def test_no_recursion_of_any_module_reaches_the_engines_own_limit(seed: int) -> None:
    text = _random_module(random.Random(seed))
    module = read_module(wat(text))
    chosen = counted_functions(module)
    assert chosen is not None
    longest_chains(call_graph(module), chosen, lambda _node: 1)  # no cycle is left
    prepared = counting(text)
    vm = Vm({"m": prepared.code})
    vm.call("run", 1000)
    assert vm.used == 0
    assert vm.overflow("run", 1 << 30)[0] == prepared.facts.overflow_function
