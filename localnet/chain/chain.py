"""The chain itself: transactions one after the other, messages delivered after them, views at any time."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from pygenvm.executor.frozen import replaced
from pygenvm.executor.limits import CONTRACT_FILE_BYTES, HOST_REPLY_SLICE_BYTES
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import direct, limits
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.database import Database, Session, StateView, in_thread
from pygenvm.localnet.chain.model import (
    EMPTY_CALL,
    AccountInfo,
    ContractInfo,
    Execution,
    Kind,
    Node,
    Receipt,
    Settling,
    Transaction,
    Verdict,
)
from pygenvm.localnet.chain.overlay import Overlay
from pygenvm.localnet.chain.run_host import EthCall
from pygenvm.localnet.chain.runs import VIEW_PERMISSIONS, Identity, Runs
from pygenvm.localnet.chain.store import Store
from pygenvm.localnet.errors import BadRequest, BadValue, InsufficientBalance, NotFound
from pygenvm.localnet.executors.base import Executor

if TYPE_CHECKING:
    import asyncio

    from pygenvm.localnet.chain.state import StateDump
    from pygenvm.localnet.chain.transactions import Executed

P = ParamSpec("P")
T = TypeVar("T")


def _command(
    method: Callable[Concatenate[Chain, P], Awaitable[T]],
) -> Callable[Concatenate[Chain, P], Coroutine[Any, Any, T]]:
    """A method of :class:`Chain` that is refused after, and waited for by, :meth:`Chain.close`."""

    @functools.wraps(method)
    async def command(chain: Chain, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with chain._running():
            return await method(chain, *args, **kwargs)

    return command


class Chain:
    """A local network in the file ``path``, for any number of coroutines of one event loop.

    Cancelling a command ends its run and drops its effects. What was committed before stays: messages that were still
    to be delivered are delivered by the next command that writes.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        executor: Executor | None = None,
        timeout: float = limits.RUN_SECONDS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        lock_seconds: float = limits.LOCK_SECONDS,
        on_wait: Callable[[], None] | None = None,
        on_commit: Callable[[Receipt], None] | None = None,
        node_address: str = "0x",
        eth_call: EthCall | None = None,
        durable: bool = True,
        only_user: bool = False,
        strict_views: bool = False,
        validators: Sequence[Node] = (),
        settling: Settling | None = None,
    ) -> None:
        """
        :param executor: what runs contracts; by default a ``genvm run`` process per run. It is not closed by the chain.
        :param timeout: seconds of wall time for each run.
        :param clock: the datetime of messages.
        :param lock_seconds: how long to wait for another process that uses the file; ``on_wait`` is called then.
        :param on_commit: called in the event loop with the receipt of each transaction that this chain has committed,
            in order, also of those whose caller was cancelled.
        :param node_address: what LLM and web services are told about this node.
        :param eth_call: answers calls of EVM contracts, for which this network has no machine.
        :param durable: no transaction is lost in a power cut. Waiting for the disk takes a third of a short call.
        :param only_user: nobody else uses the file, so it stays open until :meth:`close`.
        :param strict_views: in transactions, contracts that are called can neither send nor emit events. Nodes let them
            do both in the name of the caller.
        :param validators: who judges each transaction besides the leader, which this node is
            (:mod:`localnet.chain.consensus`).
        :param settling: operators with stake decide instead of validators (:mod:`localnet.chain.settling`).
        """
        self._database = Database(
            Path(path),
            lock_seconds=lock_seconds,
            on_wait=on_wait,
            on_commit=on_commit,
            durable=durable,
            only_user=only_user,
        )
        self._runs = Runs(
            executor or _process_for_each(), timeout, clock, Node("", node_address), eth_call, strict_views
        )
        self._validators = validators
        self._settling = settling
        self.stored: int | None = None
        """Number of the last transaction of a user that was stored, whatever has become of its command since."""
        self._commands = 0
        #: There once somebody waits for the end of all commands.
        self._idle: asyncio.Event | None = None
        self._closed = False

    async def close(self) -> None:
        """Waits until all commands are done. New ones are refused with ``RuntimeError``.

        Whoever cannot wait cancels the tasks of the commands first.
        """
        self._closed = True
        if self._commands:
            if self._idle is None:
                import asyncio

                self._idle = asyncio.Event()
            await self._idle.wait()
        self._database.close()

    async def __aenter__(self) -> Chain:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        if self._closed:
            raise RuntimeError("the chain is closed")
        self._commands += 1
        try:
            yield
        finally:
            self._commands -= 1
            if not self._commands and self._idle:
                self._idle.set()

    # --- commands that write ----------------------------------------------------------------------

    @_command
    async def deploy(
        self,
        code: bytes,
        data: bytes = EMPTY_CALL,
        *,
        sender: Address,
        origin: Address | None = None,
        value: int = 0,
        salt: int = 0,
        name: str = "",
        kept_at: str = "",
    ) -> Execution:
        """Deploys a contract; its address is ``execution.receipt.transaction.contract``.

        :param data: calldata of the constructor (:func:`localnet.chain.model.calldata_of_call`).
        :param origin: the account that started it all, if that is not ``sender``, which may be a contract then.
        :param salt: below 2**256; not 0 makes the address depend on the sender and the salt alone.
        :param name: kept with the contract (:attr:`ContractInfo.name`).
        :param kept_at: kept with the contract, for :meth:`kept_at`.
        :raises BadRequest: impossible code, value, sender or salt. Nothing was run.
        """
        if not 0 <= salt < 1 << 256:
            raise BadValue("the salt must be from 0 to 2^256 - 1")
        _check_code(code)
        _check_calldata(data)

        def transaction(state: StateView) -> Transaction:
            address = accounts.contract_address(sender, salt=salt, nonce=state.nonce(sender))
            if state.contract(address):
                raise BadRequest(f"{sender!s} has already used salt {salt}, for the contract {address!s}")
            return Transaction(
                Kind.DEPLOY, sender, origin or sender, address, value, data, code=code, name=name, kept_at=kept_at
            )

        return await self._write(transaction)

    @_command
    async def call(
        self, contract: Address, data: bytes, *, sender: Address, origin: Address | None = None, value: int = 0
    ) -> Execution:
        """Calls a contract in a transaction.

        :param data: calldata (:func:`localnet.chain.model.calldata_of_call`).
        :param origin: the account that started it all, if that is not ``sender``, which may be a contract then.
        :raises BadRequest: impossible value or sender, or no such contract. Nothing was run.
        """
        _check_calldata(data)

        def transaction(state: StateView) -> Transaction:
            _existing(state, contract)
            return Transaction(Kind.CALL, sender, origin or sender, contract, value, data)

        return await self._write(transaction)

    @_command
    async def restore(self, snapshot: bytes) -> None:
        """Goes back, or forward, to the state of a :meth:`snapshot`. Views that are under way see nothing of it.

        :raises DatabaseError: not a snapshot.
        """
        async with self._database.writing() as session:
            await session.replace(lambda store: store.restore(snapshot))

    @_command
    async def deal(self, address: Address, balance: int) -> None:
        """Gives an account or contract a balance out of nothing, which no transaction can; for tests.

        :raises BadValue: all balances together would not fit 256 bits.
        """

        def deal(store: Store) -> None:
            if balance < 0 or store.total_value() - store.balance(address) + balance > limits.VALUE_MAX:
                raise BadValue("all balances together must be from 0 to 2^256 - 1")
            store.set_balance(address, balance)

        async with self._database.writing() as session:
            await session.replace(deal)

    # --- commands that read -----------------------------------------------------------------------

    def reading_once(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Commands inside may only read, and open the file once for all of them."""
        return self._database.reading_once()

    @_command
    async def view(
        self,
        contract: Address,
        data: bytes,
        *,
        sender: Address,
        origin: Address | None = None,
        permissions: str = VIEW_PERMISSIONS,
        sync: bool = False,
    ) -> Receipt:
        """Calls a contract without effect: it can neither write nor send, and nothing is recorded.

        It sees the state of the moment when it began.

        :param permissions: a subset of ``rcn`` (spec executor/10).
        :param sync: without nondet blocks.
        :raises BadRequest: impossible sender, or no such contract.
        """
        _check_calldata(data)
        transaction = Transaction(Kind.VIEW, sender, origin or sender, contract, 0, data)
        async with self._database.reading() as session, session.view() as state:
            async with state.reading:
                _existing(state, contract)
                _check_sender(state, sender, transaction.origin, 0)
            return await self._runs.read(state, Overlay(state), transaction, permissions=permissions, sync=sync)

    @_command
    async def view_code(
        self, code: bytes, data: bytes, *, sender: Address, permissions: str = VIEW_PERMISSIONS, sync: bool = False
    ) -> Receipt:
        """Calls a contract that is not deployed, on a network without any; the database is not used."""
        _check_code(code)
        _check_calldata(data)
        contract = accounts.contract_address(sender, salt=0, nonce=0)
        with contextlib.closing(Store(None)) as store:
            state = StateView(store, direct.lock())
            overlay = Overlay(state)
            overlay.write_code(contract, code)
            transaction = Transaction(Kind.VIEW, sender, sender, contract, 0, data)
            return await self._runs.read(state, overlay, transaction, permissions=permissions, sync=sync)

    @_command
    async def check_sender(self, sender: Address, *, origin: Address | None = None, value: int = 0) -> None:
        """Says early what :meth:`deploy` and :meth:`call` would say of these.

        :raises BadRequest: impossible value or sender.
        """
        await self._ask(lambda store: _check_sender(store, sender, origin or sender, value))

    @_command
    async def validate(
        self, receipt: Receipt, before: bytes, *, code: bytes = b"", leader_results: Sequence[bytes] | None = None
    ) -> Verdict:
        """Runs a transaction again as a validator does: the results of nondet blocks are given, and judged.

        :param receipt: what became of the transaction on the leader's node, which is this one.
        :param before: a :meth:`snapshot` of the state in which it was executed.
        :param code: the contract, for a deployment.
        :param leader_results: what the leader claims instead of ``receipt.nondet_results``.
        """
        with contextlib.closing(await in_thread(lambda: Store.of_snapshot(before))) as store:
            transaction = replaced(receipt.transaction, code=code)
            from pygenvm.localnet.chain.consensus import judge

            return await judge(self._runs, StateView(store, direct.lock()), transaction, receipt, leader_results)

    @_command
    async def state(self, contract: Address) -> StateDump:
        """The storage of a contract, decoded.

        :raises NotFound: no such contract.
        """
        async with self._database.reading() as session, session.view() as state:
            async with state.reading:
                info = _existing(state, contract)
            from pygenvm.localnet.chain.state import read_state

            return await read_state(self._runs, session, state, info)

    @_command
    async def code(self, contract: Address) -> bytes:
        """The code of a contract; empty where there is none."""
        async with self._database.reading() as session:
            size = await session.ask(lambda store: Overlay(store).code_size(contract))
            ask = session.ask if size <= limits.INLINE_BYTES else session.ask_long
            return await ask(lambda store: Overlay(store).code(contract))

    @_command
    async def kept_at(self, contract: Address) -> str:
        """What :meth:`deploy` was told of where the contract's author keeps its file."""
        return await self._ask(lambda store: store.kept_at(contract))

    @_command
    async def balance(self, address: Address) -> int:
        """Balance of an account, a contract, or any other address."""
        return await self._ask(lambda store: store.balance(address))

    @_command
    async def contracts(self) -> list[ContractInfo]:
        """All contracts in order of deployment."""
        return await self._ask(Store.contracts)

    @_command
    async def accounts(self) -> list[AccountInfo]:
        """Balances of the named accounts, of contracts, and of every other address that has one."""
        return await self._ask_long(Store.accounts)

    @_command
    async def log(self, count: int = limits.LOG_TRANSACTIONS) -> list[Receipt]:
        """The last ``count`` recorded transactions and failed commands, oldest first."""
        return await self._ask_long(lambda store: store.log(count))

    @_command
    async def failed_deployment(self) -> Receipt | None:
        """The deployment that the user tried last, if it failed."""
        return await self._ask_long(Store.failed_deployment)

    @_command
    async def snapshot(self) -> bytes:
        """The whole state, for :meth:`restore` and :meth:`validate`."""
        return await self._ask_long(Store.snapshot)

    async def _ask(self, question: Callable[[Store], T]) -> T:
        async with self._database.reading() as session:
            return await session.ask(question)

    async def _ask_long(self, question: Callable[[Store], T]) -> T:
        async with self._database.reading() as session:
            return await session.ask_long(question)

    # --- transactions -----------------------------------------------------------------------------

    async def _write(self, make: Callable[[StateView], Transaction]) -> Execution:
        """Carries out a command of the user; ``make`` finds out whether it is possible."""
        async with self._database.writing() as session:
            async with session.view() as state:
                await _checked(state, make)  # one that is not changes nothing
            resumed = await self._deliver(session)
            async with session.view() as state:
                transaction = await _checked(state, make)
                identity = self._runs.identify(state, transaction)
                receipt, _, changes = await self._decide(state, transaction, identity)
            if changes is None:
                await session.record_failure(receipt)
                return Execution(receipt, resumed=resumed)
            (receipt,) = await session.commit([changes], self._note_stored)
            return Execution(receipt, await self._deliver(session), resumed)

    def _note_stored(self, receipts: list[Receipt]) -> None:
        (receipt,) = receipts
        self.stored = receipt.number

    async def _decide(
        self, state: StateView, transaction: Transaction, identity: Identity, *, queued: int | None = None
    ) -> Executed:
        # Imported here: views need none of them, and only a network with stake needs what the others do.
        if self._settling is None:
            from pygenvm.localnet.chain.consensus import decide

            return await decide(self._runs, self._validators, state, transaction, identity, queued=queued)
        if self._settling.service is not None:
            from pygenvm.localnet.chain import asking

            return await asking.settle(self._runs, self._settling, state, transaction, identity, queued=queued)
        from pygenvm.localnet.chain.settling import settle

        return await settle(self._runs, self._settling, state, transaction, identity, queued=queued)

    async def _deliver(self, session: Session) -> tuple[Receipt, ...]:
        """Delivers what is in the queue and what follows from it, within the limit of one command."""
        receipts: list[Receipt] = []
        while queued := await session.ask(lambda store: store.queued(1)):
            ((number, transaction),) = queued
            async with session.view() as state:
                identity = self._runs.identify(state, transaction, number)
                if len(receipts) < limits.DELIVERIES:
                    *_, changes = await self._decide(state, transaction, identity, queued=number)
                    assert changes is not None, "a queued message is always settled"
                else:
                    from pygenvm.localnet.chain.transactions import put_back

                    changes = await put_back(state, transaction, identity, queued=number)
            receipts += await session.commit([changes])
        return tuple(receipts)


def _process_for_each() -> Executor:
    from pygenvm.localnet.executors.process import ExecutorProcess

    return ExecutorProcess()


async def _checked(state: StateView, make: Callable[[StateView], Transaction]) -> Transaction:
    async with state.reading:
        transaction = make(state)
        _check_sender(state, transaction.sender, transaction.origin, transaction.value)
        return transaction


def _check_sender(state: StateView | Store, sender: Address, origin: Address, value: int) -> None:
    if not 0 <= value <= limits.VALUE_MAX:
        raise BadValue("the value must be from 0 to 2^256 - 1")
    if state.contract(origin):
        raise BadValue(f"{origin!s} is a contract; only accounts send transactions")
    balance = state.balance(sender)
    if value > balance:
        name = accounts.names().get(sender, str(sender))
        raise InsufficientBalance(f"{name} has {balance}, which is less than the value {value}")


def _check_code(code: bytes) -> None:
    if len(code) > CONTRACT_FILE_BYTES:
        raise BadValue(f"the contract has {len(code)} bytes, the limit is {CONTRACT_FILE_BYTES}")


def _check_calldata(data: bytes) -> None:
    if len(data) > HOST_REPLY_SLICE_BYTES:
        raise BadValue(f"the calldata has {len(data)} bytes, executors take {HOST_REPLY_SLICE_BYTES}")


def _existing(state: StateView, contract: Address) -> ContractInfo:
    info = state.contract(contract)
    if info is None:
        raise NotFound(f"there is no contract {contract!s}")
    return info
