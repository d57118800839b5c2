"""Nondet VMs of a run take turns: one computes, others wait for modules."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from pygenvm.executor import limits
from pygenvm.executor.module_protocol.codec import GET_STATS, Ok
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod
from pygenvm.executor.run.turns import Turns
from pygenvm.executor.subvm.budget import RamPool, VmBudget
from tests.support.hosts import PATIENCE_SECONDS, InMemoryHost
from tests.support.machine import Script
from tests.support.module_server import Call, Reply, serving_module, statistics


class Others:
    """Another thread that wants the turn."""

    def __init__(self, turns: Turns) -> None:
        self._had_it = threading.Event()

        def work() -> None:
            with turns.taken():
                self._had_it.set()

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def had_it(self, seconds: float) -> bool:
        return self._had_it.wait(seconds)

    def join(self) -> None:
        self._thread.join(PATIENCE_SECONDS)
        assert self._had_it.is_set()


def pool_with(charged: int, instances: int) -> RamPool:
    pool = RamPool()
    outer, inner = VmBudget(pool), VmBudget(pool)
    outer.charge(charged // 2)
    inner.charge(charged - charged // 2)
    outer.instances = instances // 2
    inner.instances = instances - instances // 2
    return pool


def test_one_at_a_time_computes() -> None:
    turns = Turns()
    with turns.taken():
        others = Others(turns)
        assert not others.had_it(0.05)
    others.join()


@pytest.mark.parametrize(
    ("charged", "instances", "lends"),
    [
        (0, 0, True),
        (limits.LENT_RAM_BYTES, limits.LENT_INSTANCES, True),
        (limits.LENT_RAM_BYTES + 1, 1, False),
        (1, limits.LENT_INSTANCES + 1, False),
    ],
)
def test_who_waits_lends_the_turn_unless_it_holds_much(charged: int, instances: int, lends: bool) -> None:
    turns = Turns()
    with turns.taken():
        others = Others(turns)
        with turns.lent(pool_with(charged, instances)):
            assert others.had_it(PATIENCE_SECONDS if lends else 0.05) is lends
        # It is back, whatever has happened meanwhile.
        later = Others(turns)
        assert not later.had_it(0.05)
    others.join()
    later.join()


def test_together_they_hold_hardly_more_than_one_alone_may() -> None:
    lent = limits.VALIDATOR_WORKERS * limits.LENT_RAM_BYTES
    assert lent < 1 << 30
    # A memory with data is four maps, and a process has 65,530: the deterministic part, one block, and those that lent.
    vms = limits.VM_DEPTH + 1
    memories = 2 * vms * limits.MEMORIES_PER_VM + limits.VALIDATOR_WORKERS * limits.LENT_INSTANCES
    assert 4 * memories < 60_000


PROMPT = {"ExecPrompt": {"prompt": "p", "images": [], "response_format": "text"}}
AGREE = {"Return": True}


class Counting:
    """A language model that knows how many wait for it at once; each waits for ``together``, or a moment."""

    def __init__(self, together: int) -> None:
        self._together = together
        self._all = asyncio.Event()
        self._waiting = 0
        self.most = 0

    async def __call__(self, call: Call) -> Reply:
        if call.request.name == GET_STATS:
            return statistics(call)
        self._waiting += 1
        self.most = max(self.most, self._waiting)
        if self._waiting == self._together:
            self._all.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all.wait(), 0.3 if self._together > limits.VALIDATOR_WORKERS else 30)
        self._waiting -= 1
        return Ok({"data": "answer", "consumed_gen": 1})


@pytest.mark.parametrize(("pages", "at_once"), [(1, limits.VALIDATOR_WORKERS), (4_000, 1)])
def test_validators_wait_for_a_module_together_unless_they_hold_much(pages: int, at_once: int) -> None:
    """A machine has 64 pages."""
    model = Counting(limits.VALIDATOR_WORKERS if at_once > 1 else limits.VALIDATOR_WORKERS + 1)
    validator = Script().grow(pages).gl_call(PROMPT).gl_call(AGREE)
    program = Script()
    for _ in range(limits.VALIDATOR_WORKERS):
        program.nondet(Script(), validator)
    host = InMemoryHost(leader_results=[b"\x00\x00"] * limits.VALIDATOR_WORKERS)
    with serving_module(model) as server:
        program.run(host=host, llm=server.address)
    assert HostMethod.NOTIFY_NONDET_DISAGREEMENT not in host.methods
    assert model.most == at_once


def test_a_leaders_block_takes_its_turn_beside_validators() -> None:
    """A host may make this node the leader of one block and a follower of another."""
    host = InMemoryHost(leader_results=[b"\x00\x00", HostErrorCode.I_AM_LEADER, b"\x00\x00"])
    validator = Script().gl_call(AGREE)
    program = Script().nondet(Script(), validator).nondet(Script(), validator).nondet(Script(), validator)
    run = program.run(host=host)
    assert [answer.errno for answer in run.answers] == [0, 0, 0]
    assert host.methods.count(HostMethod.POST_NONDET_RESULT) == 1
    assert HostMethod.NOTIFY_NONDET_DISAGREEMENT not in host.methods
