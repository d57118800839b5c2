"""Executes one transaction and says what it changes; nothing is written here.

A message to an address without a contract is a transfer if its calldata is the empty map, otherwise it fails as it
would on a node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pygenvm.executor.frozen import replaced
from pygenvm.executor.outcome import Outcome, Return, VMError
from pygenvm.executor.primitives.abi import SpecialMethod
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain.database import StateView
from pygenvm.localnet.chain.model import (
    EMPTY_CALL,
    BalanceChange,
    ContractInfo,
    Kind,
    Posted,
    PostedKind,
    Receipt,
    Status,
    Transaction,
    calldata_of_call,
)
from pygenvm.localnet.chain.overlay import Overlay
from pygenvm.localnet.chain.run_host import RunHost
from pygenvm.localnet.chain.runs import Identity, Runs, streams
from pygenvm.localnet.chain.store import Changes
from pygenvm.localnet.executors.base import RunReport

_ABSENT_CONTRACT = "invalid_contract absent_runner_comment"


class Executed(NamedTuple):
    """What became of a transaction."""

    receipt: Receipt
    disagreement: int | None
    """Number of the nondet block whose leader's result was rejected."""
    changes: Changes | None
    """What is to be committed; None for a command of the user that failed."""


async def execute(
    runs: Runs,
    state: StateView,
    transaction: Transaction,
    identity: Identity,
    *,
    queued: int | None = None,
    leader_results: Sequence[bytes] | None = None,
) -> Executed:
    """Runs a transaction on top of ``state``.

    :param queued: number of the message in the queue; None for a command of the user.
    :param leader_results: results of nondet blocks that a validator is to judge.
    """
    overlay = Overlay(state)
    async with state.reading:
        if queued is None:
            overlay.add(transaction.sender, -transaction.value)
        overlay.add(transaction.contract, transaction.value)
        is_new = state.contract(transaction.contract) is None
        if transaction.kind is Kind.DEPLOY:
            overlay.write_code(transaction.contract, transaction.code)
        elif is_new and transaction.calldata == EMPTY_CALL:
            transaction = replaced(transaction, kind=Kind.TRANSFER)
        host = RunHost(
            state,
            overlay,
            transaction.contract,
            transaction.calldata,
            read_only=False,
            leader_results=leader_results,
            eth_call=runs.eth_call,
            chain_id=runs.chain_id,
        )
    full = overlay.overfull()
    outcome, report = await _outcome(runs, host, transaction, identity, is_new=is_new, full=full)
    receipt = Receipt(
        replaced(transaction, code=b""),  # it is in the storage of the contract
        Status.FAILED,
        outcome,
        *identity,
        nondet_results=tuple(host.nondet_results),
        **({} if report is None or outcome is None else streams(report, outcome)),
    )
    changes: Changes | None = None
    if outcome is None or isinstance(outcome, Return):
        pages = await state.ask(overlay.written_pages, overlay.bytes_written)
        async with state.reading:
            changes = _effects(state, overlay, host, receipt, pages, queued)
    elif queued is not None:
        async with state.reading:
            changes = _settle_failure(state, receipt, queued)
    return Executed(receipt if changes is None else changes.receipt, host.disagreement, changes)


async def undetermined(state: StateView, executed: Executed, queued: int | None) -> Executed:
    """What becomes of a transaction that most nodes did not agree with: as of one that failed."""
    receipt = replaced(
        executed.receipt,
        status=Status.UNDETERMINED,
        events=(),
        messages=(),
        balances=(),
        slots_written=0,
        bytes_written=0,
    )
    if queued is None:
        return Executed(receipt, None, None)
    async with state.reading:
        changes = _settle_failure(state, receipt, queued)
    return Executed(changes.receipt, None, changes)


async def put_back(state: StateView, transaction: Transaction, identity: Identity, *, queued: int) -> Changes:
    """Takes a message out of the queue without executing it; its value comes back."""
    receipt = Receipt(replaced(transaction, code=b""), Status.UNDELIVERED, None, *identity)
    # The value of a #error call belongs to the contract that it goes to.
    owner = transaction.contract if transaction.kind is Kind.ERROR else transaction.sender
    async with state.reading:
        return _refund(state, receipt, owner, queued)


