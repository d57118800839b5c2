"""Transactions of a network as the receipts that ``genvm local`` shows."""

from __future__ import annotations

from typing import Final

from pygenvm.localnet.chain.consensus import LEADER
from pygenvm.localnet.chain.model import Kind, Node, Receipt, Round, Status, Transaction, Verdict, Vote
from pygenvm.localnet.chain.network.types import NetworkTransaction, NodeReceipt, TxKind, TxStatus, VoteWord

_KINDS: Final = {
    TxKind.TRANSFER: Kind.TRANSFER,
    TxKind.DEPLOY: Kind.DEPLOY,
    TxKind.CALL: Kind.CALL,
    TxKind.UPGRADE: Kind.CALL,
}
#: Statuses that say more than what the leader found.
_STATUSES: Final = {
    TxStatus.PENDING: Status.PENDING,
    TxStatus.PROPOSING: Status.RUNNING,
    TxStatus.COMMITTING: Status.RUNNING,
    TxStatus.REVEALING: Status.RUNNING,
    TxStatus.UNDETERMINED: Status.UNDETERMINED,
    TxStatus.LEADER_TIMEOUT: Status.UNDETERMINED,
    TxStatus.VALIDATORS_TIMEOUT: Status.UNDETERMINED,
    TxStatus.CANCELED: Status.CANCELED,
}


def receipt_of(transaction: NetworkTransaction, name: str = "") -> Receipt:
    """What became of a transaction, as far as that is known by now.

    :param name: of its contract.
    """
    leader, last = transaction.leader, transaction.last_round
    of = Transaction(
        _KINDS[transaction.kind],
        transaction.sender,
        transaction.origin,
        transaction.recipient,
        transaction.value,
        transaction.calldata,
        name=name,
        on=transaction.triggered_on,
    )
    moment = transaction.datetime_override or transaction.created_at
    datetime = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    status = _status(transaction, leader)
    if leader is None:
        return Receipt(of, status, None, transaction.id, datetime, transaction.seq)
    receipt = _of_node(leader, of, status, transaction.id, datetime)
    votes = () if last is None else tuple(_vote(place, one, receipt) for place, one in enumerate(last.validators, 1))
    round_ = Round(Node(LEADER, leader.validator.address.as_hex), votes) if votes else None
    return Receipt(
        of,
        status,
        leader.outcome,
        transaction.id,
        datetime,
        transaction.seq,
        events=leader.events,
        messages=leader.messages,
        nondet_results=leader.nondet_results,
        slots_written=leader.slots_written,
        bytes_written=leader.bytes_written,
        stdout=leader.stdout,
        stderr=leader.stderr,
        seconds=leader.seconds,
        round=round_,
    )


def _status(transaction: NetworkTransaction, leader: NodeReceipt | None) -> Status:
    known = _STATUSES.get(transaction.status)
    if known is not None:
        return known
    return Status.OK if leader is None or leader.succeeded else Status.FAILED


def _of_node(node: NodeReceipt, of: Transaction, status: Status, id: bytes, datetime: str) -> Receipt:
    return Receipt(of, status, node.outcome, id, datetime, stdout=node.stdout, stderr=node.stderr, seconds=node.seconds)


def _vote(place: int, node: NodeReceipt, leader: Receipt) -> Vote:
    """:param place: in the round, from 1 on: what mock files call it too."""
    status = Status.OK if node.succeeded else Status.FAILED
    own = _of_node(node, leader.transaction, status, leader.tx_id, leader.datetime)
    diverged = node.vote is not VoteWord.AGREE and node.disagreement is None
    # The network keeps no more of what differs.
    differences = () if not diverged else ("outcome",) if node.outcome != leader.outcome else ("slots_written",)
    return Vote(
        Node(f"validator {place}", node.validator.address.as_hex),
        Verdict(own, node.disagreement, diverged, differences),
    )
