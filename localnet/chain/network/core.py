"""What a running network is made of: its file, its clock, its events, its views and its validators."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pygenvm.executor.host_protocol.host import Host
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.primitives.keccak import Keccak256
from pygenvm.executor.spawn.output import Captured
from pygenvm.localnet import limits
from pygenvm.localnet.chain.consensus import LEADER
from pygenvm.localnet.chain.database import Session
from pygenvm.localnet.chain.model import ContractInfo, Node
from pygenvm.localnet.chain.network.errors import ContractNotFound, NoValidators
from pygenvm.localnet.chain.network.history import Moment, Note, NoteKind
from pygenvm.localnet.chain.network.hub import Hub
from pygenvm.localnet.chain.network.models import Models, SameModels
from pygenvm.localnet.chain.network.records import Row
from pygenvm.localnet.chain.network.settlements import Settlements
from pygenvm.localnet.chain.network.store import NetworkStore
from pygenvm.localnet.chain.network.types import (
    ZERO_ADDRESS,
    EventKind,
    Model,
    NetworkOptions,
    NetworkTransaction,
    StatusChange,
    Summary,
    TimeState,
    TxStatus,
    Validator,
    VirtualValidator,
    changes_of,
)
from pygenvm.localnet.chain.network.view import Earlier, NetworkView
from pygenvm.localnet.chain.runs import Runs
from pygenvm.localnet.chain.store import Store
from pygenvm.localnet.errors import BadValue, DatabaseError, ExecutorError
from pygenvm.localnet.executors.base import Executor, RunReport, RunRequest

T = TypeVar("T")


class Core(ABC):
    """The network without what it does."""

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
        self._writer: asyncio.Task[None] | None = None
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

    # --- the file ---------------------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        return {"window": self._options.finality_window, "offset": 0.0}

    def _open(self, store: Store) -> None:
        network = network_of(store)
        network.chain_id = self._options.chain_id
        network.strict_nonces = self._options.strict_nonces
        network.settles = self._options.settle
        known = [model for model, *_ in self._models.known()]
        if network.open_network(self._settings(), self.moment()):
            network.batch([self._fill])
        if network.knows_others(known):
            network.batch([lambda store: store.follow_providers(known)])

    def _fill(self, store: NetworkStore) -> None:
        """Validators and models of a new network."""
        known = self._models.known()
        store.reset_providers([model for model, *_ in known])
        for number in range(1, self._options.validators + 1):
            secret = Keccak256(f"genvm local validator {number}".encode()).digest()
            store.add_validator(_address_of(secret), secret, 1, known[0][0], self.now())

    async def ask(self, question: Callable[[NetworkStore], T]) -> T:
        """The answer to something that takes no time."""
        return await self._session.ask(lambda store: question(network_of(store)))

    async def ask_long(self, question: Callable[[NetworkStore], T]) -> T:
        """The same in a thread."""
        return await self._session.ask_long(lambda store: question(network_of(store)))

    async def _write(self, action: Callable[[NetworkStore], T]) -> T:
        """Carries out what changes the database; it has reached the disk when this returns."""
        if self._closed:
            raise DatabaseError("the network is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._writes.append((action, future))
        self._something_to_write.set()
        return await asyncio.shield(future)

    async def _write_all(self) -> None:
        while not self._closed:
            await self._something_to_write.wait()
            self._something_to_write.clear()
            while self._writes:
                batch, self._writes = self._writes[: limits.BATCH], self._writes[limits.BATCH :]
                await self._write_together(batch)

    async def _write_together(self, batch: Sequence[tuple[Callable[[NetworkStore], Any], asyncio.Future[Any]]]) -> None:
        results: list[Any] = []

        def write(store: Store) -> None:
            results.extend(network_of(store).batch([action for action, _ in batch]))

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
            await self._session.replace(lambda store: action(network_of(store)))
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
        return TimeState(seconds, self.now())

    async def _load_clock(self) -> None:
        self._offset = timedelta(seconds=await self.ask(lambda store: store.get("offset", 0.0)))
        self._window = await self.ask(lambda store: store.get("window", 0.0))
        self._finality.set()
        self._publish(EventKind.CLOCK)

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
                    else:
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

    def _stages(self, seq: int, status: TxStatus) -> tuple[StatusChange, ...]:
        """What a transaction with a stored status has come to since it is executed, if it is."""
        return tuple(self._live.get(seq, ())) if status in (TxStatus.PENDING, TxStatus.COMMITTING) else ()

    def _status(self, seq: int, status: TxStatus) -> TxStatus:
        live = self._stages(seq, status)
        return live[-1].status if live else status

    def _seen(self, summary: Summary) -> Summary:
        live = self._stages(summary.seq, summary.status)
        if not live:
            return summary
        return dataclasses.replace(summary, status=live[-1].status, history=changes_of(summary.history, live))

    def _built(self, store: NetworkStore, row: Row) -> NetworkTransaction:
        details = row.details
        live = self._stages(row.seq, row.status)
        changes = details.status_changes + live
        return NetworkTransaction(
            row.seq,
            row.id,
            row.kind,
            self._status(row.seq, row.status),
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

    def _settled(self, row: Row, number: int, intent_id: bytes) -> None:
        self._publish(
            EventKind.SETTLED,
            id=row.id,
            address=row.recipient,
            data={"round": number, "intent": "0x" + intent_id.hex()},
        )

    # --- workers ----------------------------------------------------------------------------------

    def _wake(self, contract: Address) -> None:
        self._calls[contract] = self._calls.get(contract, 0) + 1
        if contract not in self._workers and not self._closed:
            self._workers[contract] = asyncio.create_task(self._work(contract))

    async def _stop_workers(self) -> None:
        workers = tuple(self._workers.values())
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    @abstractmethod
    async def _work(self, contract: Address) -> None:
        """Carries out what waits at a contract, in order."""

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
        """Who answers a read. :raises NoValidators: there is nobody."""
        pool = self._virtual(virtual, bytes(32)) if virtual else self._validators
        if not pool:
            raise NoValidators("no validators: there is nobody to execute it; sim_createValidator makes one")
        return pool[0]

    def _nobody(self) -> Validator:
        """Who answers what asks neither a model nor the web, as schemas do; with or without validators."""
        return Validator(0, ZERO_ADDRESS, 1, self._models.known()[0][0], self.now())

    @contextlib.asynccontextmanager
    async def _using(self, virtual: Sequence[VirtualValidator], pool: Sequence[Validator]) -> AsyncIterator[None]:
        """The models of virtual validators are known meanwhile."""
        models = {str(validator.address): validator.model for validator in pool} if virtual else {}
        with self._models.also(models):
            yield


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


def network_of(store: Store) -> NetworkStore:
    assert isinstance(store, NetworkStore)
    return store


def _address_of(secret: bytes) -> Address:
    """The account of a private key."""
    # Imported here: it needs a library that nothing else here does.
    from pygenvm.settlement.blocks.signatures import Secp256k1Key
    from pygenvm.settlement.types.words import Hash

    return Address(bytes(Secp256k1Key(Hash(secret)).address))
