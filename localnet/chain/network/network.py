"""A network that lives as long as a server: transactions go through consensus, are accepted, and become final.

One process has the file at a time. Everything that is acknowledged is on the disk, and what a killed process had begun
is begun again by the next one.

* Each contract has a queue of its own, a task that takes one transaction after the other; those of different contracts
  run at the same time. A run sees what was committed when it began (:mod:`localnet.chain.network.view`). If something
  that it has read was changed meanwhile, it is repeated; the fourth time those wait that would change it again.
* Who writes hands a function to one task, which carries out all that wait in one transaction of the database.
* PROPOSING, COMMITTING and REVEALING are only in memory, but for appeals, which are COMMITTING in the database too.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import secrets
import tempfile
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

from pygenvm.executor.host_protocol.host import Host
from pygenvm.executor.limits import CONTRACT_FILE_BYTES
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.primitives.keccak import Keccak256
from pygenvm.executor.spawn.output import Captured
from pygenvm.localnet import limits
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.consensus import LEADER
from pygenvm.localnet.chain.database import Database, Session, StateView, check_path, in_thread
from pygenvm.localnet.chain.model import AccountInfo, ContractInfo, Kind, Node, Receipt, Status, Transaction
from pygenvm.localnet.chain.network.errors import ContractNotFound, TooLarge, ValidatorNotFound, WrongStatus
from pygenvm.localnet.chain.network.hub import Hub, Listener
from pygenvm.localnet.chain.network.rounds import Consensus, draw, node_receipt
from pygenvm.localnet.chain.network.rows import model_to_json, to_json
from pygenvm.localnet.chain.network.settlements import Settlements
from pygenvm.localnet.chain.network.store import (
    Conflict,
    Decision,
    Gone,
    Moment,
    NetworkStore,
    Note,
    NoteKind,
    QueueLimits,
    Row,
)
from pygenvm.localnet.chain.network.types import (
    Block,
    EventKind,
    Model,
    NetworkOptions,
    NetworkTransaction,
    NodeMode,
    NodeReceipt,
    NodeTrace,
    Provider,
    Round,
    RoundLabel,
    RoundResult,
    StatusChange,
    Submission,
    TimeState,
    Trace,
    TxKind,
    TxMode,
    TxStatus,
    Validator,
    Variant,
    VirtualValidator,
)
from pygenvm.localnet.chain.network.view import Earlier, NetworkView
from pygenvm.localnet.chain.overlay import Overlay
from pygenvm.localnet.chain.runs import VIEW_PERMISSIONS, Runs
from pygenvm.localnet.chain.state import StateDump, raw_slots, read_state
from pygenvm.localnet.chain.store import Store
from pygenvm.localnet.chain.transactions import execute
from pygenvm.localnet.errors import BadValue, DatabaseError, ExecutorError
from pygenvm.localnet.executors.base import Executor, RunReport, RunRequest
from pygenvm.localnet.schema import SchemaDocument, schema_of_code, schema_of_contract

T = TypeVar("T")

_ZERO = Address(bytes(20))
_U256 = 1 << 256


class Network:
    """The network in the file ``path``, for any number of coroutines of one event loop. ::

    async with Network("local.db", executor=executor) as network:
        id = await network.submit(Submission(TxKind.DEPLOY, sender, code=code))
        transaction = await network.wait(id)
    """

    def __init__(
        self,
        path: Path | str,
        *,
        executor: Executor,
        options: NetworkOptions | None = None,
        models: Models | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_error: Callable[[str], None] = lambda _: None,
    ) -> None:
        """
        :param executor: runs contracts; it is not closed by the network.
        :param models: who answers the executors of each validator; by default all have the same modules.
        :param clock: the wall clock.
        :param on_error: told of what goes wrong inside, for a log.
        """
        self._path = Path(path)
        self._options = options or NetworkOptions()
        self._models = models or SameModels()
        self._clock = clock
        self._on_error = on_error
        self._runs = Runs(
            _Bounded(executor),
            self._options.timeout,
            self.now,
            Node(LEADER, "0x"),
            None,
            False,
            chain_id=self._options.chain_id,
        )
        self._hub = Hub()
        self._stack = contextlib.AsyncExitStack()
        self._closed = False
        self._session: Session
        self._offset = timedelta()
        self._window = self._options.finality_window
        self._validators: list[Validator] = []
        self._electable = asyncio.Event()
        self._mocks: tuple[Any, Any, bool] = ({}, {}, False)
        self._tasks: list[asyncio.Task[None]] = []
        self._workers: dict[Address, asyncio.Task[None]] = {}
        #: How often a contract has got something to do.
        self._calls: dict[Address, int] = {}
        #: What a transaction has come to since it is executed.
        self._live: dict[int, list[StatusChange]] = {}
        self._views: set[NetworkView] = set()
        self._writes: list[tuple[Callable[[NetworkStore], Any], asyncio.Future[Any]]] = []
        self._something_to_write = asyncio.Event()
        self._finality = asyncio.Event()
        self._forgotten = 0.0
        self._signals: weakref.WeakValueDictionary[bytes, asyncio.Event] = weakref.WeakValueDictionary()
        #: Snapshots are made, restored and removed one after the other.
        self._changing = asyncio.Lock()
        #: One transaction at a time may keep others from changing what it reads.
        self._holding = asyncio.Lock()
        self._held: frozenset[Address] = frozenset()
        self._holder: asyncio.Task[Any] | None = None
        self._released = asyncio.Event()
        self._settlements = Settlements(self._path, self.ask, self._write, self._settled, on_error)

    async def start(self) -> None:
        """Opens the file, or makes one, and goes on with what is not finished.

        :raises DatabaseError: another process has it, or it is not a network's.
        """
        check_path(self._path)
        database = Database(
            self._path, lock_seconds=self._options.lock_seconds, durable=self._options.durable, store=NetworkStore
        )
        self._session = await self._stack.enter_async_context(database.writing())
        try:
            await self._session.replace(self._open)
        except BaseException:
            await self._stack.aclose()
            raise
        self._offset = timedelta(seconds=await self.ask(lambda store: store.get("offset", 0.0)))
        self._window = await self.ask(lambda store: store.get("window", 0.0))
        await self._load_validators()
        self._tasks = [
            asyncio.create_task(work()) for work in (self._write_all, self._finalize_all, self._settlements.work)
        ]
        for contract in await self.ask(NetworkStore.waiting):
            self._wake(contract)

    async def close(self) -> None:
        """Ends all runs; what they were for is begun again by the next :meth:`start`."""
        if self._closed:
            return
        self._closed = True
        await self._stop_workers()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _, future in self._writes:
            future.cancel()
        self._hub.close()
        await self._stack.aclose()

    async def __aenter__(self) -> Network:
        await self.start()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def chain_id(self) -> int:
        """What contracts are told, and addresses are made with."""
        return self._options.chain_id

    # --- transactions -----------------------------------------------------------------------------

    async def submit(self, submission: Submission) -> bytes:
        """Takes a transaction, and gives its id once it is on the disk. The same id again changes nothing.

        A transfer to an account has happened when this returns; all else is executed in the order of its contract.

        :raises InsufficientFunds, NonceTooLow, TooLarge, QueueFull, BadValue: it is refused; nothing was stored.
        """
        submission = _checked(submission)
        moment = self.moment()
        return await self._write(lambda store: store.submit(submission, submission.id, moment, _QUEUE_LIMITS))

    async def transaction(self, id: bytes) -> NetworkTransaction:
        """:raises TransactionNotFound: there is none."""
        return await self.ask(lambda store: self._built(store, store.find(id)))

    async def transactions_of(self, address: Address, count: int = 100) -> list[NetworkTransaction]:
        """Of which it is sender or recipient, newest first."""

        def find(store: NetworkStore) -> list[NetworkTransaction]:
            where = "sender = ?1 OR recipient = ?1 ORDER BY seq DESC"
            return [self._built(store, row) for row in store.rows(where, address.as_bytes, limit=count)]

        return await self.ask_long(find)

    async def recent(self, count: int = 50, before: int | None = None) -> list[NetworkTransaction]:
        """The newest first; ``before`` is the ``seq`` of the last one seen."""

        def find(store: NetworkStore) -> list[NetworkTransaction]:
            rows = store.rows("seq < ? ORDER BY seq DESC", 1 << 62 if before is None else before, limit=count)
            return [self._built(store, row) for row in rows]

        return await self.ask_long(find)

    async def wait(
        self, id: bytes, *, status: TxStatus | None = None, timeout: float | None = None
    ) -> NetworkTransaction:
        """The transaction once it is decided, or has ``status``.

        :raises TransactionNotFound: there is none.
        :raises TimeoutError: not within so many seconds.
        """
        async with asyncio.timeout(timeout):
            while True:
                signal = self._signals.get(id)
                if signal is None:
                    signal = self._signals[id] = asyncio.Event()
                transaction = await self.transaction(id)
                if transaction.status is status or (status is None and transaction.status.decided):
                    return transaction
                await signal.wait()

    async def appeal(self, id: bytes) -> bool:
        """Asks for another opinion; the status has changed when this returns. False: it cannot be appealed now.

        :raises TransactionNotFound: there is none.
        """
        moment = self.moment()
        return await self._write(lambda store: store.appeal(id, moment))

    async def finalize(self, id: bytes) -> bool:
        """Ends its finality window now, and those before it of its contract. False: not decided, or final already.

        :raises TransactionNotFound: there is none.
        """
        moment = self.moment()
        return await self._write(lambda store: store.finalize_now(id, moment))

    async def cancel(self, id: bytes) -> None:
        """Takes back what nobody has begun to execute; its value goes back to the sender.

        :raises TransactionNotFound: there is none.
        :raises WrongStatus: it is not PENDING.
        """
        moment = self.moment()

        def cancel(store: NetworkStore) -> None:
            row = store.find(id)
            if row.seq in self._live:
                raise WrongStatus("the transaction is being executed", status=self._live[row.seq][-1].status)
            store.cancel(id, moment)

        await self._write(cancel)

    async def set_status(self, id: bytes, status: TxStatus) -> NetworkTransaction:
        """What ``sim_updateTransactionStatus`` asks for: FINALIZED ends the window, CANCELED cancels, PENDING executes
        once more what is not final.

        :raises TransactionNotFound: there is none.
        :raises WrongStatus: nothing leads from its status to that one.
        """
        moment = self.moment()
        match status:
            case TxStatus.FINALIZED:
                changed = await self.finalize(id)
            case TxStatus.CANCELED:
                await self.cancel(id)
                changed = True
            case TxStatus.PENDING:
                await self._write(lambda store: store.execute_again(id, moment))
                changed = True
            case _:
                changed = False
        transaction = await self.transaction(id)
        if not changed and transaction.status is not status:
            raise WrongStatus(f"the transaction is {transaction.status}, it cannot be made {status}", status=status)
        return transaction

    async def trace(self, id: bytes, round: int = 0) -> Trace | None:
        """What nodes printed and logged in a round; None: it has no such round (yet).

        :raises TransactionNotFound: there is none.
        """
        found = await self.ask(lambda store: store.round(store.find(id).seq, round))
        if found is None:
            return None
        nodes = ([found.leader] if found.leader else []) + list(found.validators)
        return Trace(id, round, found.label, tuple(_traced(node) for node in nodes))

    async def settlement_receipt(self, intent_id: bytes) -> bytes | None:
        """The document of a settled round, for ``genvm receipt verify``; None: it is not settled."""
        return await self._settlements.document(intent_id)

    # --- accounts ---------------------------------------------------------------------------------

    async def nonce(self, address: Address) -> int:
        """The next nonce of an account: pending transactions count."""
        return await self.ask(lambda store: store.nonce(address))

    async def received(self, address: Address) -> int:
        """How many transactions to a contract there are (``gen_getContractNonce``)."""
        return await self.ask(lambda store: store.received(address))

    async def balance(self, address: Address) -> int:
        """What it may spend: values of its pending transactions are gone already."""
        return await self.ask(lambda store: store.balance(address))

    async def fund(self, address: Address, amount: int) -> bytes:
        """Makes value out of nothing; the id of a transaction that is there and final.

        :raises BadValue: all balances together would not fit 256 bits.
        """
        moment = self.moment()
        return await self._write(lambda store: store.fund(address, amount, moment))

    async def accounts(self) -> list[AccountInfo]:
        """The named accounts, contracts, and every other address with a balance."""
        return await self.ask_long(Store.accounts)

    # --- blocks -----------------------------------------------------------------------------------

    async def block_number(self) -> int:
        """The newest block's; it moves with every submission, every decision and every second."""
        return await self.ask(lambda store: store.height(self._clock())[0])

    async def block(self, which: int | bytes | None = None) -> Block | None:
        """By number or hash, the newest by default; None: there is none. A transaction's id gives its block."""

        def find(store: NetworkStore) -> Block | None:
            wall = self._clock()
            if isinstance(which, bytes):
                return store.block_of(which, wall)
            return store.block(store.height(wall)[0] if which is None else which, wall)

        return await self.ask(find)

    # --- contracts --------------------------------------------------------------------------------

    async def read(
        self,
        contract: Address,
        calldata: bytes,
        *,
        sender: Address = _ZERO,
        origin: Address | None = None,
        variant: Variant = Variant.ACCEPTED,
        datetime: datetime | None = None,
        virtual: Sequence[VirtualValidator] = (),
        permissions: str = VIEW_PERMISSIONS,
        sync: bool = False,
    ) -> Receipt:
        """Calls a contract without effect.

        :raises ContractNotFound: there is none.
        """
        _check_size(calldata)
        validator = self._one_of(virtual)
        transaction = Transaction(Kind.VIEW, sender, origin or sender, contract, 0, calldata)
        async with self._view(final=variant is Variant.FINALIZED) as view, self._using(virtual, [validator]):
            await self._existing(view, contract)
            runs = dataclasses.replace(
                self._runs, node=Node(LEADER, str(validator.address)), clock=self._told(datetime)
            )
            return await runs.read(view, Overlay(view), transaction, permissions=permissions, sync=sync)

    async def simulate(
        self,
        submission: Submission,
        *,
        variant: Variant = Variant.ACCEPTED,
    ) -> NodeReceipt:
        """What a leader would find in a transaction now; nothing is kept. The sender need not have the value.

        :raises ContractNotFound: there is none.
        """
        submission = _checked(submission)
        validator = self._one_of(submission.virtual)
        is_deploy = submission.kind is TxKind.DEPLOY
        async with (
            self._view(final=variant is Variant.FINALIZED) as view,
            self._using(submission.virtual, [validator]),
        ):
            contract = submission.recipient
            if is_deploy:
                nonce = submission.nonce if submission.nonce is not None else await self.nonce(submission.sender)
                contract = accounts.contract_address(
                    submission.sender, salt=submission.salt, nonce=nonce, chain_id=self.chain_id
                )
            else:
                await self._existing(view, contract)
            kind = Kind.DEPLOY if is_deploy else Kind.CALL
            transaction = Transaction(
                kind,
                submission.sender,
                submission.sender,
                contract,
                submission.value,
                submission.calldata,
                code=submission.code if is_deploy else b"",
            )
            runs = dataclasses.replace(self._runs, node=Node(LEADER, str(validator.address)))
            identity = (bytes(32), self._told(submission.datetime)().strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
            executed = await execute(runs, view, transaction, identity, queued=0)
        pages = executed.changes.pages if executed.changes and executed.receipt.ok else {}
        written = {(slot, page): data for (_, slot, page), data in pages.items()}
        return node_receipt(validator, NodeMode.LEADER, executed.receipt, pages=written)

    async def schema(self, contract: Address) -> SchemaDocument:
        """:raises ContractNotFound: there is none. :raises NoSchema: it gives none."""
        return await schema_of_contract(self, contract)

    async def schema_of_code(self, code: bytes) -> SchemaDocument:
        """:raises NoSchema: it gives none."""
        return await schema_of_code(self, code)

    async def contract(self, address: Address) -> ContractInfo | None:
        """The contract at an address, once it is accepted."""
        return await self.ask(lambda store: store.contract(address))

    async def contracts(self) -> list[ContractInfo]:
        """All contracts in order of deployment."""
        return await self.ask(Store.contracts)

    async def code(self, contract: Address) -> bytes:
        """:raises ContractNotFound: there is none."""

        def find(store: NetworkStore) -> bytes:
            _contract(store, contract)
            return Overlay(store).code(contract)

        return await self.ask_long(find)

    async def state(self, contract: Address, variant: Variant = Variant.ACCEPTED) -> StateDump:
        """The storage of a contract, decoded.

        :raises ContractNotFound: there is none.
        """
        async with self._view(final=variant is Variant.FINALIZED) as view:
            return await read_state(self._runs, self._session, view, await self._existing(view, contract))

    async def slots(self, contract: Address, variant: Variant = Variant.ACCEPTED) -> dict[bytes, bytes]:
        """Written slots, raw and bounded (``contract_state`` of receipts).

        :raises ContractNotFound: there is none.
        """
        async with self._view(final=variant is Variant.FINALIZED) as view:
            await self._existing(view, contract)
            found = await self.ask_long(lambda store: raw_slots(store, view, contract))
        return {slot.slot: slot.data for slot in found}

    async def upgrade(self, contract: Address, code: bytes, *, sender: Address | None = None) -> bytes:
        """Replaces the code in the order of the contract's transactions; the id of the transaction that does it.

        :param sender: the contract's deployer by default.
        :raises ContractNotFound: there is none.
        """
        _check_code(code)
        if not await self.ask(lambda store: store.contract(contract)):
            raise ContractNotFound(str(contract))
        if sender is None:
            sender = await self.deployer(contract) or _ZERO
        submission = Submission(TxKind.UPGRADE, sender, contract, code=code)
        moment = self.moment()
        return await self._write(lambda store: store.submit_upgrade(submission, moment, _QUEUE_LIMITS))

    async def deployer(self, contract: Address) -> Address | None:
        """The sender of its deployment, whose signature an upgrade needs; None: unknown."""

        def find(store: NetworkStore) -> Address | None:
            rows = store.rows("recipient = ? AND kind = 1 ORDER BY seq DESC", contract.as_bytes, limit=1)
            return rows[0].sender if rows else store.deployer(contract)

        return await self.ask(find)

    # --- validators and models --------------------------------------------------------------------

    async def validators(self) -> list[Validator]:
        """In order of creation."""
        return list(self._validators)

    async def validator(self, address: Address) -> Validator:
        """:raises ValidatorNotFound: there is none."""
        for validator in self._validators:
            if validator.address == address:
                return validator
        raise ValidatorNotFound(f"Validator {address!s} not found")

    async def create_validator(self, stake: int, model: Model) -> Validator:
        """:raises BadValue: impossible stake or model, or too many validators."""
        _check_stake(stake)
        _check_model(model)
        (created,) = await self._create([(stake, model)])
        return created

    async def create_random_validators(
        self,
        count: int,
        min_stake: int,
        max_stake: int,
        providers: Sequence[str] = (),
        models: Sequence[str] = (),
    ) -> list[Validator]:
        """Of available models, restricted to ``providers`` and ``models`` where any are given.

        :raises BadValue: impossible numbers, or no such model.
        """
        if not 0 < count <= limits.NETWORK_VALIDATORS:
            raise BadValue(f"the number of validators must be from 1 to {limits.NETWORK_VALIDATORS}")
        _check_stake(min_stake)
        _check_stake(max_stake)
        if min_stake > max_stake:
            raise BadValue("the smallest stake is more than the largest")
        choices = [
            provider.model
            for provider in await self.providers()
            if provider.is_available
            and provider.is_model_available
            and (not providers or provider.model.provider in providers)
            and (not models or provider.model.model in models)
        ]
        if not choices:
            raise BadValue("no such model is available")
        wanted = [
            (min_stake + secrets.randbelow(max_stake - min_stake + 1), secrets.choice(choices)) for _ in range(count)
        ]
        return await self._create(wanted)

    async def update_validator(self, address: Address, stake: int, model: Model) -> Validator:
        """:raises ValidatorNotFound: there is none."""
        _check_stake(stake)
        _check_model(model)
        await self._write(lambda store: store.update_validator(address, stake, model))
        await self._validators_changed()
        return await self.validator(address)

    async def delete_validator(self, address: Address) -> None:
        """:raises ValidatorNotFound: there is none."""
        await self._write(lambda store: store.delete_validator(address))
        await self._validators_changed()

    async def delete_all_validators(self) -> None:
        """Transactions wait until there are some again."""
        await self._write(NetworkStore.delete_all_validators)
        await self._validators_changed()

    async def providers(self) -> list[Provider]:
        """Models that validators may be made with."""
        known = {_model_key(model): (there, usable) for model, there, usable in self._models.known()}
        return [
            Provider(number, model, *known.get(_model_key(model), self._models.available(model)), is_default)
            for number, model, is_default in await self.ask(NetworkStore.providers)
        ]

    async def add_provider(self, model: Model) -> int:
        """Its number."""
        _check_model(model)

        def add(store: NetworkStore) -> int:
            if len(store.providers()) >= limits.PROVIDERS:
                raise BadValue(f"there are {limits.PROVIDERS} providers already")
            return store.add_provider(model)

        number = await self._write(add)
        self._publish(EventKind.PROVIDERS)
        return number

    async def update_provider(self, number: int, model: Model) -> None:
        """:raises ValidatorNotFound: there is none."""
        _check_model(model)
        await self._write(lambda store: store.update_provider(number, model))
        self._publish(EventKind.PROVIDERS)

    async def delete_provider(self, number: int) -> None:
        """:raises ValidatorNotFound: there is none."""
        await self._write(lambda store: store.delete_provider(number))
        self._publish(EventKind.PROVIDERS)

    async def reset_providers(self) -> None:
        """As in a new network."""
        models = [model for model, *_ in self._models.known()]
        await self._write(lambda store: store.reset_providers(models))
        self._publish(EventKind.PROVIDERS)

    async def install_mocks(self, llm: Any, web: Any, *, strict: bool = False) -> tuple[int, int]:
        """Answers of all models and of the web (``sim_installMocks``), until others are installed; how many of each.

        :param llm: pattern to answer, as ``llm`` of a mock file (:mod:`modules.mocks`).
        :raises BadValue: they cannot be used.
        """
        counts = self._models.install(llm, web, strict=strict)
        self._mocks = (llm, web, strict)
        return counts

    async def mocks(self) -> tuple[Any, Any, bool]:
        """What was installed: llm, web, strict."""
        return self._mocks

    # --- time, snapshots, the file ----------------------------------------------------------------

    async def finality_window(self) -> float:
        """Seconds."""
        return self._window

    async def set_finality_window(self, seconds: float) -> None:
        """For all that is not final yet."""
        if not 0 <= seconds <= limits.FINALITY_WINDOW_SECONDS:
            raise BadValue(f"the finality window must be from 0 to {limits.FINALITY_WINDOW_SECONDS:g} seconds")
        await self._write(lambda store: store.set("window", seconds))
        self._window = seconds
        self._finality.set()
        self._publish(EventKind.CLOCK)

    async def time(self) -> TimeState:
        """The clock of the network."""
        return TimeState(self._offset.total_seconds(), self.now())

    async def increase_time(self, seconds: float) -> TimeState:
        """Puts the clock forward; finality windows run by it too.

        :raises BadValue: not a number of seconds that leads to a date.
        """
        return await self._set_offset(self._offset.total_seconds() + seconds)

    async def set_time(self, now: datetime | None) -> TimeState:
        """Sets the clock, from where it goes on; None: the wall clock again."""
        offset = 0.0 if now is None else (now.astimezone(UTC) - self._clock()).total_seconds()
        return await self._set_offset(offset)

    async def create_snapshot(self) -> int:
        """Its number."""
        async with self._changing:
            numbers = await self.snapshots()
            if len(numbers) >= limits.SNAPSHOTS:
                raise BadValue(f"there are {limits.SNAPSHOTS} snapshots already")
            number = await self.ask(lambda store: int(store.get("last_snapshot", 0))) + 1
            await self._write(lambda store: store.set("last_snapshot", number))
            await in_thread(lambda: self._snapshot_folder.mkdir(parents=True, exist_ok=True))
            await self._session.replace(lambda store: _network(store).write_to(self._snapshot(number)))
        self._publish(EventKind.SNAPSHOTS)
        return number

    async def restore_snapshot(self, number: int) -> bool:
        """Storage, balances, nonces and transactions are as they were. Validators, models, clock and snapshots stay.

        False: there is none.
        """
        async with self._changing:
            if number not in await self.snapshots():
                return False
            await self._replace(lambda store: store.read_from(self._snapshot(number)))
        return True

    async def delete_snapshot(self, number: int) -> bool:
        """False: there is none."""
        async with self._changing:
            if number not in await self.snapshots():
                return False
            await in_thread(lambda: self._snapshot(number).unlink(missing_ok=True))
        self._publish(EventKind.SNAPSHOTS)
        return True

    async def delete_all_snapshots(self) -> int:
        """How many there were."""
        numbers = await self.snapshots()
        for number in numbers:
            await self.delete_snapshot(number)
        return len(numbers)

    async def snapshots(self) -> list[int]:
        """Numbers, oldest first."""

        def find() -> list[int]:
            return sorted(int(file.stem) for file in self._snapshot_folder.glob("*.db") if file.stem.isdecimal())

        return await in_thread(find)

    async def clear(self, tables: Sequence[str] = ()) -> None:
        """As new: ``current_state`` (contracts and balances) and ``transactions``, which go together."""
        async with self._changing:
            await self._replace(lambda store: store.batch([NetworkStore.clear]))

    async def export(self) -> bytes:
        """The file of this network, as of now, for ``--fork`` and :meth:`load`."""
        return await self.ask_long(Store.snapshot)

    async def load(self, file: bytes) -> None:
        """Goes on with the state of an exported file, and its validators and models if it has any.

        :raises DatabaseError: it is none.
        """

        def load(store: NetworkStore) -> None:
            with tempfile.TemporaryDirectory(dir=self._path.parent, prefix=".pygenvm-") as folder:
                copy = Path(folder, "loaded.db")
                copy.write_bytes(file)
                with contextlib.closing(NetworkStore(copy, durable=False)) as loaded:
                    # A file of commands has no validators.
                    is_new = loaded.open_network(self._settings(), self.moment())
                store.read_from(copy, everything=not is_new)

        async with self._changing:
            await self._replace(load)
            await self._validators_changed()

    async def check(self) -> None:
        """:raises DatabaseError: value has appeared or vanished."""
        await self.ask_long(NetworkStore.check)

    def events(self) -> Listener:
        """What happens from now on. A listener that is too slow is ended with :class:`SlowListener`."""
        return self._hub.listen()

    # --- for schemas ------------------------------------------------------------------------------

    async def view(
        self,
        contract: Address,
        data: bytes,
        *,
        sender: Address,
        permissions: str = VIEW_PERMISSIONS,
        sync: bool = False,
    ) -> Receipt:
        """As :meth:`read`."""
        return await self.read(contract, data, sender=sender, permissions=permissions, sync=sync)

    async def view_code(
        self, code: bytes, data: bytes, *, sender: Address, permissions: str = VIEW_PERMISSIONS, sync: bool = False
    ) -> Receipt:
        """Calls a contract that is not deployed, on a network without any; the database is not used."""
        _check_code(code)
        _check_size(data)
        contract = accounts.contract_address(sender, salt=0, nonce=0)
        with contextlib.closing(Store(None)) as store:
            state = StateView(store, asyncio.Lock())
            overlay = Overlay(state)
            overlay.write_code(contract, code)
            transaction = Transaction(Kind.VIEW, sender, sender, contract, 0, data)
            return await self._runs.read(state, overlay, transaction, permissions=permissions, sync=sync)

    # --- the file ---------------------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        return {"window": self._options.finality_window, "offset": 0.0}

    def _open(self, store: Store) -> None:
        network = _network(store)
        network.chain_id = self._options.chain_id
        network.strict_nonces = self._options.strict_nonces
        network.settles = self._options.settle
        if network.open_network(self._settings(), self.moment()):
            network.batch([self._fill])

    def _fill(self, store: NetworkStore) -> None:
        """Validators and models of a new network."""
        known = self._models.known()
        store.reset_providers(model for model, *_ in known)
        for number in range(1, self._options.validators + 1):
            secret = Keccak256(f"genvm local validator {number}".encode()).digest()
            store.add_validator(_address_of(secret), secret, 1, known[0][0], self.now())

    async def ask(self, question: Callable[[NetworkStore], T]) -> T:
        """The answer to something that takes no time."""
        return await self._session.ask(lambda store: question(_network(store)))

    async def ask_long(self, question: Callable[[NetworkStore], T]) -> T:
        """The same in a thread."""
        return await self._session.ask_long(lambda store: question(_network(store)))

    async def _write(self, action: Callable[[NetworkStore], T]) -> T:
        """Carries out what changes the database; it has reached the disk when this returns."""
        if self._closed:
            raise DatabaseError("the network is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._writes.append((action, future))
        self._something_to_write.set()
        return await asyncio.shield(future)

    async def _write_all(self) -> None:
        while True:
            await self._something_to_write.wait()
            self._something_to_write.clear()
            while self._writes:
                batch, self._writes = self._writes[: limits.BATCH], self._writes[limits.BATCH :]
                await self._write_together(batch)

    async def _write_together(self, batch: Sequence[tuple[Callable[[NetworkStore], Any], asyncio.Future[Any]]]) -> None:
        results: list[Any] = []

        def write(store: Store) -> None:
            results.extend(_network(store).batch([action for action, _ in batch]))

        try:
            await self._session.replace(write)
        except Exception as error:
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                if not future.done():
                    future.set_exception(result)
                continue
            value, notes = result
            self._tell(notes)
            if not future.done():
                future.set_result(value)

    async def _replace(self, action: Callable[[NetworkStore], Any]) -> None:
        """Puts another state in the place of this one."""
        await self._stop_workers()
        try:
            await self._session.replace(lambda store: action(_network(store)))
        finally:
            self._live.clear()
            for contract in await self.ask(NetworkStore.waiting):
                self._wake(contract)
            for signal in tuple(self._signals.values()):
                signal.set()
        self._publish(EventKind.RESET)

    @property
    def _snapshot_folder(self) -> Path:
        return self._path.with_name(self._path.name + ".snapshots")

    def _snapshot(self, number: int) -> Path:
        return self._snapshot_folder / f"{number}.db"

    # --- time and events --------------------------------------------------------------------------

    def now(self) -> datetime:
        """By the clock of the network."""
        return self._clock() + self._offset

    def moment(self) -> Moment:
        """For something that is written."""
        return Moment(self.now(), self._clock(), self._window)

    def _told(self, time: datetime | None) -> Callable[[], datetime]:
        return self.now if time is None else lambda: time

    async def _set_offset(self, seconds: float) -> TimeState:
        # Dates have four digits for contracts.
        if not abs(seconds) <= limits.CLOCK_OFFSET_SECONDS:
            raise BadValue("the clock cannot be put there")
        await self._write(lambda store: store.set("offset", seconds))
        self._offset = timedelta(seconds=seconds)
        self._finality.set()
        self._publish(EventKind.CLOCK)
        return await self.time()

    def _publish(self, kind: EventKind, **members: Any) -> None:
        self._hub.publish(kind, self.now(), **members)

    def _tell(self, notes: Sequence[Note]) -> None:
        """Passes on what was written."""
        for note in notes:
            match note.kind:
                case NoteKind.STATUS:
                    assert note.id is not None
                    assert note.address is not None
                    assert note.status is not None
                    self._live.pop(note.seq, None)
                    self._signal(note.id)
                    self._publish(EventKind.TRANSACTION, id=note.id, address=note.address, status=note.status)
                    if note.status in (TxStatus.PENDING, TxStatus.COMMITTING):
                        self._wake(note.address)
                    self._finality.set()
                case NoteKind.CONTRACT:
                    self._publish(EventKind.CONTRACT, address=note.address)
                case NoteKind.BALANCE:
                    self._publish(EventKind.BALANCE, address=note.address)
                case NoteKind.BLOCK:
                    self._publish(EventKind.BLOCK, data={"number": note.number})

    def _signal(self, id: bytes) -> None:
        signal = self._signals.pop(id, None)
        if signal is not None:
            signal.set()

    def _built(self, store: NetworkStore, row: Row) -> NetworkTransaction:
        details = row.details
        live = self._live.get(row.seq) if row.status in (TxStatus.PENDING, TxStatus.COMMITTING) else None
        changes = details.status_changes + tuple(live or ())
        return NetworkTransaction(
            row.seq,
            row.id,
            row.kind,
            live[-1].status if live else row.status,
            row.sender,
            row.recipient,
            row.origin,
            row.nonce,
            row.value,
            row.calldata,
            row.code,
            details.mode,
            details.validators,
            details.rotations,
            details.pinned,
            details.virtual,
            details.raw,
            details.created_at,
            row.block,
            store.id_of(row.parent),
            row.released_on,
            store.children(row.seq),
            store.rounds(row.seq),
            changes,
            details.result,
            details.rotation_count,
            details.appeals,
            details.decided_at,
            details.finalized_at,
            details.credited,
        )

    # --- views ------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _view(
        self, *, final: bool = False, at: int | None = None, earlier: Earlier | None = None
    ) -> AsyncIterator[NetworkView]:
        def make(store: NetworkStore) -> NetworkView:
            return NetworkView(store, self._session.reading, final=final, at=at, earlier=earlier)

        view = await self.ask(make)
        self._views.add(view)
        try:
            yield view
        finally:
            self._views.discard(view)

    async def _existing(self, view: NetworkView, contract: Address) -> ContractInfo:
        """:raises ContractNotFound: there is none."""
        async with view.reading:
            info = view.contract(contract)
        if info is None:
            raise ContractNotFound(str(contract))
        return info

    # --- validators -------------------------------------------------------------------------------

    async def _load_validators(self) -> None:
        self._validators = await self.ask(NetworkStore.validators)
        self._models.use({str(validator.address): validator.model for validator in self._validators})
        if self._validators:
            self._electable.set()
        else:
            self._electable.clear()

    async def _validators_changed(self) -> None:
        await self._load_validators()
        self._publish(EventKind.VALIDATORS)

    async def _create(self, wanted: Sequence[tuple[int, Model]]) -> list[Validator]:
        def create(store: NetworkStore) -> list[Validator]:
            if len(store.validators()) + len(wanted) > limits.NETWORK_VALIDATORS:
                raise BadValue(f"there can be {limits.NETWORK_VALIDATORS} validators")
            made = []
            for stake, model in wanted:
                secret = secrets.token_bytes(32)
                made.append(store.add_validator(_address_of(secret), secret, stake, model, self.now()))
            return made

        created = await self._write(create)
        await self._validators_changed()
        return created

    def _electorate(self, row: Row) -> list[Validator]:
        """Who may take part in a transaction."""
        virtual = row.details.virtual
        return self._virtual(virtual, row.id) if virtual else list(self._validators)

    def _virtual(self, virtual: Sequence[VirtualValidator], seed: bytes) -> list[Validator]:
        """Validators that are there for one transaction; what is not said of them is as of the network's first."""
        usual = self._validators[0].model if self._validators else self._models.known()[0][0]
        found = []
        for number, one in enumerate(virtual):
            secret = Keccak256(b"genvm local virtual validator" + seed + number.to_bytes(4, "big")).digest()
            is_usual = one.provider is None and one.model is None
            model = Model(
                usual.provider if one.provider is None else one.provider,
                usual.model if one.model is None else one.model,
                (usual.config if is_usual else {}) if one.config is None else one.config,
                (usual.plugin if is_usual else "") if one.plugin is None else one.plugin,
                (usual.plugin_config if is_usual else {}) if one.plugin_config is None else one.plugin_config,
            )
            stake = 1 if one.stake is None else one.stake
            found.append(Validator(0, Address(secret[:20]), stake, model, self.now()))
        return found

    def _one_of(self, virtual: Sequence[VirtualValidator]) -> Validator:
        """Who answers a read."""
        pool = self._virtual(virtual, bytes(32)) if virtual else self._validators
        if not pool:
            return Validator(0, _ZERO, 1, self._models.known()[0][0], self.now())
        return pool[0]

    @contextlib.asynccontextmanager
    async def _using(self, virtual: Sequence[VirtualValidator], pool: Sequence[Validator]) -> AsyncIterator[None]:
        """The models of virtual validators are known meanwhile."""
        models = {str(validator.address): validator.model for validator in pool} if virtual else {}
        with self._models.also(models):
            yield

    # --- queues -----------------------------------------------------------------------------------

    def _wake(self, contract: Address) -> None:
        self._calls[contract] = self._calls.get(contract, 0) + 1
        if contract not in self._workers and not self._closed:
            self._workers[contract] = asyncio.create_task(self._work(contract))

    async def _stop_workers(self) -> None:
        workers = tuple(self._workers.values())
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, contract: Address) -> None:
        """Carries out what waits at a contract, in order."""
        pause = 0.0
        try:
            while True:
                calls = self._calls[contract]
                row = await self.ask(lambda store: store.next_of(contract))
                if row is None:
                    if calls != self._calls[contract]:
                        continue
                    break
                try:
                    await self._carry_out(row)
                    pause = 0.0
                except Gone:
                    pass
                except Exception as error:
                    # Of the disk, for example. The queue stands still, and tries again.
                    pause = min(max(0.1, 2 * pause), 10.0)
                    self._on_error(f"transaction 0x{row.id.hex()}: {type(error).__name__}: {error}")
                    await asyncio.sleep(pause)
                finally:
                    self._live.pop(row.seq, None)
        finally:
            del self._workers[contract]
            self._calls.pop(contract, None)

    async def _carry_out(self, row: Row) -> None:
        if row.kind is TxKind.UPGRADE:
            await self._upgrade(row)
            return
        while not (row.details.virtual or self._validators):
            await self._electable.wait()
        pool = self._electorate(row)
        async with self._using(row.details.virtual, pool):
            if row.status is TxStatus.COMMITTING:
                await self._hear(row, pool)
            else:
                await self._decide(row, pool)

    def _consensus(self, row: Row, view: NetworkView) -> Consensus:
        def stage(status: TxStatus) -> None:
            self._live.setdefault(row.seq, []).append(StatusChange(status, self.now()))
            self._signal(row.id)
            self._publish(EventKind.TRANSACTION, id=row.id, address=row.recipient, status=status)

        def voted(node: NodeReceipt) -> None:
            data = {
                "validator": str(node.validator.address),
                "mode": str(node.mode),
                "vote": None if node.vote is None else str(node.vote),
                "reason": node.reason,
                "seconds": node.seconds,
            }
            self._publish(EventKind.VOTE, id=row.id, address=row.recipient, data=data)

        return Consensus(self._runs, view, row, self.now, stage, voted)

    async def _decide(self, row: Row, pool: Sequence[Validator]) -> None:
        order = draw(pool, row.id)
        count = row.details.validators if row.details.mode is TxMode.NORMAL else 1
        async with contextlib.AsyncExitStack() as held:
            for attempt in itertools.count():
                async with self._view() as view:
                    decision = await self._consensus(row, view).propose(order, count, row.details.rotations)
                if attempt > limits.REPEATS:
                    # Value may still have come to somebody whose balance was read.
                    decision.balances_read = frozenset()
                try:
                    await self._store_decision(row, decision)
                    return
                except Conflict as conflict:
                    self._live.pop(row.seq, None)
                    if attempt >= limits.REPEATS:
                        await self._hold(held, conflict.addresses | decision.storage_read)

    async def _store_decision(self, row: Row, decision: Decision) -> None:
        while row.recipient in self._held and not self._is_holder(row):
            await self._released.wait()
        moment = self.moment()
        await self._write(lambda store: store.decide(row.seq, row.status, decision, moment, check=True))
        self._after(row, decision.rounds)

    def _settled(self, row: Row, number: int, intent_id: bytes) -> None:
        self._publish(
            EventKind.SETTLED,
            id=row.id,
            address=row.recipient,
            data={"round": number, "intent": "0x" + intent_id.hex()},
        )

    def _after(self, row: Row, rounds: Sequence[Round]) -> None:
        self._settlements.wake()
        for round_ in rounds:
            votes = {str(address): str(vote) for address, vote in round_.votes.items()}
            data = {"label": str(round_.label), "result": round_.result.name, "votes": votes}
            self._publish(EventKind.ROUND, id=row.id, address=row.recipient, data=data)

    def _is_holder(self, row: Row) -> bool:
        return self._workers.get(row.recipient) is self._holder

    async def _hold(self, held: contextlib.AsyncExitStack, addresses: frozenset[Address]) -> None:
        """Until ``held`` is left, nobody else changes the storage of these contracts."""
        if self._holder is not asyncio.current_task():
            await held.enter_async_context(self._holding)
            held.callback(self._release)
            self._holder = asyncio.current_task()
        self._held |= addresses

    def _release(self) -> None:
        self._held, self._holder = frozenset(), None
        self._released.set()
        self._released = asyncio.Event()

    async def _upgrade(self, row: Row) -> None:
        moment = self.moment()
        time = moment.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        receipt = Receipt(dataclasses.replace(row.transaction(), code=b""), Status.OK, None, row.id, time)
        round_ = Round(0, RoundLabel.CODE_UPGRADE, None, (), RoundResult.MAJORITY_AGREE)
        await self._write(lambda store: store.upgrade(row.seq, round_, receipt, moment))

    # --- appeals ----------------------------------------------------------------------------------

    async def _hear(self, row: Row, pool: Sequence[Validator]) -> None:
        """Decides an appeal."""
        rounds = await self.ask(lambda store: store.rounds(row.seq))
        appeals = row.details.appeals
        status = (
            TxStatus.UNDETERMINED
            if appeals.undetermined
            else TxStatus.LEADER_TIMEOUT
            if appeals.leader_timeout
            else TxStatus.VALIDATORS_TIMEOUT
            if appeals.validators_timeout
            else TxStatus.ACCEPTED
        )
        led = [round_ for round_ in rounds if round_.leader is not None]
        earlier, receipt = await self.ask(lambda store: (store.earlier(row), store.receipt_of(row)))
        size = 1 + len(led[-1].validators) if led else 1
        async with self._view(at=row.view_at, earlier=Earlier(*earlier)) as view:
            consensus = self._consensus(row, view)
            if status is TxStatus.ACCEPTED:
                used = {node.validator.address for round_ in led for node in _nodes(round_)}
                count = 2 * appeals.failed * size + 3 if appeals.failed else size + 2
                others = [validator for validator in pool if validator.address not in used]
                judges = draw(others, row.id + b"appeal", count)
                await self._second_opinion(row, consensus, judges, receipt)
            else:
                leaders = {round_.leader.validator.address for round_ in led if round_.leader}
                order = draw(pool, row.id + b"appeal" + bytes([row.details.leader_appeals & 255, appeals.failed & 255]))
                fresh = [validator for validator in order if validator.address not in leaders]
                order = fresh + [validator for validator in order if validator.address in leaders]
                await self._another_leader(row, consensus, order if fresh else [], size + 2, status)

    async def _second_opinion(
        self, row: Row, consensus: Consensus, judges: Sequence[Validator], receipt: Receipt | None
    ) -> None:
        """An appeal of what was accepted."""
        if not judges or receipt is None:
            moment = self.moment()
            await self._write(lambda store: store.appeal_failed(row.seq, TxStatus.ACCEPTED, [], moment, counts=False))
            return
        stands = await consensus.second_opinion(judges, receipt)
        moment, rounds = self.moment(), consensus.rounds
        if stands:
            await self._write(lambda store: store.appeal_failed(row.seq, TxStatus.ACCEPTED, rounds, moment))
        else:
            await self._write(lambda store: store.appeal_succeeded(row.seq, rounds, moment))
        self._after(row, rounds)

    async def _another_leader(
        self, row: Row, consensus: Consensus, order: Sequence[Validator], count: int, status: TxStatus
    ) -> None:
        """An appeal of what came to nothing: with another leader, and more validators."""
        if not order:
            moment = self.moment()
            await self._write(lambda store: store.appeal_failed(row.seq, status, [], moment, counts=False))
            return
        decision = await consensus.propose(order, count, row.details.rotations)
        succeeded = decision.status is not status
        decision.rounds[-1] = dataclasses.replace(decision.rounds[-1], label=_LABELS[status, succeeded])
        moment = self.moment()
        if succeeded:
            await self._write(lambda store: store.overturn(row.seq, decision, moment))
        else:
            await self._write(lambda store: store.appeal_failed(row.seq, status, decision.rounds, moment))
        self._after(row, decision.rounds)

    # --- finality ---------------------------------------------------------------------------------

    async def _finalize_all(self) -> None:
        while True:
            self._finality.clear()
            try:
                due = await self.ask(lambda store: store.next_due(self._window))
                now = self.now().timestamp()
                if due is not None and due <= now:
                    if await self._write(lambda store: store.finalize_due(self.moment())):
                        await self._forget()
                        continue
                    # What is due waits for something else.
                    due = now + limits.FINALITY_POLL_SECONDS
            except Exception as error:
                self._on_error(f"finality: {type(error).__name__}: {error}")
                due = self.now().timestamp() + 1
            with contextlib.suppress(TimeoutError):
                seconds = None if due is None else max(0.01, min(due - self.now().timestamp(), 3600.0))
                await asyncio.wait_for(self._finality.wait(), seconds)

    async def _forget(self) -> None:
        """Drops history that nobody needs, now and then."""
        now = asyncio.get_running_loop().time()
        if now - self._forgotten < limits.HISTORY_SECONDS:
            return
        self._forgotten = now

        def forget(store: NetworkStore) -> None:
            store.forget(min((view.oldest for view in self._views), default=store.commits))

        await self._write(forget)


