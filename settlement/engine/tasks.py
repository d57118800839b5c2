"""Tasks: how an intent becomes one, and what is known of one (spec settlement/01 §6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from pygenvm.settlement.codec import hashes
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.engine import ledger, operators
from pygenvm.settlement.state import slots
from pygenvm.settlement.state.state import State
from pygenvm.settlement.types.constants import (
    COMMIT_BLOCKS,
    MAX_N,
    MIN_N,
    REQUEST_FEE_PER_OPERATOR,
    REQUEST_MARGIN_BPS,
    REQUEST_MARGIN_FLOOR,
    REVEAL_BLOCKS,
    TaskState,
)
from pygenvm.settlement.types.errors import QuorumError, Refusal
from pygenvm.settlement.types.words import MAX_U256, ZERO, ZERO_ADDRESS, Address, Hash, address_of_word, word_of_address

#: Says whether the C side has committed to an intent: returns, or raises whatever it likes.
CommitmentVerifier: TypeAlias = Callable[[Intent], None]


@dataclass(frozen=True, slots=True)
class Task:
    task_id: Hash
    state: TaskState
    n: int
    threshold: int
    requester: Address
    commit_deadline: int
    reveal_deadline: int
    request_height: int
    model_spec_hash: Hash
    prompt_hash: Hash
    reward: int
    escrow: int
    fee_paid: int
    #: Zero for none.
    intent_id: Hash
    #: 0 before it is settled.
    settled_height: int


def required_margin(n: int) -> int:
    """So many more operators than N must be eligible (spec settlement/01 §6.1)."""
    return max(REQUEST_MARGIN_FLOOR, n * REQUEST_MARGIN_BPS // 10_000)


def admit_nothing(intent: Intent) -> None:
    """The verifier of whoever has not chosen one."""
    raise LookupError("no commitment verifier was chosen")


def import_intent(
    state: State, chains: tuple[Hash, Hash], intent: Intent, height: int, verifier: CommitmentVerifier
) -> Hash:
    """Makes a task of an intent and returns its id; what fails leaves the intent as it was.

    :param chains: ids of the C side and of this one.
    """
    ledger.refuse_reserved(intent.caller)
    if intent.fee is None or intent.reward is None:
        raise QuorumError(Refusal.ErrIntentNilAmount)
    if (intent.c_chain_id, intent.a_chain_id) != chains or intent.computed_id() != intent.intent_id:
        raise QuorumError(Refusal.ErrIntentIDMismatch)
    try:
        verifier(intent)
    except Exception as error:
        raise QuorumError(Refusal.ErrIntentNotCommitted) from error
    consumed = slots.intent_consumed(intent.intent_id)
    if state.is_set(consumed):
        raise QuorumError(Refusal.ErrIntentAlreadyUsed)
    fee = REQUEST_FEE_PER_OPERATOR * intent.n
    if fee > MAX_U256:
        raise QuorumError(Refusal.ErrFeeOverflow)
    task_id = _create(state, intent, fee, intent.reward, height)
    state.set_flag(consumed)
    state.set_word(slots.task_intent(task_id), intent.intent_id)
    state.set_word(slots.intent_task(intent.intent_id), task_id)
    return task_id


def _create(state: State, intent: Intent, fee: int, reward: int, height: int) -> Hash:
    requester, spec, prompt, n = intent.caller, intent.model_spec_hash, intent.prompt_hash, intent.n
    if spec == ZERO:
        raise QuorumError(Refusal.ErrEmptyModelSpec)
    if prompt == ZERO:
        raise QuorumError(Refusal.ErrEmptyPromptHash)
    if not MIN_N <= n <= MAX_N:
        raise QuorumError(Refusal.ErrBadN)
    if not n // 2 + 1 <= intent.threshold <= n:
        raise QuorumError(Refusal.ErrBadThreshold)
    escrow = reward * n
    if escrow > MAX_U256:
        raise QuorumError(Refusal.ErrRewardOverflow)
    eligible = operators.eligible(state, spec)
    if len(eligible) < n:
        raise QuorumError(Refusal.ErrNotEnoughEligible)
    if len(eligible) < n + required_margin(n):
        raise QuorumError(Refusal.ErrEligibleBelowMargin)
    if escrow + fee > MAX_U256:
        raise QuorumError(Refusal.ErrRewardOverflow)
    nonce_slot = slots.requester_nonce(requester)
    nonce = state.word(nonce_slot)
    task_id = hashes.task_id(requester, nonce, spec, prompt, height, n, intent.threshold)
    ledger.pull_and_burn(state, requester, escrow, fee)

    head = slots.TaskHead(TaskState.COMMITTING, n, intent.threshold, requester)
    deadlines = slots.TaskDeadlines(height + COMMIT_BLOCKS, height + COMMIT_BLOCKS + REVEAL_BLOCKS, height)
    state.set_word(slots.task_head(task_id), head.word())
    state.set_word(slots.task_deadlines(task_id), deadlines.word())
    state.set_word(slots.task_spec(task_id), spec)
    state.set_word(slots.task_prompt(task_id), prompt)
    state.set_number(slots.task_reward(task_id), reward)
    state.set_number(slots.task_escrow(task_id), escrow)
    state.set_number(slots.task_fee(task_id), fee)
    for index, operator in enumerate(hashes.draw(eligible, task_id, n)):
        state.set_flag(slots.selected(task_id, operator))
        state.set_word(slots.selected_at(task_id, index), word_of_address(operator))
    state.set_number(nonce_slot, int.from_bytes(nonce, "big") + 1)
    state.add_due(deadlines.reveal + 1, task_id)
    return task_id


def head(state: State, task_id: Hash) -> slots.TaskHead:
    """Word A of a task; ``ErrTaskUnknown`` where there is none."""
    found = slots.task_head_of(state.word(slots.task_head(task_id)))
    if found.state == TaskState.NONE:
        raise QuorumError(Refusal.ErrTaskUnknown)
    return found


def require_committing(state: State, task_id: Hash) -> None:
    """``ErrTaskUnknown``, or ``ErrTaskNotCommitting`` after the end of a task."""
    found = state.word(slots.task_head(task_id))[0]
    if found == TaskState.NONE:
        raise QuorumError(Refusal.ErrTaskUnknown)
    if found != TaskState.COMMITTING:
        raise QuorumError(Refusal.ErrTaskNotCommitting)


def deadlines(state: State, task_id: Hash) -> slots.TaskDeadlines:
    return slots.task_deadlines_of(state.word(slots.task_deadlines(task_id)))


def selection(state: State, task_id: Hash, n: int) -> list[Address]:
    """The drawn operators in the order of selection, without the zero address."""
    drawn = [address_of_word(state.word(slots.selected_at(task_id, index))) for index in range(n)]
    return [operator for operator in drawn if operator != ZERO_ADDRESS]


def task(state: State, task_id: Hash) -> Task:
    """All that is known of a task; ``ErrTaskUnknown`` where there is none."""
    first, windows = head(state, task_id), deadlines(state, task_id)
    return Task(
        task_id=task_id,
        state=TaskState(first.state),
        n=first.n,
        threshold=first.threshold,
        requester=first.requester,
        commit_deadline=windows.commit,
        reveal_deadline=windows.reveal,
        request_height=windows.request_height,
        model_spec_hash=state.word(slots.task_spec(task_id)),
        prompt_hash=state.word(slots.task_prompt(task_id)),
        reward=state.number(slots.task_reward(task_id)),
        escrow=state.number(slots.task_escrow(task_id)),
        fee_paid=state.number(slots.task_fee(task_id)),
        intent_id=state.word(slots.task_intent(task_id)),
        settled_height=state.number(slots.task_settled_height(task_id)),
    )
