"""One random run of each sort, with what must hold for it; shared by the suite and the campaign."""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pygenvm.executor.module_protocol.codec import FatalError, Ok
from pygenvm.executor.module_protocol.codec import UserError as ModuleUserError
from pygenvm.executor.outcome import InternalError, Outcome, Return, UserError, VMError
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod
from tests.hostile.hostile_files import READERS, file_run
from tests.hostile.hostile_programs import CALLEE, Program, anything, program
from tests.hostile.hostile_runs import (
    BELIEVABLE,
    SMALL_RUN_BYTES,
    VIOLATIONS,
    Lie,
    LyingHost,
    check_payload,
    hostile_run,
)
from tests.hostile.shortage_subjects import greedy
from tests.support.execution import config_file
from tests.support.hosts import InMemoryHost
from tests.support.machine import machine
from tests.support.module_server import Call, Reply, Script, serving_module

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


class RandomRun(NamedTuple):
    """How a run ended, and the peak resident memory of its executor; None for a run in this process."""

    label: str
    peak_bytes: int | None = None


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


def blameless_run(chance: random.Random) -> RandomRun:
    """A contract that keeps to its memory, and a host that may refuse: nothing is anybody else's fault."""
    made = program(chance, wild=False)
    host = _host(made, chance)
    for method in chance.sample(_REFUSABLE, chance.choice((0, 0, 1, 3))):
        host.refusals[method] = HostErrorCode(chance.randrange(1, 5))
    outcome = made.script.run(host=host).outcome
    assert host.result is not None
    check_payload(host.result)
    assert not isinstance(outcome, InternalError), outcome
    return RandomRun(_label(outcome))


def wild_run(chance: random.Random) -> RandomRun:
    """Pointers, lengths and requests of any sort."""
    made = program(chance, wild=True)
    host = _host(made, chance)
    outcome = made.script.run(host=host).outcome
    assert host.result is not None
    check_payload(host.result)
    if isinstance(outcome, InternalError):
        assert made.blames_nobody, outcome
        assert not _BUG.search(outcome.message), outcome
    return RandomRun(_label(outcome))


def lying_run(chance: random.Random) -> RandomRun:
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
        return RandomRun("no result", run.peak_bytes)
    if host.violated:
        assert isinstance(run.outcome, InternalError), (lies, run.outcome)
    if isinstance(run.outcome, InternalError):
        assert not _BUG.search(run.outcome.message), run.outcome
    if isinstance(run.outcome, Return | UserError):
        assert not host.violated
    return RandomRun(_label(run.outcome), run.peak_bytes)


def greedy_run(chance: random.Random) -> RandomRun:
    """Contracts that want as much memory as there is through the command, and modules that answer anything."""
    name, wanted = greedy(chance)
    with serving_module(_any_answer(chance)) as server, tempfile.TemporaryDirectory(prefix="greedy-") as folder:
        modules = {name: {"address": server.address} for name in ("llm", "web")}
        run = hostile_run(None, host=wanted, config=config_file(Path(folder), modules=modules))
    outcome = run.outcome
    if isinstance(outcome, InternalError):
        assert not _BUG.search(outcome.message), outcome
    return RandomRun(f"{name}, {_label(outcome)}", run.peak_bytes)


def _any_answer(chance: random.Random) -> Script:
    async def script(call: Call) -> Reply:
        match chance.randrange(8):
            case 0:
                await call.connection.close()
                return None
            case 1:
                return chance.randbytes(chance.choice((0, 1, 64, 5000)))
            case 2:
                return "\N{PILE OF POO}" * chance.choice((1, 1000))
            case 3:
                return FatalError("no " * chance.choice((1, 100_000)))
            case 4:
                return ModuleUserError({"causes": ["NO"], "ctx": {"a": anything(chance)}})
            case 5:
                return Ok({"text": "a" * chance.choice((1, 30_000_000))})
        return chance.choice((Ok, ModuleUserError))(anything(chance))

    return script


def _label(outcome: Outcome) -> str:
    """Kind of an outcome, with what VM errors say."""
    return f"VMError {outcome.message}" if isinstance(outcome, VMError) else type(outcome).__name__


def reading_run(chance: random.Random) -> RandomRun:
    """Something that a stranger gave us to read."""
    name = chance.choice(list(READERS))
    return RandomRun(f"{name}: {file_run(READERS[name], chance)}")


RUNS: dict[str, Callable[[random.Random], RandomRun]] = {
    "blameless": blameless_run,
    "wild": wild_run,
    "lying": lying_run,
    "greedy": greedy_run,
    "reading": reading_run,
}
"""The sorts."""
THROUGH_THE_COMMAND = ("lying", "greedy")
