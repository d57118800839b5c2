"""The database of a network: transactions with their states, and the accepted state with the way back.

Every method that writes is called inside :meth:`NetworkStore.batch`, does all or nothing, and appends to
:attr:`NetworkStore.notes` what has changed.

*Value* is in a balance or in the escrow of a transaction, and every step moves it from one to the other.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from pygenvm.executor.frozen import replaced
from pygenvm.executor.primitives.abi import SpecialMethod
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.model import EMPTY_CALL, Posted, PostedKind, Receipt, calldata_of_call
from pygenvm.localnet.chain.network.errors import (
    InsufficientFunds,
    NonceTooLow,
    QueueFull,
    WrongStatus,
)
from pygenvm.localnet.chain.network.history import OPEN, Moment, Note, NoteKind, hash_of
from pygenvm.localnet.chain.network.records import APPEALABLE_WORDS, RecordStore, Row
from pygenvm.localnet.chain.network.rows import (
    Details,
)
from pygenvm.localnet.chain.network.types import (
    APPEALABLE,
    ZERO_ADDRESS,
    Appeals,
    Round,
    RoundResult,
    StatusChange,
    Submission,
    TxKind,
    TxMode,
    TxStatus,
)
from pygenvm.localnet.chain.overlay import Overlay
from pygenvm.localnet.chain.store import Changes
from pygenvm.localnet.errors import BadValue, DatabaseError

_ERROR_CALL = calldata_of_call(SpecialMethod.ERRORED_MESSAGE)
#: What a failed appeal leaves of the finality window.
_SHORTER = 0.8


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


class NetworkStore(RecordStore):
    """The file of a network."""

    # --- submissions ------------------------------------------------------------------------------

    def submit(self, submission: Submission, id: bytes | None, moment: Moment, queue: QueueLimits) -> bytes:
        """Takes a transaction, if it is not there yet (:meth:`localnet.chain.network.network.Network.submit`)."""
        if id is not None and self._one("SELECT 1 FROM network_transactions WHERE id = ?", id):
            return id
        sender, value = submission.sender, submission.value
        if self.contract(sender):
            raise BadValue(f"{sender!s} is a contract; only accounts send transactions")
        expected = self.nonce(sender)
        nonce = expected if submission.nonce is None else submission.nonce
        if nonce < expected and self.strict_nonces and not self._was_skipped(sender, nonce):
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
            if self._will_be_contract(recipient):
                raise BadValue(f"{sender!s} has already deployed the contract {recipient!s}")
        is_transfer = submission.kind is TxKind.TRANSFER and not self._will_be_contract(recipient)
        if not is_transfer:
            queue.check(self, sender, recipient)
        if id is None:
            id = hash_of(b"submission", sender.as_bytes, recipient.as_bytes, os.urandom(16))
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
            skipped=max(0, nonce - expected),
            status_changes=(StatusChange(TxStatus.PENDING, moment.now),),
        )
        row = Row(
            0, id, submission.kind, TxStatus.PENDING, sender, recipient, sender, nonce, value, value,
            EMPTY_CALL if submission.kind is TxKind.TRANSFER else submission.calldata, submission.code, None, "",
            self.add_block(moment, id), None, None, None, None, 1.0, details,
        )  # fmt: skip
        self.add(row)
        if is_transfer:
            self._settle_transfer(row, commit, moment)
        return id

    def submit_upgrade(self, submission: Submission, moment: Moment, queue: QueueLimits) -> bytes:
        """Takes an upgrade, which costs its sender no nonce."""
        contract, sender = submission.recipient, submission.sender
        queue.check(self, sender, contract)
        id = hash_of(b"upgrade", contract.as_bytes, os.urandom(16))
        row = Row(
            0, id, TxKind.UPGRADE, TxStatus.PENDING, sender, contract, sender, self.nonce(sender), 0, 0, EMPTY_CALL,
            submission.code, None, "", self.add_block(moment, id), None, None, None, None, 1.0,
            Details(TxMode.NORMAL, 0, 0, moment.now, status_changes=(StatusChange(TxStatus.PENDING, moment.now),)),
        )  # fmt: skip
        self.add(row)
        return id

    def _was_skipped(self, sender: Address, nonce: int) -> bool:
        """Whether a larger nonce came before this one, as of a client that sends several transactions at once."""
        used = "SELECT 1 FROM network_transactions WHERE sender = ?1 AND kind <> 3 AND"
        return self._one(f"{used} nonce = ?2", sender.as_bytes, nonce) is None and bool(
            self._one(
                f"{used} nonce > ?2 AND nonce - IFNULL(json_extract(details, '$.skipped'), 0) <= ?2",
                sender.as_bytes,
                nonce,
            )
        )

    def _will_be_contract(self, address: Address) -> bool:
        """There is one, or its deployment is under way."""
        return self.contract(address) is not None or bool(
            self._one(
                "SELECT 1 FROM network_transactions WHERE recipient = ? AND kind = 1 AND status = 'PENDING'"
                f" AND {OPEN}",
                address.as_bytes,
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
        self.move(row, TxStatus.FINALIZED, moment)
        self.update(row)

    def fund(self, address: Address, amount: int, moment: Moment) -> bytes:
        """Makes value."""
        if amount < 0 or self.total_value() + amount > limits.VALUE_MAX:
            raise BadValue("all balances together must be from 0 to 2^256 - 1")
        commit = self.next_commit()
        id = hash_of(b"fund", address.as_bytes, os.urandom(16))
        details = Details(TxMode.NORMAL, 0, 0, moment.now, minted=True)
        row = Row(
            0, id, TxKind.TRANSFER, TxStatus.PENDING, ZERO_ADDRESS, address, ZERO_ADDRESS, 0, amount, amount,
            EMPTY_CALL, b"", None, "", self.add_block(moment, id), None, None, None, None, 1.0, details,
        )  # fmt: skip
        self.add(row)
        self.set("total", str(int(self.get("total")) + amount))
        self._settle_transfer(row, commit, moment)
        return id

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
            self.add_round(row, round_)
        details.result, details.rotation_count = decision.result, decision.rotation_count
        details.decided_at = moment.now
        details.status_changes += decision.status_changes
        self.move(row, decision.status, moment)
        row.view_at, row.since = decision.view_at, moment.seconds
        if decision.changes is not None:
            self._apply_effects(row, decision, moment)
        if decision.receipt is not None:
            row.log = self.transaction_count() + 1
            parent = None if row.parent is None else self.row(row.parent).log
            transaction = replaced(decision.receipt.transaction, parent=parent)
            receipt = replaced(decision.receipt, number=row.log, transaction=transaction)
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
        is_transfer = posted.kind is PostedKind.MESSAGE and posted.calldata == EMPTY_CALL
        return not is_transfer or self._will_be_contract(posted.receiver)

    def _add_child(self, parent: Row, index: int, posted: Posted, moment: Moment) -> None:
        is_plain = posted.kind is PostedKind.ETH_SEND or posted.calldata == EMPTY_CALL
        transfer = posted.kind is not PostedKind.DEPLOY and is_plain and not self._will_be_contract(posted.receiver)
        kind = (
            TxKind.DEPLOY
            if posted.kind is PostedKind.DEPLOY
            else TxKind.TRANSFER
            if transfer or posted.kind is PostedKind.ETH_SEND
            else TxKind.CALL
        )
        calldata = EMPTY_CALL if posted.kind is PostedKind.ETH_SEND else posted.calldata
        id = hash_of(b"message", parent.id, index.to_bytes(4, "big"), (parent.commit_at or 0).to_bytes(8, "big"))
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
        self.add(row)
        return row

    # --- finality ---------------------------------------------------------------------------------

    def finalize_due(self, moment: Moment, contract: Address | None = None) -> int:
        """Makes final what is due, in order; how many.

        :param contract: only what is this contract's.
        """
        where = (
            f"status IN ({APPEALABLE_WORDS}) AND {OPEN} AND (since + factor * ? <= ?"
            " OR json_extract(details, '$.mode') <> 'NORMAL')"
        )
        parameters: list[object] = [moment.window, moment.seconds]
        if contract is not None:
            where += " AND recipient = ?"
            parameters.append(contract.as_bytes)
        count = 0
        held_up: set[bytes] = set()
        found = self._all(
            f"SELECT seq, recipient, parent FROM network_transactions WHERE {where} ORDER BY seq", *parameters
        )
        for seq, recipient, parent in found:
            if recipient in held_up:
                continue
            if self._may_be_final(seq, recipient, parent):
                self.finalize(self.row(seq), moment)
                count += 1
            else:
                held_up.add(recipient)
        return count

    def next_due(self, window: float) -> float | None:
        """When the next one is due, by the clock of the network."""
        row = self._one(
            f"SELECT MIN(since + factor * ?) FROM network_transactions WHERE status IN ({APPEALABLE_WORDS}) AND {OPEN}",
            window,
        )
        return row[0] if row else None

    def _may_be_final(self, seq: int, recipient: bytes, parent: int | None) -> bool:
        """Those before it are, of its contract and of the one that has triggered it."""
        if self._one(f"SELECT 1 FROM network_transactions WHERE recipient = ? AND seq < ? AND {OPEN}", recipient, seq):
            return False
        return parent is None or not self._one(f"SELECT 1 FROM network_transactions WHERE seq = ? AND {OPEN}", parent)

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
        self.move(row, TxStatus.FINALIZED, moment)
        self.update(row)

    def _release(self, row: Row, moment: Moment) -> None:
        leader = next((round_.leader for round_ in reversed(self.rounds(row.seq)) if round_.leader), None)
        if leader is None:
            return
        sent = set(self.children(row.seq))
        for index, posted in enumerate(leader.messages):
            id = hash_of(b"message", row.id, index.to_bytes(4, "big"), (row.commit_at or 0).to_bytes(8, "big"))
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
        id = hash_of(b"refund", row.id)
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
        todo = self.rows(f"recipient = ? AND seq <= ? AND {OPEN} ORDER BY seq", row.recipient.as_bytes, row.seq)
        if any(item.status not in APPEALABLE for item in todo):
            return False
        for item in todo:
            item = self.row(item.seq)
            if item.status in APPEALABLE:
                if not self._may_be_final(item.seq, item.recipient.as_bytes, item.parent):
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
        self.move(row, TxStatus.CANCELED, moment)
        self.update(row)

    def appeal(self, id: bytes, moment: Moment) -> bool:
        """Notes an appeal; the queue of the contract hears it."""
        row = self.find(id)
        if row.status not in APPEALABLE or row.details.appeals.appealed or row.details.mode is not TxMode.NORMAL:
            return False
        row.details.appeals = replaced(
            row.details.appeals,
            appealed=True,
            undetermined=row.status is TxStatus.UNDETERMINED,
            leader_timeout=row.status is TxStatus.LEADER_TIMEOUT,
            validators_timeout=row.status is TxStatus.VALIDATORS_TIMEOUT,
            appealed_at=moment.now,
        )
        self.move(row, TxStatus.COMMITTING, moment)
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
        row.details.appeals = replaced(
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
            self.add_round(row, round_)
        self.move(row, status, moment)
        self.update(row)

    def appeal_succeeded(self, seq: int, rounds: Sequence[Round], moment: Moment) -> None:
        """What validators no longer stand by is executed anew, and so is all that came after it.

        :raises Gone: the transaction has another status by now.
        """
        row = self._in_status(seq, TxStatus.COMMITTING)
        for round_ in rounds:
            self.add_round(row, round_)
        self.update(row)
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
            f"recipient = ? AND seq >= ? AND {OPEN} AND status NOT IN ('PENDING') ORDER BY seq DESC",
            contract.as_bytes,
            seq,
        )
        # Contracts send to themselves too, so what is undone here may have been undone on the way.
        for seen in undone:
            row = self.row(seen.seq)
            if row.commit_at is not None:
                self._undo(row, commit, moment)
        for seen in undone:
            row = self.row(seen.seq)
            if row.status in (TxStatus.PENDING, TxStatus.CANCELED):
                continue
            row.details.appeals = Appeals(failed=row.details.appeals.failed if row.seq == seq else 0)
            row.details.decided_at = None
            self._unlog(row)
            row.since, row.factor, row.view_at = None, 1.0, None
            self.move(row, TxStatus.PENDING, moment)
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
            self.move(child, TxStatus.CANCELED, moment)
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
