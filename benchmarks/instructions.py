"""Instructions that wasm executes, counted exactly: between host calls, and for each operation of the SDK.

    python -m benchmarks.instructions          writes JSON to standard output

An engine of its own counts fuel, one unit for nearly every instruction. Its modules are other machine code than those
of ordinary runs and live in a folder of their own. The counts are the same on every machine.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from ctypes import byref, c_uint64, c_void_p
from typing import Any

from benchmarks import contracts
from benchmarks.support import InProcess, call, node, on_vm_thread, own_environment
from pygenvm.executor.config import cache_root
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.subvm.engine import SETTINGS
from pygenvm.executor.subvm.linear import CREATOR
from pygenvm.executor.subvm.linking import HostFunction, new_host_linker
from pygenvm.executor.subvm.wasmtime_c import Engine, Store, library_path

_TANK = 1 << 62
#: Repetitions whose difference gives the price of one; the first ones also pay for what is made once.
_FEW, _MANY = 10, 110

Counts = list[tuple[str, int]]


def _bound(name: str, *arguments: Any) -> Any:
    function = getattr(ctypes.CDLL(library_path()), name)
    function.restype, function.argtypes = c_void_p, arguments
    return function


_set_fuel = _bound("wasmtime_context_set_fuel", c_void_p, c_uint64)
_get_fuel = _bound("wasmtime_context_get_fuel", c_void_p, c_void_p)
_caller_context = _bound("wasmtime_caller_context", c_void_p)


class _CountingEngine(Engine):
    """The executor's engine, but that it counts fuel, and its stores begin with a full tank."""

    def __init__(self) -> None:
        super().__init__({**SETTINGS, "consume_fuel": True}, CREATOR)

    def store(self) -> Store:
        store = super().store()
        if _set_fuel(store.context, _TANK):
            raise RuntimeError("the engine does not count fuel")
        return store


class _Counter:
    """Runs contracts on an engine that counts, and reads the fuel of their VMs at each host call."""

    def __init__(self) -> None:
        engine = _CountingEngine()
        self._artefacts = ArtefactStore(cache_root() / "benchmarks" / "counting-artefacts", engine)
        self._host_functions = new_host_linker(engine, self._noted)
        self._calls: Counts = []

    def _noted(self, name: str, function: HostFunction) -> HostFunction:
        def noting(vm: Any, *values: int) -> int | None:
            left = c_uint64()
            _get_fuel(_caller_context(vm.caller), byref(left))
            self._calls.append((name, _TANK - left.value))
            return function(vm, *values)

        return noting

    def run(self, code: bytes, data: bytes) -> Counts:
        """Host calls of one run, and what had been executed before each."""
        with node(code, data) as host:
            run = InProcess(host, self._artefacts, host_functions=self._host_functions)
            # The first run also compiles the contract to bytecode, in a VM of its own.
            run.run()
            self._calls.clear()
            run.run()
        return list(self._calls)


def count() -> dict[str, Any]:
    counter = _Counter()
    return on_vm_thread(lambda: {"calls": _calls(counter), "prices": _prices(counter)})


def _calls(counter: _Counter) -> list[dict[str, Any]]:
    made = {
        "hello world": (contracts.hello(), call("hello")),
        "hello world, without an image": (contracts.without_image(contracts.hello()), call("hello")),
        "storage write": (contracts.marked_storage(), call("update", "another text")),
        "300 lines": (contracts.long(), call("hello")),
        "eight dataclasses": (contracts.dataclasses(), call("hello")),
        "import of google.protobuf": (contracts.protobuf(), call("hello")),
    }
    found = []
    for title, (code, data) in made.items():
        counts = counter.run(code, data)
        if counts != counter.run(code, data):
            raise RuntimeError(f"{title}: two runs differ")
        found.append({"title": title, "phases": _phases(counts), "total": counts[-1][1], "host_calls": len(counts)})
    return found


def _phases(counts: Counts) -> Counts:
    """Instructions of each phase of a run."""
    looks = [used for name, used in counts if name == "clock_time_get"]
    marks = [("entry to the message", counts[0][1])]
    if looks:
        begun, ended = looks
        marks += [("message, dispatch to the method", begun), ("method", ended)]
        marks.append(("encoding of the result", counts[-1][1]))
    else:
        marks.append(("message, method, result", counts[-1][1]))
    before = [0, *(used for _, used in marks)]
    return [(name, used - start) for (name, used), start in zip(marks, before, strict=False)]


_OPERATIONS = {
    "nothing": "one pass of the loop itself",
    "read_int": "read a u256 from storage",
    "write_int": "write a u256 to storage",
    "write_text": "write a text to storage",
    "append": "append to a DynArray",
    "insert_int": "insert into a TreeMap[u256, u256]",
    "insert_address": "insert into a TreeMap[Address, u256]",
    "event": "emit an event",
}


def _prices(counter: _Counter) -> list[dict[str, Any]]:
    """Instructions and requests of one operation; in the mean of those from the 11th on."""
    code, prices = contracts.operations(), []
    for method, title in _OPERATIONS.items():
        few, many = (counter.run(code, call(method, n)) for n in (_FEW, _MANY))
        requests = [sum(name in ("storage_read", "storage_write", "gl_call") for name, _ in run) for run in (few, many)]
        prices.append(
            {
                "title": title,
                "instructions": (many[-1][1] - few[-1][1]) / (_MANY - _FEW),
                "host_calls": (requests[1] - requests[0]) / (_MANY - _FEW),
            }
        )
    return prices


def counted() -> dict[str, Any]:
    """:func:`count` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "benchmarks.instructions"],
        stdout=subprocess.PIPE,
        check=True,
        env=own_environment(),
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


if __name__ == "__main__":
    print(json.dumps(count()))
