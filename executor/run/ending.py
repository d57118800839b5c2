"""Who may still send what at the end of a run (spec executor/02, 05 and 10 "Signals").

Theory of operation
-------------------

A run ends once. The host gets one result (consume_result), nothing behind it, and at most one notice of a disagreement
in front of it. Two threads can bring that about:

* The *VM thread* executes the run, together with the threads of validators, and delivers its result.
* The *main thread* only waits. After a termination signal it takes the run over: nobody can interrupt wasm, so from
  then on the requests of all other threads are refused, and the main thread delivers what is known by then.

Which of them delivers is settled by who asks first: :meth:`Ending.vm_delivers` or :meth:`Ending.take_over`. The VM
thread may ask until a signal has been seen, the main thread only afterwards, and each only until the other was told
yes; whoever is told no leaves the host alone.

Everything that affects this lives here: :data:`TRANSITIONS` says which event leads from which state to which, and
:data:`MAY_SEND` what each side may send in each state. Three facts stand beside the state, because they do not depend
on it: whether the connection to the host is lost (then the position in its stream is unknown, and the only thing that
is still worth a try is the result), whether the host has been told of a disagreement, and what is known so far of how
the run ends. The process (:mod:`executor.run.process`), the supervisor and the host's client keep no flags of their
own: they report events and ask.

Rules of this file:

* An event that a state's row lacks changes nothing, and whoever reported it is told so.
* Signal handlers run on the main thread between any two instructions, maybe with the lock below in its hands: they
  must not come here. They leave a flag (:mod:`executor.run.termination`), and whichever thread sees it first reports
  the signal.
* The client asks with its own mutex held, right before it sends. So when :meth:`Ending.take_over` has returned, at
  most one request of another thread is still under way, and the main thread has to wait for that one only.
"""

from __future__ import annotations

import threading
from enum import StrEnum, auto
from typing import TYPE_CHECKING

from pygenvm.executor.outcome import ExecutorFault, HostFault
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.run.result import TIMEOUT

if TYPE_CHECKING:
    from pygenvm.executor.run.result import RunResult


class State(StrEnum):
    """How far the end of a run has come."""

    #: The VM thread executes the run.
    RUNNING = auto()
    #: It still does, but a termination signal has been seen: its result is not wanted any more.
    INTERRUPTED = auto()
    #: The VM thread has the result and is about to send it. Validators may still ask for something.
    VM_DELIVERS = auto()
    #: The main thread has taken over.
    MAIN_DELIVERS = auto()
    #: The result has begun to be sent, by whoever delivers.
    RESULT_SENT = auto()
    #: The host has acknowledged the result.
    DELIVERED = auto()
    #: There will be no result: the run could not start, or the host did not take it.
    FAILED = auto()


class Event(StrEnum):
    """What happens to a run that changes who may send what."""

    #: A termination signal has been seen.
    SIGNAL = auto()
    #: The VM thread has a result to deliver.
    VM_RESULT = auto()
    #: The main thread wants to end the run in the VM thread's place.
    TAKE_OVER = auto()
    #: The VM thread cannot go on.
    VM_FAILURE = auto()
    #: The first byte of the result is about to be sent.
    RESULT_BEGINS = auto()
    #: The host has acknowledged the result.
    ACKNOWLEDGED = auto()
    #: Whoever delivers has given up.
    NOT_TAKEN = auto()


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.RUNNING: {
        Event.SIGNAL: State.INTERRUPTED,
        Event.VM_RESULT: State.VM_DELIVERS,
        Event.VM_FAILURE: State.FAILED,
    },
    State.INTERRUPTED: {
        Event.TAKE_OVER: State.MAIN_DELIVERS,
        Event.VM_FAILURE: State.FAILED,
    },
    State.VM_DELIVERS: {
        Event.RESULT_BEGINS: State.RESULT_SENT,
        Event.VM_FAILURE: State.FAILED,
        Event.NOT_TAKEN: State.FAILED,
    },
    State.MAIN_DELIVERS: {
        Event.RESULT_BEGINS: State.RESULT_SENT,
        Event.NOT_TAKEN: State.FAILED,
    },
    State.RESULT_SENT: {
        Event.ACKNOWLEDGED: State.DELIVERED,
        Event.NOT_TAKEN: State.FAILED,
    },
    State.DELIVERED: {},
    State.FAILED: {},
}


class Side(StrEnum):
    """Who sends."""

    #: Every thread but the other side: the VM thread and the threads of validators.
    VM = auto()
    #: The main thread once it has taken over; before that it sends nothing.
    MAIN = auto()


class Kind(StrEnum):
    """What is sent."""

    RESULT = auto()
    DISAGREEMENT = auto()
    #: Every other request.
    REQUEST = auto()


_NOTHING: frozenset[Kind] = frozenset()

MAY_SEND: dict[State, dict[Side, frozenset[Kind]]] = {
    State.RUNNING: {Side.VM: frozenset({Kind.REQUEST, Kind.DISAGREEMENT})},
    State.INTERRUPTED: {Side.VM: frozenset({Kind.REQUEST, Kind.DISAGREEMENT})},
    State.VM_DELIVERS: {Side.VM: frozenset(Kind)},
    State.MAIN_DELIVERS: {Side.VM: _NOTHING, Side.MAIN: frozenset({Kind.RESULT, Kind.DISAGREEMENT})},
    State.RESULT_SENT: {Side.VM: _NOTHING, Side.MAIN: _NOTHING},
    State.DELIVERED: {Side.VM: _NOTHING, Side.MAIN: _NOTHING},
    State.FAILED: {Side.VM: _NOTHING, Side.MAIN: _NOTHING},
}

