"""The database of a network: transactions with their states, and the accepted state with the way back.

Every method that writes is called inside :meth:`NetworkStore.batch`, does all or nothing, and appends to
:attr:`NetworkStore.notes` what has changed.

*History.* Each commit has a number. It keeps what it overwrites, so that the state after any commit can still be seen
(:meth:`NetworkStore.pages_at`): by runs that began then, by appeals, and as the final state, which is that after the
last final commit of each contract. Whatever nobody can ask for any more is forgotten (:meth:`NetworkStore.forget`).

*Value.* It is in a balance or in the escrow of a transaction, and every step moves it from one to the other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from pygenvm.executor.primitives.abi import SpecialMethod
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.model import ContractInfo, Kind, Posted, PostedKind, Receipt, Transaction, calldata_of_call
from pygenvm.localnet.chain.network.errors import (
    InsufficientFunds,
    NonceTooLow,
    QueueFull,
    TransactionNotFound,
    ValidatorNotFound,
    WrongStatus,
)
from pygenvm.localnet.chain.network.rows import (
    Details,
    model_from_json,
    model_to_json,
    round_from_bytes,
    round_to_bytes,
    to_json,
    to_text,
    to_time,
)
from pygenvm.localnet.chain.network.types import (
    APPEALABLE,
    ZERO_ADDRESS,
    Appeals,
    Block,
    Model,
    NodeReceipt,
    Round,
    RoundResult,
    StatusChange,
    Submission,
    TxKind,
    TxMode,
    TxStatus,
    Validator,
)
from pygenvm.localnet.chain.network_schema import NETWORK_SCHEMA
from pygenvm.localnet.chain.overlay import Overlay
from pygenvm.localnet.chain.store import _RECORDED, Changes, Store, _receipt, _sqlite_errors
from pygenvm.localnet.errors import BadValue, DatabaseError

_COLUMNS = (
    "seq, id, kind, status, sender, recipient, origin, nonce, value, escrow, calldata, code, parent, released_on,"
    " block, log, commit_at, view_at, since, factor, details"
)
_OPEN = "status NOT IN ('FINALIZED', 'CANCELED')"
_APPEALABLE = ", ".join(f"'{status}'" for status in sorted(APPEALABLE))
_EMPTY_CALL = calldata_of_call(None)
_ERROR_CALL = calldata_of_call(SpecialMethod.ERRORED_MESSAGE)
#: Rounds of one transaction that can be settled.
_SETTLED_ROUNDS = 1 << 16
#: What a failed appeal leaves of the finality window.
_SHORTER = 0.8
#: What a snapshot gives back; validators, models, blocks, the clock and the count of commits stay.
_STATE_TABLES = (
    "accounts",
    "contracts",
    "pages",
    "transactions",
    "queue",
    "network_transactions",
    "network_rounds",
    "network_unsettled",
    "network_history",
    "network_balances",
    "network_contracts",
)


@dataclass(slots=True)
class Row:
    """A transaction as it is stored (:mod:`localnet.chain.network_schema`)."""

    seq: int
    id: bytes
    kind: TxKind
    status: TxStatus
    sender: Address
    recipient: Address
    origin: Address
    nonce: int
    value: int
    escrow: int
    calldata: bytes
    code: bytes
    parent: int | None
    released_on: str
    block: int
    log: int | None
    commit_at: int | None
    """The commit in which it took effect; None: it has none now."""
    view_at: int | None
    """The last commit that it has seen."""
    since: float | None
    """When its finality window began, by the clock of the network."""
    factor: float
    """What is left of the window."""
    details: Details

    def transaction(self) -> Transaction:
        """What is executed."""
        kind = Kind.DEPLOY if self.kind is TxKind.DEPLOY else Kind.ERROR if self.details.is_error else Kind.CALL
        code = self.code if self.kind is TxKind.DEPLOY else b""
        return Transaction(
            kind,
            self.sender,
            self.origin,
            self.recipient,
            self.value,
            self.calldata,
            code=code,
            name=self.details.name,
            on=self.released_on,
        )


class NoteKind:
    """What a note is about."""

    STATUS = "status"
    CONTRACT = "contract"
    BALANCE = "balance"
    BLOCK = "block"


class Note(NamedTuple):
    """Something that a write has changed."""

    kind: str
    address: Address | None = None
    id: bytes | None = None
    status: TxStatus | None = None
    seq: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is written: by the network's clock, and by the wall."""

    now: datetime
    wall: datetime
    window: float
    """Seconds of finality window."""

    @property
    def seconds(self) -> float:
        return self.now.timestamp()


@dataclass(slots=True)
class Decision:
    """What consensus has come to."""

    status: TxStatus
    result: RoundResult
    rotation_count: int
    rounds: list[Round]
    receipt: Receipt | None = None
    """What the leader found; None where nobody has found anything."""
    changes: Changes | None = None
    """Its effects, if it has any."""
    view_at: int = 0
    epoch: int = 0
    storage_read: frozenset[Address] = frozenset()
    """Whose storage must be as it was when the run began; the contract's own is among them."""
    balances_read: frozenset[Address] = frozenset()
    status_changes: tuple[StatusChange, ...] = ()


class Conflict(Exception):
    """What a run has read is not so any more. ``addresses`` say whose."""

    def __init__(self, addresses: frozenset[Address]) -> None:
        super().__init__("what was read has changed")
        self.addresses = addresses


class Gone(Exception):
    """The transaction is not where it was: it was cancelled, or its status was changed otherwise."""


