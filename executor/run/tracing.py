"""``genvm run --trace``: what a run does, as lines of its log (spec executor/10 "Log").

Each line has ``block``, the call number of the nondet block whose validator did it (null for everything else), and for
what takes time ``at_us``, the microseconds from the start of the run until it began, and ``took_us``. A contract can
make a run do things without end, so all lines but start, result and end are rationed
(:data:`executor.limits.LOG_TRACING_BYTES`).

===============  ==================================================================================================
message          other keys
===============  ==================================================================================================
start            ``permissions``, ``sync``, ``debug_mode``
host request     ``method``, ``request_bytes``, ``reply`` (name of the error byte, null if none came), ``reply_bytes``
module request   ``module``, ``name``, ``request_bytes``, ``answer_bytes``, ``failure``
VM begin         ``contract``, ``entry``, ``deterministic``, ``depth``
instantiate      ``module``
VM end           ``depth``, ``outcome``, ``text`` or ``bytes``
result           ``outcome``, ``text`` or ``bytes``, ``disagreement``
end              ``how``
===============  ==================================================================================================
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from pygenvm.executor import limits
from pygenvm.executor.observer import Observer
from pygenvm.executor.outcome import Outcome, Return
from pygenvm.executor.run import termination
from pygenvm.executor.stream import validated_block

if TYPE_CHECKING:
    from pygenvm.executor.arguments import RunArguments
    from pygenvm.executor.log import Logger
    from pygenvm.executor.message import ExtendedMessage
    from pygenvm.executor.primitives.abi import EntryKind, HostErrorCode, HostMethod

LOG_TARGET = "executor::trace"


class Tracing(Observer):
    """Writes a line of level info for each event."""

    def __init__(self, log: Logger) -> None:
        #: For what every run has once.
        self._log = log
        self._rationed = log.rationed(limits.LOG_TRACING_BYTES)
        self._start = time.perf_counter_ns()
        #: Lines of the main thread, which must not wait for whoever reads the log; others write them.
        self._held: deque[tuple[Logger, str, dict[str, object]]] = deque()

    def started(self, arguments: RunArguments) -> None:
        given = {"permissions": arguments.permissions, "sync": arguments.sync, "debug_mode": arguments.debug_mode}
        self._write(self._log, "start", **given)

    def host_replied(
        self,
        method: HostMethod,
        request: bytes,
        error: HostErrorCode | None,
        value: bytes | int | None,
        begun: int,
        ended: int,
    ) -> None:
        told = {
            "method": method.name.lower(),
            "request_bytes": len(request),
            "reply": None if error is None else error.name.lower(),
            "reply_bytes": len(value) if isinstance(value, bytes) else None,
        }
        self._write(self._rationed, "host request", **told, **self._span(begun, ended))

    def module_answered(
        self, module: str, name: str, request: bytes, answer: bytes | None, failure: str | None, begun: int, ended: int
    ) -> None:
        told = {
            "module": module,
            "name": name,
            "request_bytes": len(request),
            "answer_bytes": None if answer is None else len(answer),
            "failure": failure,
        }
        self._write(self._rationed, "module request", **told, **self._span(begun, ended))

    def vm_began(self, message: ExtendedMessage, entry: EntryKind, deterministic: bool, depth: int) -> None:
        told = {"contract": message.contract_address, "entry": entry.name.lower()}
        self._write(self._rationed, "VM begin", **told, deterministic=deterministic, depth=depth)

    def instantiated(self, module: str, begun: int, ended: int) -> None:
        self._write(self._rationed, "instantiate", module=module, **self._span(begun, ended))

    def vm_ended(self, outcome: Outcome | None, depth: int, begun: int, ended: int) -> None:
        self._write(self._rationed, "VM end", depth=depth, **_outcome(outcome), **self._span(begun, ended))

    def result_known(self, outcome: Outcome, disagreement: int | None) -> None:
        self._write(self._log, "result", **_outcome(outcome), disagreement=disagreement)

    def ended(self, how: str) -> None:
        self._write(self._log, "end", how=how)
        if threading.current_thread() is threading.main_thread():
            with termination.held_back():
                writer = threading.Thread(target=self._write_held, name="trace", daemon=True)
                writer.start()
            writer.join(limits.LAST_PRINT_SECONDS)

    def _write(self, log: Logger, what: str, **told: object) -> None:
        told = {"block": validated_block.get(), **told}
        if threading.current_thread() is threading.main_thread():
            self._held.append((log, what, told))
        else:
            self._write_held()
            log.info(what, **told)

    def _write_held(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                log, what, told = self._held.popleft()
                log.info(what, **told)

    def _span(self, begun: int, ended: int) -> dict[str, int]:
        return {"at_us": (begun - self._start) // 1000, "took_us": (ended - begun) // 1000}


def _outcome(outcome: Outcome | None) -> dict[str, Any]:
    if outcome is None:
        return {"outcome": None}
    kind = type(outcome).__name__
    if isinstance(outcome, Return):
        return {"outcome": kind, "bytes": len(outcome.calldata)}
    return {"outcome": kind, "text": outcome.message}
