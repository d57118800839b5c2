"""How deep calls of Python's C code go: to a limit of the executor's that is the same on every machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pygenvm.executor import limits
from pygenvm.executor.config import cache_root
from pygenvm.executor.outcome import Return, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.runner.archive import Archive
from pygenvm.executor.runner.registry import InstalledRunners
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.subvm.wasm.module import FuncType, read_module
from pygenvm.executor.subvm.wasm.recursion import counted_functions
from pygenvm.runners.registry import BuiltRunners, read_latest
from tests.runners.python.python_contracts import run_script, script_host, value_of_script
from tests.support.call_graph import Node, call_graph, longest_chains
from tests.support.execution import execute_process
from tests.support.native_frames import native_frames

STACK_OVERFLOW = VMError("wasm_trap StackOverflow")


@pytest.fixture(autouse=True, scope="module")
def _built(built_runners: object) -> None:
    """Every test here needs the runners."""


#: Puts a value into another one again and again, and then uses it.
NESTING = """
import itertools, operator, types

def held(value):
    yield value

def main(nestings, times):
    for start, step, use in nestings:
        value = eval(start)
        nest = eval(f"lambda value: {step}", globals())
        for _ in range(times):
            value = nest(value)
        exec(use)
    return "deep enough"
"""
#: C code of CPython that recurses without a check; natively these are crashes.
UNCHECKED = {
    "hash of tuples": ("()", "(value,)", "hash(value)"),
    "hash of slices": ("1", "slice(value)", "hash(value)"),
    "hash of methods": ("len", "types.MethodType(value, '')", "hash(value)"),
    "hash of types": ("int", "list[value]", "hash(value)"),
    "chain": ("iter([1])", "itertools.chain(value)", "next(value)"),
    "map": ("iter([1])", "map(abs, value)", "next(value)"),
    "filter": ("iter([1])", "filter(None, value)", "next(value)"),
    "zip": ("iter([1])", "zip(value)", "next(value)"),
    "enumerate": ("iter([1])", "enumerate(value)", "next(value)"),
    "islice": ("iter([1])", "itertools.islice(value, 1)", "next(value)"),
    "starmap": ("iter([(1,)])", "itertools.starmap(lambda *all: all, value)", "next(value)"),
    "takewhile": ("iter([1])", "itertools.takewhile(bool, value)", "next(value)"),
    "dropwhile": ("iter([1])", "itertools.dropwhile(callable, value)", "next(value)"),
    "filterfalse": ("iter([1])", "itertools.filterfalse(callable, value)", "next(value)"),
    "accumulate": ("iter([1])", "itertools.accumulate(value)", "next(value)"),
    "compress": ("iter([1])", "itertools.compress(value, [1])", "next(value)"),
    "cycle": ("iter([1])", "itertools.cycle(value)", "next(value)"),
    "pairwise": ("iter([1] * 100_000)", "itertools.pairwise(value)", "next(value)"),
    "batched": ("iter([1])", "itertools.batched(value, 1)", "next(value)"),
    "zip_longest": ("iter([1])", "itertools.zip_longest(value)", "next(value)"),
    "groupby": ("iter([1])", "itertools.groupby(value)", "next(value)"),
    "items of proxies": ("{1: 1}", "types.MappingProxyType(value)", "value[1]"),
    "length of proxies": ("{1: 1}", "types.MappingProxyType(value)", "len(value)"),
    "bound calls": ("len", "value.__call__", "value('')"),
    "attributes of attributes": ("len", "operator.attrgetter('__call__')(value)", "value('')"),
    "abstract properties": ("len", "property(value)", "value.__isabstractmethod__"),
    "abstract methods": ("len", "staticmethod(value)", "value.__isabstractmethod__"),
    "death of methods": ("len", "types.MethodType(value, '')", "value = None"),
    "death of slices": ("1", "slice(value)", "value = None"),
    "death of cells": ("1", "types.CellType(value)", "value = None"),
    "death of class methods": ("len", "classmethod(value)", "value = None"),
    "death of generators": ("1", "held(value)", "value = None"),
}
TOO_DEEP = 60_000


@pytest.fixture(scope="module")
def with_larger_stack() -> dict[str, str]:
    """Results of all of them where the native stack is four times as large, in hex."""
    arguments = {name: [[way], TOO_DEEP] for name, way in UNCHECKED.items()}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tests.runners.python.larger_stack"],
        input=json.dumps({"script": NESTING, "arguments": arguments}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    results: dict[str, str] = json.loads(done.stdout)
    return results


@pytest.mark.parametrize("name", UNCHECKED)
def test_recursion_of_c_code_without_a_check_ends_at_the_counter(name: str, with_larger_stack: dict[str, str]) -> None:
    run = run_script(NESTING, [list(UNCHECKED[name])], TOO_DEEP)
    assert run.outcome == STACK_OVERFLOW
    # The engine's own trap would be told as the cause.
    assert run.cause == ""
    assert {frame["module_name"] for frame in run.fingerprint["frames"]} == {"cpython"}
    assert run.payload is not None
    assert run.payload.hex() == with_larger_stack[name]


def test_contracts_may_nest_what_they_want() -> None:
    """Far deeper than anybody does."""
    # Pairs of pairs take a time that grows with the square.
    left_out = ("pairwise", "abstract properties", "abstract methods")
    ways = [list(way) for name, way in UNCHECKED.items() if name not in left_out]
    assert value_of_script(NESTING, ways, 10_000) == "deep enough"


def test_the_process_says_the_same() -> None:
    arguments = [list(UNCHECKED["hash of tuples"])], TOO_DEEP
    run = execute_process(host=script_host(NESTING, *arguments), built=True)
    assert run.exit_code == 0, run.stderr.decode()
    assert run.outcome == STACK_OVERFLOW
    assert run.payload == run_script(NESTING, *arguments).payload


def test_the_contract_lives_on_after_an_overflow_in_a_sandbox() -> None:
    text = """