class Models(Protocol):
    """Who answers what the executors of validators ask (:mod:`localnet.modules.validators`)."""

    def known(self) -> list[tuple[Model, bool, bool]]:
        """Models that there are, at least one; and whether provider and model can be asked."""
        ...

    def available(self, model: Model) -> tuple[bool, bool]:
        """The same of any model."""
        ...

    def use(self, models: Mapping[str, Model]) -> None:
        """What the nodes of these addresses ask."""
        ...

    def also(self, models: Mapping[str, Model]) -> contextlib.AbstractContextManager[None]:
        """Of nodes that are there for a while only."""
        ...

    def install(self, llm: Any, web: Any, *, strict: bool) -> tuple[int, int]:
        """Answers for all nodes; how many. :raises BadValue: they cannot be used."""
        ...


class SameModels:
    """All nodes have the modules of their executors."""

    def known(self) -> list[tuple[Model, bool, bool]]:
        return [(Model("default", "default"), True, True)]

    def available(self, model: Model) -> tuple[bool, bool]:
        return model.provider == "default", model.provider == "default"

    def use(self, models: Mapping[str, Model]) -> None:
        pass

    @contextlib.contextmanager
    def also(self, models: Mapping[str, Model]) -> Iterator[None]:
        yield

    def install(self, llm: Any, web: Any, *, strict: bool) -> tuple[int, int]:
        raise BadValue("this network has no mocks")


