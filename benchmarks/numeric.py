"""NumPy in a contract: what it costs to have it."""

from __future__ import annotations

from benchmarks import contracts
from benchmarks.measure import Row, interleaved, scaled
from benchmarks.support import InProcess, call, node, on_vm_thread

MS = 1e3
_WARM_UP = 2


def numeric(rounds: int) -> list[Row]:
    """A contract that imports NumPy against one that does not."""
    with (
        node(contracts.hello_with_numpy(), call("hello")) as with_numpy,
        node(contracts.hello(), call("hello")) as plain,
    ):
        starts = {"numpy": InProcess(with_numpy), "plain": InProcess(plain)}
        on_vm_thread(lambda: interleaved({name: one.run for name, one in starts.items()}, rounds, _WARM_UP))
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
    ]
