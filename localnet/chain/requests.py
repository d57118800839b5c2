"""Rounds for operators that do not have the state of this network (:mod:`settlement.bridge.documents`).

:class:`Witness` notes what the leader's run reads, and that is what the document has. An operator executes the
transaction on :class:`GivenState` and judges as a validator here does; that it finds the same effects is part of that.
"""

from __future__ import annotations

import asyncio

from pygenvm.executor.host_protocol.paged import PAGE_BYTES
from pygenvm.executor.primitives import address as executor_address
from pygenvm.localnet.chain.database import StateView
from pygenvm.localnet.chain.model import ContractInfo, Kind, Receipt, Transaction, Verdict, outcome_to_bytes
from pygenvm.localnet.chain.runs import Runs
from pygenvm.localnet.chain.transactions import Executed, execute
from pygenvm.localnet.errors import BadValue
from pygenvm.settlement.bridge.documents import Account, Document
from pygenvm.settlement.bridge.rounds import Call, Proposal, code_hash, sized
from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.types.words import ZERO, Address, Hash, u32, u256

_EFFECTS_DOMAIN = b"pygenvm/settlement/effects/v1"


class Witness(StateView):
    """A state that notes what is read of it."""

    def __init__(self, state: StateView) -> None:
        self.reading = state.reading
        self.transactions = state.transactions
        self._state = state
        self._accounts: set[executor_address.Address] = set()
        self._found: dict[tuple[bytes, bytes, int], bytes] = {}

    def balance(self, address: executor_address.Address) -> int:
        self._accounts.add(address)
        return self._state.balance(address)

    def nonce(self, address: executor_address.Address) -> int:
        self._accounts.add(address)
        return self._state.nonce(address)

    def contract(self, address: executor_address.Address) -> ContractInfo | None:
        self._accounts.add(address)
        return self._state.contract(address)

    def pages(self, address: executor_address.Address, slot: bytes, first: int, last: int) -> dict[int, bytes]:
        found = self._state.pages(address, slot, first, last)
        self._found |= {(address.as_bytes, slot, page): content for page, content in found.items() if content}
        return found

    def storage_of(self, address: executor_address.Address, count: int) -> tuple[dict[tuple[bytes, int], bytes], bool]:
        # Of what is given at once nobody knows whether it is read.
        return {}, False

    async def document(self, transaction: Transaction, executed: Executed, *, queued: bool, strict: bool) -> Document:
        """What the leader's run on this state has found, and what it has read."""
        found = executed.receipt
        assert found.outcome is not None
        async with self.reading:
            accounts = {
                Address(one.as_bytes): Account(
                    self._state.balance(one), self._state.nonce(one), self._state.contract(one) is not None
                )
                for one in self._accounts
            }
        return Document(
            call_of(transaction, found),
            Proposal(found.nondet_results, outcome_to_bytes(found.outcome)),
            Hash(found.tx_id),
            queued,
            strict,
            effects_of(executed),
            transaction.code if transaction.kind is Kind.DEPLOY else b"",
            accounts,
            dict(self._found),
        )


class GivenState(StateView):
    """The state in a document; what is not in it is empty."""

    def __init__(self, document: Document) -> None:
        self.reading = asyncio.Lock()
        self.transactions = 0
        self._accounts = document.accounts
        self._slots: dict[tuple[bytes, bytes], dict[int, bytes]] = {}
        for (contract, slot, number), content in document.pages.items():
            self._slots.setdefault((contract, slot), {})[number] = content

    def balance(self, address: executor_address.Address) -> int:
        found = self._accounts.get(Address(address.as_bytes))
        return found.balance if found else 0

    def nonce(self, address: executor_address.Address) -> int:
        found = self._accounts.get(Address(address.as_bytes))
        return found.nonce if found else 0

    def contract(self, address: executor_address.Address) -> ContractInfo | None:
        found = self._accounts.get(Address(address.as_bytes))
        return ContractInfo(address, "", 0, top_level=True) if found and found.is_contract else None

    def pages(self, address: executor_address.Address, slot: bytes, first: int, last: int) -> dict[int, bytes]:
        # A contract may ask again and again, while the operator has other things to do in time.
        found = self._slots.get((address.as_bytes, slot), {})
        numbers = range(first, last + 1)
        wanted = numbers if len(numbers) < len(found) else [number for number in found if number in numbers]
        return {number: found[number] for number in wanted if number in found}

    def storage_of(self, address: executor_address.Address, count: int) -> tuple[dict[tuple[bytes, int], bytes], bool]:
        # What a run asks for is looked up as it comes, as above.
        return {}, False


async def judge_document(runs: Runs, document: Document) -> Verdict:
    """What an operator finds in a round.

    :raises BadValue: the document has what no run of a leader leaves.
    """
    transaction = _transaction(document)
    if any(len(content) > PAGE_BYTES or content.endswith(b"\0") for content in document.pages.values()):
        raise BadValue("the document has a page that none of ours is like")
    executed = await execute(
        runs,
        GivenState(document),
        transaction,
        (document.tx_id, document.call.datetime),
        queued=0 if document.is_message else None,
        leader_results=document.proposal.results,
    )
    own = executed.receipt
    differences = []
    if own.outcome is None or outcome_to_bytes(own.outcome) != document.proposal.outcome:
        differences.append("outcome")
    elif effects_of(executed) != document.effects:
        differences.append("effects")
    return Verdict(own, executed.disagreement, diverged=bool(differences), differences=tuple(differences))


def effects_of(executed: Executed) -> Hash:
    """Hash of what a transaction changes, sends and emits; zero for one that failed."""
    receipt, changes = executed.receipt, executed.changes
    if not receipt.ok or changes is None:
        return ZERO
    events = [u32(len(one.topics)) + b"".join(map(sized, one.topics)) + sized(one.blob) for one in receipt.events]
    messages = [
        b"".join(
            (
                sized(str(one.kind).encode()),
                one.receiver.as_bytes,
                u256(one.value),
                sized(one.calldata),
                sized(one.on.encode()),
                sized(one.code),
                u256(one.salt),
            )
        )
        for one in receipt.messages
    ]
    balances = sorted(address.as_bytes + u256(balance) for address, balance in changes.balances.items())
    pages = [
        address + slot + u32(number) + sized(content)
        for (address, slot, number), content in sorted(changes.pages.items())
    ]
    return keccak256(_EFFECTS_DOMAIN + b"".join(map(_list, (events, messages, balances, pages))))


def call_of(transaction: Transaction, found: Receipt) -> Call:
    return Call(
        Address(transaction.contract.as_bytes),
        Address(transaction.sender.as_bytes),
        Address(transaction.origin.as_bytes),
        transaction.value,
        found.datetime,
        transaction.calldata,
        code_hash(transaction.code) if transaction.kind is Kind.DEPLOY else ZERO,
    )


def _transaction(document: Document) -> Transaction:
    call = document.call
    return Transaction(
        Kind.DEPLOY if document.code else Kind.CALL,
        executor_address.Address(call.sender),
        executor_address.Address(call.origin),
        executor_address.Address(call.contract),
        call.value,
        call.calldata,
        code=document.code,
    )


def _list(items: list[bytes]) -> bytes:
    return u32(len(items)) + b"".join(items)
