"""Watches an executor at work: which stage of a call it is in, and since when.

Stages are what lies between the events of :class:`executor.observer.Observer`, and those events that take time. Inside
wasm the host calls tell what the interpreter is doing; wrappers of the host functions watch them.
"""

from __future__ import annotations

import time
from typing import Any

from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.message import ExtendedMessage
from pygenvm.executor.observer import Observer
from pygenvm.executor.outcome import Outcome
from pygenvm.executor.primitives.abi import EntryKind, HostErrorCode, HostMethod
from pygenvm.executor.subvm.linking import HostFunction

CONNECT = "message, connect to the node"
START = "start the VM thread, connect to the node"
START_UP = "start-up reads and calldata (4 requests)"
REGISTRY = "open the registry"
NEW_VM = "new VM: store and linker"
CODE = "read the code (2 requests)"
ACTIONS = "parse the code, map files, find bytecode and compiled modules"
INSTANTIATE = "instantiate"
LAY_OVER = "find the image of the contract, lay it over"
HOST_CALLS = "host functions, Python side"
HOST_REQUESTS = "requests of the contract to the node"
LAST_WORK = "verdict of the validators, metrics"
PRINT = "deliver: what is asked to be printed"
DELIVER = "deliver: the result to the node"
END = "afterwards, until the caller knows"

#: What the interpreter does between host calls, by the mark that ends each phase.
PHASES = (
    "Python: from its entry to its first host call",
    "Python: message, dispatch to the method",
    "Python: method",
    "Python: encoding of the result",
    "end of the VM: a trap unwinds the wasm frames",
)

#: Seconds of :func:`time.perf_counter`, and the stage that begins.
Mark = tuple[float, str]

_SECOND = 1e9


class Stages(Observer):
    """The stages of one run with one VM and no validators, which is told of all that it does on one thread."""

    def __init__(self) -> None:
        self.begin(CONNECT)

    def begin(self, stage: str) -> None:
        """A run begins with ``stage``; what is known of an earlier one is forgotten."""
        #: When each stage began, in order.
        self.marks: list[Mark] = []
        self._in_vm = self._in_host_call = False
        #: Of the interpreter; None as long as it was not entered.
        self._phase: int | None = None
        self._clock_looks = 0
        self._switch(stage)

    def _switch(self, stage: str) -> None:
        self.marks.append((time.perf_counter(), stage))

    def _span(self, stage: str, begun: int, ended: int, then: str) -> None:
        self.marks += ((begun / _SECOND, stage), (ended / _SECOND, then))

    # --- events --------------------------------------------------------------------------------------

    def started(self, arguments: RunArguments) -> None:
        self.begin(START)

    def host_replied(
        self,
        method: HostMethod,
        request: bytes,
        error: HostErrorCode | None,
        value: bytes | int | None,
        begun: int,
        ended: int,
    ) -> None:
        if self._in_host_call:
            stage, then = HOST_REQUESTS, HOST_CALLS
        elif self._in_vm:
            stage, then = CODE, ACTIONS
        elif method is HostMethod.CONSUME_RESULT:
            stage, then = DELIVER, END
        else:
            stage, then = START_UP, REGISTRY
        self._span(stage, begun, ended, then)

    def vm_began(self, message: ExtendedMessage, entry: EntryKind, deterministic: bool, depth: int) -> None:
        self._in_vm = True
        self._switch(NEW_VM)

    def instantiated(self, module: str, begun: int, ended: int) -> None:
        self._span(INSTANTIATE, begun, ended, ACTIONS)

    def image_found(self, begun: int, ended: int) -> None:
        self._span(LAY_OVER, begun, ended, ACTIONS)

    def laid_over(self, begun: int, ended: int) -> None:
        self._span(LAY_OVER, begun, ended, ACTIONS)

    def vm_ended(self, outcome: Outcome | None, depth: int, begun: int, ended: int) -> None:
        self._in_vm = False
        self._switch(LAST_WORK)

    def result_known(self, outcome: Outcome, disagreement: int | None) -> None:
        self._switch(PRINT)

    # --- host functions ------------------------------------------------------------------------------

    def watched(self, name: str, function: HostFunction) -> HostFunction:
        """A host function that tells when it is called and when it returns."""

        def call(vm: Any, *values: int) -> int | None:
            self._before(name)
            try:
                return function(vm, *values)
            finally:
                self._in_host_call = False
                self._switch(PHASES[-1 if name == "gl_call" else self._phase or 0])

        return call

    def _before(self, name: str) -> None:
        if self._phase is None:
            # The first one: behind the image the interpreter was entered.
            at, _ = self.marks.pop()
            self.marks.append((at, PHASES[0]))
            self._phase = 0
        self._phase = max(self._phase, self._reached(name))
        self._in_host_call = True
        self._switch(HOST_CALLS)

    def _reached(self, name: str) -> int:
        if name == "clock_time_get":
            # The marks of benchmarks.contracts.marked_storage.
            self._clock_looks += 1
            return 1 + self._clock_looks
        return 1


def seconds_by_stage(marks: list[Mark], end: float) -> dict[str, float]:
    """Sums, in the order of first appearance; marks behind ``end`` do not count."""
    sums: dict[str, float] = {}
    before = [mark for mark in marks if mark[0] < end]
    for (begun, stage), (ended, _) in zip(before, [*before[1:], (end, "")], strict=True):
        sums[stage] = sums.get(stage, 0.0) + ended - begun
    return sums
