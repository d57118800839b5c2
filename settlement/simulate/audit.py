"""A store that lets no step pass which makes or loses money (spec settlement/01 §4 "Conservation").

It stands below the engine and believes nobody: what it adds up is what was written. Only where the stakes, credits and
escrows of accounts and tasks are it is told, and money in a place that it was not told of is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pygenvm.settlement.engine.engine import Engine
from pygenvm.settlement.state import keys, slots
from pygenvm.settlement.state.memory import MemoryStore
from pygenvm.settlement.state.store import Changes
from pygenvm.settlement.types.constants import ESCROW_ACCOUNT
from pygenvm.settlement.types.words import Address, Hash

_ESCROW: Final = keys.balance(ESCROW_ACCOUNT)
_STAKE, _CREDIT, _TASK, _BALANCE = "stake", "credit", "open escrow", "balances"


class RuleBroken(Exception):
    """The engine did what no engine may do."""


class ConservationBroken(RuleBroken):
    """A step would make or lose money; the store is as it was before."""


class AuditedStore:
    """A :class:`settlement.state.store.Store` in memory, one commit for each step."""

    def __init__(self) -> None:
        self._below = MemoryStore()
        self.read = self._below.read
        self.items = self._below.items
        self._kinds: dict[bytes, str] = {}
        self._sums = dict.fromkeys((_STAKE, _CREDIT, _TASK, _BALANCE), 0)
        self._minted = 0
        self.steps = 0
        self.recounts = 0

    def watch_account(self, account: Address) -> None:
        self._kinds[keys.slot(slots.operator_stake(account))] = _STAKE
        self._kinds[keys.slot(slots.credit(account))] = _CREDIT

    def watch_task(self, task_id: Hash) -> None:
        self._kinds[keys.slot(slots.task_escrow(task_id))] = _TASK

    def mint(self, amount: int) -> None:
        """The next step brings so much money into the world."""
        self._minted += amount

    @property
    def total(self) -> int:
        """All money, in base units."""
        return self._minted

    def apply(self, changes: Changes) -> None:
        """Takes a step; :class:`ConservationBroken` and no change where it does not add up."""
        sums = dict(self._sums)
        for key, value in changes.items():
            kind = _BALANCE if key.startswith(keys.BALANCES) else self._kinds.get(key)
            if kind is not None:
                sums[kind] += _number(value) - _number(self.read(key))
        self._check(sums, _number(changes.get(_ESCROW) or self.read(_ESCROW)))
        self._sums = sums
        self._below.apply(changes)
        self.steps += 1

    def _check(self, sums: dict[str, int], escrow: int) -> None:
        kept = {kind: sums[kind] for kind in (_STAKE, _TASK, _CREDIT)}
        if escrow != sum(kept.values()):
            parts = ", ".join(f"{amount} {kind}" for kind, amount in kept.items())
            raise ConservationBroken(f"{escrow} are in escrow, but it should hold {parts}")
        if sums[_BALANCE] != self._minted:
            raise ConservationBroken(f"all balances are {sums[_BALANCE]}, but {self._minted} were put in")

    def recount(self, engine: Engine, accounts: Iterable[Address], tasks: Iterable[Hash]) -> None:
        """The same from what the engine answers about everybody, in case the sums have gone astray."""
        stake = credit = 0
        for account in accounts:
            stake += engine.operator(account).stake
            credit += engine.credit(account)
        sums = {_STAKE: stake, _CREDIT: credit, _TASK: sum(engine.task(task).escrow for task in tasks)}
        self._check({**sums, _BALANCE: engine.total()}, engine.balance(ESCROW_ACCOUNT))
        if any(self._sums[kind] != amount for kind, amount in sums.items()):
            raise ConservationBroken(f"the engine knows of {sums}, but {self._sums} were written")
        self.recounts += 1

    def close(self) -> None:
        """Nothing to release."""


def _number(word: bytes | None) -> int:
    return int.from_bytes(word or b"", "big")
