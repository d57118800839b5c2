"""Instructions that wasm executes, counted exactly: between host calls, and for each operation of the SDK.

    python -m benchmarks.instructions          writes JSON to standard output

The engine of this process counts fuel, one unit for nearly every instruction. Its modules are other machine code than
those of ordinary runs and live in a folder of their own. The counts are the same on every machine.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from ctypes import byref, c_uint64, c_void_p
from typing import Any

from benchmarks import contracts
from benchmarks.observing import replaced, watched_linker
from benchmarks.support import InProcess, call, node, on_vm_thread
from pygenvm.executor.config import cache_root
from pygenvm.executor.subvm import compiler, linking, wasmtime_c
from pygenvm.executor.subvm import engine as engines
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.subvm.facts import ModuleFacts
from pygenvm.executor.subvm.vm import SubVM
from pygenvm.executor.subvm.wasm.prepare import prepare
from pygenvm.executor.subvm.wasmtime_c import Linker, Module, Store, library_path
from pygenvm.localnet.executor_process import own_environment

_TANK = 1 << 62
#: Repetitions whose difference gives the price of one; the first ones also pay for what is made once.
_FEW, _MANY = 10, 110

Counts = list[tuple[str, int]]


def _bound(name: str, *arguments: Any) -> Any:
    function = getattr(ctypes.CDLL(library_path()), name)
    function.restype, function.argtypes = c_void_p, arguments
    return function


class _Counter:
    """Reads the fuel of VMs at their host calls."""

    def __init__(self) -> None:
        self._set_fuel = _bound("wasmtime_context_set_fuel", c_void_p, c_uint64)
        self._get_fuel = _bound("wasmtime_context_get_fuel", c_void_p, c_void_p)
        self.calls: list[tuple[str, int]] = []

    def fill(self, store: Store) -> None:
        if self._set_fuel(store.context, _TANK):
            raise RuntimeError("the engine does not count fuel")

    def used(self, vm: SubVM) -> int:
        left = c_uint64()
        self._get_fuel(vm._store.context, byref(left))
        return _TANK - left.value

    def note(self, vm: SubVM, name: str) -> None:
        self.calls.append((name, self.used(vm)))


def _compile_here(wasm: bytes, *, deterministic: bool, trusted: bool) -> tuple[bytes, ModuleFacts]:
    """In place of the child process, whose engine does not count. The modules are our own."""
    made = prepare(wasm, deterministic=deterministic, trusted=trusted)
    return Module.compile(engines.engine(), made.code).serialize(), made.facts


def count() -> dict[str, Any]:
    """Only in a process that has not used the engine yet."""
    engines.SETTINGS["consume_fuel"] = True
    counter = _Counter()
    store_init = Store.__init__

    def filled(store: Store, engine: wasmtime_c.Engine) -> None:
        store_init(store, engine)
        counter.fill(store)

    artefacts = ArtefactStore(cache_root() / "benchmarks" / "counting-artefacts")
    with (
        replaced(Store, "__init__", filled),
        replaced(compiler, "compile_module", _compile_here),
    ):
        linker = watched_linker(counter.note, lambda _vm, _name: None)
        with replaced(linking, "vm_linker", lambda: Linker(None, like=linker)):
            return on_vm_thread(lambda: {"calls": _calls(counter, artefacts), "prices": _prices(counter, artefacts)})


def _run(counter: _Counter, artefacts: ArtefactStore, code: bytes, data: bytes) -> Counts:
    """Host calls of one run, and what had been executed before each."""
    with node(code, data) as host:
        run = InProcess(host, artefacts)
        # The first run also compiles the contract to bytecode, in a VM of its own.
        run.run()
        counter.calls.clear()
        run.run()
    return list(counter.calls)


def _calls(counter: _Counter, artefacts: ArtefactStore) -> list[dict[str, Any]]:
    made = {
        "hello world": (contracts.hello(), call("hello")),
        "storage write": (contracts.marked_storage(), call("update", "another text")),
    }
    found = []
    for title, (code, data) in made.items():
        counts = _run(counter, artefacts, code, data)
        if counts != _run(counter, artefacts, code, data):
            raise RuntimeError(f"{title}: two runs differ")
        found.append({"title": title, "phases": _phases(counts), "total": counts[-1][1], "host_calls": len(counts)})
    return found


def _phases(counts: Counts) -> Counts:
    """Instructions of each phase of a run."""
    looks = [used for name, used in counts if name == "clock_time_get"]
    first_of = dict(reversed(counts))
    marks = [
        ("entry to the first host call", counts[0][1]),
        ("arguments, environment, randomness, message", first_of["fd_prestat_get"]),
    ]
    if looks:
        imported, begun, ended = looks
        marks += [("import of the contract", imported), ("dispatch to the method", begun), ("method", ended)]
        marks.append(("encoding of the result", counts[-1][1]))
    else:
        marks.append(("import of the contract, method, result", counts[-1][1]))
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


def _prices(counter: _Counter, artefacts: ArtefactStore) -> list[dict[str, Any]]:
    """Instructions and requests of one operation; in the mean of those from the 11th on."""
    code, prices = contracts.operations(), []
    for method, title in _OPERATIONS.items():
        few, many = (_run(counter, artefacts, code, call(method, n)) for n in (_FEW, _MANY))
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
