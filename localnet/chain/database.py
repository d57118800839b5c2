"""The database file of a chain, shared by its coroutines and with other processes.

*Sessions.* Between commands nothing is open. The first command that needs the file opens it, those that come while it
is open join, the last one closes it: a :class:`Session`. Next to the file lies an empty ``….lock``. A session that only
reads shares that lock with other processes, one that may write holds it alone, and a killed process loses it.
Commands that write take turns, in order of arrival. One that finds a session for reading waits until those who read
are done, and whoever comes later waits behind it.

*Who reads while another writes.* A contract runs against a :class:`StateView`, the committed state at one moment. A
commit first puts aside, for the views that are open, what it is about to overwrite; so a transaction waits for no view
and no view for a transaction.

*Threads.* A commit that is to be durable has to wait for the disk, and what moves many bytes takes its time, so they
are done in a thread. One lock per session (:attr:`StateView.reading`) keeps everybody else off the connection
meanwhile, without blocking the event loop. What else is asked of SQLite are short statements.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, TypeVar

from pygenvm.executor.host_protocol.paged import PAGE_BYTES
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import direct, limits
from pygenvm.localnet.chain.model import ContractInfo, Receipt
from pygenvm.localnet.chain.overlay import Committed
from pygenvm.localnet.chain.store import Changes, Store
from pygenvm.localnet.errors import DatabaseError
from pygenvm.localnet.private_files import make_folder, open_to_append

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

Lock: TypeAlias = contextlib.AbstractAsyncContextManager[Any]

_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


class PathError(DatabaseError):
    """There can be no database at the path."""


def check_path(path: Path, *, write: bool = False) -> None:
    """Make sure that ``path`` is a file, or could become one.

    :param write: one that can be written.
    :raises PathError: it is something else, or nobody knows what.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise PathError(f"cannot open {path}: {error.strerror}; choose another file") from error
    if stat.S_ISDIR(mode):
        raise PathError(f"{path} is a folder; choose a file in it")
    if not stat.S_ISREG(mode):
        raise PathError(f"{path} is a device, a pipe or a socket; choose a file")
    if write and not os.access(path, os.W_OK, effective_ids=True):
        raise PathError(f"{path} cannot be written: its mode is {stat.S_IMODE(mode):04o}, and you may only read it")


class StateView:
    """The committed state at one moment, whatever is committed after it. To be used under :attr:`reading`."""

    def __init__(self, store: Store, reading: Lock) -> None:
        self.reading = reading
        """Held by whoever asks the database something."""
        self.transactions = store.transaction_count()
        """How many were recorded."""
        self._store = store
        self._copy: Store | None = None
        self._pages: dict[tuple[bytes, bytes, int], bytes] = {}
        self._balances: dict[Address, int] = {}
        self._nonces: dict[Address, int] = {}
        self._not_yet: set[Address] = set()

    async def ask(self, question: Callable[[], T], size: int = 0) -> T:
        """The answer of something that uses this view; in a thread if it moves many bytes.

        :param size: how many.
        """
        async with self.reading:
            return question() if size <= limits.INLINE_BYTES else await in_thread(question)

    def balance(self, address: Address) -> int:
        """Balance of any address; 0 for one that never had any."""
        return self._balances[address] if address in self._balances else self._store.balance(address)

    def nonce(self, address: Address) -> int:
        """Recorded transactions of an account, or deployments without salt of a contract."""
        return self._nonces[address] if address in self._nonces else self._store.nonce(address)

    def contract(self, address: Address) -> ContractInfo | None:
        """The contract at an address."""
        return None if address in self._not_yet else self._store.contract(address)

    def pages(self, address: Address, slot: bytes, first: int, last: int) -> dict[int, bytes]:
        """Pages ``first`` to ``last`` of a slot that were ever written, without their trailing zeros."""
        found = self._store.pages(address, slot, first, last)
        return {page: self._pages.get((address.as_bytes, slot, page), data) for page, data in found.items()}

    def storage_of(self, address: Address, count: int) -> tuple[dict[tuple[bytes, int], bytes], bool]:
        """At most ``count`` pages of an address by slot and number, and whether those are all."""
        found, whole = self._store.storage_of(address, count)
        return {key: self._pages.get((address.as_bytes, *key), data) for key, data in found.items()}, whole

    def final(self) -> Committed:
        """The final state: here everything that is committed is final."""
        return self

    def keep(self, changes: Changes) -> None:
        """Puts aside what ``changes`` are about to overwrite."""
        if self._copy is not None:
            return
        for key in changes.pages.keys() - self._pages.keys():
            address, slot, page = key
            self._pages[key] = self._store.pages(Address(address), slot, page, page).get(page, b"")
        for account in changes.balances.keys() - self._balances.keys():
            self._balances[account] = self._store.balance(account)
        for account in changes.nonces.keys() - self._nonces.keys():
            self._nonces[account] = self._store.nonce(account)
        if changes.contract:
            self._not_yet.add(changes.contract.address)

    def take_copy(self, snapshot: bytes) -> None:
        """Goes on without the database, with a copy of it."""
        if self._copy is None:
            self._store = self._copy = Store.of_snapshot(snapshot)

    def close(self) -> None:
        """Frees the copy, if there is one."""
        if self._copy is not None:
            self._copy.close()


