"""A network that lives as long as a server: transactions go through consensus, are accepted, and become final.

One process has the file at a time. Everything that is acknowledged is on the disk, and what a killed process had begun
is begun again by the next one. What it does is in :mod:`localnet.chain.network.queues`, what is written in
:mod:`localnet.chain.network.store`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from pygenvm.executor.frozen import replaced
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.consensus import LEADER
from pygenvm.localnet.chain.database import Database, StateView, check_path, in_thread
from pygenvm.localnet.chain.model import AccountInfo, ContractInfo, Kind, Node, Receipt, Transaction
from pygenvm.localnet.chain.network.checks import check_code, check_model, check_size, check_stake, checked
from pygenvm.localnet.chain.network.core import network_of
from pygenvm.localnet.chain.network.errors import (
    BadFile,
    ContractNotFound,
    TransactionNotFound,
    ValidatorNotFound,
    WrongStatus,
)
from pygenvm.localnet.chain.network.examining import examine
from pygenvm.localnet.chain.network.hub import Listener
from pygenvm.localnet.chain.network.queues import Queues
from pygenvm.localnet.chain.network.rounds import node_receipt
from pygenvm.localnet.chain.network.store import NetworkStore, QueueLimits
from pygenvm.localnet.chain.network.types import (
    OVER,
    Block,
    EventKind,
    Model,
    NetworkTransaction,
    NodeMode,
    NodeReceipt,
    NodeTrace,
    Provider,
    Submission,
    Summary,
    TimeState,
    Trace,
    TxKind,
    TxStatus,
    Validator,
    Variant,
    VirtualValidator,
)
from pygenvm.localnet.chain.overlay import Overlay
from pygenvm.localnet.chain.runs import VIEW_PERMISSIONS
from pygenvm.localnet.chain.state import StateDump, raw_slots, read_state
from pygenvm.localnet.chain.store import Store
from pygenvm.localnet.chain.transactions import execute
from pygenvm.localnet.errors import BadValue, DatabaseError
from pygenvm.localnet.private_files import make_folder
from pygenvm.localnet.schema import SchemaDocument, schema_of_code, schema_of_contract

_ZERO = Address(bytes(20))
_QUEUE_LIMITS = QueueLimits()


class Network(Queues):
    """The network in the file ``path``, for any number of coroutines of one event loop. ::

    async with Network("local.db", executor=executor) as network:
        id = await network.submit(Submission(TxKind.DEPLOY, sender, code=code))
        transaction = await network.wait(id)
    """

    async def start(self) -> None:
        """Opens the file, or makes one, and goes on with what is not finished.

        :raises DatabaseError: another process has it, or it is not a network's.
        """
        check_path(self._path, write=True)
        database = Database(
            self._path, lock_seconds=self._options.lock_seconds, durable=self._options.durable, store=NetworkStore
        )
        self._session = await self._stack.enter_async_context(database.writing())
        try:
            await self._session.replace(self._open)
        except BaseException:
            await self._stack.aclose()
            raise
        await self._load_clock()
        await self._load_validators()
        self._writer = asyncio.create_task(self._write_all())
        self._tasks = [asyncio.create_task(work()) for work in (self._finalize_all, self._settlements.work)]
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
        if self._writer is not None:
            # What was handed over is written: somebody waits for it.
            self._something_to_write.set()
            await self._writer
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
        submission = checked(submission)
        moment = self.moment()
        return await self._write(lambda store: store.submit(submission, submission.id, moment, _QUEUE_LIMITS))

    async def transaction(self, id: bytes) -> NetworkTransaction:
        """:raises TransactionNotFound: there is none."""
        return await self.ask(lambda store: self._built(store, store.find(id)))

    async def transactions_of(
        self, address: Address, count: int = 100, *, size: int = 1 << 62
    ) -> list[NetworkTransaction]:
        """Of which it is sender or recipient, newest first.

        :param size: bytes that they may take in the database together, so that the answer can be held in memory.
        """
        where = "sender = ?1 OR recipient = ?1 ORDER BY seq DESC"
        return await self._some(where, address.as_bytes, count=count, size=size)

    async def recent(
        self, count: int = 50, before: int | None = None, *, size: int = 1 << 62
    ) -> list[NetworkTransaction]:
        """The newest first.

        :param before: the ``seq`` of the last one seen.
        :param size: as for :meth:`transactions_of`; there is at least one, if there is any.
        """
        return await self._some("seq < ? ORDER BY seq DESC", _before(before), count=count, size=size)

    async def _some(self, where: str, *parameters: object, count: int, size: int) -> list[NetworkTransaction]:
        def find(store: NetworkStore) -> list[NetworkTransaction]:
            numbers = store.fitting(where, *parameters, limit=count, size=size)
            return [self._built(store, store.row(seq)) for seq in numbers]

        return await self.ask_long(find)

    async def summaries(self, count: int = 50, before: int | None = None) -> list[Summary]:
        """As :meth:`recent`, without what may be large."""

        def find(store: NetworkStore) -> list[Summary]:
            return store.summaries("seq < ? ORDER BY seq DESC", _before(before), limit=count)

        return [self._seen(one) for one in await self.ask_long(find)]

    async def summary(self, id: bytes) -> Summary:
        """:raises TransactionNotFound: there is none."""
        found = await self.ask_long(lambda store: store.summaries("id = ?", id))
        if not found:
            raise TransactionNotFound(id)
        return self._seen(found[0])

    async def wait(
        self, id: bytes, *, status: TxStatus | None = None, timeout: float | None = None
    ) -> NetworkTransaction:
        """The transaction once it is decided, or has ``status``, or will have no other one.

        :raises TransactionNotFound: there is none.
        :raises TimeoutError: not within so many seconds.
        """

        def find(store: NetworkStore) -> NetworkTransaction | None:
            # The whole of it takes longer than its status, which is asked for at every step.
            known = self._status(*store.status_of(id))
            reached = known is status or known in OVER or (status is None and known.decided)
            return self._built(store, store.find(id)) if reached else None

        async with asyncio.timeout(timeout):
            while True:
                signal = self._signals.get(id)
                if signal is None:
                    signal = self._signals[id] = asyncio.Event()
                if (transaction := await self.ask(find)) is not None:
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

        :raises ContractNotFound: there is none. :raises NoValidators: there is nobody who could do it.
        """
        return await self._read(
            self._one_of(virtual), contract, calldata, sender, origin, variant, datetime, virtual, permissions, sync
        )

    async def _read(
        self,
        validator: Validator,
        contract: Address,
        calldata: bytes,
        sender: Address,
        origin: Address | None = None,
        variant: Variant = Variant.ACCEPTED,
        datetime: datetime | None = None,
        virtual: Sequence[VirtualValidator] = (),
        permissions: str = VIEW_PERMISSIONS,
        sync: bool = False,
    ) -> Receipt:
        check_size(calldata)
        transaction = Transaction(Kind.VIEW, sender, origin or sender, contract, 0, calldata)
        async with self._view(final=variant is Variant.FINALIZED) as view, self._using(virtual, [validator]):
            await self._existing(view, contract)
            runs = replaced(self._runs, node=Node(LEADER, str(validator.address)), clock=self._told(datetime))
            return await runs.read(view, Overlay(view), transaction, permissions=permissions, sync=sync)

    async def simulate(
        self,
        submission: Submission,
        *,
        variant: Variant = Variant.ACCEPTED,
    ) -> NodeReceipt:
        """What a leader would find in a transaction now; nothing is kept. The sender need not have the value.

        :raises ContractNotFound: there is none. :raises NoValidators: there is nobody who could lead.
        """
        submission = checked(submission)
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
            runs = replaced(self._runs, node=Node(LEADER, str(validator.address)))
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
        check_code(code)
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
        check_stake(stake)
        check_model(model)
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
        check_stake(min_stake)
        check_stake(max_stake)
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
        check_stake(stake)
        check_model(model)
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
        check_model(model)

        def add(store: NetworkStore) -> int:
            if len(store.providers()) >= limits.PROVIDERS:
                raise BadValue(f"there are {limits.PROVIDERS} providers already")
            return store.add_provider(model)

        number = await self._write(add)
        self._publish(EventKind.PROVIDERS)
        return number

    async def update_provider(self, number: int, model: Model) -> None:
        """:raises ValidatorNotFound: there is none."""
        check_model(model)
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
            await in_thread(lambda: make_folder(self._snapshot_folder))
            await self._session.replace(lambda store: network_of(store).write_to(self._snapshot(number)))
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
        return list(await self.snapshot_times())

    async def snapshot_times(self) -> dict[int, datetime]:
        """When each was made, by this machine's clock, oldest first."""

        def find() -> dict[int, datetime]:
            made = {}
            for file in self._snapshot_folder.glob("*.db"):
                # One that is being deleted is none any more.
                with contextlib.suppress(FileNotFoundError):
                    if file.stem.isdecimal():
                        made[int(file.stem)] = datetime.fromtimestamp(file.stat().st_mtime, UTC)
            return dict(sorted(made.items()))

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

        :raises BadFile: it is none.
        """
        if not file:
            # To SQLite that is a database, and to us a new network.
            raise BadFile("the file is empty")

        def load(store: NetworkStore) -> None:
            with tempfile.TemporaryDirectory(dir=self._path.parent, prefix=".pygenvm-") as folder:
                copy = Path(folder, "loaded.db")
                copy.write_bytes(file)
                # A file of commands has no validators.
                is_new = self._examined(copy)
                store.read_from(copy, everything=not is_new)

        async with self._changing:
            await self._replace(load)
            await self._load_clock()
            await self._validators_changed()

    def _examined(self, path: Path) -> bool:
        """Whether the tables of a network are new in a file.

        :raises BadFile: a network could not go on with it.
        """
        try:
            with contextlib.closing(NetworkStore(path, durable=False)) as loaded:
                is_new = loaded.open_network(self._settings(), self.moment())
                examine(loaded)
        except BadFile:
            raise
        except (DatabaseError, ValueError, TypeError) as error:
            why = str(error).removeprefix(f"database {path}: ").replace(str(path), "it")
            raise BadFile(f"this is no file that `genvm local export` wrote: {why:.200}") from error
        return is_new

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
        """As :meth:`read`, also without validators."""
        return await self._read(self._nobody(), contract, data, sender, permissions=permissions, sync=sync)

    async def view_code(
        self, code: bytes, data: bytes, *, sender: Address, permissions: str = VIEW_PERMISSIONS, sync: bool = False
    ) -> Receipt:
        """Calls a contract that is not deployed, on a network without any; the database is not used."""
        check_code(code)
        check_size(data)
        contract = accounts.contract_address(sender, salt=0, nonce=0)
        with contextlib.closing(Store(None)) as store:
            state = StateView(store, asyncio.Lock())
            overlay = Overlay(state)
            overlay.write_code(contract, code)
            transaction = Transaction(Kind.VIEW, sender, sender, contract, 0, data)
            return await self._runs.read(state, overlay, transaction, permissions=permissions, sync=sync)


def _contract(store: NetworkStore, address: Address) -> ContractInfo:
    info = store.contract(address)
    if info is None:
        raise ContractNotFound(str(address))
    return info


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


def _before(seq: int | None) -> int:
    return 1 << 62 if seq is None else seq


def _model_key(model: Model) -> tuple[str, str]:
    return model.provider, model.model