class _Bounded:
    """An executor of which not too many run at the same time. One that cannot be started has failed its run."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._turns = asyncio.Semaphore(limits.RUNS_AT_ONCE)

    async def __call__(self, host: Host, request: RunRequest) -> RunReport:
        async with self._turns:
            try:
                return await self._executor(host, request)
            except ExecutorError as error:
                return RunReport(1, str(error), False, Captured(), Captured(), Captured(), 0.0)


_QUEUE_LIMITS = QueueLimits()
_LABELS = {
    (TxStatus.UNDETERMINED, True): RoundLabel.LEADER_APPEAL_SUCCESSFUL,
    (TxStatus.UNDETERMINED, False): RoundLabel.LEADER_APPEAL_FAILED,
    (TxStatus.LEADER_TIMEOUT, True): RoundLabel.LEADER_TIMEOUT_APPEAL_SUCCESSFUL,
    (TxStatus.LEADER_TIMEOUT, False): RoundLabel.LEADER_TIMEOUT_APPEAL_FAILED,
    (TxStatus.VALIDATORS_TIMEOUT, True): RoundLabel.VALIDATORS_TIMEOUT_APPEAL_SUCCESSFUL,
    (TxStatus.VALIDATORS_TIMEOUT, False): RoundLabel.VALIDATORS_TIMEOUT_APPEAL_FAILED,
}


def _network(store: Store) -> NetworkStore:
    assert isinstance(store, NetworkStore)
    return store


def _contract(store: NetworkStore, address: Address) -> ContractInfo:
    info = store.contract(address)
    if info is None:
        raise ContractNotFound(str(address))
    return info


def _nodes(round_: Round) -> list[NodeReceipt]:
    return [*([round_.leader] if round_.leader else []), *round_.validators]


def _traced(node: NodeReceipt) -> NodeTrace:
    return NodeTrace(
        node.validator.address,
        node.mode,
        node.vote,
        node.outcome,
        node.stdout.text(),
        node.stderr.text(),
        node.log.text(),
        node.seconds,
        node.reason,
    )


def _address_of(secret: bytes) -> Address:
    """The account of a private key."""
    # Imported here: it needs a library that nothing else here does.
    from pygenvm.settlement.blocks.signatures import Secp256k1Key
    from pygenvm.settlement.types.words import Hash

    return Address(bytes(Secp256k1Key(Hash(secret)).address))


def _model_key(model: Model) -> tuple[str, str]:
    return model.provider, model.model


def _checked(submission: Submission) -> Submission:
    """A submission whose numbers are within bounds.

    :raises BadRequest: it can have no effect at all.
    """
    if not 0 <= submission.value < _U256:
        raise BadValue("the value must be from 0 to 2^256 - 1")
    if submission.nonce is not None and not 0 <= submission.nonce < 1 << 63:
        raise TooLarge("the nonce must be from 0 to 2^63 - 1")
    if not 0 <= submission.salt < _U256:
        raise BadValue("the salt must be from 0 to 2^256 - 1")
    if submission.id is not None and len(submission.id) != 32:
        raise BadValue("an id has 32 bytes")
    if len(submission.virtual) > limits.NETWORK_VALIDATORS:
        raise TooLarge(f"a transaction can have {limits.NETWORK_VALIDATORS} validators")
    for virtual in submission.virtual:
        _check_stake(1 if virtual.stake is None else virtual.stake)
    if submission.datetime is not None and submission.datetime.tzinfo is None:
        raise BadValue("a date needs its zone")
    _check_code(submission.code)
    _check_size(submission.calldata)
    return dataclasses.replace(
        submission,
        validators=min(max(1, submission.validators), limits.NETWORK_VALIDATORS),
        rotations=min(max(0, submission.rotations), limits.ROTATIONS),
        datetime=submission.datetime and submission.datetime.astimezone(UTC),
    )


def _check_code(code: bytes) -> None:
    if len(code) > CONTRACT_FILE_BYTES:
        raise TooLarge(f"the contract has {len(code)} bytes, the limit is {CONTRACT_FILE_BYTES}")


def _check_size(data: bytes) -> None:
    if len(data) > limits.CALLDATA_BYTES:
        raise TooLarge(f"the calldata has {len(data)} bytes, the limit is {limits.CALLDATA_BYTES}")


def _check_stake(stake: int) -> None:
    if not 0 < stake < _U256:
        raise BadValue("a stake must be from 1 to 2^256 - 1")


def _check_model(model: Model) -> None:
    if not model.provider or not model.model:
        raise BadValue("a model needs a provider and a name")
    if len(to_json(model_to_json(model))) > limits.MODEL_CHARACTERS:
        raise BadValue(f"the configuration of a model can have {limits.MODEL_CHARACTERS} characters")