def _refund(state: StateView, receipt: Receipt, owner: Address, queued: int) -> Changes:
    """Puts the value of a message that is not tried any further into the balance of ``owner``.

    What does not fit there (:meth:`Overlay.overfull`) is destroyed: the message must not stay in the way of others.
    """
    overlay = Overlay(state)
    value = min(receipt.transaction.value, limits.VALUE_MAX - state.balance(owner))
    overlay.add(owner, value)
    receipt = replaced(receipt, balances=_balance_changes(state, overlay))
    destroyed = receipt.transaction.value - value
    return Changes(receipt, balances=overlay.changed_balances(), delivered=queued, destroyed=destroyed)


async def _outcome(
    runs: Runs, host: RunHost, transaction: Transaction, identity: Identity, *, is_new: bool, full: Address | None
) -> tuple[Outcome | None, RunReport | None]:
    if full is not None:
        return VMError("forbidden", f"the balance of {full!s} would be more than 2^256 - 1"), None
    match transaction.kind, is_new:
        case Kind.TRANSFER, _:
            return None, None
        case Kind.DEPLOY, False:
            return VMError("forbidden", "there is already a contract at this address"), None
        case Kind.CALL | Kind.ERROR, True:
            return VMError(_ABSENT_CONTRACT, "there is no contract at this address"), None
    return await runs.run(host, transaction, identity, permissions=runs.permissions)


def _effects(
    state: StateView,
    overlay: Overlay,
    host: RunHost,
    receipt: Receipt,
    pages: dict[tuple[bytes, bytes, int], bytes],
    queued: int | None,
) -> Changes:
    """Everything that a transaction did."""
    transaction = receipt.transaction
    contract, sender = transaction.contract, transaction.sender
    queue = _send(overlay, host.messages, transaction)
    receipt = replaced(
        receipt,
        status=Status.OK,
        events=tuple(host.events),
        messages=tuple(host.messages),
        balances=_balance_changes(state, overlay),
        slots_written=overlay.written_slots(),
        bytes_written=overlay.bytes_written,
    )
    nonces = {contract: host.nonce} if host.nonce != state.nonce(contract) else {}
    if queued is None:
        nonces[sender] = state.nonce(sender) + 1
    is_new = transaction.kind is Kind.DEPLOY
    return Changes(
        receipt,
        balances=overlay.changed_balances(),
        nonces=nonces,
        pages=pages,
        contract=ContractInfo(contract, transaction.name, number=0, top_level=queued is None) if is_new else None,
        queue=queue,
        delivered=queued,
    )


def _send(overlay: Overlay, messages: Sequence[Posted], transaction: Transaction) -> list[Transaction]:
    """Takes the value of what was posted from the contract; gives the messages that are to be delivered."""
    queue = []
    for posted in messages:
        overlay.add(transaction.contract, -posted.value)
        if posted.kind is PostedKind.ETH_SEND:
            overlay.add(posted.receiver, posted.value)
            continue
        queue.append(
            Transaction(
                Kind.DEPLOY if posted.kind is PostedKind.DEPLOY else Kind.CALL,
                transaction.contract,
                transaction.origin,
                posted.receiver,
                posted.value,
                posted.calldata,
                code=posted.code,
                on=posted.on,
            )
        )
    return queue


def _settle_failure(state: StateView, receipt: Receipt, queued: int) -> Changes:
    """A message failed: its effects are dropped and its value goes back (spec sdk/04 §10)."""
    failed = receipt.transaction
    if failed.kind is Kind.ERROR:
        return _refund(state, receipt, failed.contract, queued)
    changes = Changes(receipt, delivered=queued)
    if failed.value:
        data = calldata_of_call(SpecialMethod.ERRORED_MESSAGE)
        changes.queue.append(
            Transaction(Kind.ERROR, failed.contract, failed.origin, failed.sender, failed.value, data, on=failed.on)
        )
    return changes


def _balance_changes(state: StateView, overlay: Overlay) -> tuple[BalanceChange, ...]:
    changed = overlay.changed_balances()
    return tuple(BalanceChange(address, state.balance(address), balance) for address, balance in changed.items())
