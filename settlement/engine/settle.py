"""Settling a task: count, plan, check the plan, apply it (spec settlement/01 §8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pygenvm.settlement.codec.receipt import Receipt
from pygenvm.settlement.engine import receipts, tasks
from pygenvm.settlement.engine.reveals import revealed
from pygenvm.settlement.state import slots
from pygenvm.settlement.state.state import State
from pygenvm.settlement.types.constants import SLASH_PER_OPERATOR, TaskState
from pygenvm.settlement.types.errors import QuorumError, Refusal
from pygenvm.settlement.types.words import MAX_U256, ZERO, Address, Hash


@dataclass(frozen=True, slots=True)
class Settled:
    """What settling a task came to."""

    receipt: Receipt
    receipt_hash: Hash
    receipt_root: Hash
    winners: tuple[Address, ...]
    #: To the winners, with their shares of what was slashed.
    paid: int
    slashed: int


class _Plan(NamedTuple):
    stakes: dict[Address, int]
    credits: dict[Address, int]
    paid: int
    slashed: int


def plurality(outputs: Iterable[Hash]) -> tuple[Hash, int]:
    """The most frequent output and its votes; of equals the smallest (spec settlement/01 §8.2)."""
    votes = Counter(outputs)
    if not votes:
        return ZERO, 0
    return min(votes.items(), key=lambda item: (-item[1], item[0]))


def settle(state: State, chains: tuple[Hash, Hash], task_id: Hash, height: int) -> Settled:
    settled_flag = slots.settled(task_id)
    if state.is_set(settled_flag):
        raise QuorumError(Refusal.ErrTaskAlreadySettled)
    task = tasks.task(state, task_id)
    if task.state != TaskState.COMMITTING:
        raise QuorumError(Refusal.ErrTaskAlreadySettled)
    if height <= task.reveal_deadline:
        raise QuorumError(Refusal.ErrSettleTooEarly)

    reveals, operators = revealed(state, task_id), tasks.selection(state, task_id, task.n)
    canonical, votes = plurality(output for _, output in reveals)
    agreed = votes >= task.threshold
    winners = tuple(operator for operator, output in reveals if agreed and output == canonical)
    have_revealed = {operator for operator, _ in reveals}
    plan = _plan(state, task, [one for one in operators if one not in have_revealed], winners)

    for operator, stake in plan.stakes.items():
        state.set_number(slots.operator_stake(operator), stake)
    for account, credit in plan.credits.items():
        state.set_number(slots.credit(account), credit)
    outcome = TaskState.SETTLED if agreed else TaskState.FAILED
    head = slots.TaskHead(outcome, task.n, task.threshold, task.requester)
    state.set_word(slots.task_head(task_id), head.word())
    state.set_number(slots.task_escrow(task_id), 0)
    state.set_number(slots.task_settled_height(task_id), height)
    if agreed:
        state.set_word(slots.canonical_output(task_id), canonical)
    state.set_flag(settled_flag)

    receipt = receipts.build(chains, task, operators, winners, canonical if agreed else ZERO, height)
    receipt_hash = receipt.hash()
    root = receipts.append(state, task.intent_id, receipt_hash)
    return Settled(receipt, receipt_hash, root, winners, plan.paid, plan.slashed)


def _plan(state: State, task: tasks.Task, silent: Sequence[Address], winners: Sequence[Address]) -> _Plan:
    """New stakes and credits; everything that could fail fails here (spec settlement/01 §8.4-§8.6).

    :param silent: who was drawn and has not revealed.
    """
    stakes, pool = _slashed(state, task.task_id, silent)
    due = task.reward * len(winners)
    if due > MAX_U256 or task.escrow < due:
        raise QuorumError(Refusal.ErrEscrowUnderflow)
    share, rest = divmod(pool, len(winners)) if winners else (0, pool)
    payouts = dict.fromkeys(winners, task.reward + share)
    if refund := task.escrow - due + rest:
        payouts[task.requester] = payouts.get(task.requester, 0) + refund
    credits = {account: state.number(slots.credit(account)) + payout for account, payout in payouts.items()}
    if any(credit > MAX_U256 for credit in credits.values()):
        raise QuorumError(Refusal.ErrCreditOverflow)
    return _Plan(stakes, credits, due + share * len(winners), pool)


def _slashed(state: State, task_id: Hash, silent: Sequence[Address]) -> tuple[dict[Address, int], int]:
    """Stakes of those who committed and kept their reveal back, and what they lose together. Nobody else loses any."""
    stakes, pool = {}, 0
    for operator in silent:
        if state.is_set(slots.commit(task_id, operator)):
            stake = state.number(slots.operator_stake(operator))
            if loss := min(SLASH_PER_OPERATOR, stake):
                stakes[operator] = stake - loss
                pool += loss
    return stakes, pool
