"""NumPy in a contract: what it costs to have it, and what soft floats make of a matrix product."""

from __future__ import annotations

from benchmarks import contracts
from benchmarks.measure import Row, interleaved, scaled
from benchmarks.support import InProcess, call, node, on_vm_thread

MS = 1e3
_WARM_UP = 2
_SIZE = 256
_PRODUCTS = 3


def numeric(rounds: int) -> list[Row]:
    """A contract that imports NumPy against one that does not, and a matrix product with soft floats."""
    with (
        node(contracts.hello_with_numpy(), call("hello")) as with_numpy,
        node(contracts.hello(), call("hello")) as plain,
    ):
        starts = {"numpy": InProcess(with_numpy), "plain": InProcess(plain)}
        on_vm_thread(lambda: interleaved({name: one.run for name, one in starts.items()}, rounds, _WARM_UP))
    with (
        node(contracts.matrices(), call("det", _SIZE, _PRODUCTS)) as det,
        node(contracts.matrices(), call("nondet", _SIZE, _PRODUCTS)) as nondet,
    ):
        products = {"det": InProcess(det).run, "nondet": InProcess(nondet).run}
        samples = on_vm_thread(lambda: interleaved(products, max(rounds // 4, 1)))
    vm = {name: one.vm_seconds[_WARM_UP:] for name, one in starts.items()}
    return [
        Row(
            name="numeric",
            title="hello-world contract that imports NumPy, a new sub-VM until its result",
            unit="ms",
            ours=scaled(vm["numpy"], MS),
            yardstick=scaled(vm["plain"], MS),
            yardstick_is="the contract without NumPy, whose interpreter does not have it",
            value_at_most=15.0,
        ),
        Row(
            name="numeric",
            title=f"{_PRODUCTS} products of float32 matrices of {_SIZE} rows and columns, deterministic",
            unit="ms",
            ours=scaled(samples["det"], MS),
            yardstick=scaled(samples["nondet"], MS),
            yardstick_is="the same in a non-deterministic block",
            ratio_at_most=12.0,
        ),
    ]