class NetworkStore(Store):
    """The file of a network."""

    def __init__(self, path: Path | None, *, durable: bool = True) -> None:
        super().__init__(path, durable=durable)
        self.chain_id = accounts.CHAIN_ID
        self.strict_nonces = True
        self.settles = False
        self.notes: list[Note] = []
        #: Number of the last commit.
        self.commits = 0
        #: Last commit that has changed the storage of an address, and its balance.
        self.storage_changed: dict[Address, int] = {}
        self.balance_changed: dict[Address, int] = {}
        #: Nothing is known of who has changed what before this commit.
        self.floor = 0
        #: Counts how often the whole state was replaced.
        self.epoch = 0

    # --- opening ----------------------------------------------------------------------------------

    def open_network(self, settings: Mapping[str, Any], moment: Moment) -> bool:
        """Makes the tables if there are none. True: they are new."""
        self._open_file()
        with _sqlite_errors(self._path):
            # One wait for the disk instead of three; :meth:`close` makes it one file again.
            self._connection.execute("PRAGMA journal_mode = WAL")
        with _sqlite_errors(self._path), self._writing():
            new = not self.has_network()
            if new:
                for statement in NETWORK_SCHEMA.split(";"):
                    self._connection.execute(statement)
                for name, value in settings.items():
                    self.set(name, value)
                self._execute("INSERT INTO network_blocks (number, timestamp) VALUES (0, ?)", int(moment.seconds))
                self.set("genesis", os.urandom(16).hex())
                # Contracts that commands have deployed are final.
                self._execute("INSERT INTO network_contracts SELECT address, 0, 0 FROM contracts")
                self.set("total", str(super().total_value()))
            self.commits = int(self.get("commits", 0))
            self.floor = self.commits
            # What commands have done since is final, and so is their total.
            self._execute(
                "INSERT INTO network_contracts SELECT address, ?, ? FROM contracts"
                " WHERE address NOT IN (SELECT address FROM network_contracts)",
                self.commits,
                self.commits,
            )
        return new

    def close(self) -> None:
        """Closes the file, which is all there is then."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA journal_mode = DELETE")
        super().close()

    def batch(self, actions: Sequence[Callable[[NetworkStore], Any]]) -> list[Any]:
        """Carries out actions in one transaction of the database; one that fails leaves nothing but its error."""
        results: list[Any] = []
        with _sqlite_errors(self._path), self._writing():
            for action in actions:
                self.notes = []
                self._execute("SAVEPOINT action")
                try:
                    results.append((action(self), self.notes))
                except Exception as error:
                    self._execute("ROLLBACK TO action")
                    results.append(error)
                self._execute("RELEASE action")
        return results

    def _execute(self, statement: str, *parameters: object) -> Any:
        return self._connection.execute(statement, parameters)

    # --- settings ---------------------------------------------------------------------------------

    def get(self, name: str, default: Any = None) -> Any:
        """A setting, which is JSON."""
        row = self._one("SELECT value FROM network_settings WHERE name = ?", name)
        return json.loads(row[0]) if row else default

    def set(self, name: str, value: Any) -> None:
        """Changes a setting."""
        self._execute("INSERT OR REPLACE INTO network_settings (name, value) VALUES (?, ?)", name, json.dumps(value))

    # --- history ----------------------------------------------------------------------------------

    def next_commit(self) -> int:
        """Number of a new commit."""
        self.commits += 1
        self.set("commits", self.commits)
        return self.commits

    def pages_at(self, address: Address, slot: bytes, first: int, last: int, at: int) -> dict[int, bytes]:
        """Pages of a slot as they were after commit ``at``."""
        found = self.pages(address, slot, first, last)
        if self.storage_changed.get(address, self.floor) > at:
            rows = self._all(
                "SELECT page, data, MIN(seq) FROM network_history"
                " WHERE address = ? AND slot = ? AND page BETWEEN ? AND ? AND seq > ? GROUP BY page",
                address.as_bytes,
                slot,
                first,
                last,
                at,
            )
            found |= {page: data for page, data, _ in rows}
        return found

    def balance_at(self, address: Address, at: int) -> int:
        """A balance as it was after commit ``at``."""
        balance = self.balance(address)
        if self.balance_changed.get(address, self.floor) > at:
            rows = self._all("SELECT delta FROM network_balances WHERE address = ? AND seq > ?", address.as_bytes, at)
            balance -= sum(int(delta) for (delta,) in rows)
        return balance

    def contract_at(self, address: Address, at: int) -> ContractInfo | None:
        """The contract at an address after commit ``at``."""
        info = self.contract(address)
        if info is None:
            return None
        row = self._one("SELECT deployed_at FROM network_contracts WHERE address = ?", address.as_bytes)
        return info if row is not None and row[0] <= at else None

    def final_at(self, address: Address) -> int:
        """The last final commit of a contract."""
        row = self._one("SELECT final_at FROM network_contracts WHERE address = ?", address.as_bytes)
        # Not changed since then, or no contract: its state is that of now.
        return int(row[0]) if row else self.commits

    def write_pages(self, pages: Mapping[tuple[bytes, bytes, int], bytes], commit: int) -> None:
        """Writes pages, and keeps what they were."""
        for (raw, slot, page), data in pages.items():
            address = Address(raw)
            before = self.pages(address, slot, page, page).get(page, b"")
            self._execute(
                "INSERT OR IGNORE INTO network_history (address, slot, page, seq, data) VALUES (?, ?, ?, ?, ?)",
                raw,
                slot,
                page,
                commit,
                before,
            )
            self._execute(
                "INSERT OR REPLACE INTO pages (address, slot, page, data) VALUES (?, ?, ?, ?)", raw, slot, page, data
            )
            self.storage_changed[address] = commit

    def add_balance(self, address: Address, delta: int, commit: int) -> None:
        """Changes a balance, and keeps by how much.

        :raises DatabaseError: it would be negative.
        """
        if not delta:
            return
        balance = self.balance(address) + delta
        if not 0 <= balance <= limits.VALUE_MAX:
            raise DatabaseError(f"the balance of {address!s} would be {balance}; nothing was written")
        self._set_account("balance", address, str(balance))
        row = self._one("SELECT delta FROM network_balances WHERE address = ? AND seq = ?", address.as_bytes, commit)
        self._execute(
            "INSERT OR REPLACE INTO network_balances (address, seq, delta) VALUES (?, ?, ?)",
            address.as_bytes,
            commit,
            str(delta + (int(row[0]) if row else 0)),
        )
        self.balance_changed[address] = commit
        self.notes.append(Note(NoteKind.BALANCE, address))

    def forget(self, horizon: int) -> None:
        """Drops what nobody can ask for who began at commit ``horizon`` or later."""
        row = self._one(f"SELECT MIN(view_at) FROM network_transactions WHERE {_OPEN} AND view_at IS NOT NULL")
        if row and row[0] is not None:
            horizon = min(horizon, row[0])
        self._execute("DELETE FROM network_balances WHERE seq <= ?", horizon)
        self._execute(
            "DELETE FROM network_history WHERE seq <= ? AND seq <= IFNULL("
            "(SELECT final_at FROM network_contracts WHERE address = network_history.address), seq)",
            horizon,
        )

    # --- transactions -----------------------------------------------------------------------------

    def row(self, seq: int) -> Row:
        """:raises LookupError: there is none."""
        found = self._one(f"SELECT {_COLUMNS} FROM network_transactions WHERE seq = ?", seq)
        if found is None:
            raise LookupError(f"no transaction {seq}")
        return _row(found)

    def find(self, id: bytes) -> Row:
        """:raises TransactionNotFound: there is none."""
        found = self._one(f"SELECT {_COLUMNS} FROM network_transactions WHERE id = ?", id)
        if found is None:
            raise TransactionNotFound(id)
        return _row(found)

    def rows(self, where: str, *parameters: object, limit: int = -1) -> list[Row]:
        """Transactions; ``where`` with an order."""
        found = self._all(f"SELECT {_COLUMNS} FROM network_transactions WHERE {where} LIMIT {int(limit)}", *parameters)
        return [_row(row) for row in found]

    def id_of(self, seq: int | None) -> bytes | None:
        """The id of a transaction; None for none."""
        row = self._one("SELECT id FROM network_transactions WHERE seq = ?", seq)
        return bytes(row[0]) if row else None

    def children(self, seq: int) -> tuple[bytes, ...]:
        """Ids of what a transaction has sent."""
        rows = self._all("SELECT id FROM network_transactions WHERE parent = ? ORDER BY seq", seq)
        return tuple(bytes(row[0]) for row in rows)

    def rounds(self, seq: int) -> tuple[Round, ...]:
        """All rounds of a transaction."""
        rows = self._all("SELECT number, content FROM network_rounds WHERE tx = ? ORDER BY number", seq)
        return tuple(round_from_bytes(number, content) for number, content in rows)

    def round(self, seq: int, number: int) -> Round | None:
        """One round."""
        row = self._one("SELECT content FROM network_rounds WHERE tx = ? AND number = ?", seq, number)
        return round_from_bytes(number, row[0]) if row else None

    def next_of(self, contract: Address) -> Row | None:
        """What the queue of a contract has to do next: an appeal, or the oldest that is pending."""
        rows = self.rows(
            "recipient = ? AND status IN ('COMMITTING', 'PENDING') AND " + _OPEN + " ORDER BY status = 'PENDING', seq",
            contract.as_bytes,
            limit=1,
        )
        return rows[0] if rows else None

    def waiting(self) -> list[Address]:
        """Contracts with something to do."""
        rows = self._all(
            f"SELECT DISTINCT recipient FROM network_transactions WHERE status IN ('COMMITTING', 'PENDING') AND {_OPEN}"
        )
        return [Address(bytes(row[0])) for row in rows]

    def pending(self, column: str, address: Address) -> int:
        """How many are pending of a ``sender`` or ``recipient``."""
        row = self._one(
            f"SELECT COUNT(*) FROM network_transactions WHERE {column} = ? AND status = 'PENDING' AND {_OPEN}",
            address.as_bytes,
        )
        return int(row[0]) if row else 0

    def received(self, address: Address) -> int:
        """How many transactions to an address there are."""
        row = self._one("SELECT COUNT(*) FROM network_transactions WHERE recipient = ?", address.as_bytes)
        return int(row[0]) if row else 0

    def submit(self, submission: Submission, id: bytes | None, moment: Moment, queue: QueueLimits) -> bytes:
        """Takes a transaction, if it is not there yet (:meth:`localnet.chain.network.network.Network.submit`)."""
        if id is not None and self._one("SELECT 1 FROM network_transactions WHERE id = ?", id):
            return id
        sender, value = submission.sender, submission.value
        if self.contract(sender):
            raise BadValue(f"{sender!s} is a contract; only accounts send transactions")
        expected = self.nonce(sender)
        nonce = expected if submission.nonce is None else submission.nonce
        if nonce < expected and self.strict_nonces:
            raise NonceTooLow(
                f"nonce too low: {sender!s} has used {nonce} already, its next one is {expected}", expected=expected
            )
        balance = self.balance(sender)
        if value > balance:
            raise InsufficientFunds(
                f"insufficient funds: {sender!s} has {balance}, which is less than the value {value}",
                balance=balance,
                value=value,
            )
        recipient = submission.recipient
        if submission.kind is TxKind.DEPLOY:
            recipient = accounts.contract_address(sender, salt=submission.salt, nonce=nonce, chain_id=self.chain_id)
            if self._one("SELECT 1 FROM network_transactions WHERE recipient = ? AND kind = 1", recipient.as_bytes):
                raise BadValue(f"{sender!s} has already deployed the contract {recipient!s}")
        is_transfer = submission.kind is TxKind.TRANSFER and not self._will_be_contract(recipient)
        if not is_transfer:
            queue.check(self, sender, recipient)
        if id is None:
            id = _hash(b"submission", sender.as_bytes, recipient.as_bytes, os.urandom(16))
        commit = self.next_commit()
        self.add_balance(sender, -value, commit)
        self._set_account("nonce", sender, max(expected, nonce + 1))
        details = Details(
            submission.mode,
            submission.validators,
            submission.rotations,
            moment.now,
            pinned=submission.datetime,
            virtual=submission.virtual,
            raw=submission.raw,
            name=submission.name,
            status_changes=(StatusChange(TxStatus.PENDING, moment.now),),
        )
        row = Row(
            0, id, submission.kind, TxStatus.PENDING, sender, recipient, sender, nonce, value, value,
            _EMPTY_CALL if submission.kind is TxKind.TRANSFER else submission.calldata, submission.code, None, "",
            self.add_block(moment, id), None, None, None, None, 1.0, details,
        )  # fmt: skip
        self._add(row)
        if is_transfer:
            self._settle_transfer(row, commit, moment)
        return id

    def submit_upgrade(self, submission: Submission, moment: Moment, queue: QueueLimits) -> bytes:
        """Takes an upgrade, which costs its sender no nonce."""
        contract, sender = submission.recipient, submission.sender
        queue.check(self, sender, contract)
        id = _hash(b"upgrade", contract.as_bytes, os.urandom(16))
        row = Row(
            0, id, TxKind.UPGRADE, TxStatus.PENDING, sender, contract, sender, self.nonce(sender), 0, 0, _EMPTY_CALL,
            submission.code, None, "", self.add_block(moment, id), None, None, None, None, 1.0,
            Details(TxMode.NORMAL, 0, 0, moment.now, status_changes=(StatusChange(TxStatus.PENDING, moment.now),)),
        )  # fmt: skip
        self._add(row)
        return id

    def deployer(self, contract: Address) -> Address | None:
        """Who has deployed a contract with a command."""
        row = self._one(
            "SELECT sender FROM transactions WHERE contract = ? AND kind = 'deploy' AND status = 'ok'",
            contract.as_bytes,
        )
        return Address(bytes(row[0])) if row else None

    def earlier(self, row: Row) -> tuple[Address, int, int | None, bool]:
        """The contract of a transaction as it was before it (:class:`localnet.chain.network.view.Earlier`)."""
        newer = self.rows(
            "recipient = ? AND seq >= ? AND commit_at IS NOT NULL ORDER BY seq",
            row.recipient.as_bytes,
            row.seq,
            limit=1,
        )
        nonce = newer[0].details.nonce_before if newer else None
        return row.recipient, row.view_at or 0, nonce, row.kind is not TxKind.DEPLOY

    def _will_be_contract(self, address: Address) -> bool:
        """There is one, or its deployment is under way."""
        return self.contract(address) is not None or bool(
            self._one(
                f"SELECT 1 FROM network_transactions WHERE recipient = ? AND kind = 1 AND {_OPEN}", address.as_bytes
            )
        )

    def _settle_transfer(self, row: Row, commit: int, moment: Moment) -> None:
        """A transfer to an account has happened."""
        if self.balance(row.recipient) + row.escrow > limits.VALUE_MAX:
            raise BadValue(f"the balance of {row.recipient!s} would be more than 2^256 - 1")
        self.add_balance(row.recipient, row.escrow, commit)
        row.escrow = 0
        row.details.credited = True
        row.details.decided_at = row.details.finalized_at = moment.now
        self._move(row, TxStatus.FINALIZED, moment)
        self.update(row)

    def fund(self, address: Address, amount: int, moment: Moment) -> bytes:
        """Makes value."""
        if amount < 0 or self.total_value() + amount > limits.VALUE_MAX:
            raise BadValue("all balances together must be from 0 to 2^256 - 1")
        commit = self.next_commit()
        id = _hash(b"fund", address.as_bytes, os.urandom(16))
        details = Details(TxMode.NORMAL, 0, 0, moment.now, minted=True)
        row = Row(
            0, id, TxKind.TRANSFER, TxStatus.PENDING, ZERO_ADDRESS, address, ZERO_ADDRESS, 0, amount, amount,
            _EMPTY_CALL, b"", None, "", self.add_block(moment, id), None, None, None, None, 1.0, details,
        )  # fmt: skip
        self._add(row)
        self.set("total", str(int(self.get("total")) + amount))
        self._settle_transfer(row, commit, moment)
        return id

    def _add(self, row: Row) -> None:
        cursor = self._execute(
            f"INSERT INTO network_transactions ({_COLUMNS}) VALUES (NULL{', ?' * 20})", *_values(row)[1:]
        )
        row.seq = cursor.lastrowid
        self.notes.append(Note(NoteKind.STATUS, row.recipient, row.id, row.status, row.seq))

    def update(self, row: Row) -> None:
        """Writes what may have changed of a transaction."""
        self._execute(
            "UPDATE network_transactions SET status = ?, escrow = ?, log = ?, commit_at = ?, view_at = ?, since = ?,"
            " factor = ?, details = ? WHERE seq = ?",
            row.status,
            str(row.escrow),
            row.log,
            row.commit_at,
            row.view_at,
            row.since,
            row.factor,
            row.details.encode(),
            row.seq,
        )

    def _move(self, row: Row, status: TxStatus, moment: Moment) -> None:
        """Gives a transaction a status, for :meth:`update` to write."""
        row.status = status
        change = StatusChange(status, moment.now)
        if status is TxStatus.PENDING:
            row.details.status_changes = (change,)
        else:
            row.details.status_changes += (change,)
        self.notes.append(Note(NoteKind.STATUS, row.recipient, row.id, status, row.seq))

    def add_round(self, seq: int, round_: Round) -> None:
        """Appends a round, which gets its number here."""
        found = self._one("SELECT COALESCE(MAX(number) + 1, 0) FROM network_rounds WHERE tx = ?", seq)
        assert found is not None
        self._execute(
            "INSERT INTO network_rounds (tx, number, content) VALUES (?, ?, ?)", seq, found[0], round_to_bytes(round_)
        )
        if self.settles and found[0] < _SETTLED_ROUNDS and can_be_settled(self._proposed(seq, round_), round_):
            self._execute("INSERT INTO network_unsettled (tx, number) VALUES (?, ?)", seq, found[0])

    def _proposed(self, seq: int, round_: Round) -> NodeReceipt | None:
        """What the nodes of a round have judged."""
        if round_.leader is not None:
            return round_.leader
        return next((earlier.leader for earlier in reversed(self.rounds(seq)) if earlier.leader), None)

    def unsettled(self) -> tuple[Row, Round, NodeReceipt] | None:
        """A round that is to be settled, and what its leader, or the one before it, has proposed."""
        row = self._one("SELECT tx, number FROM network_unsettled ORDER BY tx, number LIMIT 1")
        if row is None:
            return None
        round_ = self.round(*row)
        assert round_ is not None
        before = [earlier for earlier in self.rounds(row[0]) if earlier.number <= round_.number and earlier.leader]
        proposed = before[-1].leader
        assert proposed is not None
        return self.row(row[0]), round_, proposed

    def settled(self, seq: int, number: int, intent_id: bytes | None) -> None:
        """A round was settled; None: it cannot be."""
        self._execute("DELETE FROM network_unsettled WHERE tx = ? AND number = ?", seq, number)
        round_ = self.round(seq, number)
        if round_ is not None and intent_id is not None:
            content = round_to_bytes(dataclasses.replace(round_, intent_id=intent_id))
            self._execute("UPDATE network_rounds SET content = ? WHERE tx = ? AND number = ?", content, seq, number)

    def receipt_of(self, row: Row) -> Receipt | None:
        """What the leader of a decided transaction has found."""
        found = self._one(f"SELECT number, {_RECORDED} FROM transactions WHERE number = ?", row.log)
        return _receipt(found) if found else None

    # --- decisions --------------------------------------------------------------------------------

    def check_reads(self, decision: Decision) -> None:
        """:raises Conflict: what a run has read has changed since it began."""
        at = decision.view_at
        changed = {address for address in decision.storage_read if self.storage_changed.get(address, 0) > at}
        changed |= {address for address in decision.balances_read if self.balance_changed.get(address, 0) > at}
        if changed:
            raise Conflict(frozenset(changed))

    def decide(self, seq: int, status: TxStatus, decision: Decision, moment: Moment, *, check: bool) -> None:
        """Writes what consensus has come to, with all its effects.

        :param status: what the transaction had when it was executed.
        :param check: what was read must be as it was.
        :raises Conflict: it is not.
        :raises Gone: the transaction has another status by now.
        """
        row = self._in_status(seq, status)
        if decision.epoch != self.epoch:
            raise Gone
        if check and decision.changes is not None:
            self.check_reads(decision)
        elif self.storage_changed.get(row.recipient, 0) > decision.view_at and check:
            raise Conflict(frozenset({row.recipient}))
        details = row.details
        for round_ in decision.rounds:
            self.add_round(seq, round_)
        details.result, details.rotation_count = decision.result, decision.rotation_count
        details.decided_at = moment.now
        details.status_changes += decision.status_changes
        self._move(row, decision.status, moment)
        row.view_at, row.since = decision.view_at, moment.seconds
        if decision.changes is not None:
            self._apply_effects(row, decision, moment)
        if decision.receipt is not None:
            row.log = self.transaction_count() + 1
            parent = None if row.parent is None else self.row(row.parent).log
            transaction = dataclasses.replace(decision.receipt.transaction, parent=parent)
            receipt = dataclasses.replace(decision.receipt, number=row.log, transaction=transaction)
            self._insert("transactions", "number", row.log, receipt)
        self.add_block(moment, None)
        self.update(row)
        window = 0.0 if details.mode is not TxMode.NORMAL else moment.window
        if window * row.factor <= 0:
            self.finalize_due(moment, row.recipient)

    def _in_status(self, seq: int, status: TxStatus) -> Row:
        try:
            row = self.row(seq)
        except LookupError:
            raise Gone from None
        if row.status is not status:
            raise Gone
        return row

    def _apply_effects(self, row: Row, decision: Decision, moment: Moment) -> None:
        changes, contract = decision.changes, row.recipient
        assert changes is not None
        messages = changes.receipt.messages
        commit = row.commit_at = self.next_commit()
        self.write_pages(changes.pages, commit)
        self.storage_changed[contract] = commit
        if changes.contract is not None:
            self._execute(
                "INSERT INTO contracts (address, name, top_level) VALUES (?, ?, ?)",
                contract.as_bytes,
                row.details.name,
                row.parent is None,
            )
            self._execute("INSERT OR REPLACE INTO network_contracts VALUES (?, ?, ?)", contract.as_bytes, commit, 0)
        self.notes.append(Note(NoteKind.CONTRACT, contract))
        row.details.nonce_before = self.nonce(contract)
        if contract in changes.nonces:
            self._set_account("nonce", contract, changes.nonces[contract])
        self.add_balance(contract, row.value - sum(posted.value for posted in messages), commit)
        row.escrow = 0
        row.details.credited = True
        for index, posted in enumerate(messages):
            if self._goes_now(posted):
                self._add_child(row, index, posted, moment)
            else:
                row.escrow += posted.value

    def _goes_now(self, posted: Posted) -> bool:
        """On acceptance; value for accounts, from where nobody could bring it back, waits until it is final."""
        if posted.kind is PostedKind.ETH_SEND or posted.on != "accepted":
            return False
        is_transfer = posted.kind is PostedKind.MESSAGE and posted.calldata == _EMPTY_CALL
        return not is_transfer or self._will_be_contract(posted.receiver)

    def _add_child(self, parent: Row, index: int, posted: Posted, moment: Moment) -> None:
        is_plain = posted.kind is PostedKind.ETH_SEND or posted.calldata == _EMPTY_CALL
        transfer = posted.kind is not PostedKind.DEPLOY and is_plain and not self._will_be_contract(posted.receiver)
        kind = (
            TxKind.DEPLOY
            if posted.kind is PostedKind.DEPLOY
            else TxKind.TRANSFER
            if transfer or posted.kind is PostedKind.ETH_SEND
            else TxKind.CALL
        )
        calldata = _EMPTY_CALL if posted.kind is PostedKind.ETH_SEND else posted.calldata
        id = _hash(b"message", parent.id, index.to_bytes(4, "big"), (parent.commit_at or 0).to_bytes(8, "big"))
        child = self._child(
            parent, id, kind, posted.receiver, posted.value, calldata, posted.code, posted.on or "finalized", moment
        )
        if transfer:
            self._settle_transfer(child, self.next_commit(), moment)

    def _child(
        self,
        parent: Row,
        id: bytes,
        kind: TxKind,
        recipient: Address,
        value: int,
        calldata: bytes,
        code: bytes,
        on: str,
        moment: Moment,
        *,
        is_error: bool = False,
    ) -> Row:
        """A transaction that another one has triggered; it holds ``value``."""
        of = parent.details
        details = Details(
            of.mode,
            of.validators,
            of.rotations,
            moment.now,
            pinned=of.pinned,
            virtual=of.virtual,
            is_error=is_error,
            status_changes=(StatusChange(TxStatus.PENDING, moment.now),),
        )
        sender = parent.recipient
        found = self._one("SELECT COUNT(*) FROM network_transactions WHERE sender = ?", sender.as_bytes)
        nonce = int(found[0]) if found else 0
        row = Row(
            0, id, kind, TxStatus.PENDING, sender, recipient, parent.origin, nonce, value, value, calldata, code,
            parent.seq, on, self.add_block(moment, id), None, None, None, None, 1.0, details,
        )  # fmt: skip
        self._add(row)
        return row

    # --- finality ---------------------------------------------------------------------------------

    def finalize_due(self, moment: Moment, contract: Address | None = None) -> int:
        """Makes final what is due, in order; how many.

        :param contract: only what is this contract's.
        """
        where = (
            f"status IN ({_APPEALABLE}) AND {_OPEN} AND (since + factor * ? <= ?"
            " OR json_extract(details, '$.mode') <> 'NORMAL')"
        )
        parameters: list[object] = [moment.window, moment.seconds]
        if contract is not None:
            where += " AND recipient = ?"
            parameters.append(contract.as_bytes)
        count = 0
        for (seq,) in self._all(f"SELECT seq FROM network_transactions WHERE {where} ORDER BY seq", *parameters):
            row = self.row(seq)
            if row.status in APPEALABLE and self._may_be_final(row):
                self.finalize(row, moment)
                count += 1
        return count

    def next_due(self, window: float) -> float | None:
        """When the next one is due, by the clock of the network."""
        row = self._one(
            f"SELECT MIN(since + factor * ?) FROM network_transactions WHERE status IN ({_APPEALABLE}) AND {_OPEN}",
            window,
        )
        return row[0] if row else None

    def _may_be_final(self, row: Row) -> bool:
        """Those before it are, of its contract and of the one that has triggered it."""
        if self._one(
            f"SELECT 1 FROM network_transactions WHERE recipient = ? AND seq < ? AND {_OPEN}",
            row.recipient.as_bytes,
            row.seq,
        ):
            return False
        return row.parent is None or not self._one(
            f"SELECT 1 FROM network_transactions WHERE seq = ? AND {_OPEN}", row.parent
        )

    def finalize(self, row: Row, moment: Moment) -> None:
        """Makes a transaction final: its messages go out, or its value goes back."""
        row.details.finalized_at = moment.now
        if row.commit_at is not None:
            self._execute(
                "UPDATE network_contracts SET final_at = MAX(final_at, ?) WHERE address = ?",
                row.commit_at,
                row.recipient.as_bytes,
            )
            self._release(row, moment)
        elif row.escrow:
            self._refund(row, moment)
        self._move(row, TxStatus.FINALIZED, moment)
        self.update(row)

    def _release(self, row: Row, moment: Moment) -> None:
        leader = next((round_.leader for round_ in reversed(self.rounds(row.seq)) if round_.leader), None)
        if leader is None:
            return
        sent = set(self.children(row.seq))
        for index, posted in enumerate(leader.messages):
            id = _hash(b"message", row.id, index.to_bytes(4, "big"), (row.commit_at or 0).to_bytes(8, "big"))
            if id not in sent:
                row.escrow -= posted.value
                self._add_child(row, index, posted, moment)

    def _refund(self, row: Row, moment: Moment) -> None:
        """The value of what had no effect goes back to the sender: to a contract as a ``#error`` call."""
        value, row.escrow = row.escrow, 0
        if row.details.is_error or not self.contract(row.sender):
            owner = row.recipient if row.details.is_error else row.sender
            self.add_balance(owner, value, self.next_commit())
            return
        id = _hash(b"refund", row.id)
        self._child(
            row, id, TxKind.CALL, row.sender, value, _ERROR_CALL, b"", row.released_on or "finalized", moment,
            is_error=True,
        )  # fmt: skip

    def finalize_now(self, id: bytes, moment: Moment) -> bool:
        """Ends the window of a transaction, and of those before it."""
        row = self.find(id)
        if row.status not in APPEALABLE:
            return False
        todo = [row]
        if row.parent is not None:
            parent = self.row(row.parent)
            if parent.status in APPEALABLE and not self.finalize_now(parent.id, moment):
                return False
        todo = self.rows(f"recipient = ? AND seq <= ? AND {_OPEN} ORDER BY seq", row.recipient.as_bytes, row.seq)
        if any(item.status not in APPEALABLE for item in todo):
            return False
        for item in todo:
            item = self.row(item.seq)
            if item.status in APPEALABLE:
                if not self._may_be_final(item):
                    return False
                self.finalize(item, moment)
        return True

    # --- going back -------------------------------------------------------------------------------

    def cancel(self, id: bytes, moment: Moment) -> None:
        """:raises WrongStatus: it is not pending."""
        row = self.find(id)
        if row.status is not TxStatus.PENDING or row.details.appeals.appealed:
            raise WrongStatus(f"the transaction is {row.status}; only pending ones can be cancelled", status=row.status)
        value, row.escrow = row.escrow, 0
        self.add_balance(row.sender, value, self.next_commit())
        self._move(row, TxStatus.CANCELED, moment)
        self.update(row)

    def appeal(self, id: bytes, moment: Moment) -> bool:
        """Notes an appeal; the queue of the contract hears it."""
        row = self.find(id)
        if row.status not in APPEALABLE or row.details.appeals.appealed or row.details.mode is not TxMode.NORMAL:
            return False
        row.details.appeals = dataclasses.replace(
            row.details.appeals,
            appealed=True,
            undetermined=row.status is TxStatus.UNDETERMINED,
            leader_timeout=row.status is TxStatus.LEADER_TIMEOUT,
            validators_timeout=row.status is TxStatus.VALIDATORS_TIMEOUT,
            appealed_at=moment.now,
        )
        self._move(row, TxStatus.COMMITTING, moment)
        self.update(row)
        return True

    def appeal_failed(
        self, seq: int, status: TxStatus, rounds: Sequence[Round], moment: Moment, *, counts: bool = True
    ) -> None:
        """A transaction is again what it was before its appeal; its window goes on, and is shorter.

        :param counts: there was somebody to hear it.
        :raises Gone: the transaction has another status by now.
        """
        row = self._in_status(seq, TxStatus.COMMITTING)
        appeals = row.details.appeals
        seconds = (moment.now - appeals.appealed_at).total_seconds() if appeals.appealed_at else 0.0
        row.details.appeals = dataclasses.replace(
            appeals,
            appealed=False,
            undetermined=False,
            leader_timeout=False,
            validators_timeout=False,
            failed=appeals.failed + counts,
            processing_seconds=appeals.processing_seconds + seconds,
        )
        if row.since is not None:
            row.since += seconds
        row.factor = _SHORTER**row.details.appeals.failed
        for round_ in rounds:
            self.add_round(seq, round_)
        self._move(row, status, moment)
        self.update(row)

    def appeal_succeeded(self, seq: int, rounds: Sequence[Round], moment: Moment) -> None:
        """What validators no longer stand by is executed anew, and so is all that came after it.

        :raises Gone: the transaction has another status by now.
        """
        self._in_status(seq, TxStatus.COMMITTING)
        for round_ in rounds:
            self.add_round(seq, round_)
        self.roll_back(seq, moment)

    def overturn(self, seq: int, decision: Decision, moment: Moment) -> None:
        """Another leader has come to something: that holds, and what came after it is executed anew.

        :raises Gone: the transaction has another status by now.
        """
        row = self._in_status(seq, TxStatus.COMMITTING)
        self.roll_back(seq, moment)
        row = self.row(seq)
        row.details.leader_appeals += 1
        self.update(row)
        # The storage of the contract is now what the leader has seen.
        self.decide(seq, TxStatus.PENDING, decision, moment, check=False)

    def execute_again(self, id: bytes, moment: Moment) -> None:
        """:raises WrongStatus: it is final, or not decided."""
        row = self.find(id)
        if row.status not in APPEALABLE:
            raise WrongStatus(f"the transaction is {row.status}", status=row.status)
        self.roll_back(row.seq, moment)

    def roll_back(self, seq: int, moment: Moment) -> None:
        """Undoes a transaction, what came after it at its contract, and what all these have triggered on acceptance."""
        commit = self.next_commit()
        self._roll_back(seq, commit, moment)

    def _roll_back(self, seq: int, commit: int, moment: Moment) -> None:
        first = self.row(seq)
        contract = first.recipient
        undone = self.rows(
            f"recipient = ? AND seq >= ? AND {_OPEN} AND status NOT IN ('PENDING') ORDER BY seq DESC",
            contract.as_bytes,
            seq,
        )
        for row in undone:
            if row.commit_at is not None:
                self._undo(self.row(row.seq), commit, moment)
        for row in undone:
            row = self.row(row.seq)
            row.details.appeals = Appeals(failed=row.details.appeals.failed if row.seq == seq else 0)
            row.details.decided_at = None
            self._unlog(row)
            row.since, row.factor, row.view_at = None, 1.0, None
            self._move(row, TxStatus.PENDING, moment)
            self.update(row)
        # Whoever runs at this contract began with what is no more.
        self.storage_changed[contract] = commit
        self.notes.append(Note(NoteKind.CONTRACT, contract))

    def _unlog(self, row: Row) -> None:
        if row.log is not None:
            self._execute("DELETE FROM transactions WHERE number = ?", row.log)
            row.log = None

    def _undo(self, row: Row, commit: int, moment: Moment) -> None:
        contract, at = row.recipient, row.commit_at
        assert at is not None
        returned = row.escrow
        for child in reversed(self.rows("parent = ? ORDER BY seq", row.seq)):
            if child.status is TxStatus.CANCELED:
                continue
            if child.status is TxStatus.FINALIZED:
                raise DatabaseError("a transaction is final before the one that has triggered it")
            if child.status is not TxStatus.PENDING:
                self._roll_back(child.seq, commit, moment)
                child = self.row(child.seq)
            returned += child.escrow
            child.escrow = 0
            self._move(child, TxStatus.CANCELED, moment)
            self.update(child)
        rows = self._all(
            "SELECT slot, page, data FROM network_history WHERE address = ? AND seq = ?", contract.as_bytes, at
        )
        self.write_pages({(contract.as_bytes, slot, page): data for slot, page, data in rows}, commit)
        self.add_balance(contract, returned - row.value, commit)
        row.escrow = row.value
        if row.details.nonce_before is not None:
            self._set_account("nonce", contract, row.details.nonce_before)
        if row.kind is TxKind.DEPLOY:
            self._execute("DELETE FROM contracts WHERE address = ?", contract.as_bytes)
            self._execute("DELETE FROM network_contracts WHERE address = ?", contract.as_bytes)
        row.commit_at = None
        row.details.credited = False
        row.details.nonce_before = None
        self.update(row)

    # --- upgrades ---------------------------------------------------------------------------------

    def upgrade(self, seq: int, round_: Round, receipt: Receipt, moment: Moment) -> None:
        """Replaces the code of a contract.

        :raises Gone: the transaction has another status by now, or there is no contract.
        """
        row = self._in_status(seq, TxStatus.PENDING)
        overlay = Overlay(self)
        overlay.write_code(row.recipient, row.code)
        changes = Changes(receipt, pages=overlay.written_pages())
        decision = Decision(
            TxStatus.ACCEPTED, RoundResult.MAJORITY_AGREE, 0, [round_], receipt, changes, self.commits, self.epoch
        )
        self.decide(seq, TxStatus.PENDING, decision, moment, check=False)

    # --- blocks -----------------------------------------------------------------------------------

    def height(self, wall: datetime) -> tuple[int, int]:
        """The newest block's number and timestamp: each second without one has made one."""
        row = self._one("SELECT number, timestamp FROM network_blocks ORDER BY number DESC LIMIT 1")
        assert row is not None
        passed = max(0, int(wall.timestamp()) - row[1])
        return row[0] + passed, row[1] + passed

    def add_block(self, moment: Moment, id: bytes | None) -> int:
        """The number of a new block, with one transaction or none."""
        number, timestamp = self.height(moment.wall)
        number += 1
        self._execute("INSERT INTO network_blocks (number, timestamp, tx) VALUES (?, ?, ?)", number, timestamp, id)
        self.notes.append(Note(NoteKind.BLOCK, number=number))
        return number

    def block(self, number: int, wall: datetime) -> Block | None:
        """A block that there has been."""
        if not 0 <= number <= self.height(wall)[0]:
            return None
        row = self._one(
            "SELECT number, timestamp, tx FROM network_blocks WHERE number <= ? ORDER BY number DESC LIMIT 1", number
        )
        assert row is not None
        base, timestamp, tx = row
        ids = (bytes(tx),) if tx is not None and base == number else ()
        parent = self._block_hash(number - 1) if number else bytes(32)
        return Block(number, self._block_hash(number), parent, timestamp + number - base, ids)

    def block_of(self, hash: bytes, wall: datetime) -> Block | None:
        """A block by its hash, or by the id of its transaction."""
        row = self._one("SELECT number FROM network_blocks WHERE tx = ?", hash)
        if row:
            return self.block(row[0], wall)
        # The number is in the hash, so that blocks of seconds in which nothing was need not be kept.
        number = int.from_bytes(hash[:8], "big")
        if len(hash) == 32 and number < 1 << 62 and hash == self._block_hash(number):
            return self.block(number, wall)
        return None

    def _block_hash(self, number: int) -> bytes:
        genesis = bytes.fromhex(self.get("genesis"))
        return number.to_bytes(8, "big") + _hash(b"block", genesis, number.to_bytes(8, "big"))[8:]

    # --- validators and providers -----------------------------------------------------------------

    def validators(self) -> list[Validator]:
        """In order of creation."""
        rows = self._all("SELECT number, address, stake, model, created_at FROM network_validators ORDER BY number")
        return [
            Validator(number, Address(bytes(raw)), int(stake), model_from_json(json.loads(model)), to_time(at))
            for number, raw, stake, model, at in rows
        ]

    def add_validator(self, address: Address, secret: bytes, stake: int, model: Model, now: datetime) -> Validator:
        """A new one."""
        cursor = self._execute(
            "INSERT INTO network_validators (address, secret, stake, model, created_at) VALUES (?, ?, ?, ?, ?)",
            address.as_bytes,
            secret,
            str(stake),
            to_json(model_to_json(model)),
            to_text(now),
        )
        return Validator(cursor.lastrowid, address, stake, model, now)

    def update_validator(self, address: Address, stake: int, model: Model) -> None:
        """:raises ValidatorNotFound: there is none."""
        cursor = self._execute(
            "UPDATE network_validators SET stake = ?, model = ? WHERE address = ?",
            str(stake),
            to_json(model_to_json(model)),
            address.as_bytes,
        )
        if not cursor.rowcount:
            raise ValidatorNotFound(f"Validator {address!s} not found")

    def delete_all_validators(self) -> None:
        """There are none then."""
        self._execute("DELETE FROM network_validators")

    def delete_validator(self, address: Address) -> None:
        """:raises ValidatorNotFound: there is none."""
        if not self._execute("DELETE FROM network_validators WHERE address = ?", address.as_bytes).rowcount:
            raise ValidatorNotFound(f"Validator {address!s} not found")

    def providers(self) -> list[tuple[int, Model, bool]]:
        """Numbers, models, and whether they came with the network."""
        rows = self._all("SELECT number, model, is_default FROM network_providers ORDER BY number")
        return [(number, model_from_json(json.loads(model)), bool(default)) for number, model, default in rows]

    def add_provider(self, model: Model, *, is_default: bool = False) -> int:
        """Its number."""
        cursor = self._execute(
            "INSERT INTO network_providers (model, is_default) VALUES (?, ?)",
            to_json(model_to_json(model)),
            is_default,
        )
        return int(cursor.lastrowid)

    def update_provider(self, number: int, model: Model) -> None:
        """:raises ValidatorNotFound: there is none."""
        cursor = self._execute(
            "UPDATE network_providers SET model = ? WHERE number = ?", to_json(model_to_json(model)), number
        )
        if not cursor.rowcount:
            raise ValidatorNotFound(f"Provider {number} not found")

    def delete_provider(self, number: int) -> None:
        """:raises ValidatorNotFound: there is none."""
        if not self._execute("DELETE FROM network_providers WHERE number = ?", number).rowcount:
            raise ValidatorNotFound(f"Provider {number} not found")

    def reset_providers(self, models: Iterable[Model]) -> None:
        """As in a new network."""
        self._execute("DELETE FROM network_providers")
        for model in models:
            self.add_provider(model, is_default=True)

    # --- the whole --------------------------------------------------------------------------------

    def write_to(self, path: Path) -> None:
        """Copies the database to a new file, which has reached the disk when this returns."""
        temporary = path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        with _sqlite_errors(temporary):
            self._execute("VACUUM INTO ?", os.fspath(temporary))
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            temporary.rename(path)

    def read_from(self, path: Path, *, everything: bool = False) -> None:
        """Puts back the state of a file; blocks, validators, models and settings stay.

        :param everything: validators, models and clock too.
        :raises DatabaseError: it is not a file of ours.
        """
        Store(path).close()
        tables = [*_STATE_TABLES, *(("network_validators", "network_providers") if everything else ())]
        names = "'total', 'window', 'offset'" if everything else "'total'"
        with _sqlite_errors(path):
            self._execute("ATTACH ? AS snapshot", os.fspath(path))
            try:
                with self._writing():
                    for table in tables:
                        self._execute(f"DELETE FROM main.{table}")
                        self._execute(f"INSERT INTO main.{table} SELECT * FROM snapshot.{table}")
                    self._execute(
                        "INSERT OR REPLACE INTO network_settings SELECT * FROM snapshot.network_settings"
                        f" WHERE name IN ({names})"
                    )
                    # Numbers of commits and blocks go on from the larger ones.
                    found = self._one("SELECT value FROM snapshot.network_settings WHERE name = 'commits'")
                    self.commits = max(self.commits, json.loads(found[0]) if found else 0)
                    self._replaced()
            finally:
                self._execute("DETACH snapshot")

    def clear(self) -> None:
        """The state of a new network."""
        for table in _STATE_TABLES:
            self._execute(f"DELETE FROM {table}")
        if self._has_failures():
            self._execute("DELETE FROM failures")
        for address in accounts.names():
            self._set_account("balance", address, str(accounts.START_BALANCE))
        self.set("total", str(self.total_value()))
        self._replaced()

    def _replaced(self) -> None:
        """The state is another one: no run that has begun means anything."""
        self.epoch += 1
        self.floor = self.next_commit()
        self.storage_changed.clear()
        self.balance_changed.clear()

    def check(self) -> None:
        """:raises DatabaseError: value has appeared or vanished, or does not come from anywhere."""
        total, expected = self.total_value(), int(self.get("total"))
        if total != expected:
            raise DatabaseError(f"there is value of {total} in the network, and should be {expected}")


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How much may be pending."""

    per_contract: int = limits.PENDING_PER_CONTRACT
    per_sender: int = limits.PENDING_PER_SENDER

    def check(self, store: NetworkStore, sender: Address, recipient: Address) -> None:
        """:raises QueueFull: one more would be too many."""
        for scope, column, address, limit in (
            ("contract", "recipient", recipient, self.per_contract),
            ("sender", "sender", sender, self.per_sender),
        ):
            pending = store.pending(column, address)
            if pending >= limit:
                raise QueueFull(
                    f"{pending} transactions of this {scope} are pending already, and no more may be",
                    scope=scope,
                    address=str(address),
                    pending=pending,
                    limit=limit,
                )


def can_be_settled(proposed: NodeReceipt | None, round_: Round) -> bool:
    """Operators have an opinion of nondet blocks; the engine draws three of them or more."""
    count = len(round_.validators) + (round_.leader is not None)
    return proposed is not None and bool(proposed.nondet_results) and 3 <= count <= limits.NODES


def _row(row: tuple[Any, ...]) -> Row:
    (seq, id, kind, status, sender, recipient, origin, nonce, value, escrow, calldata, code, parent, on, block, log,
     commit_at, view_at, since, factor, details) = row  # fmt: skip
    return Row(
        seq, bytes(id), TxKind(kind), TxStatus(status), Address(sender), Address(recipient), Address(origin), nonce,
        int(value), int(escrow), bytes(calldata), bytes(code), parent, on, block, log, commit_at, view_at, since,
        factor, Details.decode(details),
    )  # fmt: skip


def _values(row: Row) -> tuple[object, ...]:
    return (
        row.seq, row.id, int(row.kind), row.status, row.sender.as_bytes, row.recipient.as_bytes, row.origin.as_bytes,
        row.nonce, str(row.value), str(row.escrow), row.calldata, row.code, row.parent, row.released_on, row.block,
        row.log, row.commit_at, row.view_at, row.since, row.factor, row.details.encode(),
    )  # fmt: skip


def _hash(*parts: bytes) -> bytes:
    """SHA-256 of parts with their lengths."""
    data = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.sha256(b"genvm local network" + data).digest()
