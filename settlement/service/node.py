"""The chain of a service: one thread writes it, readers look at snapshots, and who listens is told.

The writing thread has the pool and the store's connection for writing. Nobody else touches them, so that a block that
takes long holds up other writers, and no reader.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pygenvm.modules.log import Logger
from pygenvm.settlement.blocks.chain import Chain
from pygenvm.settlement.blocks.transactions import ImportIntent, Settle, Transaction, parse
from pygenvm.settlement.blocks.view import ChainView, Genesis
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.codec.wire import Block
from pygenvm.settlement.engine.tasks import CommitmentVerifier
from pygenvm.settlement.service import forms, limits
from pygenvm.settlement.service.feed import Feed
from pygenvm.settlement.service.prompts import Prompts
from pygenvm.settlement.state import keys
from pygenvm.settlement.state.opening import open_store
from pygenvm.settlement.state.snapshots import Snapshots, open_snapshots
from pygenvm.settlement.state.staging import Staging
from pygenvm.settlement.state.store import Store, StoreConflict, StoreError
from pygenvm.settlement.types.block_errors import BlockError, BlockRefusal
from pygenvm.settlement.types.constants import REQUEST_FEE_PER_OPERATOR
from pygenvm.settlement.types.errors import QuorumError, Refusal
from pygenvm.settlement.types.words import Address, Hash, u64

T = TypeVar("T")

LOG_TARGET: Final = "genvm_settlement::node"


def signed_is_committed(intent: Intent) -> None:
    """The commitment verifier of a chain without a C side: its caller has signed the transaction, which is enough."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a transaction; heights and refusals where there are some."""

    status: str
    height: int | None = None
    name: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A block that was accepted, in the forms in which it is told."""

    block: Block
    included: list[Transaction]
    refused: list[tuple[Transaction, QuorumError | BlockError]]
    tasks: list[dict[str, object]] = field(default_factory=list)
    settled: list[dict[str, object]] = field(default_factory=list)


class Node:
    """:param state: an SQLite file, or ``postgresql://…``."""

    def __init__(
        self, state: str, genesis: Genesis, prompts: Prompts, *, verifier: CommitmentVerifier, log: Logger
    ) -> None:
        self._state = state
        self._genesis = genesis
        self._verifier = verifier
        self._log = log
        self._writer = ThreadPoolExecutor(1, "writer")
        self._readers: asyncio.Queue[_Reader] = asyncio.Queue()
        self._all_readers: list[_Reader] = []
        self._store: Store | None = None
        self._chain: Chain | None = None
        self._making: set[asyncio.Task[Made]] = set()
        self._observers: list[Callable[[Made], None]] = []
        self._outcomes: OrderedDict[Hash, Outcome] = OrderedDict()
        self.prompts = prompts
        self.chain_id = genesis.a_chain_id
        self.feed = Feed()
        self.height = 0
        self.waiting = 0
        #: Whether the last attempt at a block came to nothing.
        self.failing = False
        #: Set once nothing can be written any more; the text says why.
        self.broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """:raises StoreError: the state cannot be opened.
        :raises BlockError: it is another chain's.
        """
        await self._write(self._open)
        for _ in range(limits.READERS):
            reader = _Reader(self._state)
            self._all_readers.append(reader)
            await reader.open()
            self._readers.put_nowait(reader)

    async def close(self) -> None:
        await asyncio.gather(*self._making, return_exceptions=True)
        self.feed.close()
        for reader in self._all_readers:
            await reader.close()
        await self._write(self._close)
        self._writer.shutdown()

    def observe(self, observer: Callable[[Made], None]) -> None:
        """``observer`` is told of each block that was accepted."""
        self._observers.append(observer)

    # --- readers ---

    async def read(self, question: Callable[[ChainView], T]) -> T:
        """The answer to a question about one accepted state; it is asked in a thread of readers."""
        reader = await self._readers.get()
        try:
            return await reader.ask(question)
        finally:
            self._readers.put_nowait(reader)

    def outcome(self, transaction_id: Hash) -> Outcome | None:
        """None for a transaction that nobody knows of (any more)."""
        return self._outcomes.get(transaction_id)

    def next_nonce(self, account: Address, nonce: int) -> int:
        return self._running_chain.next_nonce(account, nonce)

    # --- writers ---

    async def submit(self, data: bytes, prompt: bytes | None) -> Transaction:
        """Into the pool.

        :param prompt: of the intent that it imports.
        :raises BlockError: it is refused; ``QuorumError`` for a prompt whose task the sender cannot pay.
        """

        def take() -> tuple[Transaction, int]:
            chain = self._running_chain
            if prompt is not None:
                _check_payable(chain, parse(data))
            taken = chain.submit(data)
            if prompt is not None:
                self.prompts.offer(prompt)
            return taken, chain.waiting

        transaction, self.waiting = await self._write(take)
        self._remember(transaction.id, Outcome("waiting"))
        return transaction

    async def make_block(self) -> Made:
        """Builds the next block of what waits, accepts it, and tells who listens, also if whoever asked goes away.

        :raises StoreError: it could not be written, and is not accepted.
        """
        making = asyncio.create_task(self._make_and_tell())
        self._making.add(making)
        making.add_done_callback(self._making.discard)
        return await asyncio.shield(making)

    async def _make_and_tell(self) -> Made:
        try:
            made, self.waiting = await self._write(self._make_block)
        except Exception as error:
            self.failing = True
            if isinstance(error, StoreConflict) and not self.broken.done():
                self.broken.set_result(str(error))
            raise
        self.failing = False
        self.height = made.block.height
        for transaction in made.included:
            self._remember(transaction.id, Outcome("included", made.block.height))
        for transaction, refusal in made.refused:
            self._remember(transaction.id, Outcome("refused", made.block.height, refusal.name, str(refusal)))
        for observer in self._observers:
            observer(made)
        self._tell(made)
        return made

    async def make_blocks(self, seconds: float) -> None:
        """One every so many seconds, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            # What was late is not made up for: heights are what windows are counted in.
            due = max(due + seconds, loop.time())
            try:
                await self.make_block()
            except StoreConflict:
                return
            except StoreError as error:
                self._log.error("no block could be written", error=error)
            except Exception as error:
                # Without blocks nothing happens any more, and whoever has committed cannot reveal.
                self._log.error("no block could be made", error=error)

    # --- the writing thread ---

    async def _write(self, work: Callable[[], T]) -> T:
        """Whoever asked may go away; what has begun ends."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._writer, work))

    def _open(self) -> None:
        self._store = open_store(self._state)
        try:
            self._chain = Chain(self._store, self._genesis, verifier=self._verifier)
        except BaseException:
            self._store.close()
            self._store = None
            raise
        self.height = self._chain.tip.height

    def _close(self) -> None:
        self._chain = None
        if self._store is not None:
            self._store.close()
            self._store = None

    @property
    def _running_chain(self) -> Chain:
        if self._chain is None:
            raise StoreError("the service is ending")
        return self._chain

    def _make_block(self) -> tuple[Made, int]:
        chain, store = self._running_chain, self._store
        assert store is not None
        due = list(Staging(store).items(keys.DUE + u64(chain.tip.height + 1)))
        block, refused = chain.build()
        included = [parse(data) for data in block.transactions]
        try:
            for transaction in included:
                if isinstance(transaction.call, ImportIntent):
                    self.prompts.keep(transaction.call.intent.prompt_hash)
            expired = chain.accept(block.id)
        except BaseException:
            chain.reject(block.id)
            raise
        engine = chain.engine()
        settled = [Hash(task) for _, task in due]
        settled += [one.call.task_id for one in included if isinstance(one.call, Settle)]
        born = [
            engine.task_for_intent(one.call.intent.intent_id) for one in included if isinstance(one.call, ImportIntent)
        ]
        outdated = BlockError(BlockRefusal.ErrTransactionExpired)
        made = Made(
            block,
            included,
            [*refused, *((transaction, outdated) for transaction in expired)],
            [forms.task(engine, engine.task(task)) for task in born],
            [forms.task(engine, engine.task(task)) for task in settled],
        )
        return made, chain.waiting

    # --- what is told ---

    def _tell(self, made: Made) -> None:
        for task in made.tasks:
            self.feed.tell("task", task)
        for task in made.settled:
            self.feed.tell("settled", task)
        for transaction, refusal in made.refused:
            told = {"id": forms.hexed(transaction.id), "sender": forms.hexed(transaction.sender)}
            self.feed.tell("refused", {**told, "name": refusal.name, "error": str(refusal)})
        block = made.block
        told_block: dict[str, object] = {
            "height": block.height,
            "id": forms.hexed(block.id),
            "timestamp": block.timestamp,
            "receiptRoot": forms.hexed(block.receipt_root),
            "transactions": [forms.hexed(one.id) for one in made.included],
        }
        # Last: who has heard of a block has heard of all that was in it.
        self.feed.tell("block", told_block)

    def _remember(self, transaction_id: Hash, outcome: Outcome) -> None:
        self._outcomes[transaction_id] = outcome
        self._outcomes.move_to_end(transaction_id)
        while len(self._outcomes) > limits.OUTCOMES:
            self._outcomes.popitem(last=False)


def _check_payable(chain: Chain, transaction: Transaction) -> None:
    """A prompt takes the place of others that wait, so it must not be for nothing."""
    if isinstance(transaction.call, ImportIntent):
        intent = transaction.call.intent
        cost = intent.n * (REQUEST_FEE_PER_OPERATOR + (intent.reward or 0))
        if chain.engine().balance(transaction.sender) < cost:
            raise QuorumError(Refusal.ErrInsufficientFunds)


class _Reader:
    """A thread with a connection of its own, which databases want."""

    def __init__(self, state: str) -> None:
        self._state = state
        self._thread = ThreadPoolExecutor(1, "reader")
        self._store: Snapshots | None = None

    async def open(self) -> None:
        def opened() -> None:
            self._store = open_snapshots(self._state)

        await self._run(opened)

    async def close(self) -> None:
        def closed() -> None:
            if self._store is not None:
                self._store.close()

        with contextlib.suppress(RuntimeError):
            await self._run(closed)
        self._thread.shutdown()

    async def ask(self, question: Callable[[ChainView], T]) -> T:
        def answered() -> T:
            store = self._store
            assert store is not None
            with store.snapshot():
                return question(ChainView(store))

        return await self._run(answered)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))