class Session:
    """The database while it is open; made by :class:`Database`."""

    def __init__(
        self,
        store: Store,
        resources: contextlib.ExitStack,
        *,
        alone: bool,
        durable: bool,
        on_commit: Callable[[Receipt], None] | None,
    ) -> None:
        self.alone = alone
        """No other process reads or writes."""
        self._durable = durable
        self.users = 0
        #: There once somebody waits for the end.
        self._over: asyncio.Event | None = None
        self._store = store
        self._resources = resources
        self._on_commit = on_commit
        #: Held by whoever asks the database something.
        self._reading = direct.lock()
        self._views: set[StateView] = set()

    @property
    def reading(self) -> Lock:
        """Held by whoever asks the database something."""
        return self._reading

    async def ask(self, question: Callable[[Store], T]) -> T:
        """The answer to something that takes no time."""
        async with self._reading:
            return question(self._store)

    async def ask_long(self, question: Callable[[Store], T]) -> T:
        """The same in a thread."""
        async with self._reading:
            return await in_thread(lambda: question(self._store))

    @contextlib.asynccontextmanager
    async def view(self) -> AsyncIterator[StateView]:
        """The committed state of this moment."""
        async with self._reading:
            state = StateView(self._store, self._reading)
            self._views.add(state)
        try:
            yield state
        finally:
            self._views.discard(state)
            state.close()

    async def commit(
        self, changes: Sequence[Changes], on_stored: Callable[[list[Receipt]], None] = lambda _: None
    ) -> list[Receipt]:
        """Writes transactions, all or none, and gives their receipts with numbers (:meth:`Store.commit`).

        Once begun it is carried to its end, also when the caller is cancelled.

        :param on_stored: called with the receipts then, whatever becomes of the caller; maybe in another thread.
        """
        async with self._reading:
            views, on_commit = tuple(self._views), self._on_commit
            if on_commit:
                import asyncio

                loop = asyncio.get_running_loop()

            def write() -> list[Receipt]:
                for view in views:
                    for change in changes:
                        view.keep(change)
                receipts = self._store.commit(changes)
                on_stored(receipts)
                if on_commit:
                    for receipt in receipts:
                        loop.call_soon_threadsafe(on_commit, receipt)
                return receipts

            return await self._written(write, sum(len(change.pages) for change in changes) * PAGE_BYTES)

    async def record_failure(self, receipt: Receipt) -> None:
        """Keeps a command that changes nothing for the log (:meth:`Store.record_failure`)."""
        async with self._reading:
            await self._written(lambda: self._store.record_failure(receipt))

    async def _written(self, write: Callable[[], T], size: int = 0) -> T:
        """:param size: so many bytes of storage are written."""
        return await in_thread(write) if self._durable or size > limits.INLINE_BYTES else write()

    async def replace(self, action: Callable[[Store], None]) -> None:
        """Changes the state as no transaction could."""
        async with self._reading:
            views = tuple(self._views)
            await in_thread(lambda: self._replace(action, views))

    def _replace(self, action: Callable[[Store], None], views: Sequence[StateView]) -> None:
        if views:
            snapshot = self._store.snapshot()
            for view in views:
                view.take_copy(snapshot)
        action(self._store)

    def close(self) -> None:
        """Closes the file, then gives up the lock."""
        self._resources.close()
        if self._over:
            self._over.set()

    async def closed(self) -> None:
        """Waits for that."""
        if not self._over:
            import asyncio

            self._over = asyncio.Event()
        await self._over.wait()


