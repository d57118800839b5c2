"""Balances, and what moves between them and the escrow account (spec settlement/01 §4)."""

from __future__ import annotations

from collections.abc import Mapping

from pygenvm.settlement.state.state import State
from pygenvm.settlement.types.constants import BURN_ADDRESS, ESCROW_ACCOUNT
from pygenvm.settlement.types.errors import QuorumError, Refusal
from pygenvm.settlement.types.words import MAX_U256, Address

_RESERVED = (ESCROW_ACCOUNT, BURN_ADDRESS)


def refuse_reserved(account: Address) -> None:
    """The two accounts of the engine act for nobody: moving money from escrow to itself would create some."""
    if account in _RESERVED:
        raise QuorumError(Refusal.ErrReservedAccount)


def fund(state: State, amounts: Mapping[Address, int]) -> None:
    """Mints into accounts, at genesis or for a deposit: all of them, or with ``ErrCreditOverflow`` none."""
    balances = {account: state.balance(account) + amount for account, amount in amounts.items()}
    if any(balance > MAX_U256 for balance in balances.values()):
        raise QuorumError(Refusal.ErrCreditOverflow)
    for account, balance in balances.items():
        state.set_balance(account, balance)


def pull(state: State, source: Address, amount: int) -> None:
    """From an account into escrow."""
    balance, escrow = state.balance(source), state.balance(ESCROW_ACCOUNT)
    if balance < amount:
        raise QuorumError(Refusal.ErrInsufficientFunds)
    if escrow + amount > MAX_U256:
        raise QuorumError(Refusal.ErrStakeOverflow)
    state.set_balance(source, balance - amount)
    state.set_balance(ESCROW_ACCOUNT, escrow + amount)


def pay(state: State, target: Address, amount: int) -> None:
    """From escrow to an account."""
    escrow, balance = state.balance(ESCROW_ACCOUNT), state.balance(target)
    if escrow < amount:
        raise QuorumError(Refusal.ErrEscrowUnderflow)
    if balance + amount > MAX_U256:
        raise QuorumError(Refusal.ErrCreditOverflow)
    state.set_balance(ESCROW_ACCOUNT, escrow - amount)
    state.set_balance(target, balance + amount)


def pull_and_burn(state: State, source: Address, amount: int, fee: int) -> None:
    """``amount`` from an account into escrow, and a fee from there to the burn address: both or nothing."""
    balance, escrow, burnt = state.balance(source), state.balance(ESCROW_ACCOUNT), state.balance(BURN_ADDRESS)
    if balance < amount + fee:
        raise QuorumError(Refusal.ErrInsufficientFunds)
    # The fee passes through escrow.
    if escrow + amount + fee > MAX_U256:
        raise QuorumError(Refusal.ErrStakeOverflow)
    if burnt + fee > MAX_U256:
        raise QuorumError(Refusal.ErrCreditOverflow)
    state.set_balance(source, balance - amount - fee)
    state.set_balance(ESCROW_ACCOUNT, escrow + amount)
    state.set_balance(BURN_ADDRESS, burnt + fee)


def total(state: State) -> int:
    """Sum of all balances, modulo 2^256."""
    return sum(state.balances().values()) & MAX_U256
