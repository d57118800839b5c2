"""Transactions that wait for a block. They stay until a block with them is accepted, so a rejected block loses none."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pygenvm.settlement.blocks.transactions import Transaction
from pygenvm.settlement.types.block_errors import BlockError, BlockRefusal
from pygenvm.settlement.types.words import Address

TRANSACTIONS_MAX: Final = 16_384
PER_SENDER_MAX: Final = 256
#: So many heights a transaction waits.
HEIGHTS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class _Waiting:
    arrival: int
    height: int
    transaction: Transaction


class Pool:
    """In the order of arrival, and for each sender in the order of nonces."""

    def __init__(self) -> None:
        self._by_sender: dict[Address, dict[int, _Waiting]] = {}
        self._arrivals = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, transaction: Transaction, height: int) -> None:
        """A checked transaction that came at this height; refused if the place is taken or there is no more of it."""
        own = self._by_sender.get(transaction.sender, {})
        if transaction.nonce in own:
            raise BlockError(BlockRefusal.ErrTransactionKnown)
        if self._count >= TRANSACTIONS_MAX or len(own) >= PER_SENDER_MAX:
            raise BlockError(BlockRefusal.ErrTransactionPoolFull)
        self._by_sender[transaction.sender] = own
        own[transaction.nonce] = _Waiting(self._arrivals, height, transaction)
        self._arrivals += 1
        self._count += 1

    def ready(self, nonce_of: Callable[[Address], int]) -> Iterator[Transaction]:
        """Those that are their senders' next ones; after each, the sender's following one if ``nonce_of`` went on."""
        heap = []
        for sender, own in self._by_sender.items():
            if (first := own.get(nonce_of(sender))) is not None:
                heap.append((first.arrival, sender, first.transaction.nonce))
        heapq.heapify(heap)
        while heap:
            _, sender, nonce = heapq.heappop(heap)
            own = self._by_sender[sender]
            yield own[nonce].transaction
            following = own.get(nonce + 1)
            if following is not None and nonce_of(sender) == nonce + 1:
                heapq.heappush(heap, (following.arrival, sender, nonce + 1))

    def next_nonce(self, sender: Address, nonce: int) -> int:
        """The first one from the sender's next on that no transaction waits with."""
        own = self._by_sender.get(sender, {})
        while nonce in own:
            nonce += 1
        return nonce

    def drop(self, transaction: Transaction) -> None:
        self._remove(transaction.sender, transaction.nonce)

    def prune(self, sender: Address, nonce: int) -> None:
        """What is below the sender's next nonce is done, by this or another transaction."""
        for done in [one for one in self._by_sender.get(sender, {}) if one < nonce]:
            self._remove(sender, done)

    def expire(self, height: int) -> list[Transaction]:
        """Takes out those that have waited for too long, for whatever they wait."""
        expired = [
            waiting.transaction
            for own in self._by_sender.values()
            for waiting in own.values()
            if height - waiting.height > HEIGHTS_MAX
        ]
        for transaction in expired:
            self.drop(transaction)
        return expired

    def _remove(self, sender: Address, nonce: int) -> None:
        own = self._by_sender[sender]
        del own[nonce]
        self._count -= 1
        if not own:
            del self._by_sender[sender]