class Database:
    """The file at ``path`` and the turns of those who use it. It belongs to one event loop."""

    def __init__(
        self,
        path: Path,
        *,
        lock_seconds: float,
        on_wait: Callable[[], None] | None = None,
        on_commit: Callable[[Receipt], None] | None = None,
        durable: bool = True,
        only_user: bool = False,
        store: type[Store] = Store,
    ) -> None:
        """
        :param only_user: nobody else uses the file, so it stays open until :meth:`close`.
        :param lock_seconds: how long to wait for another process; ``on_wait`` is called then.
        :param on_commit: called with the receipt of every transaction that was committed here.
        :param durable: as for :class:`localnet.chain.store.Store`.
        :param store: what the file is opened with.
        """
        self._path = path
        self._lock_path = path.with_name(path.name + ".lock")
        self._lock_seconds = lock_seconds
        self._on_wait = on_wait
        self._on_commit = on_commit
        self._durable = durable
        self._only_user = only_user
        self._store = store
        #: Handed on in order of arrival.
        self._turn = direct.lock()
        self._entrance = direct.lock()
        self._session: Session | None = None

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[Session]:
        """A session in which nothing is written, but perhaps by others of this chain.

        :raises DatabaseError: no lock after ``lock_seconds``, or the database cannot be used.
        """
        async with self._enter(alone=False) as session:
            yield session

    @contextlib.asynccontextmanager
    async def reading_once(self) -> AsyncIterator[None]:
        """One session for all :meth:`reading` inside, each of which would open the file; nothing is written inside."""
        async with self._enter(alone=False) as session:
            token = _shared.set((self, session))
            try:
                yield
            finally:
                _shared.reset(token)

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[Session]:
        """A session in which nobody else writes.

        :raises DatabaseError: as for :meth:`reading`.
        """
        async with self._turn, self._enter(alone=True) as session:
            yield session

    @contextlib.asynccontextmanager
    async def _enter(self, *, alone: bool) -> AsyncIterator[Session]:
        database, shared = _shared.get() or (None, None)
        if database is self and shared is not None:
            # Not through the entrance, where somebody may stand who waits for the end of this very session.
            assert not alone, "nothing is written in a session for reading"
            yield shared
            return
        deadline = time.monotonic() + self._lock_seconds  # from here: they stand in line
        async with self._entrance:
            if alone and self._session and not self._session.alone:
                await self._session.closed()
            if self._session is None:
                self._session = await self._open(alone or self._only_user, deadline)
            session = self._session
            session.users += 1
        try:
            yield session
        finally:
            session.users -= 1
            if not session.users and not self._only_user:
                self.close()

    def close(self) -> None:
        """Closes the file, if it is open; only while nobody uses it."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    async def _open(self, alone: bool, deadline: float) -> Session:
        with contextlib.ExitStack() as resources:
            check_path(self._path)
            exists = self._path.exists()
            if exists and not self._lock_path.exists():
                # Beside what is no database of ours no file is left behind,
                Store(self._path).close()
            # nor where there is nothing to protect, by a command that reads.
            if alone or exists:
                resources.enter_context(await self._lock(alone, deadline))
            store = resources.enter_context(contextlib.closing(self._store(self._path, durable=self._durable)))
            return Session(store, resources.pop_all(), alone=alone, durable=self._durable, on_commit=self._on_commit)

    async def _lock(self, alone: bool, deadline: float) -> IO[bytes]:
        """The lock file, locked until it is closed."""
        with contextlib.ExitStack() as opened:
            try:
                make_folder(self._path.parent)
                lock = opened.enter_context(open_to_append(self._lock_path))
            except OSError as error:
                what_to_do = "; the folder of a database must be writable" if error.errno in _NOT_WRITABLE else ""
                raise DatabaseError(f"cannot open {self._lock_path}: {error.strerror}{what_to_do}") from error
            waited = False
            while not _try_lock(lock, alone):
                if time.monotonic() >= deadline:
                    raise DatabaseError(
                        f"{self._path} is in use by another genvm local command;"
                        f" gave up after {self._lock_seconds:g} seconds"
                    )
                if not waited and self._on_wait:
                    self._on_wait()
                waited = True
                await _pause(limits.LOCK_POLL_SECONDS)
            opened.pop_all()
            return lock


#: Of whoever is in :meth:`Database.reading_once`.
_shared: ContextVar[tuple[Database, Session] | None] = ContextVar("_shared", default=None)


async def in_thread(work: Callable[[], T]) -> T:
    """Carries ``work`` to its end in a thread. If the caller is cancelled meanwhile, that takes effect after it."""
    if direct.is_on():
        return direct.undisturbed(work)
    import asyncio

    # No task: when a program ends, asyncio.run cancels all of those.
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        raise


async def _pause(seconds: float) -> None:
    if direct.is_on():
        time.sleep(seconds)
        return
    import asyncio

    await asyncio.sleep(seconds)


def _try_lock(lock: IO[bytes], alone: bool) -> bool:
    try:
        fcntl.flock(lock, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
