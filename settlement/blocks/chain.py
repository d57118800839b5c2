"""The chain of blocks above a store (spec settlement/03 §4, settlement/05 §4).

A block is carried out on an overlay of its own above its parent's, so that blocks in flight know nothing of each other
and a rejected one leaves nothing. Accepting commits the overlay, the block and the new tip in one transaction of the
store: after a crash the state is that of the last accepted block.

In each block first the tasks that are due are settled, then its transactions are carried out, each of which must
succeed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from pygenvm.settlement.blocks.pool import Pool
from pygenvm.settlement.blocks.transactions import ImportIntent, Transaction, carry_out, parse
from pygenvm.settlement.blocks.view import ChainView, Genesis, nonce_in
from pygenvm.settlement.codec import wire
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.codec.wire import Block
from pygenvm.settlement.codec.zap import ZapError
from pygenvm.settlement.engine import ledger
from pygenvm.settlement.engine.engine import Engine
from pygenvm.settlement.engine.tasks import CommitmentVerifier, admit_nothing
from pygenvm.settlement.state import keys
from pygenvm.settlement.state.staging import Staging
from pygenvm.settlement.state.state import State
from pygenvm.settlement.state.store import Store
from pygenvm.settlement.types.block_errors import BlockError, BlockRefusal
from pygenvm.settlement.types.errors import QuorumError, Refusal
from pygenvm.settlement.types.words import ZERO, Address, Hash, u64

BLOCK_BYTES_MAX: Final = 2 << 20
#: So far a block's time may be ahead of ours.
SKEW_NS: Final = 60 * 1_000_000_000
#: Blocks that are verified and neither accepted nor rejected.
VERIFIED_MAX: Final = 64
#: Of the object, the header, lengths and alignment of a block with transactions.
_FRAME_BYTES: Final = 256

#: What may go well in a later block.
_WAITING: Final = frozenset(
    {
        Refusal.ErrRevealNotOpen,
        Refusal.ErrSettleTooEarly,
        Refusal.ErrCooldownActive,
        Refusal.ErrNotEnoughEligible,
        Refusal.ErrEligibleBelowMargin,
        Refusal.ErrInsufficientFunds,
        Refusal.ErrIntentNotCommitted,
    }
)


class Built(NamedTuple):
    block: Block
    #: Transactions that the pool has given up, and why.
    refused: list[tuple[Transaction, QuorumError]]


class _Verified(NamedTuple):
    block: Block
    staging: Staging
    senders: frozenset[Address]


class Chain(ChainView):
    """Blocks from a genesis on. ``ErrGenesisDiffers`` for a store that holds another chain.

    :param verifier: tells whether the C side has committed to an intent; all nodes must find the same.
    :param clock: nanoseconds of Unix time.
    """

    def __init__(
        self,
        store: Store,
        genesis: Genesis,
        *,
        verifier: CommitmentVerifier = admit_nothing,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        _begin(store, genesis)
        super().__init__(store)
        self._verifier = verifier
        self._clock = clock
        self._pool = Pool()
        self._verified: dict[Hash, _Verified] = {}

    @property
    def waiting(self) -> int:
        """Transactions in the pool."""
        return len(self._pool)

    def next_nonce(self, account: Address, nonce: int) -> int:
        """Of a transaction that is to follow those that wait, from the account's next one on.

        Only this may be asked in another thread: the pool looks into a dictionary.
        """
        return self._pool.next_nonce(account, nonce)

    def block(self, block_id: Hash) -> Block | None:
        """A verified or accepted block."""
        verified = self._verified.get(block_id)
        return super().block(block_id) if verified is None else verified.block

    # --- transactions ---

    def submit(self, data: bytes) -> Transaction:
        """Takes a transaction into the pool if it is one, is its sender's, and is not outdated."""
        transaction = parse(data)
        transaction.check(self.a_chain_id)
        if transaction.nonce < self.nonce(transaction.sender):
            raise BlockError(BlockRefusal.ErrTransactionNonce)
        if not self._has_something(transaction.sender):
            # Keys cost nothing, and the pool has room for so many transactions only.
            raise BlockError(BlockRefusal.ErrTransactionSender)
        self._pool.add(transaction, self._tip.height)
        return transaction

    def _has_something(self, account: Address) -> bool:
        engine = self.engine()
        return bool(engine.balance(account) or engine.credit(account)) or engine.operator(account).exists

    # --- blocks ---

    def build(self) -> Built:
        """A block after the last accepted one with what waits and can be carried out; it counts as verified."""
        parent, staging = self._tip, Staging(self._store)
        height, engine = parent.height + 1, self._engine(staging)
        engine.settle_due(height)
        included: list[Transaction] = []
        refused: list[tuple[Transaction, QuorumError]] = []
        size = _FRAME_BYTES
        for transaction in self._pool.ready(lambda sender: nonce_in(staging, sender)):
            grown = size + _size_in_block(transaction)
            if grown > BLOCK_BYTES_MAX:
                break
            try:
                _apply(engine, staging, transaction, height)
            except QuorumError as error:
                if error.refusal not in _WAITING:
                    refused.append((transaction, error))
                continue
            included.append(transaction)
            size = grown
        for transaction, _ in refused:
            self._pool.drop(transaction)
        block = Block(
            parent=parent.id,
            height=height,
            timestamp=max(self._clock(), parent.timestamp),
            receipt_root=engine.receipt_root(),
            intents=_intents(included),
            transactions=tuple(transaction.encode() for transaction in included),
        )
        self._keep(block, staging, included)
        return Built(block, refused)

    def parse(self, data: bytes) -> Block:
        """``ErrBlockMalformed`` or ``ErrBlockTooLarge`` for bytes that are no block."""
        if len(data) > BLOCK_BYTES_MAX:
            raise BlockError(BlockRefusal.ErrBlockTooLarge)
        try:
            return wire.parse_block(data)
        except (ZapError, ValueError) as error:
            raise BlockError(BlockRefusal.ErrBlockMalformed, str(error)) from error

    def verify(self, block: Block) -> None:
        """Carries a block out on an overlay, and keeps that until the block is accepted or rejected.

        Raises ``BlockError``, or ``QuorumError`` with ``ErrReceiptRootMismatch`` for a block that lies about its root.
        """
        if block.id in self._verified:
            return
        parent, below = self._parent(block)
        if block.height != parent.height + 1:
            raise BlockError(BlockRefusal.ErrBlockHeight)
        if not parent.timestamp <= block.timestamp <= self._clock() + SKEW_NS:
            raise BlockError(BlockRefusal.ErrBlockTime)
        if len(block.encode()) > BLOCK_BYTES_MAX:
            raise BlockError(BlockRefusal.ErrBlockTooLarge)
        if block.tasks or block.results or block.registrations or block.merkle_root != ZERO:
            raise BlockError(BlockRefusal.ErrBlockContent)
        transactions = [parse(data) for data in block.transactions]
        if block.intents != _intents(transactions):
            raise BlockError(BlockRefusal.ErrBlockIntents)

        staging = Staging(below)
        engine = self._engine(staging)
        engine.settle_due(block.height)
        for transaction in transactions:
            transaction.check(self.a_chain_id)
            try:
                _apply(engine, staging, transaction, block.height)
            except QuorumError as error:
                raise BlockError(BlockRefusal.ErrBlockTransaction, str(error)) from error
        if engine.receipt_root() != block.receipt_root:
            raise QuorumError(Refusal.ErrReceiptRootMismatch)
        self._keep(block, staging, transactions)

    def accept(self, block_id: Hash) -> list[Transaction]:
        """Commits a verified block after the last accepted one. With a ``StoreError`` it may be tried again.

        Verified blocks that do not follow it are dropped. Gives the transactions that have waited for too long now.
        """
        verified = self._verified.get(block_id)
        if verified is None:
            raise BlockError(BlockRefusal.ErrBlockNotVerified)
        block, staging, senders = verified
        if block.parent != self._tip.id:
            raise BlockError(BlockRefusal.ErrBlockNotNext)
        _note_accepted(staging, block)
        staging.commit()
        self._tip = block
        del self._verified[block_id]
        for sender in senders:
            self._pool.prune(sender, self.nonce(sender))
        expired = self._pool.expire(block.height)
        kept = self._descendants(block_id)
        self._verified = {one: self._verified[one] for one in kept}
        for one in self._verified.values():
            if one.block.parent == block_id:
                one.staging.rebase(self._store)
        return expired

    def reject(self, block_id: Hash) -> None:
        """Forgets a verified block and those after it; its transactions are still in the pool."""
        if block_id not in self._verified:
            raise BlockError(BlockRefusal.ErrBlockNotVerified)
        for one in [block_id, *self._descendants(block_id)]:
            del self._verified[one]

    # --- inside ---

    def _keep(self, block: Block, staging: Staging, transactions: list[Transaction]) -> None:
        if len(self._verified) >= VERIFIED_MAX:
            raise BlockError(BlockRefusal.ErrBlocksUndecided)
        senders = frozenset(transaction.sender for transaction in transactions)
        self._verified[block.id] = _Verified(block, staging, senders)

    def _parent(self, block: Block) -> tuple[Block, Store | Staging]:
        if block.parent == self._tip.id:
            return self._tip, self._store
        if (verified := self._verified.get(block.parent)) is not None:
            return verified.block, verified.staging
        if self._store.read(block.id) is not None:
            raise BlockError(BlockRefusal.ErrBlockKnown)
        raise BlockError(BlockRefusal.ErrBlockParent)

    def _descendants(self, block_id: Hash) -> list[Hash]:
        """In an order in which parents come first."""
        found = [block_id]
        for one in found:
            found += [child for child, verified in self._verified.items() if verified.block.parent == one]
        return found[1:]


