"""One random run of each sort, with what must hold for it; shared by the suite and the campaign."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from pygenvm.executor.outcome import InternalError, Outcome, Return, UserError, VMError
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod
from tests.hostile.hostile_files import READERS, file_run
from tests.hostile.hostile_programs import CALLEE, Program, program
from tests.hostile.hostile_runs import (
    BELIEVABLE,
    SMALL_RUN_BYTES,
    VIOLATIONS,
    Lie,
    LyingHost,
    check_payload,
)
from tests.support.hosts import InMemoryHost
from tests.support.machine import machine

#: Requests that a host may refuse without ending the start of a run.
_REFUSABLE = (
    HostMethod.STORAGE_WRITE,
    HostMethod.POST_NONDET_RESULT,
    HostMethod.POST_MESSAGE,
    HostMethod.POST_EVENT,
    HostMethod.DEPLOY_CONTRACT,
    HostMethod.ETH_CALL,
    HostMethod.ETH_SEND,
    HostMethod.GET_BALANCE,
)
#: An exception of Python that nobody expected is a fault of ours, whoever caused it.
_BUG = re.compile(r"\b(?!InternalError)[A-Z]\w*(Error|Exception|Exit)\b: ")


class ShallowHost(InMemoryHost):
    """Keeps no storage of contracts: one byte at the end of a slot would take 4 GiB."""

    async def storage_write(self, slot: bytes, index: int, data: bytes) -> None:
        self._note(HostMethod.STORAGE_WRITE, slot=slot, index=index, data=data)


def _host(made: Program, chance: random.Random) -> ShallowHost:
    leader_results: list[bytes | HostErrorCode] = [b"\x00" + chance.randbytes(3), b"\x01no", b"\x02OOM"]
    host = ShallowHost(
        calldata=made.script.code,
        balances={address: chance.choice((0, 5, (1 << 256) - 1)) for address in (CALLEE, InMemoryHost().contract)},
        eth_calls={(CALLEE, b"?"): b"answer"},
        leader_results=chance.choice((None, leader_results)),
    )
    host.put_code(machine())
    host.put_code(machine(), CALLEE)
    return host


def blameless_run(chance: random.Random) -> str:
    """A contract that keeps to its memory, and a host that may refuse: nothing is anybody else's fault."""
    made = program(chance, wild=False)
    host = _host(made, chance)
    for method in chance.sample(_REFUSABLE, chance.choice((0, 0, 1, 3))):
        host.refusals[method] = HostErrorCode(chance.randrange(1, 5))
    outcome = made.script.run(host=host).outcome
    assert host.result is not None
    check_payload(host.result)
    assert not isinstance(outcome, InternalError), outcome
    return _label(outcome)


def wild_run(chance: random.Random) -> str:
    """Pointers, lengths and requests of any sort."""
    made = program(chance, wild=True)
    host = _host(made, chance)
    outcome = made.script.run(host=host).outcome
    assert host.result is not None
    check_payload(host.result)
    if isinstance(outcome, InternalError):
        assert made.blames_nobody, outcome
        assert not _BUG.search(outcome.message), outcome
    return _label(outcome)


def lying_run(chance: random.Random) -> str:
    """A random program through the command, and a host that lies now and then."""
    made = program(chance, wild=chance.random() < 0.5)
    lies = {
        # Six requests are those of a start; most programs make fewer than ten.
        chance.choice((chance.randrange(6), chance.randrange(6, 16))): Lie(
            chance.choice((*VIOLATIONS, *BELIEVABLE)), chance.randrange(1 << 32)
        )
        for _ in range(chance.choice((1, 1, 2)))
    }
    with LyingHost(_host(made, chance), lies) as host:
        run = host.run(*chance.choice(((), ("--sync",), ("--permissions", ""), ("--print", "result"))))
    assert run.peak_bytes < SMALL_RUN_BYTES + (1 << 27), run.peak_bytes
    if run.payload is None:
        assert not host.started or host.violated or host.gone, (lies, run.stderr)
        return "no result"
    if host.violated:
        assert isinstance(run.outcome, InternalError), (lies, run.outcome)
    if isinstance(run.outcome, InternalError):
        assert not _BUG.search(run.outcome.message), run.outcome
    if isinstance(run.outcome, Return | UserError):
        assert not host.violated
    return _label(run.outcome)


def _label(outcome: Outcome) -> str:
    """Kind of an outcome, with what VM errors say."""
    return f"VMError {outcome.message}" if isinstance(outcome, VMError) else type(outcome).__name__


def reading_run(chance: random.Random) -> str:
    """Something that a stranger gave us to read."""
    name = chance.choice(list(READERS))
    return f"{name}: {file_run(READERS[name], chance)}"


RUNS: dict[str, Callable[[random.Random], str]] = {
    "blameless": blameless_run,
    "wild": wild_run,
    "lying": lying_run,
    "reading": reading_run,
}
"""The four sorts; each gives a label of how the run ended."""
