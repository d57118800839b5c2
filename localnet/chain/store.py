"""The state of a local network in one SQLite file, one SQLite transaction per transaction of the network.

The file is made by the first transaction, so a command that cannot be run leaves none behind. It has a rollback
journal and no write-ahead log: between commands there is exactly one file, and copying it copies the network. Who may
open it when is up to :mod:`localnet.chain.database`. Nothing is written while a contract runs; :meth:`Store.commit`
writes all effects of a transaction or none.

The file may be a stranger's, and so hold anything. It must have exactly our tables, without views, triggers and other
things of a schema that run when it is read; no question takes, or brings, more than :mod:`localnet.limits` allow; every
value is checked when it is read.

Tables: ``accounts`` (balance, nonce), ``contracts``, ``pages`` (storage in pieces of ``paged.PAGE_BYTES`` without
their trailing zeros), ``transactions`` (the log), ``queue`` (messages under way; their value is in no balance). Besides
the state there is ``failures``, for the log too: commands that failed and changed nothing, each with the number of the
transaction ``after`` which it came; made by the first of them. A server adds tables of its own
(:mod:`localnet.chain.network_schema`). Amounts are decimal text, because SQLite's integers end at 2**63.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from pygenvm.executor.frozen import Frozen, fresh, replaced
from pygenvm.executor.host_protocol.codec import SLOT_BYTES
from pygenvm.executor.host_protocol.paged import PAGE_BYTES
from pygenvm.executor.outcome import Outcome, Return
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.spawn.output import Captured
from pygenvm.localnet import limits
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.model import (
    AccountInfo,
    BalanceChange,
    ContractInfo,
    Event,
    Kind,
    Posted,
    PostedKind,
    Receipt,
    Status,
    Transaction,
    outcome_from_bytes,
    outcome_to_bytes,
)
from pygenvm.localnet.chain.network_schema import NETWORK_SCHEMA
from pygenvm.localnet.errors import DatabaseError
from pygenvm.localnet.private_files import make_file, make_folder

#: "gvmL"; tells our files from other SQLite files.
APPLICATION_ID = 0x67766D4C
SCHEMA_VERSION = 1
#: How a file of SQLite begins, and where in its header PRAGMA user_version and application_id stand.
_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_NUMBERS = (60, 68)

_SCHEMA = """
CREATE TABLE accounts (address BLOB PRIMARY KEY, balance TEXT NOT NULL, nonce INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE contracts (number INTEGER PRIMARY KEY, address BLOB NOT NULL UNIQUE, name TEXT NOT NULL,
                        top_level INTEGER NOT NULL);
CREATE TABLE pages (address BLOB NOT NULL, slot BLOB NOT NULL, page INTEGER NOT NULL, data BLOB NOT NULL,
                    PRIMARY KEY (address, slot, page)) WITHOUT ROWID;
CREATE TABLE transactions (number INTEGER PRIMARY KEY, tx_id BLOB NOT NULL, parent INTEGER, kind TEXT NOT NULL,
                           status TEXT NOT NULL, sender BLOB NOT NULL, origin BLOB NOT NULL, contract BLOB NOT NULL,
                           name TEXT NOT NULL, value TEXT NOT NULL, calldata BLOB NOT NULL, released_on TEXT NOT NULL,
                           datetime TEXT NOT NULL, outcome BLOB, details BLOB NOT NULL);
CREATE TABLE queue (number INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER NOT NULL, kind TEXT NOT NULL,
                    sender BLOB NOT NULL, origin BLOB NOT NULL, contract BLOB NOT NULL, value TEXT NOT NULL,
                    calldata BLOB NOT NULL, code BLOB NOT NULL, released_on TEXT NOT NULL);
"""
#: What is kept of a transaction besides its number.
_RECORDED = (
    "tx_id, parent, kind, status, sender, origin, contract, name, value, calldata, released_on, datetime, outcome,"
    " details"
)
_FAILURES = f"CREATE TABLE IF NOT EXISTS failures (number INTEGER PRIMARY KEY, after, {_RECORDED})"
_LAYOUT = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name, type"

P = ParamSpec("P")
T = TypeVar("T")


def _checked(method: Callable[Concatenate[Store, P], T]) -> Callable[Concatenate[Store, P], T]:
    """A question to which the file may have answers that none of ours has."""

    @functools.wraps(method)
    def ask(store: Store, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(store, *args, **kwargs)
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            raise DatabaseError(f"database {store._path} is damaged: {error!s:.200}") from error

    return ask


class Changes(metaclass=Frozen):
    """All effects of one transaction."""

    receipt: Receipt
    balances: dict[Address, int] = fresh(factory=dict)
    """New balances of the addresses that changed."""
    nonces: dict[Address, int] = fresh(factory=dict)
    pages: dict[tuple[bytes, bytes, int], bytes] = fresh(factory=dict)
    """(address, slot, page number) to content without trailing zeros."""
    contract: ContractInfo | None = None
    queue: list[Transaction] = fresh(factory=list)
    """Messages to deliver; their value has left the sender's balance. The store fills in ``parent``."""
    delivered: int | None = None
    """Queue number of the message that this transaction delivers."""
    destroyed: int = 0
    """Value of that message for which there was no room in any balance."""


class Store:
    """One network's state. Nothing here waits for other users of the file or locks it against them."""

    def __init__(self, path: Path | None, *, durable: bool = True) -> None:
        """Opens ``path``; without a file there, or without a path, shows the state of a new network.

        :param durable: a commit has reached the disk when it returns. Without that a power cut may destroy the file.
        :raises DatabaseError: not a database of ours, or unreadable.
        """
        self._path = path or Path(":memory:")
        self._durable = durable
        with _sqlite_errors(self._path):
            self._exists = path is not None and path.exists() and path.stat().st_size > 0
            if self._exists:
                self._check_header()
            self._connection = _connect(self._path if self._exists else Path(":memory:"), durable)
            if self._exists:
                self._check_version()
            else:
                self._create()

    @classmethod
    def of_snapshot(cls, snapshot: bytes) -> Store:
        """The state that :meth:`snapshot` gave, for reading; it has no file.

        :raises DatabaseError: not a snapshot.
        """
        store = cls(None)
        with _sqlite_errors(store._path):
            store._connection.deserialize(snapshot)
            store._check_version()
        return store

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    # --- reading ----------------------------------------------------------------------------------

    @_checked
    def balance(self, address: Address) -> int:
        """Balance of any address; 0 for one that never had any."""
        row = self._one("SELECT balance FROM accounts WHERE address = ?", address.as_bytes)
        return _amount(row[0]) if row else 0

    @_checked
    def nonce(self, address: Address) -> int:
        """Recorded transactions of an account, or deployments without salt of a contract."""
        row = self._one("SELECT nonce FROM accounts WHERE address = ?", address.as_bytes)
        return _count(row[0]) if row else 0

    @_checked
    def pages(self, address: Address, slot: bytes, first: int, last: int) -> dict[int, bytes]:
        """Pages ``first`` to ``last`` of a slot that were ever written, without their trailing zeros."""
        rows = self._all(
            "SELECT page, data FROM pages WHERE address = ? AND slot = ? AND page BETWEEN ? AND ?",
            address.as_bytes,
            slot,
            first,
            last,
        )
        return {_count(page): _page(data) for page, data in rows}

    @_checked
    def storage_of(self, address: Address, count: int) -> tuple[dict[tuple[bytes, int], bytes], bool]:
        """At most ``count`` pages of an address by slot and number, and whether those are all."""
        rows = self._all("SELECT slot, page, data FROM pages WHERE address = ? LIMIT ?", address.as_bytes, count + 1)
        found = {(_bytes(slot, 32), _count(page)): _page(data) for slot, page, data in rows[:count]}
        return found, len(rows) <= count

    @_checked
    def slots(self, address: Address, count: int) -> list[tuple[bytes, int]]:
        """The first ``count`` written slots of a contract, and the number of the last page of each."""
        rows = self._all(
            "SELECT slot, MAX(page) FROM pages WHERE address = ? GROUP BY slot ORDER BY slot LIMIT ?",
            address.as_bytes,
            count,
        )
        return [(_bytes(slot, SLOT_BYTES), _count(page)) for slot, page in rows]

    @_checked
    def slot_count(self, address: Address) -> int:
        """How many slots of a contract were ever written."""
        row = self._one("SELECT COUNT(DISTINCT slot) FROM pages WHERE address = ?", address.as_bytes)
        return int(row[0]) if row else 0

    @_checked
    def contract(self, address: Address) -> ContractInfo | None:
        """The contract at an address."""
        row = self._one("SELECT address, name, number, top_level FROM contracts WHERE address = ?", address.as_bytes)
        return _contract(row) if row else None

    @_checked
    def kept_at(self, address: Address) -> str:
        """Where the author of a contract keeps its file (:attr:`localnet.chain.model.Transaction.kept_at`)."""
        row = self._one(
            "SELECT details FROM transactions WHERE contract = ? AND kind = ? AND status = ?",
            address.as_bytes,
            Kind.DEPLOY,
            Status.OK,
        )
        return str(_details_from_bytes(_of(row[0], bytes))["kept_at"]) if row else ""

    @_checked
    def contracts(self) -> list[ContractInfo]:
        """All contracts in order of deployment."""
        rows = self._all("SELECT address, name, number, top_level FROM contracts ORDER BY number")
        return [_contract(row) for row in rows]

    @_checked
    def accounts(self) -> list[AccountInfo]:
        """The named accounts, then every other address with a balance or a contract."""
        rows = self._all("SELECT address, balance, nonce FROM accounts")
        known = {_address(address): (_amount(balance), _count(nonce)) for address, balance, nonce in rows}
        contracts = {info.address: info.name for info in self.contracts()}
        order = [*accounts.names(), *contracts, *sorted(known.keys() - accounts.names().keys() - contracts.keys())]
        return [
            AccountInfo(
                address,
                accounts.names().get(address) or contracts.get(address, ""),
                *known.get(address, (0, 0)),
                is_contract=address in contracts,
            )
            for address in order
        ]

    @_checked
    def transaction_count(self) -> int:
        """Number of the last recorded transaction."""
        row = self._one("SELECT COALESCE(MAX(number), 0) FROM transactions")
        return _count(row[0]) if row else 0

    @_checked
    def log(self, count: int) -> list[Receipt]:
        """The last ``count`` recorded transactions and failed commands, oldest first."""
        query = "SELECT {} FROM {} ORDER BY number DESC LIMIT ?"
        rows = self._all(query.format(f"number, 0, number, {_RECORDED}", "transactions"), count)
        if self._has_failures():
            rows += self._all(query.format(f"after, number, NULL, {_RECORDED}", "failures"), count)
        rows.sort(key=lambda row: row[:2])
        return [_receipt(row[2:]) for row in rows[-count:]]

    @_checked
    def failed_deployment(self) -> Receipt | None:
        """The deployment that the user tried last, if it failed."""
        if not self._has_failures():
            return None
        row = self._one(
            f"SELECT NULL, {_RECORDED} FROM failures WHERE kind = ? AND NOT EXISTS (SELECT 1 FROM transactions"
            " WHERE number > after AND kind = failures.kind AND parent IS NULL) ORDER BY number DESC",
            Kind.DEPLOY,
        )
        return _receipt(row) if row else None

    def _has_failures(self) -> bool:
        return self._has_table("failures")

    def has_network(self) -> bool:
        """Whether a server had the file (:mod:`localnet.chain.network`)."""
        return self._has_table("network_transactions")

    def _has_table(self, name: str) -> bool:
        return self._one("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", name) is not None

    @_checked
    def queued(self, count: int) -> list[tuple[int, Transaction]]:
        """The next ``count`` messages under way, in order of posting, with their queue numbers."""
        rows = self._all(
            "SELECT number, parent, kind, sender, origin, contract, value, calldata, code, released_on"
            " FROM queue ORDER BY number LIMIT ?",
            count,
        )
        return [(row[0], _queued(row)) for row in rows]

    @_checked
    def total_value(self) -> int:
        """All value of the network: balances and messages under way. Never changes."""
        network = " UNION ALL SELECT escrow FROM network_transactions" if self.has_network() else ""
        amounts = self._all(f"SELECT balance FROM accounts UNION ALL SELECT value FROM queue{network}")
        return sum(_amount(row[0]) for row in amounts)

    def snapshot(self) -> bytes:
        """The whole state."""
        with _sqlite_errors(self._path):
            data = self._connection.serialize()
        # Of a network that runs, which writes ahead: a database in memory cannot.
        return data[:18] + b"\x01\x01" + data[20:] if data[18:20] == b"\x02\x02" else data

    # --- writing ----------------------------------------------------------------------------------

    def restore(self, snapshot: bytes) -> None:
        """Replaces the whole state by that of a snapshot, at once.

        :raises DatabaseError: not a snapshot, or the file cannot be written.
        """
        with contextlib.closing(Store.of_snapshot(snapshot)) as source, _sqlite_errors(self._path):
            self._open_file()
            source._connection.backup(self._connection)
        self._exists = True

    def set_balance(self, address: Address, balance: int) -> None:
        """Makes or destroys value, which no transaction can."""
        with _sqlite_errors(self._path), self._writing():
            self._set_account("balance", address, str(balance))
            if self.has_network():
                self._connection.execute(
                    "UPDATE network_settings SET value = ? WHERE name = 'total'", (f'"{self.total_value()}"',)
                )

    def commit(self, changes: Sequence[Changes]) -> list[Receipt]:
        """Writes transactions to the file, all or none, and gives their receipts with numbers.

        :raises DatabaseError: the file cannot be written, or value would appear or vanish.
        """
        with _sqlite_errors(self._path), self._writing():
            before = self.total_value()
            self._check_final(changes)
            receipts = [self._apply(change) for change in changes]
            if self.total_value() != before - sum(change.destroyed for change in changes):
                raise DatabaseError("a transaction would create or destroy value; nothing was written")
        return receipts

    def _check_final(self, changes: Sequence[Changes]) -> None:
        """:raises DatabaseError: a server may still undo something that a contract has done before."""
        if not self.has_network():
            return
        for contract in {change.receipt.transaction.contract for change in changes}:
            if self._one(
                "SELECT 1 FROM network_transactions WHERE recipient = ? AND status NOT IN ('FINALIZED', 'CANCELED')",
                contract.as_bytes,
            ):
                raise DatabaseError(
                    f"a server has left transactions of {contract!s} that are not final; start it again"
                    " (genvm local serve) and wait until they are"
                )

    def record_failure(self, receipt: Receipt) -> None:
        """Keeps a failed command of the user for the log. The state, and what is numbered in it, stay as they are.

        :raises DatabaseError: the file cannot be written.
        """
        with _sqlite_errors(self._path), self._writing():
            self._connection.execute(_FAILURES)
            self._insert("failures", "after", self.transaction_count(), receipt)
            self._connection.execute(
                "DELETE FROM failures WHERE number <= (SELECT MAX(number) FROM failures) - ?"
                " AND number <> IFNULL((SELECT MAX(number) FROM failures WHERE kind = ?), 0)",
                (limits.LOG_FAILURES, Kind.DEPLOY),
            )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction of the database; makes the file if there is none."""
        self._open_file()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            if not self._exists:
                self._create()
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._exists = True

    def _open_file(self) -> None:
        if not self._exists:
            make_folder(self._path.parent)
            # SQLite gives its journals the mode that the file has.
            make_file(self._path)
            self._connection.close()
            self._connection = _connect(self._path, self._durable)

    def _apply(self, changes: Changes) -> Receipt:
        execute = self._connection.execute
        for address, balance in changes.balances.items():
            if balance < 0:
                raise DatabaseError(f"the balance of {address!s} would be negative; nothing was written")
            self._set_account("balance", address, str(balance))
        for address, nonce in changes.nonces.items():
            self._set_account("nonce", address, nonce)
        self._connection.executemany(
            "INSERT OR REPLACE INTO pages (address, slot, page, data) VALUES (?, ?, ?, ?)",
            ((*key, data) for key, data in changes.pages.items()),
        )
        number = self.transaction_count() + 1
        receipt = replaced(changes.receipt, number=number)
        self._insert("transactions", "number", number, receipt)
        if changes.delivered is not None:
            execute("DELETE FROM queue WHERE number = ?", (changes.delivered,))
        for message in changes.queue:
            self._enqueue(message, number)
        if changes.contract:
            execute(
                "INSERT INTO contracts (address, name, top_level) VALUES (?, ?, ?)",
                (changes.contract.address.as_bytes, changes.contract.name, changes.contract.top_level),
            )
        return receipt

    def _set_account(self, column: str, address: Address, value: str | int) -> None:
        self._connection.execute(
            "INSERT OR IGNORE INTO accounts (address, balance, nonce) VALUES (?, '0', 0)", (address.as_bytes,)
        )
        self._connection.execute(f"UPDATE accounts SET {column} = ? WHERE address = ?", (value, address.as_bytes))

    def _insert(self, table: str, key: str, number: int, receipt: Receipt) -> None:
        transaction = receipt.transaction
        self._connection.execute(
            f"INSERT INTO {table} ({key}, {_RECORDED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                receipt.tx_id,
                transaction.parent,
                transaction.kind,
                receipt.status,
                transaction.sender.as_bytes,
                transaction.origin.as_bytes,
                transaction.contract.as_bytes,
                transaction.name,
                str(transaction.value),
                transaction.calldata,
                transaction.on,
                receipt.datetime,
                None if receipt.outcome is None else outcome_to_bytes(receipt.outcome),
                _details_to_bytes(receipt),
            ),
        )

    def _enqueue(self, message: Transaction, parent: int) -> None:
        self._connection.execute(
            "INSERT INTO queue (parent, kind, sender, origin, contract, value, calldata, code, released_on)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                parent,
                message.kind,
                message.sender.as_bytes,
                message.origin.as_bytes,
                message.contract.as_bytes,
                str(message.value),
                message.calldata,
                message.code,
                message.on,
            ),
        )

    def _create(self) -> None:
        """Tables and accounts of a new network, inside the caller's transaction if there is one."""
        for statement in _SCHEMA.split(";"):
            self._connection.execute(statement)
        self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        for address in accounts.names():
            self._set_account("balance", address, str(accounts.START_BALANCE))

    def _check_header(self) -> None:
        """Looks at a file before SQLite does, which brings one up to date that another program has left in the middle
        of something, and removes the journal beside it.

        :raises DatabaseError: it is not ours.
        """
        with open(self._path, "rb") as file:
            header = file.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
            raise DatabaseError(f"database {self._path}: it is not a database; choose another file")
        version, application = (int.from_bytes(header[place : place + 4], "big") for place in _NUMBERS)
        self._check_numbers(application, version)

    def _check_numbers(self, application: int, version: int) -> None:
        if application != APPLICATION_ID or not version:
            raise DatabaseError(f"{self._path} is not the database of a local network; choose another file")
        if version != SCHEMA_VERSION:
            raise DatabaseError(
                f"{self._path} has version {version} of the database layout, this release reads {SCHEMA_VERSION}"
            )

    def _check_version(self) -> None:
        application = self._one("PRAGMA application_id")
        version = self._one("PRAGMA user_version")
        self._check_numbers(application[0] if application else 0, version[0] if version else 0)
        if not is_own(_layout(self._all(_LAYOUT))):
            raise DatabaseError(f"{self._path} has not the tables of a local network")

    def _one(self, query: str, *parameters: object) -> tuple[Any, ...] | None:
        with _sqlite_errors(self._path):
            row: tuple[Any, ...] | None = self._connection.execute(query, parameters).fetchone()
            return row

    def _all(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        size = 0
        with _sqlite_errors(self._path):
            for row in self._connection.execute(query, parameters):
                # Pages of a damaged file may be part of several rows, so its size is no bound.
                size += sum(len(value) for value in row if isinstance(value, bytes | str))
                if len(rows) == limits.ANSWER_ROWS or size > limits.ANSWER_BYTES:
                    raise DatabaseError(f"database {self._path}: more than can be held in memory is asked for")
                rows.append(row)
        return rows


class _Connection(sqlite3.Connection):
    """Gives up a statement that takes too long."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline = math.inf
        self.set_progress_handler(lambda: time.monotonic() > self._deadline, limits.STATEMENT_STEPS)

    def execute(self, *args: Any) -> sqlite3.Cursor:
        self._deadline = time.monotonic() + limits.STATEMENT_SECONDS
        return super().execute(*args)

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        self._deadline = time.monotonic() + limits.STATEMENT_SECONDS
        return super().executemany(*args)


def _connect(path: Path, durable: bool) -> sqlite3.Connection:
    # Explicit BEGIN and COMMIT; the module's own transactions would begin at the first write. Several threads, but
    # only one at a time: see localnet.chain.database.
    connection = sqlite3.connect(os.fspath(path), isolation_level=None, check_same_thread=False, factory=_Connection)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.DATABASE_VALUE_BYTES)
    # Nothing of the file's schema may call functions, and its cells are looked at before they are used.
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
    if not durable:
        connection.execute("PRAGMA journal_mode = MEMORY")
    return connection


def _layout(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(" ".join(str(value).split()) for value in row) for row in rows]


def is_own(layout: list[tuple[Any, ...]]) -> bool:
    """Whether ours have these tables: without failures or with them, without those of a network or with them."""
    variants: tuple[tuple[str, ...], ...] = ((), (_FAILURES,), (NETWORK_SCHEMA,), (_FAILURES, NETWORK_SCHEMA))
    return any(layout == _own_layout(scripts) for scripts in variants)


@functools.cache
def _own_layout(scripts: tuple[str, ...]) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for script in (_SCHEMA, *scripts):
            connection.executescript(script)
        return _layout(connection.execute(_LAYOUT))


@contextlib.contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    try:
        yield
    # SQLite puts pieces of the file into its texts, and Python expects UTF-8 there.
    except (sqlite3.Error, OSError, OverflowError, UnicodeError) as error:
        match getattr(error, "sqlite_errorcode", 0) & 0xFF:
            case sqlite3.SQLITE_INTERRUPT:
                why: object = f"no answer within {limits.STATEMENT_SECONDS:g} seconds"
            case sqlite3.SQLITE_CANTOPEN:
                error = _why_not_opened(path) or error
                why = error
            case sqlite3.SQLITE_NOTADB:
                why = f"{error}; choose another one"
            case _:
                why = error
        raise DatabaseError(f"database {path}: {why}") from error


def _why_not_opened(path: Path) -> OSError | None:
    """The system's error, of which SQLite tells nothing."""
    with contextlib.ExitStack() as opened:
        try:
            # Besides the file it needs its journal, the folder, and random numbers.
            for name in (path, path.parent, os.devnull, os.devnull):
                opened.callback(os.close, os.open(name, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            return error
    return None


# --- values ---------------------------------------------------------------------------------------

_AMOUNT = re.compile(r"[0-9]{1,78}")


def _of(value: Any, kind: type[T]) -> T:
    """:raises ValueError: it is of another type."""
    if type(value) is not kind:
        raise ValueError(f"a {type(value).__name__} instead of a {kind.__name__}")
    return value


def _bytes(value: Any, size: int) -> bytes:
    if len(_of(value, bytes)) != size:
        raise ValueError(f"{len(value)} bytes instead of {size}")
    return bytes(value)


def _address(value: Any) -> Address:
    return Address(_bytes(value, Address.SIZE))


def _number(value: Any) -> int:
    """What a balance or an amount may be."""
    if not 0 <= _of(value, int) < 1 << 256:
        raise ValueError("a number that does not fit 256 bits")
    return int(value)


def _amount(value: Any) -> int:
    if not _AMOUNT.fullmatch(_of(value, str)):
        raise ValueError(f"{value[:80]!r} is not an amount")
    return _number(int(value))


def _count(value: Any) -> int:
    if not 0 <= _of(value, int) < 1 << 63:
        raise ValueError("a count that is negative or too large")
    return int(value)


def _page(value: Any) -> bytes:
    if len(_of(value, bytes)) > PAGE_BYTES:
        raise ValueError(f"a page of {len(value)} bytes")
    return bytes(value)


def _released_on(value: Any) -> str:
    if value not in ("", "accepted", "finalized"):
        raise ValueError(f"{value!r:.80} is not a release condition")
    return str(value)


def _parent(value: Any) -> int | None:
    return None if value is None else _count(value)


def _encoded(value: Any) -> bytes:
    """:raises ValueError: not calldata."""
    calldata.decode(_of(value, bytes))
    return bytes(value)


def _contract(row: tuple[Any, ...]) -> ContractInfo:
    address, name, number, top_level = row
    return ContractInfo(_address(address), _of(name, str), _of(number, int), bool(_count(top_level)))


def _queued(row: tuple[Any, ...]) -> Transaction:
    _, parent, kind, sender, origin, contract, value, data, code, on = row
    return Transaction(
        Kind(kind),
        _address(sender),
        _address(origin),
        _address(contract),
        _amount(value),
        _of(data, bytes),
        code=_of(code, bytes),
        parent=_parent(parent),
        on=_released_on(on),
    )


def _receipt(row: tuple[Any, ...]) -> Receipt:
    number, tx_id, parent, kind, status, sender, origin, contract, name, value, data, on, *rest = row
    datetime, outcome, details = rest[0], rest[1], _details_from_bytes(_of(rest[2], bytes))
    return Receipt(
        Transaction(
            Kind(kind),
            _address(sender),
            _address(origin),
            _address(contract),
            _amount(value),
            _of(data, bytes),
            name=_of(name, str),
            kept_at=details.pop("kept_at"),
            parent=_parent(parent),
            on=_released_on(on),
        ),
        Status(status),
        None if outcome is None else _outcome(outcome),
        _of(tx_id, bytes),
        _of(datetime, str),
        number=None if number is None else _of(number, int),
        **details,
    )


def _outcome(value: Any) -> Outcome:
    outcome = outcome_from_bytes(_of(value, bytes))
    if isinstance(outcome, Return):
        _encoded(outcome.calldata)
    return outcome


def _details_to_bytes(receipt: Receipt) -> bytes:
    kept_at = {"kept_at": receipt.transaction.kept_at} if receipt.transaction.kept_at else {}
    return calldata.encode(
        {
            **kept_at,
            "events": [[list(event.topics), event.blob] for event in receipt.events],
            "messages": [
                [str(post.kind), post.receiver, post.value, post.calldata, post.on, post.code, post.salt]
                for post in receipt.messages
            ],
            "balances": [[change.address, change.before, change.after] for change in receipt.balances],
            "nondet_results": list(receipt.nondet_results),
            "slots_written": receipt.slots_written,
            "bytes_written": receipt.bytes_written,
            "stdout": [receipt.stdout.head, receipt.stdout.tail, receipt.stdout.dropped],
            "stderr": [receipt.stderr.head, receipt.stderr.tail, receipt.stderr.dropped],
            "microseconds": int(receipt.seconds * 1e6),
        }
    )


def _details_from_bytes(data: bytes) -> dict[str, Any]:
    details: dict[str, Any] = _of(calldata.decode(data), dict)
    return {
        "kept_at": _of(details.get("kept_at", ""), str),
        "events": tuple(_event(*event) for event in details["events"]),
        "messages": tuple(_posted(*posted) for posted in details["messages"]),
        "balances": tuple(
            BalanceChange(_of(address, Address), _number(before), _number(after))
            for address, before, after in details["balances"]
        ),
        "nondet_results": tuple(_of(result, bytes) for result in details["nondet_results"]),
        "slots_written": _count(details["slots_written"]),
        "bytes_written": _count(details["bytes_written"]),
        "stdout": _captured(*details["stdout"]),
        "stderr": _captured(*details["stderr"]),
        "seconds": _count(details["microseconds"]) / 1e6,
    }


def _event(topics: Any, blob: Any) -> Event:
    return Event(tuple(_of(topic, bytes) for topic in _of(topics, list)), _encoded(blob))


def _posted(kind: Any, receiver: Any, value: Any, data: Any, on: Any, code: Any, salt: Any) -> Posted:
    return Posted(
        PostedKind(kind),
        _of(receiver, Address),
        _number(value),
        _of(data, bytes),
        _released_on(on),
        _of(code, bytes),
        _number(salt),
    )


def _captured(head: Any, tail: Any, dropped: Any) -> Captured:
    return Captured(_of(head, bytes), _of(tail, bytes), _count(dropped))