def _apply(engine: Engine, staging: Staging, transaction: Transaction, height: int) -> None:
    if transaction.nonce != nonce_in(staging, transaction.sender):
        raise BlockError(BlockRefusal.ErrTransactionNonce)
    carry_out(engine, transaction.sender, transaction.call, height)
    staging.write(keys.nonce(transaction.sender), u64(transaction.nonce + 1))


def _intents(transactions: list[Transaction]) -> tuple[Intent, ...]:
    return tuple(one.call.intent for one in transactions if isinstance(one.call, ImportIntent))


def _size_in_block(transaction: Transaction) -> int:
    """Its bytes and their length, and for an intent those of its copy in the block's list."""
    copied = len(wire.encode_intent(transaction.call.intent)) + 4 if isinstance(transaction.call, ImportIntent) else 0
    return len(transaction.encode()) + 4 + copied


def _begin(store: Store, genesis: Genesis) -> None:
    """Writes the genesis into a store without a chain, and sees to it that another store has this one."""
    found = store.read(keys.GENESIS)
    if found is None:
        staging = Staging(store)
        staging.write(keys.GENESIS, genesis.encode())
        ledger.fund(State(staging), genesis.balances)
        _note_accepted(staging, genesis.block())
        staging.commit()
    elif found != genesis.encode():
        raise BlockError(BlockRefusal.ErrGenesisDiffers)


def _note_accepted(staging: Staging, block: Block) -> None:
    staging.write(block.id, block.encode())
    staging.write(keys.block_at(block.height), block.id)
    staging.write(keys.TIP, block.id)
