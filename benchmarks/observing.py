"""Watches the functions of the executor at work, from outside: who is busy when.

with observed(timeline):
    run()
timeline.seconds()

A stage is a function of the executor that is wrapped while the context lasts; time belongs to the innermost stage, so
the stages add up to the whole. Inside wasm the host calls tell what the interpreter is doing.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from pygenvm.executor.subvm import linking
from pygenvm.executor.subvm.engine import engine
from pygenvm.executor.subvm.wasmtime_c import Linker

OTHER = "other code of the executor"

HOST_CALLS = "host functions, Python side"
HOST_REQUESTS = "requests of the contract to the node"

#: What the interpreter does between host calls, by the mark that ends each phase.
PHASES = (
    "Python: from its entry to its first host call",
    "Python: arguments, environment, randomness, message",
    "Python: import of the contract",
    "Python: dispatch to the method",
    "Python: method",
    "Python: encoding of the result",
    "end of the VM: a trap unwinds the wasm frames",
)

#: Module, function, and the stage that it is.
FUNCTIONS = (
    ("pygenvm.executor.message", "Message.parse", "message"),
    ("pygenvm.executor.host_protocol.client", "HostClient.connect", "connect to the node"),
    ("pygenvm.executor.run.supervisor", "Supervisor._read_locked_slots", "start-up reads and calldata (4 requests)"),
    ("pygenvm.executor.host_protocol.client", "HostClient.get_calldata", "start-up reads and calldata (4 requests)"),
    ("pygenvm.executor.run.supervisor", "Supervisor.start_up", "open the registry"),
    ("pygenvm.executor.run.supervisor", "Supervisor._contract", "read the code (2 requests) and parse it"),
    ("pygenvm.executor.subvm.vm", "SubVM.__init__", "new VM: store and linker"),
    ("pygenvm.executor.run.supervisor", "run_actions", "runner actions, map files"),
    ("pygenvm.executor.run.derived", "Deriver.derive", "bytecode of the contract from disk"),
    ("pygenvm.executor.subvm.artefacts", "ArtefactStore.load", "find compiled modules"),
    ("pygenvm.executor.subvm.vm", "SubVM._instantiate", "instantiate"),
    ("pygenvm.executor.subvm.vm", "SubVM.close", "close the VM"),
    ("pygenvm.executor.host_protocol.client", "HostClient.storage_write", HOST_REQUESTS),
    ("pygenvm.executor.log", "Logger.from_config", "log"),
    ("pygenvm.executor.log", "Logger.info", "log"),
    ("pygenvm.executor.run.process", "start_vm_thread", "start the VM thread"),
    ("pygenvm.executor.run.process", "_Run._deliver", "deliver: a thread that prints"),
    ("pygenvm.executor.host_protocol.client", "HostClient.consume_result", "deliver: the result to the node"),
)


class Timeline:
    """Which stage began when. Threads may take turns, but must not be busy at the same time."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, str]] = []
        self._local = threading.local()

    def clear(self) -> None:
        self.marks.clear()

    def mark(self, stage: str) -> None:
        self.marks.append((time.perf_counter(), stage))

    @property
    def stack(self) -> list[str]:
        """Stages of the calling thread, innermost last."""
        stack: list[str] = self._local.__dict__.setdefault("stack", [])
        return stack

    def enter(self, stage: str) -> None:
        self.stack.append(stage)
        self.mark(stage)

    def leave(self) -> None:
        self.stack.pop()
        self.mark(self.stack[-1] if self.stack else OTHER)

    def switch(self, stage: str) -> None:
        """The innermost stage is over, and another one takes its place."""
        self.stack[-1] = stage
        self.mark(stage)


def seconds_by_stage(marks: list[tuple[float, str]], end: float) -> dict[str, float]:
    """Sums, in the order of first appearance; marks behind ``end`` do not count."""
    sums: dict[str, float] = {}
    before = [mark for mark in marks if mark[0] < end]
    for (begun, stage), (ended, _) in zip(before, [*before[1:], (end, "")], strict=True):
        sums[stage] = sums.get(stage, 0.0) + ended - begun
    return sums


HostCall = Callable[[Any, str], None]


def watched_linker(before: HostCall, after: HostCall) -> Linker:
    """The executor's host functions; each calls ``before`` and ``after`` with the VM and its own name."""
    bind: Any = linking._bind

    def watched_bind(*arguments: Any) -> None:
        *others, handler = arguments
        name = others[3]

        def watched(vm: Any, *values: int) -> int | None:
            before(vm, name)
            try:
                result: int | None = handler(vm, *values)
                return result
            finally:
                after(vm, name)

        bind(*others, watched)

    # The cached linker of ordinary runs stays as it is.
    with replaced(linking, "_bind", watched_bind):
        make: Callable[[], Linker] = linking.host_linker.__wrapped__
        return make()


class _Phases:
    """Moves the stage "wasm" of a timeline through :data:`PHASES`."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._phase = 0
        self._clock_looks = 0

    def begin(self) -> None:
        self._phase = self._clock_looks = 0

    def before(self, _vm: Any, name: str) -> None:
        self._phase = max(self._phase, self._reached(name))
        self._timeline.enter(HOST_CALLS)

    def after(self, _vm: Any, name: str) -> None:
        stack = self._timeline.stack
        stack.pop()
        self._timeline.switch(PHASES[self._phase if name != "gl_call" else -1])

    def _reached(self, name: str) -> int:
        if name == "clock_time_get":
            # The marks of benchmarks.contracts.marked_storage.
            self._clock_looks += 1
            return 2 + self._clock_looks
        return 2 if name == "fd_prestat_get" else 1


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute has another value while the context lasts."""
    before = owner.__dict__[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextlib.contextmanager
def observed(timeline: Timeline) -> Iterator[None]:
    """Every function above tells ``timeline`` while the context lasts."""
    phases = _Phases(timeline)
    with contextlib.ExitStack() as stack:
        for module, path, stage in FUNCTIONS:
            owner: Any = importlib.import_module(module)
            *outer, name = path.split(".")
            for part in outer:
                owner = getattr(owner, part)
            stack.enter_context(replaced(owner, name, _staged(owner.__dict__[name], timeline, stage)))
        linker = watched_linker(phases.before, phases.after)
        stack.enter_context(replaced(linking, "vm_linker", lambda: Linker(None, like=linker)))
        from pygenvm.executor.subvm.vm import SubVM

        run_entry = SubVM.__dict__["_run_entry"]

        def in_phases(vm: Any, entry: Any) -> None:
            phases.begin()
            timeline.enter(PHASES[0])
            try:
                run_entry(vm, entry)
            finally:
                timeline.leave()

        stack.enter_context(replaced(SubVM, "_run_entry", in_phases))
        engine()
        yield


def _staged(function: Any, timeline: Timeline, stage: str) -> Any:
    inner = function.__func__ if isinstance(function, classmethod | staticmethod) else function

    @functools.wraps(inner)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        timeline.enter(stage)
        try:
            return inner(*arguments, **named)
        finally:
            timeline.leave()

    return type(function)(wrapped) if isinstance(function, classmethod | staticmethod) else wrapped
