"""The registry of operators and their stake (spec settlement/01 §5)."""

from __future__ import annotations

from dataclasses import dataclass

from pygenvm.settlement.engine import ledger
from pygenvm.settlement.state import slots
from pygenvm.settlement.state.state import State
from pygenvm.settlement.types.constants import MIN_PROVIDER_BOND
from pygenvm.settlement.types.errors import QuorumError, Refusal
from pygenvm.settlement.types.words import (
    MAX_U32,
    ZERO,
    Address,
    Hash,
    address_of_word,
    word_of_address,
)


@dataclass(frozen=True, slots=True)
class Operator:
    """What the registry has of an operator; of one that has left, its model spec and endpoint are still there."""

    exists: bool
    unbonding: bool
    unbond_height: int
    stake: int
    model_spec_hash: Hash
    endpoint_hash: Hash


def register(state: State, operator: Address, stake: int, model_spec: Hash, endpoint: Hash) -> None:
    ledger.refuse_reserved(operator)
    if model_spec == ZERO:
        raise QuorumError(Refusal.ErrEmptyModelSpec)
    if stake < MIN_PROVIDER_BOND:
        raise QuorumError(Refusal.ErrStakeBelowMin)
    if _meta(state, operator).exists:
        raise QuorumError(Refusal.ErrOperatorExists)
    ledger.pull(state, operator, stake)
    state.set_number(slots.operator_stake(operator), stake)
    state.set_word(slots.operator_spec(operator), model_spec)
    state.set_word(slots.operator_endpoint(operator), endpoint)
    state.set_word(slots.operator_meta(operator), slots.OperatorMeta(True, False, 0).word())
    member = slots.model_membership(model_spec, operator)
    if not state.is_set(member):
        count_slot = slots.model_member_count(model_spec)
        count = state.number(count_slot) & MAX_U32
        state.set_word(slots.model_member(model_spec, count), word_of_address(operator))
        state.set_number(count_slot, count + 1)
        state.set_flag(member)


def deregister(state: State, operator: Address, height: int) -> None:
    ledger.refuse_reserved(operator)
    meta = _meta(state, operator)
    if not meta.exists:
        raise QuorumError(Refusal.ErrOperatorUnknown)
    if meta.unbonding:
        raise QuorumError(Refusal.ErrOperatorUnbonding)
    state.set_word(slots.operator_meta(operator), slots.OperatorMeta(True, True, height).word())


def withdraw_stake(state: State, operator: Address, height: int, cooldown: int) -> int:
    """Pays what slashing has left, which may be nothing."""
    ledger.refuse_reserved(operator)
    meta = _meta(state, operator)
    if not meta.exists:
        raise QuorumError(Refusal.ErrOperatorUnknown)
    if not meta.unbonding:
        raise QuorumError(Refusal.ErrOperatorUnbonding)
    if height < meta.unbond_height + cooldown:
        raise QuorumError(Refusal.ErrCooldownActive)
    stake = state.number(slots.operator_stake(operator))
    if stake:
        ledger.pay(state, operator, stake)
    state.set_number(slots.operator_stake(operator), 0)
    state.set_word(slots.operator_meta(operator), ZERO)
    return stake


def withdraw_rewards(state: State, account: Address) -> int:
    """Pays the credit of an operator or requester (spec settlement/01 §5.5)."""
    ledger.refuse_reserved(account)
    slot = slots.credit(account)
    credit = state.number(slot)
    if not credit:
        raise QuorumError(Refusal.ErrNoCredit)
    ledger.pay(state, account, credit)
    state.set_number(slot, 0)
    return credit


def operator(state: State, address: Address) -> Operator:
    meta = _meta(state, address)
    return Operator(
        exists=meta.exists,
        unbonding=meta.unbonding,
        unbond_height=meta.unbond_height,
        stake=state.number(slots.operator_stake(address)),
        model_spec_hash=state.word(slots.operator_spec(address)),
        endpoint_hash=state.word(slots.operator_endpoint(address)),
    )


def is_eligible(state: State, address: Address, model_spec: Hash) -> bool:
    """Takes part in draws of this model (spec settlement/01 §5.4)."""
    return (
        slots.is_active(state.word(slots.operator_meta(address)))
        and state.word(slots.operator_spec(address)) == model_spec
        and state.number(slots.operator_stake(address)) >= MIN_PROVIDER_BOND
    )


def members(state: State, model_spec: Hash) -> list[Address]:
    """Everyone who ever registered for a model, in that order."""
    count = state.number(slots.model_member_count(model_spec)) & MAX_U32
    return [address_of_word(state.word(slots.model_member(model_spec, index))) for index in range(count)]


def eligible(state: State, model_spec: Hash) -> list[Address]:
    """The ordered list that margin and draw go by (spec settlement/01 §5.4)."""
    return [address for address in members(state, model_spec) if is_eligible(state, address, model_spec)]


def _meta(state: State, address: Address) -> slots.OperatorMeta:
    return slots.operator_meta_of(state.word(slots.operator_meta(address)))
