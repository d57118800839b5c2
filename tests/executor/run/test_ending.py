"""The end of a run as a state machine: every state, event and request, without a process and without a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from pygenvm.executor.outcome import (
    Blame,
    ExecutorFault,
    HostFault,
    InternalError,
    InternalErrorRaised,
    Return,
    UserError,
    VMError,
)
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.run.ending import MAY_SEND, TRANSITIONS, Ending, Event, Kind, Side, State
from pygenvm.executor.run.result import TIMEOUT, RunResult
from pygenvm.executor.subvm.fingerprint import EMPTY

METHODS = {
    Kind.REQUEST: HostMethod.STORAGE_READ,
    Kind.DISAGREEMENT: HostMethod.NOTIFY_NONDET_DISAGREEMENT,
    Kind.RESULT: HostMethod.CONSUME_RESULT,
}
LOST = "host connection: closed by the host"


class Run:
    """An ending and its two threads: the one of the test is the main thread."""

    def __init__(self, vm_thread: ThreadPoolExecutor) -> None:
        self.ending = Ending()
        self._vm_thread = vm_thread

    def on(self, side: Side, call: Callable[[], Any]) -> Any:
        return call() if side is Side.MAIN else self._vm_thread.submit(call).result()

    def send(self, side: Side, kind: Kind) -> bool:
        """Whether a request is admitted."""
        try:
            self.on(side, lambda: self.ending.admit(METHODS[kind]))
        except InternalErrorRaised:
            return False
        return True

    def refusal(self, side: Side, kind: Kind) -> InternalErrorRaised:
        with pytest.raises(InternalErrorRaised) as raised:
            self.on(side, lambda: self.ending.admit(METHODS[kind]))
        return raised.value


class Move(NamedTuple):
    """Something that a thread does; what it is told."""

    name: str
    make: Callable[[Run], object]
    sends: Kind | None = None
    side: Side | None = None


def _sending(side: Side, kind: Kind) -> Move:
    return Move(f"{side} sends {kind}", lambda run: run.send(side, kind), kind, side)


MOVES = [
    Move("signal", lambda run: run.ending.signal()),
    Move("vm_delivers", lambda run: run.on(Side.VM, run.ending.vm_delivers)),
    Move("take_over", lambda run: run.ending.take_over()),
    Move("vm_fails", lambda run: run.on(Side.VM, run.ending.vm_fails)),
    Move("acknowledged", lambda run: run.ending.acknowledged()),
    Move("not_taken", lambda run: run.ending.not_taken()),
    Move("host_lost", lambda run: run.ending.host_lost(LOST)),
    *(_sending(side, kind) for side in Side for kind in Kind),
]


@pytest.fixture(scope="module")
def vm_thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def run(vm_thread: ThreadPoolExecutor) -> Run:
    return Run(vm_thread)


# --- the whole graph ------------------------------------------------------------------------------

Node = tuple[tuple[str, str], ...]


class Edge(NamedTuple):
    start: Node
    move: Move
    answer: object
    end: Node


class Graph:
    """Everything that any order of moves can lead to."""

    def __init__(self, vm_thread: ThreadPoolExecutor) -> None:
        self.edges: list[Edge] = []
        self.states: dict[Node, State] = {}
        paths: dict[Node, list[Move]] = {self._node(Run(vm_thread)): []}
        waiting = list(paths)
        while waiting:
            start = waiting.pop()
            for move in MOVES:
                # A thread is the main one because it has taken over.
                if move.side is Side.MAIN and dict(start)["_main_thread"] == "None":
                    continue
                run = Run(vm_thread)
                for earlier in paths[start]:
                    earlier.make(run)
                answer = move.make(run)
                end = self._node(run)
                self.edges.append(Edge(start, move, answer, end))
                if end not in paths:
                    paths[end] = [*paths[start], move]
                    waiting.append(end)

    def _node(self, run: Run) -> Node:
        node = tuple((name, repr(value)) for name, value in vars(run.ending).items() if name != "_lock")
        self.states[node] = run.ending.state
        return node

    def behind(self, *starts: Node) -> set[Node]:
        """All that can be reached from some nodes, themselves included."""
        found = set(starts)
        while more := {edge.end for edge in self.edges if edge.start in found} - found:
            found |= more
        return found

    def after(self, taken: Callable[[Edge], bool]) -> list[Edge]:
        """All edges that any path can take once it has taken one of these."""
        nodes = self.behind(*(edge.end for edge in self.edges if taken(edge)))
        assert nodes
        return [edge for edge in self.edges if edge.start in nodes]


@pytest.fixture(scope="module")
def graph(vm_thread: ThreadPoolExecutor) -> Graph:
    return Graph(vm_thread)


def _told_yes(name: str) -> Callable[[Edge], bool]:
    return lambda edge: edge.move.name == name and edge.answer is True


def _admits(*kinds: Kind) -> Callable[[Edge], bool]:
    return lambda edge: edge.move.sends in kinds and edge.answer is True


def test_the_table_has_nothing_that_does_not_happen_and_lacks_nothing_that_does(graph: Graph) -> None:
    happened = {(graph.states[edge.start], graph.states[edge.end]) for edge in graph.edges}
    listed = {(state, after) for state, row in TRANSITIONS.items() for after in row.values()}
    assert {pair for pair in happened if pair[0] is not pair[1]} == listed
    assert TRANSITIONS.keys() == MAY_SEND.keys() == set(State) == set(graph.states.values())
    assert {event for row in TRANSITIONS.values() for event in row} == set(Event)
    senders = {(graph.states[edge.start], edge.move.side) for edge in graph.edges if edge.move.sends}
    assert senders == {(state, side) for state, row in MAY_SEND.items() for side in row}


def test_nothing_is_sent_behind_the_result(graph: Graph) -> None:
    assert not list(filter(_admits(*Kind), graph.after(_admits(Kind.RESULT))))


def test_the_host_is_told_of_one_disagreement(graph: Graph) -> None:
    assert not list(filter(_admits(Kind.DISAGREEMENT), graph.after(_admits(Kind.DISAGREEMENT))))


def test_one_thread_delivers(graph: Graph) -> None:
    assert not list(filter(_told_yes("take_over"), graph.after(_told_yes("vm_delivers"))))
    later = graph.after(_told_yes("take_over"))
    assert not list(filter(_told_yes("vm_delivers"), later))
    assert not list(filter(_told_yes("vm_fails"), later))
    assert not [edge for edge in later if edge.move.side is Side.VM and edge.answer]


def test_a_signal_hands_the_end_over_unless_the_vm_thread_delivers_already(graph: Graph) -> None:
    assert not list(filter(_told_yes("vm_delivers"), graph.after(lambda edge: edge.move.name == "signal")))
    signalled = {edge.end for edge in graph.edges if edge.move.name == "signal"}
    taken_over = {edge.start for edge in filter(_told_yes("take_over"), graph.edges)}
    assert taken_over <= graph.behind(*signalled)
    assert {graph.states[node] for node in taken_over} == {State.INTERRUPTED}


def test_nobody_sends_a_result_without_having_been_told_yes(graph: Graph) -> None:
    sent = list(filter(_admits(Kind.RESULT), graph.edges))
    assert {(graph.states[edge.start], edge.move.side) for edge in sent} == {
        (State.VM_DELIVERS, Side.VM),
        (State.MAIN_DELIVERS, Side.MAIN),
    }


def test_only_the_result_is_tried_over_a_lost_connection(graph: Graph) -> None:
    later = graph.after(lambda edge: edge.move.name == "host_lost")
    assert not list(filter(_admits(Kind.REQUEST, Kind.DISAGREEMENT), later))
    assert list(filter(_admits(Kind.RESULT), later))


def test_every_run_can_end_and_stays_ended(graph: Graph) -> None:
    for node, state in graph.states.items():
        reached = {graph.states[other] for other in graph.behind(node)}
        if state in (State.DELIVERED, State.FAILED):
            assert reached == {state}
        else:
            assert {State.DELIVERED, State.FAILED} <= reached


def test_an_interruption_is_never_taken_back(graph: Graph) -> None:
    ends = {edge.end for edge in graph.after(lambda edge: edge.move.name == "signal")}
    assert all(dict(node)["_interrupted"] == "True" for node in ends)


# --- cell by cell ---------------------------------------------------------------------------------

#: How a state is reached by moves of :data:`MOVES` if the VM thread delivers, and if the main thread does.
PATHS = {
    Side.VM: {
        State.RUNNING: [],
        State.INTERRUPTED: ["signal"],
        State.VM_DELIVERS: ["vm_delivers"],
        State.MAIN_DELIVERS: ["signal", "take_over"],
        State.RESULT_SENT: ["vm_delivers", "vm sends result"],
        State.DELIVERED: ["vm_delivers", "vm sends result", "acknowledged"],
        State.FAILED: ["vm_fails"],
    },
    Side.MAIN: {
        State.MAIN_DELIVERS: ["signal", "take_over"],
        State.RESULT_SENT: ["signal", "take_over", "main sends result"],
        State.DELIVERED: ["signal", "take_over", "main sends result", "acknowledged"],
        State.FAILED: ["signal", "take_over", "not_taken"],
    },
}
#: What the VM's side and, where it can have taken over, the main thread may send.
CELLS = """
running         request disagreement
interrupted     request disagreement
vm_delivers     request disagreement result
main_delivers   -                           | disagreement result
result_sent     -                           | -
delivered       -                           | -
failed          -                           | -
"""


def in_state(run: Run, state: State, side: Side) -> Run:
    for name in PATHS[side][state]:
        next(move for move in MOVES if move.name == name).make(run)
    assert run.ending.state is state
    return run


def cells() -> Iterator[tuple[State, Side, Kind, bool]]:
    for line in CELLS.strip().splitlines():
        name, rest = line.split(maxsplit=1)
        for side, words in zip((Side.VM, Side.MAIN), rest.split("|"), strict=False):
            for kind in Kind:
                yield State(name), side, kind, kind in words.split()


@pytest.mark.parametrize(("state", "side", "kind", "admitted"), cells())
def test_who_may_send_what(run: Run, state: State, side: Side, kind: Kind, admitted: bool) -> None:
    assert in_state(run, state, side).send(side, kind) is admitted


@pytest.mark.parametrize(("state", "side", "kind", "admitted"), cells())
def test_who_may_send_what_over_a_lost_connection(
    run: Run, state: State, side: Side, kind: Kind, admitted: bool
) -> None:
    in_state(run, state, side).ending.host_lost(LOST)
    assert run.send(side, kind) is (admitted and kind is Kind.RESULT)


@pytest.mark.parametrize(
    ("state", "side", "text"),
    [
        (State.RUNNING, Side.VM, "consume_result: this is not the time for it"),
        (State.MAIN_DELIVERS, Side.VM, "consume_result: the run is being ended"),
        (State.RESULT_SENT, Side.VM, "consume_result: the result has been sent already"),
        (State.DELIVERED, Side.MAIN, "consume_result: the result has been sent already"),
        (State.FAILED, Side.VM, "consume_result: the run has failed"),
    ],
)
def test_a_refusal_says_why_and_is_ours(run: Run, state: State, side: Side, text: str) -> None:
    refusal = in_state(run, state, side).refusal(side, Kind.RESULT)
    assert isinstance(refusal, ExecutorFault)
    assert str(refusal) == text


def test_a_lost_connection_is_the_hosts_fault(run: Run) -> None:
    run.ending.host_lost(LOST)
    refusal = run.refusal(Side.VM, Kind.REQUEST)
    assert isinstance(refusal, HostFault)
    assert str(refusal) == f"storage_read: {LOST}"


# --- what the main thread delivers ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "delivered"),
    [
        (None, TIMEOUT),
        (RunResult(Return(b"\0"), None), RunResult(Return(b"\0"), None)),
        (RunResult(UserError("no"), EMPTY), RunResult(UserError("no"), EMPTY)),
        (RunResult(VMError("OOM"), EMPTY), RunResult(VMError("timeout"), EMPTY)),
        (RunResult(InternalError("x", Blame.HOST), None), TIMEOUT),
    ],
)
def test_what_is_known_when_the_signal_comes(known: RunResult | None, delivered: RunResult) -> None:
    ending = Ending()
    if known is not None:
        ending.result_known(known)
    assert ending.cut_short() == delivered


def test_the_lowest_disagreement_is_told_once() -> None:
    ending = Ending()
    assert ending.untold_disagreement() is None
    for call_no in (5, 3, 4):
        ending.disagreement_known(call_no)
    assert ending.disagreement == ending.untold_disagreement() == 3
    ending.admit(HostMethod.NOTIFY_NONDET_DISAGREEMENT)
    assert ending.disagreement == 3
    assert ending.untold_disagreement() is None
