"""What the engine sees of a store: words of slots, balances, nodes of the receipt tree, tasks that fall due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.state import keys
from pygenvm.settlement.state.staging import Staging
from pygenvm.settlement.state.store import StoreError
from pygenvm.settlement.types.words import ONE, ZERO, Address, Hash, u32

_SLOTS, _BALANCES = keys.SLOTS, keys.BALANCES


class State:
    """One staging, typed. Slots and ledger are in it together, so that they are committed and dropped together."""

    __slots__ = ("_read", "_write", "staging")

    def __init__(self, staging: Staging) -> None:
        self.staging = staging
        # Without the types that words have, which would take a call each.
        self._read: Callable[[bytes], Any] = staging.read
        self._write = staging.write

    # --- slots ---

    def word(self, slot: Hash) -> Hash:
        """The word of a slot, zero where none was written."""
        found: Hash = self._read(_SLOTS + slot) or ZERO
        return found

    def is_set(self, slot: Hash) -> bool:
        found: bool = (self._read(_SLOTS + slot) or ZERO) != ZERO
        return found

    def number(self, slot: Hash) -> int:
        return int.from_bytes(self._read(_SLOTS + slot) or ZERO, "big")

    def set_word(self, slot: Hash, word: Hash) -> None:
        """A zero word stays in the store, as it does in that of the reference (spec settlement/01 §3 "Clearing")."""
        self._write(_SLOTS + slot, word)

    def set_number(self, slot: Hash, number: int) -> None:
        self._write(_SLOTS + slot, number.to_bytes(32, "big"))

    def set_flag(self, slot: Hash) -> None:
        self._write(_SLOTS + slot, ONE)

    def digest(self) -> tuple[Hash, int]:
        """Hash over all slots ever written with their words, ascending, and their number: what vectors compare."""
        written = list(self.staging.items(keys.SLOTS))
        start = len(keys.SLOTS)
        return keccak256(b"".join(key[start:] + word for key, word in written)), len(written)

    # --- balances ---

    def balance(self, account: Address) -> int:
        return int.from_bytes(self._read(_BALANCES + account) or ZERO, "big")

    def set_balance(self, account: Address, amount: int) -> None:
        self._write(_BALANCES + account, amount.to_bytes(32, "big"))

    def balances(self) -> dict[Address, int]:
        start = len(keys.BALANCES)
        found = self.staging.items(keys.BALANCES)
        return {Address(key[start:]): int.from_bytes(amount, "big") for key, amount in found}

    # --- the tree above the receipt leaves ---

    def merkle_node(self, level: int, index: int) -> Hash | None:
        found = self._read(keys.merkle_node(level, index))
        return None if found is None else Hash(found)

    def set_merkle_node(self, level: int, index: int, node: Hash) -> None:
        self._write(keys.merkle_node(level, index), node)

    # --- tasks by the height at which they are settled ---

    def add_due(self, height: int, task: Hash) -> None:
        count = int.from_bytes(self._read(keys.due_count(height)) or b"", "big")
        self._write(keys.due_task(height, count), task)
        self._write(keys.due_count(height), u32(count + 1))

    def take_due(self, height: int) -> list[Hash]:
        """The tasks of a height in the order of their creation; they are no longer listed afterwards."""
        count = int.from_bytes(self._read(keys.due_count(height)) or b"", "big")
        tasks = []
        for index in range(count):
            key = keys.due_task(height, index)
            task = self._read(key)
            if task is None:
                raise StoreError(f"the store has lost a task that is due at height {height}")
            tasks.append(Hash(task))
            self._write(key, None)
        if count:
            self._write(keys.due_count(height), None)
        return tasks
