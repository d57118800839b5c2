"""Who may call whom in a module, and the chains between functions that are left out: for tests of the depth counter."""

from __future__ import annotations

from collections.abc import Callable, Container
from graphlib import TopologicalSorter
from typing import TypeAlias

from pygenvm.executor.subvm.wasm.binary import Reader
from pygenvm.executor.subvm.wasm.instructions import CALLS, INDIRECT_CALLS, bodies, scanner, walk
from pygenvm.executor.subvm.wasm.module import FuncType, Module

#: A function, or the type of indirect calls.
Node: TypeAlias = int | FuncType
Graph: TypeAlias = dict[Node, set[Node]]


def call_graph(module: Module) -> Graph:
    """What each defined function may call, and each type: its functions in the table."""
    graph: Graph = {kind: set() for kind in module.types}
    for body in bodies(module):
        called = graph[body.function] = set()
        for start, end in walk(module.data, body, scanner(CALLS, INDIRECT_CALLS)):
            index = Reader(module.data, start + 1, end).u32()
            called.add(index if module.data[start] == 0x10 else module.types[index])
    for _, start, end in module.elements:
        reader = Reader(module.data, start, end)
        for function in [reader.u32() for _ in range(reader.u32())]:
            graph[module.function_type(function)].add(function)
    return graph


def longest_chains(graph: Graph, without: Container[Node], size: Callable[[Node], int]) -> dict[Node, int]:
    """The largest sum of sizes that a chain of calls from each node may have between those left out.

    :raises graphlib.CycleError: there is a recursion without any of them.
    """
    kept = {node: {called for called in graph[node] if called not in without} for node in graph if node not in without}
    chains: dict[Node, int] = {}
    for node in TopologicalSorter(kept).static_order():
        chains[node] = size(node) + max((chains[called] for called in kept.get(node, ())), default=0)
    return chains