from genlayer import gl

def overflow():
    value = ()
    for _ in range(100_000):
        value = (value,)
    return hash(value)

def main():
    return [repr(gl.vm.spawn_sandbox(overflow)) for _ in range(2)]
"""
    expected = "VMError(message='wasm_trap StackOverflow')"
    assert run_script(text).outcome == Return(calldata.encode([expected, expected]))


# --- frames -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def interpreter(built_runners: BuiltRunners) -> Archive:
    runner = f"cpython-genlayer:{read_latest(built_runners.registry_dir)['cpython-genlayer']}"
    return InstalledRunners(built_runners.runners_dir, built_runners.registry_dir, debug=False).load(runner)


@pytest.mark.parametrize("name", ["cpython.det.wasm", "cpython.wasm"])
def test_what_counts_answers_for_the_frames_that_the_compiler_makes(interpreter: Archive, name: str) -> None:
    """Between two functions that count, no chain of calls takes more of the native stack than the first one says."""
    artefacts = ArtefactStore(cache_root() / "executor" / "artefacts")
    origin = interpreter.origin(name)
    loaded = artefacts.load(interpreter.file(name), deterministic="det" in name, trusted=True, origin=origin)
    frames = native_frames(loaded.module.serialize())
    assert sum(frames.values()) / len(frames) > 50
    module = read_module(bytes(interpreter.file(name)))
    chosen, graph = counted_functions(module), call_graph(module)
    assert chosen is not None

    def frame(node: Node) -> int:
        return 0 if isinstance(node, FuncType) else frames.get(node, 0)

    # Functions that lead to none that counts end a stack; what they take is outside of the counter.
    leading: set[Node] = set(chosen)
    while more := {node for node, called in graph.items() if node not in leading and not called.isdisjoint(leading)}:
        leading |= more
    chains = longest_chains({node: graph[node] & leading for node in leading}, chosen, frame)
    for function, size in chosen.items():
        chain = max((chains[called] for called in graph[function] if called in chains), default=0)
        assert frame(function) + chain <= limits.WASM_RUNNER_FRAME_PARTS * size, function
    assert max(longest_chains(graph, chosen, frame).values()) < limits.WASM_UNCOUNTED_FRAME_BYTES_MAX
