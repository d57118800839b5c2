"""Consensus of one transaction: who is drawn, what they find, and what that comes to (spec localnet-rpc/02 §4.1).

The leader executes, then all validators execute at the same time and judge what it found. Every node is a run of its
own, with its own address and model. All see the same state, and what they have read of it is kept with the decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from pygenvm.executor.frozen import replaced
from pygenvm.executor.outcome import InternalError
from pygenvm.localnet.chain.consensus import LEADER, can_be_judged, judge
from pygenvm.localnet.chain.model import TIMEOUT, Node, Receipt, Transaction, Verdict, Vote
from pygenvm.localnet.chain.network.records import Row
from pygenvm.localnet.chain.network.store import Decision
from pygenvm.localnet.chain.network.types import (
    NodeMode,
    NodeReceipt,
    Round,
    RoundLabel,
    RoundResult,
    StatusChange,
    TxMode,
    TxStatus,
    Validator,
    VoteWord,
)
from pygenvm.localnet.chain.network.view import NetworkView
from pygenvm.localnet.chain.runs import Identity, Runs
from pygenvm.localnet.chain.transactions import Executed, execute
from pygenvm.localnet.votes import reason
from pygenvm.settlement.codec.keccak import keccak256


def draw(validators: Sequence[Validator], seed: bytes, count: int | None = None) -> list[Validator]:
    """Validators one after the other, each with a probability proportional to its stake; the same for one seed."""
    left = list(validators)
    drawn: list[Validator] = []
    while left and (count is None or len(drawn) < count):
        number = int.from_bytes(keccak256(seed + len(drawn).to_bytes(4, "big")), "big")
        place = number % sum(validator.stake for validator in left)
        for index, validator in enumerate(left):
            place -= validator.stake
            if place < 0:
                drawn.append(left.pop(index))
                break
    return drawn


class Consensus:
    """The rounds of one transaction on one view."""

    def __init__(
        self,
        runs: Runs,
        view: NetworkView,
        row: Row,
        now: Callable[[], datetime],
        on_status: Callable[[TxStatus], None],
        on_vote: Callable[[NodeReceipt], None],
    ) -> None:
        """
        :param on_status: called when the transaction comes to another stage.
        :param on_vote: called with what each node has found, as it comes.
        """
        self._runs = runs
        self._view = view
        self._row = row
        self._now = now
        self._on_status = on_status
        self._on_vote = on_vote
        self._changes: list[StatusChange] = []
        self.rounds: list[Round] = []

    def _stage(self, status: TxStatus) -> None:
        self._changes.append(StatusChange(status, self._now()))
        self._on_status(status)

    # --- proposals --------------------------------------------------------------------------------

    async def propose(self, order: Sequence[Validator], count: int, rotations: int) -> Decision:
        """Leader after leader, until what one found is accepted or the rotations are used up.

        :param order: all who may take part; the first ``count`` do, the others replace them.
        """
        nodes, spare = list(order[:count]), list(order[count:])
        identity = self._identity()
        transaction = self._row.transaction()
        receipt: Receipt | None = None
        result = RoundResult.IDLE
        attempt = 0
        while nodes:
            leader = nodes[0]
            self._stage(TxStatus.PROPOSING)
            executed = await self._lead(leader, transaction, identity)
            receipt = executed.receipt
            if receipt.outcome == TIMEOUT:
                self._round(RoundLabel.LEADER_TIMEOUT, self._leading(leader, receipt), (), RoundResult.TIMEOUT)
                return self._decision(TxStatus.LEADER_TIMEOUT, RoundResult.TIMEOUT, attempt, receipt)
            proposal = self._leading(leader, receipt)
            self._on_vote(proposal)
            if isinstance(receipt.outcome, InternalError):
                # Its executor broke: it takes no part, and there is nothing to vote on.
                proposal = replaced(proposal, vote=VoteWord.IDLE)
                votes: tuple[NodeReceipt, ...] = ()
                result = RoundResult.IDLE
            else:
                votes = await self._votes(nodes, spare, transaction, receipt)
                result = tally([VoteWord.AGREE, *(vote.vote or VoteWord.IDLE for vote in votes)])
            if result is RoundResult.MAJORITY_AGREE:
                self._round(RoundLabel.ACCEPTED, proposal, votes, result)
                return self._decision(TxStatus.ACCEPTED, result, attempt, receipt, executed)
            if result is RoundResult.TIMEOUT:
                self._round(RoundLabel.VALIDATORS_TIMEOUT, proposal, votes, result)
                return self._decision(TxStatus.VALIDATORS_TIMEOUT, result, attempt, receipt)
            taking_part = {vote.validator.address for vote in votes}
            nodes = [node for node in nodes[1:] if node.address in taking_part or not votes]
            newcomers = [vote.validator for vote in votes if vote.validator not in nodes]
            nodes += newcomers
            if spare:
                nodes.append(spare.pop(0))
            # A leader that is left alone would agree with itself.
            if attempt >= rotations or len(nodes) < 2 or self._row.details.mode is not TxMode.NORMAL:
                self._round(RoundLabel.UNDETERMINED, proposal, votes, result)
                break
            self._round(RoundLabel.LEADER_ROTATION, proposal, votes, result)
            attempt += 1
        return self._decision(TxStatus.UNDETERMINED, result, attempt, receipt)

    async def _lead(self, leader: Validator, transaction: Transaction, identity: Identity) -> Executed:
        runs = replaced(self._runs, node=Node(LEADER, str(leader.address)))
        return await execute(runs, self._view, transaction, identity, queued=self._row.seq)

    async def _votes(
        self, nodes: Sequence[Validator], spare: list[Validator], transaction: Transaction, receipt: Receipt
    ) -> tuple[NodeReceipt, ...]:
        mode = self._row.details.mode
        judges = {TxMode.NORMAL: list(nodes[1:]), TxMode.LEADER_SELF_VALIDATOR: [nodes[0]]}.get(mode, [])
        if not judges or not can_be_judged(receipt):
            return ()
        self._stage(TxStatus.COMMITTING)
        votes = await self.judged(judges, transaction, receipt)
        for index, vote in enumerate(votes):
            if vote.vote is VoteWord.IDLE and spare and mode is TxMode.NORMAL:
                (votes[index],) = await self.judged([spare.pop(0)], transaction, receipt, index + 1)
        self._stage(TxStatus.REVEALING)
        return tuple(votes)

    async def judged(
        self, judges: Sequence[Validator], transaction: Transaction, receipt: Receipt, first: int = 1
    ) -> list[NodeReceipt]:
        """What each validator says of what a leader has found."""

        async def vote(number: int, validator: Validator) -> NodeReceipt:
            node = Node(f"validator {number}", str(validator.address))
            runs = replaced(self._runs, node=node)
            verdict = await judge(runs, self._view, transaction, receipt, queued=self._row.seq)
            given = self._judging(validator, Vote(node, verdict), receipt)
            self._on_vote(given)
            return given

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(vote(number, judge)) for number, judge in enumerate(judges, first)]
        return [task.result() for task in tasks]

    # --- appeals ----------------------------------------------------------------------------------

    async def second_opinion(self, judges: Sequence[Validator], receipt: Receipt) -> bool:
        """Whether other validators stand by what was accepted; their round is the last of :attr:`rounds`."""
        transaction = self._row.transaction()
        votes = tuple(await self.judged(judges, transaction, receipt)) if can_be_judged(receipt) else ()
        self._stage(TxStatus.REVEALING)
        result = tally([vote.vote or VoteWord.IDLE for vote in votes])
        stands = result is RoundResult.MAJORITY_AGREE or not votes
        label = RoundLabel.VALIDATOR_APPEAL_FAILED if stands else RoundLabel.VALIDATOR_APPEAL_SUCCESSFUL
        self._round(label, None, votes, result)
        return stands

    # --- data -------------------------------------------------------------------------------------

    def _identity(self) -> Identity:
        time = self._row.details.pinned or self._now()
        return self._row.id, time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _round(
        self, label: RoundLabel, leader: NodeReceipt | None, votes: tuple[NodeReceipt, ...], result: RoundResult
    ) -> None:
        self.rounds.append(Round(0, label, leader, votes, result, tuple(self._changes)))

    def _decision(
        self,
        status: TxStatus,
        result: RoundResult,
        rotations: int,
        receipt: Receipt | None,
        executed: Executed | None = None,
    ) -> Decision:
        changes = None
        if executed is not None and receipt is not None and receipt.ok:
            changes = executed.changes
        view = self._view
        return Decision(
            status,
            result,
            rotations,
            self.rounds,
            receipt,
            changes,
            view.at,
            view.epoch,
            frozenset({*view.storage_read, self._row.recipient}),
            # What comes to the contract from elsewhere meanwhile is simply added.
            frozenset(view.balances_read - {self._row.recipient}),
            tuple(self._changes),
        )

    def _leading(self, leader: Validator, receipt: Receipt) -> NodeReceipt:
        return node_receipt(leader, NodeMode.LEADER, receipt)

    def _judging(self, validator: Validator, vote: Vote, receipt: Receipt) -> NodeReceipt:
        own = vote.verdict.receipt
        return NodeReceipt(
            validator,
            NodeMode.VALIDATOR,
            word(vote.verdict),
            own.outcome,
            own.transaction.calldata,
            slots_written=own.slots_written,
            bytes_written=own.bytes_written,
            stdout=own.stdout,
            stderr=own.stderr,
            log=own.log,
            seconds=own.seconds,
            disagreement=vote.verdict.disagreement,
            reason=reason(vote, receipt),
        )


def node_receipt(leader: Validator, mode: NodeMode, receipt: Receipt, **more: Any) -> NodeReceipt:
    """What a leader has found."""
    return NodeReceipt(
        leader,
        mode,
        None,
        receipt.outcome,
        receipt.transaction.calldata,
        nondet_results=receipt.nondet_results,
        messages=receipt.messages,
        events=receipt.events,
        slots_written=receipt.slots_written,
        bytes_written=receipt.bytes_written,
        stdout=receipt.stdout,
        stderr=receipt.stderr,
        log=receipt.log,
        seconds=receipt.seconds,
        datetime=receipt.datetime,
        **more,
    )


def word(verdict: Verdict) -> VoteWord:
    """What a verdict is called."""
    outcome = verdict.receipt.outcome
    if verdict.agrees:
        return VoteWord.AGREE
    if isinstance(outcome, InternalError):
        return VoteWord.IDLE
    if verdict.diverged and outcome == TIMEOUT:
        return VoteWord.TIMEOUT
    if verdict.disagreement is not None:
        return VoteWord.DISAGREE
    return VoteWord.DETERMINISTIC_VIOLATION


def tally(votes: Collection[VoteWord]) -> RoundResult:
    """What more than half of all votes say."""
    for vote, result in (
        (VoteWord.AGREE, RoundResult.MAJORITY_AGREE),
        (VoteWord.TIMEOUT, RoundResult.TIMEOUT),
        (VoteWord.DETERMINISTIC_VIOLATION, RoundResult.DETERMINISTIC_VIOLATION),
    ):
        if 2 * sum(given is vote for given in votes) > len(votes):
            return result
    against = (VoteWord.DISAGREE, VoteWord.IDLE, VoteWord.DETERMINISTIC_VIOLATION)
    if 2 * sum(given in against for given in votes) > len(votes):
        return RoundResult.MAJORITY_DISAGREE
    return RoundResult.NO_MAJORITY
