"""Commit, then reveal: no operator sees another's output before its own is sealed (spec settlement/01 §7)."""

from __future__ import annotations

from pygenvm.settlement.codec.hashes import commit_hash
from pygenvm.settlement.engine import ledger, tasks
from pygenvm.settlement.state import slots
from pygenvm.settlement.state.state import State
from pygenvm.settlement.types.errors import QuorumError, Refusal
from pygenvm.settlement.types.words import MAX_U32, ZERO, Address, Hash, address_of_word, word_of_address


def commit(state: State, task_id: Hash, operator: Address, commitment: Hash, height: int) -> None:
    ledger.refuse_reserved(operator)
    if commitment == ZERO:
        raise QuorumError(Refusal.ErrEmptyCommit)
    tasks.require_committing(state, task_id)
    if height > tasks.deadlines(state, task_id).commit:
        raise QuorumError(Refusal.ErrCommitClosed)
    if not state.is_set(slots.selected(task_id, operator)):
        raise QuorumError(Refusal.ErrNotSelected)
    slot = slots.commit(task_id, operator)
    if state.is_set(slot):
        raise QuorumError(Refusal.ErrAlreadyCommitted)
    state.set_word(slot, commitment)


def reveal(
    state: State, task_id: Hash, operator: Address, output: Hash, embedding: Hash, nonce: Hash, height: int
) -> None:
    ledger.refuse_reserved(operator)
    if output == ZERO:
        raise QuorumError(Refusal.ErrEmptyOutputHash)
    tasks.require_committing(state, task_id)
    windows = tasks.deadlines(state, task_id)
    if height <= windows.commit:
        raise QuorumError(Refusal.ErrRevealNotOpen)
    if height > windows.reveal:
        raise QuorumError(Refusal.ErrRevealClosed)
    commitment = state.word(slots.commit(task_id, operator))
    if commitment == ZERO:
        raise QuorumError(Refusal.ErrNotCommitted)
    flag = slots.revealed(task_id, operator)
    if state.is_set(flag):
        raise QuorumError(Refusal.ErrAlreadyRevealed)
    spec, prompt = state.word(slots.task_spec(task_id)), state.word(slots.task_prompt(task_id))
    if commit_hash(task_id, spec, prompt, output, embedding, operator, nonce) != commitment:
        raise QuorumError(Refusal.ErrCommitMismatch)
    count_slot = slots.reveal_count(task_id)
    count = state.number(count_slot) & MAX_U32
    state.set_word(slots.revealed_output(task_id, operator), output)
    state.set_flag(flag)
    state.set_word(slots.revealed_at(task_id, count), word_of_address(operator))
    state.set_number(count_slot, count + 1)


def revealed(state: State, task_id: Hash) -> list[tuple[Address, Hash]]:
    """Operators and their outputs in the order in which they revealed."""
    count = state.number(slots.reveal_count(task_id)) & MAX_U32
    operators = [address_of_word(state.word(slots.revealed_at(task_id, index))) for index in range(count)]
    return [(operator, state.word(slots.revealed_output(task_id, operator))) for operator in operators]