#: What may be sent over a lost connection, of what :data:`MAY_SEND` allows.
AFTER_LOSS = frozenset({Kind.RESULT})

_KINDS = {HostMethod.CONSUME_RESULT: Kind.RESULT, HostMethod.NOTIFY_NONDET_DISAGREEMENT: Kind.DISAGREEMENT}


class Ending:
    """The state of one run's end, and what is known of it. For all threads, but not for signal handlers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = State.RUNNING
        self._main_thread: int | None = None
        self._interrupted = False
        self._loss: str | None = None
        self._disagreement_sent = False
        self._result: RunResult | None = None
        self._disagreement: int | None = None
        self._admits_requests = self._look_up_requests()

    @property
    def state(self) -> State:
        return self._state

    # --- events ------------------------------------------------------------------------------------

    def signal(self) -> None:
        """A termination signal has been seen."""
        self._interrupted = True
        self._happens(Event.SIGNAL)

    def vm_delivers(self) -> bool:
        """The VM thread has a result to deliver; whether it may."""
        return self._happens(Event.VM_RESULT)

    def take_over(self) -> bool:
        """The calling thread, the main one, wants to end the run; whether it may.

        If so it is the only one whose requests are admitted from now on; one that is under way still ends.
        """
        with self._lock:
            taken = self._move(Event.TAKE_OVER)
            if taken:
                self._main_thread = threading.get_ident()
        return taken

    def vm_fails(self) -> bool:
        """The VM thread cannot go on; whether that matters: not if the main thread has taken over, and cut it off."""
        with self._lock:
            if self._main_thread is not None:
                return False
            self._move(Event.VM_FAILURE)
        return True

    def acknowledged(self) -> None:
        """The host has the result."""
        self._happens(Event.ACKNOWLEDGED)

    def not_taken(self) -> None:
        """Whoever delivers has given up."""
        self._happens(Event.NOT_TAKEN)

    def host_lost(self, why: str) -> None:
        """A request has failed: nobody knows what the next bytes of the host belong to."""
        with self._lock:
            self._loss = why
            self._admits_requests = self._look_up_requests()

    def result_known(self, result: RunResult) -> None:
        """How the main VM ended; validators may still be running."""
        self._result = result

    def disagreement_known(self, call_no: int) -> None:
        """A validator has rejected the leader's block ``call_no``."""
        with self._lock:
            self._disagreement = call_no if self._disagreement is None else min(self._disagreement, call_no)

    # --- questions ---------------------------------------------------------------------------------

    @property
    def interrupted(self) -> bool:
        """A termination signal has been seen. Never taken back."""
        return self._interrupted

    @property
    def disagreement(self) -> int | None:
        """Lowest call number that a validator has rejected so far."""
        return self._disagreement

    def cut_short(self) -> RunResult:
        """What the main thread delivers: what is known so far, as the signal leaves it (spec executor/05)."""
        return TIMEOUT if self._result is None else self._result.interrupted()

    def untold_disagreement(self) -> int | None:
        """The disagreement that the host has yet to be told of, if there is one."""
        return None if self._disagreement_sent else self._disagreement

    def admit(self, method: HostMethod) -> None:
        """The calling thread is about to send a request; what follows from that is noted.

        :raises HostFault: the connection is lost.
        :raises ExecutorFault: it must not be sent any more, or not by this thread.
        """
        kind = _KINDS.get(method, Kind.REQUEST)
        if kind is Kind.REQUEST and self._admits_requests:
            return  # Hot path: storage reads.
        with self._lock:
            refusal = self._refusal(kind)
            if refusal is not None:
                raise ExecutorFault(f"{method.name.lower()}: {refusal}")
            if self._loss is not None and kind not in AFTER_LOSS:
                raise HostFault(f"{method.name.lower()}: {self._loss}")
            if kind is Kind.RESULT:
                self._move(Event.RESULT_BEGINS)
            elif kind is Kind.DISAGREEMENT:
                self._disagreement_sent = True

    def _refusal(self, kind: Kind) -> str | None:
        side = Side.MAIN if self._main_thread == threading.get_ident() else Side.VM
        if kind in MAY_SEND[self._state][side]:
            twice = kind is Kind.DISAGREEMENT and self._disagreement_sent
            return "the host has been told of a disagreement already" if twice else None
        if side is Side.VM and self._main_thread is not None:
            return "the run is being ended"
        match self._state:
            case State.RESULT_SENT | State.DELIVERED:
                return "the result has been sent already"
            case State.FAILED:
                return "the run has failed"
        return "this is not the time for it"

    # --- the table ---------------------------------------------------------------------------------

    def _happens(self, event: Event) -> bool:
        with self._lock:
            return self._move(event)

    def _move(self, event: Event) -> bool:
        state = TRANSITIONS[self._state].get(event)
        if state is None:
            return False
        self._state = state
        self._admits_requests = self._look_up_requests()
        return True

    def _look_up_requests(self) -> bool:
        """What the table says of ordinary requests of the VM's side, the only one that makes them."""
        return self._loss is None and Kind.REQUEST in MAY_SEND[self._state][Side.VM]
