"""The database of a network: its transactions as they are stored."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain.model import Kind, Receipt, Transaction
from pygenvm.localnet.chain.network.errors import (
    TransactionNotFound,
)
from pygenvm.localnet.chain.network.history import OPEN, HistoryStore, Moment, Note, NoteKind
from pygenvm.localnet.chain.network.rows import (
    Details,
    known_address,
    round_from_bytes,
    round_to_bytes,
)
from pygenvm.localnet.chain.network.types import (
    APPEALABLE,
    Digest,
    NodeReceipt,
    Round,
    StatusChange,
    Summary,
    TxKind,
    TxStatus,
    changes_of,
)
from pygenvm.localnet.chain.store import _RECORDED, _receipt

_COLUMNS = (
    "seq, id, kind, status, sender, recipient, origin, nonce, value, escrow, calldata, code, parent, released_on,"
    " block, log, commit_at, view_at, since, factor, details"
)
_SUMMARY_COLUMNS = (
    "seq, id, kind, status, sender, recipient, value,"
    f" CASE WHEN length(calldata) <= {limits.SUMMARY_CALLDATA_BYTES} THEN calldata END, length(calldata), parent,"
    f" CASE WHEN length(details) <= {limits.SUMMARY_DETAILS_CHARACTERS} THEN details"
    " ELSE json_set(details, '$.raw.data', '', '$.virtual', json('[]')) END"
)
APPEALABLE_WORDS = ", ".join(f"'{status}'" for status in sorted(APPEALABLE))
#: Rounds of one transaction that can be settled.
_SETTLED_ROUNDS = 1 << 16


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


class RecordStore(HistoryStore):
    """Transactions and rounds: found, added and changed."""

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

    def status_of(self, id: bytes) -> tuple[int, TxStatus]:
        """Number and status of a transaction.

        :raises TransactionNotFound: there is none.
        """
        found = self._one("SELECT seq, status FROM network_transactions WHERE id = ?", id)
        if found is None:
            raise TransactionNotFound(id)
        return found[0], TxStatus(found[1])

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

    def digest(self, seq: int, details: Details) -> Digest:
        """What lists show of all rounds of a transaction."""
        if details.digest is not None:
            return details.digest
        digest = Digest()
        for round_ in self.rounds(seq):
            digest = digest.with_round(round_)
        return digest

    def summaries(self, where: str, *parameters: object, limit: int = -1) -> list[Summary]:
        """Transactions without what may be large, which the database does not hand out; ``where`` with an order."""
        found = self._all(
            f"SELECT {_SUMMARY_COLUMNS} FROM network_transactions WHERE {where} LIMIT {int(limit)}", *parameters
        )
        return [self._summary(row) for row in found]

    def _summary(self, row: tuple[Any, ...]) -> Summary:
        seq, id, kind, status, sender, recipient, value, calldata, calldata_bytes, parent, text = row
        details = Details.decode(text)
        digest = self.digest(seq, details)
        return Summary(
            seq,
            bytes(id),
            TxKind(kind),
            TxStatus(status),
            Address(sender),
            Address(recipient),
            int(value),
            None if calldata is None else bytes(calldata),
            calldata_bytes,
            details.created_at,
            self.id_of(parent),
            details.appeals.appealed,
            digest,
            changes_of(digest.history, details.status_changes),
        )

    def fitting(self, where: str, *parameters: object, limit: int, size: int) -> list[int]:
        """Numbers of the first transactions that take no more than ``size`` in the database together, at least one."""
        found: list[int] = []
        for seq, taken in self._all(
            "SELECT seq, length(calldata) + length(code) + length(details) + IFNULL((SELECT SUM(length(content))"
            f" FROM network_rounds WHERE tx = seq), 0) FROM network_transactions WHERE {where} LIMIT {int(limit)}",
            *parameters,
        ):
            size -= taken
            if found and size < 0:
                break
            found.append(seq)
        return found

    def round(self, seq: int, number: int) -> Round | None:
        """One round."""
        row = self._one("SELECT content FROM network_rounds WHERE tx = ? AND number = ?", seq, number)
        return round_from_bytes(number, row[0]) if row else None

    def next_of(self, contract: Address) -> Row | None:
        """What the queue of a contract has to do next: an appeal, or the oldest that is pending."""
        rows = self.rows(
            "recipient = ? AND status IN ('COMMITTING', 'PENDING') AND " + OPEN + " ORDER BY status = 'PENDING', seq",
            contract.as_bytes,
            limit=1,
        )
        return rows[0] if rows else None

    def waiting(self) -> list[Address]:
        """Contracts with something to do."""
        rows = self._all(
            f"SELECT DISTINCT recipient FROM network_transactions WHERE status IN ('COMMITTING', 'PENDING') AND {OPEN}"
        )
        return [known_address(bytes(row[0])) for row in rows]

    def pending(self, column: str, address: Address) -> int:
        """How many are pending of a ``sender`` or ``recipient``."""
        row = self._one(
            f"SELECT COUNT(*) FROM network_transactions WHERE {column} = ? AND status = 'PENDING' AND {OPEN}",
            address.as_bytes,
        )
        return int(row[0]) if row else 0

    def received(self, address: Address) -> int:
        """How many transactions to an address there are."""
        row = self._one("SELECT COUNT(*) FROM network_transactions WHERE recipient = ?", address.as_bytes)
        return int(row[0]) if row else 0

    def deployer(self, contract: Address) -> Address | None:
        """Who has deployed a contract with a command."""
        row = self._one(
            "SELECT sender FROM transactions WHERE contract = ? AND kind = 'deploy' AND status = 'ok'",
            contract.as_bytes,
        )
        return Address(bytes(row[0])) if row else None

    def earlier(self, row: Row) -> tuple[Address, int | None, bool]:
        """What :class:`localnet.chain.network.view.Earlier` holds."""
        newer = self.rows(
            "recipient = ? AND seq >= ? AND commit_at IS NOT NULL ORDER BY seq",
            row.recipient.as_bytes,
            row.seq,
            limit=1,
        )
        nonce = newer[0].details.nonce_before if newer else None
        return row.recipient, nonce, row.kind is not TxKind.DEPLOY

    def add(self, row: Row) -> None:
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

    def move(self, row: Row, status: TxStatus, moment: Moment) -> None:
        """Gives a transaction a status, for :meth:`update` to write."""
        row.status = status
        change = StatusChange(status, moment.now)
        if status is TxStatus.PENDING:
            row.details.status_changes = (change,)
        else:
            row.details.status_changes += (change,)
        self.notes.append(Note(NoteKind.STATUS, row.recipient, row.id, status, row.seq))

    def add_round(self, row: Row, round_: Round) -> None:
        """Appends a round, which gets its number here; :meth:`update` writes what else is to be known of it."""
        seq = row.seq
        row.details.digest = self.digest(row.seq, row.details).with_round(round_)
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


def can_be_settled(proposed: NodeReceipt | None, round_: Round) -> bool:
    """Operators have an opinion of nondet blocks; the engine draws three of them or more."""
    count = len(round_.validators) + (round_.leader is not None)
    return proposed is not None and bool(proposed.nondet_results) and 3 <= count <= limits.NODES


def _row(row: tuple[Any, ...]) -> Row:
    (seq, id, kind, status, sender, recipient, origin, nonce, value, escrow, calldata, code, parent, on, block, log,
     commit_at, view_at, since, factor, details) = row  # fmt: skip
    return Row(
        seq, bytes(id), TxKind(kind), TxStatus(status), known_address(sender), known_address(recipient),
        known_address(origin), nonce, int(value), int(escrow), bytes(calldata), bytes(code), parent, on, block, log,
        commit_at, view_at, since, factor, Details.decode(details),
    )  # fmt: skip


def _values(row: Row) -> tuple[object, ...]:
    return (
        row.seq, row.id, int(row.kind), row.status, row.sender.as_bytes, row.recipient.as_bytes, row.origin.as_bytes,
        row.nonce, str(row.value), str(row.escrow), row.calldata, row.code, row.parent, row.released_on, row.block,
        row.log, row.commit_at, row.view_at, row.since, row.factor, row.details.encode(),
    )  # fmt: skip
