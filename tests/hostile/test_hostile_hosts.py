"""Hosts that misbehave at a known request of the real command (spec executor/02, 05 "Internal errors")."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pygenvm.executor.limits import UPGRADERS_MAX
from pygenvm.executor.outcome import InternalError
from pygenvm.executor.primitives.abi import UPGRADERS_SLOT, HostMethod
from tests.hostile.hostile_runs import SMALL_RUN_BYTES, VIOLATIONS, Lie, LyingHost, bounded_run, raw_host
from tests.support.hosts import CONTRACT, SENDER, InMemoryHost
from tests.support.machine import Script, machine

#: Requests of a start, in order, and those of the program behind them.
START = [HostMethod.STORAGE_READ] * 3 + [HostMethod.GET_CALLDATA] + [HostMethod.STORAGE_READ] * 2
PROGRAM = (
    Script()
    .storage_read(bytes(32), 0, 100)
    .storage_write(bytes(32), 0, b"x")
    .get_balance(SENDER)
    .gl_call({"EthCall": {"address": SENDER, "calldata": b"?"}})
    .gl_call({"EmitEvent": {"topics": [], "blob": {}}})
    .nondet(Script(), Script().gl_call({"Return": True}))
)
REQUESTS = [
    *START,
    HostMethod.STORAGE_READ,
    HostMethod.STORAGE_WRITE,
    HostMethod.GET_BALANCE,
    HostMethod.ETH_CALL,
    HostMethod.POST_EVENT,
    HostMethod.GET_LEADER_NONDET_RESULT,
    HostMethod.CONSUME_RESULT,
]
#: Requests whose replies hold a slice, so that its length can be lied about.
SLICES = (HostMethod.GET_CALLDATA, HostMethod.ETH_CALL, HostMethod.GET_LEADER_NONDET_RESULT)


def honest(**arguments: Any) -> InMemoryHost:
    host = InMemoryHost(
        calldata=PROGRAM.code,
        eth_calls={(SENDER, b"?"): b"answer"},
        leader_results=[b"\x00\x10"],
        balances={CONTRACT: 1},
        **arguments,
    )
    host.put_code(machine())
    return host


def test_the_requests_are_those() -> None:
    with LyingHost(honest()) as host:
        run = host.run()
    assert host.honest.methods == REQUESTS
    assert not isinstance(run.outcome, InternalError)


def _violations() -> Iterator[Any]:
    """Each in the reply to each request; quickly, two in each, and each in two replies or more."""
    for number, method in enumerate(REQUESTS):
        for at, kind in enumerate(VIOLATIONS):
            marks = () if (number + at) % len(VIOLATIONS) < 2 else pytest.mark.slow
            yield pytest.param(number, kind, marks=marks, id=f"{number}-{method.name.lower()}-{kind}")


@pytest.mark.parametrize(("number", "kind"), _violations())
def test_a_violation_is_never_a_success(number: int, kind: str) -> None:
    """Before the calldata is there the run does not start; afterwards it is an internal error, told if it can be."""
    with LyingHost(honest(), {number: Lie(kind, seed=number)}) as host:
        run = host.run()
    assert run.peak_bytes < SMALL_RUN_BYTES
    last = number == len(REQUESTS) - 1
    if last and kind == "says more":
        # What follows the acknowledgement is not looked at.
        assert run.exit_code == 0
    elif number < 3 or host.gone:
        assert (run.exit_code, run.payload) == (1, None)
    else:
        assert run.exit_code == 0
        assert isinstance(run.outcome, InternalError)
        assert REQUESTS[number].name.lower() in run.outcome.message
    assert host.honest.methods[: number + 1] == REQUESTS[: number + 1]
    assert set(host.honest.methods[number + 1 :]) <= {HostMethod.CONSUME_RESULT}


@pytest.mark.parametrize("number", [number for number, method in enumerate(REQUESTS) if method in SLICES])
def test_an_announced_length_takes_no_memory(number: int) -> None:
    """The host keeps the connection open, as if four gigabytes were to follow."""

    class Announcing(LyingHost):
        def _answer(self, connection: socket.socket, request: Any, lie: Lie | None) -> None:
            if lie is None:
                super()._answer(connection, request, None)
            else:
                connection.sendall(b"\0" + b"\xff" * 4)

    with Announcing(honest(), {number: Lie("announces too much")}) as host:
        run = host.run()
    assert isinstance(run.outcome, InternalError)
    assert run.peak_bytes < SMALL_RUN_BYTES


@pytest.mark.parametrize("first", [b"", b"\0", b"\0\0\0\0\0", b"\xff", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_host_that_speaks_and_never_listens(first: bytes) -> None:
    """Nothing that it says was asked for; whatever is made of it, the run ends and has no result to show."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(first)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass

    with raw_host(serve) as address:
        run = bounded_run(address)
    run.check()
    assert run.exit_code == 1


@pytest.mark.slow
def test_a_host_that_never_answers_ends_with_the_signal() -> None:
    """There is nobody to deliver to: a result cannot be sent behind half a request."""
    asked, over = threading.Event(), threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        asked.set()
        over.wait(60)

    with raw_host(serve) as address:
        try:
            run = bounded_run(address, kill_when=asked.is_set)
        finally:
            over.set()
    run.check()
    assert run.exit_code == 1


@pytest.mark.slow
def test_a_count_of_upgraders_that_nobody_can_read() -> None:
    """Issue: four billion requests (seeds 7000216 and 7000267 of the campaign). The host does tell the truth here."""
    host = honest()
    host.slot(UPGRADERS_SLOT)[:] = b"\xff" * 4
    with LyingHost(host) as lying:
        run = lying.run()
    assert (run.exit_code, run.payload) == (1, None)
    assert "the contract has 4294967295 upgraders" in run.stderr
    assert len(host.methods) == 1 + UPGRADERS_MAX
