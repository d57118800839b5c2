"""Leader and validators: a transaction is executed once more by each validator, which judges what the leader found.

A node has one vote, and the leader's is for itself; more than half of all votes decide. Every node has its own run,
with its own connections to the modules and its own address in what they are told. All of them see the same state, and
only what the leader did is ever committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from pygenvm.executor.frozen import replaced
from pygenvm.executor.outcome import InternalError
from pygenvm.executor.primitives.keccak import Keccak256
from pygenvm.localnet import limits
from pygenvm.localnet.chain.database import StateView
from pygenvm.localnet.chain.model import TIMEOUT, Node, Receipt, Round, Transaction, Verdict, Vote
from pygenvm.localnet.chain.runs import Identity, Runs
from pygenvm.localnet.chain.transactions import Executed, execute, undetermined

#: Members of a receipt that every validator finds the same, given the same results of nondet blocks.
_DETERMINED = ("status", "outcome", "events", "messages", "balances", "slots_written", "bytes_written")

LEADER = "leader"


@cache
def validators(count: int) -> tuple[Node, ...]:
    """The validators of every local network, from 1 on. They are kept: hashes of 200 names take 60 ms."""
    names = (f"validator {number}" for number in range(1, count + 1))
    return tuple(Node(name, "0x" + Keccak256(b"genvm local " + name.encode()).digest()[:20].hex()) for name in names)


async def decide(
    runs: Runs,
    nodes: Sequence[Node],
    state: StateView,
    transaction: Transaction,
    identity: Identity,
    *,
    queued: int | None = None,
) -> Executed:
    """Executes a transaction on top of ``state`` as its leader does, and lets validators judge it.

    :param nodes: the validators; without any, what the leader finds holds.
    :param queued: as for :func:`localnet.chain.transactions.execute`.
    """
    if nodes:
        runs = replaced(runs, node=Node(LEADER, runs.node.address))
    executed = await execute(runs, state, transaction, identity, queued=queued)
    return await judged(runs, nodes, state, transaction, executed, queued=queued)


def can_be_judged(receipt: Receipt) -> bool:
    """A transfer executes nothing, and a leader whose run broke or was cut off has no results of all its blocks."""
    outcome = receipt.outcome
    return outcome is not None and not isinstance(outcome, InternalError) and outcome != TIMEOUT


async def judged(
    runs: Runs,
    nodes: Sequence[Node],
    state: StateView,
    transaction: Transaction,
    executed: Executed,
    *,
    queued: int | None = None,
) -> Executed:
    """What becomes of a transaction that the leader, the node of ``runs``, has executed; else as :func:`decide`."""
    if not nodes or not can_be_judged(executed.receipt):
        return executed
    round_ = Round(runs.node, await votes_of(runs, nodes, state, transaction, executed.receipt, queued=queued))
    if not round_.accepted:
        executed = await undetermined(state, executed, queued)
    receipt = replaced(executed.receipt, round=round_)
    changes = replaced(executed.changes, receipt=receipt) if executed.changes else None
    return executed._replace(receipt=receipt, changes=changes)


async def judge(
    runs: Runs,
    state: StateView,
    transaction: Transaction,
    receipt: Receipt,
    leader_results: Sequence[bytes] | None = None,
    *,
    queued: int | None = None,
) -> Verdict:
    """What a validator finds in a transaction that the leader has executed on the same state.

    :param transaction: with its code, for a deployment.
    :param leader_results: what the leader claims instead of ``receipt.nondet_results``.
    """
    results = receipt.nondet_results if leader_results is None else leader_results
    identity = (receipt.tx_id, receipt.datetime)
    own, disagreement, _ = await execute(runs, state, transaction, identity, queued=queued, leader_results=results)
    differences = tuple(name for name in _DETERMINED if getattr(own, name) != getattr(receipt, name))
    return Verdict(own, disagreement, diverged=leader_results is None and bool(differences), differences=differences)


async def votes_of(
    runs: Runs,
    nodes: Sequence[Node],
    state: StateView,
    transaction: Transaction,
    receipt: Receipt,
    *,
    queued: int | None = None,
) -> tuple[Vote, ...]:
    """What each of ``nodes`` says of the leader's ``receipt``."""
    # Loaded here: one node needs no event loop.
    import asyncio

    turns = asyncio.Semaphore(limits.VALIDATORS_AT_ONCE)

    async def vote(node: Node) -> Vote:
        async with turns:
            own = replaced(runs, node=node)
            return Vote(node, await judge(own, state, transaction, receipt, queued=queued))

    tasks = [asyncio.create_task(vote(node)) for node in nodes]
    try:
        return tuple(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
