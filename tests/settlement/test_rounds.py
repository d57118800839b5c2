"""A nondet round as a task: the bytes behind its hashes, and a committee that settles it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from pygenvm.settlement.blocks.signatures import Secp256k1Key
from pygenvm.settlement.blocks.view import ChainView
from pygenvm.settlement.bridge.committee import (
    FUNDS,
    REWARD,
    STAKE,
    Account,
    Ballot,
    Committee,
    Request,
    operators_needed,
)
from pygenvm.settlement.bridge.rounds import Call, Proposal, code_hash, disagree_hash, prompt_hash
from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.state.sqlite import SqliteStore
from pygenvm.settlement.types.block_errors import BlockError
from pygenvm.settlement.types.constants import ReceiptStatus
from pygenvm.settlement.types.words import ZERO, Address, Hash
from pygenvm.settlement.verifier.checks import Verdict, check
from pygenvm.settlement.verifier.export import export
from tests.settlement.receipts import said
from tests.settlement.vectors import word

CALL = Call(Address(b"\x01" * 20), Address(b"\x02" * 20), Address(b"\x03" * 20), 7, "2026-01-01", b"call")
PROPOSAL = Proposal((b"\x00one", b"\x01no"), b"\x00end")
NO = disagree_hash(prompt_hash(CALL, PROPOSAL))


def test_the_bytes() -> None:
    assert CALL.encode() == (
        b"\x01\x00" + b"\x01" * 20 + b"\x02" * 20 + b"\x03" * 20 + bytes(31) + b"\x07"
        b"\0\0\0\x0a2026-01-01\0\0\0\x04call" + bytes(32)
    )
    assert PROPOSAL.encode() == b"\x01\0\0\0\x02\0\0\0\x04\x00one\0\0\0\x03\x01no\0\0\0\x04\x00end"
    yes = keccak256(b"pygenvm/settlement/result/v1" + PROPOSAL.encode())
    assert PROPOSAL.hash() == yes
    assert prompt_hash(CALL, PROPOSAL) == keccak256(b"pygenvm/settlement/round/v1" + CALL.encode() + yes)
    assert keccak256(b"pygenvm/settlement/disagree/v1" + prompt_hash(CALL, PROPOSAL)) == NO
    deployed = replace(CALL, code_hash=code_hash(b"code"))
    assert deployed.encode() == b"\x01\x01" + CALL.encode()[2:-32] + keccak256(b"code")


def test_everything_is_bound() -> None:
    calls = [
        CALL,
        replace(CALL, contract=CALL.sender),
        replace(CALL, sender=CALL.contract),
        replace(CALL, origin=CALL.contract),
        replace(CALL, value=8),
        replace(CALL, datetime="2026-01-01c", calldata=b"all"),
        replace(CALL, code_hash=code_hash(b"")),
    ]
    proposals = [
        PROPOSAL,
        Proposal(PROPOSAL.results[::-1], PROPOSAL.outcome),
        Proposal(PROPOSAL.results[:1], PROPOSAL.outcome),
        Proposal((), PROPOSAL.outcome),
        Proposal(PROPOSAL.results, b"\x00"),
    ]
    prompts = {prompt_hash(call, proposal) for call in calls for proposal in proposals}
    assert len(prompts) == len(calls) * len(proposals)
    words = {*prompts, *map(disagree_hash, prompts), *(proposal.hash() for proposal in proposals)}
    assert len(words) == 2 * len(prompts) + len(proposals)


def test_wrong_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="contract is not 20 bytes"):
        replace(CALL, contract=Address(b"\x01" * 19))
    with pytest.raises(OverflowError):
        replace(CALL, value=1 << 256).encode()


# --- committees ---


KEYS = [Secp256k1Key(sha256(f"committee {number}".encode()).digest()) for number in range(8)]
CHAIN = word(1)
REQUESTER = Secp256k1Key(sha256(b"committee requester").digest())


def opened(path: Path, chain_id: Hash = CHAIN) -> Committee:
    store = SqliteStore(path)
    try:
        return Committee(store, chain_id=chain_id, operators=KEYS, requester=REQUESTER, model_spec=word(2))
    except BaseException:
        store.close()
        raise


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settlement"


@pytest.fixture
def committee(path: Path) -> Iterator[Committee]:
    committee = opened(path)
    yield committee
    committee.close()


def asked(committee: Committee, attempt: int = 0) -> Request:
    return committee.request(word(3), attempt, prompt_hash(CALL, PROPOSAL), n=5, threshold=3)


def test_who_is_drawn_decides_and_is_paid(committee: Committee, path: Path) -> None:
    assert committee.accounts() == []
    request = asked(committee)
    assert len(set(request.drawn)) == 5
    assert {account.operator for account in committee.accounts()} == {key.address for key in KEYS[:7]}
    first, second, third, dissenter, _silent = request.drawn
    yes = PROPOSAL.hash()
    ballots = [*(Ballot(operator, yes, word(9)) for operator in (first, second, third)), Ballot(dissenter, NO)]
    receipt = committee.settle(request, ballots)
    assert (receipt.status, receipt.canonical_output_hash) == (ReceiptStatus.COMPLETED, yes)
    assert (receipt.intent_id, receipt.prompt_hash) == (request.intent_id, prompt_hash(CALL, PROPOSAL))
    assert committee.accounts() == [
        Account(key.address, FUNDS - STAKE, STAKE, REWARD if key.address in (first, second, third) else 0)
        for key in KEYS[:7]
    ]
    document = export(ChainView(SqliteStore(path)), request.intent_id)
    assert document.receipt == receipt
    assert [one.embedding for one in document.reveals or ()].count(word(9)) == 3
    findings = check(document, document.root)
    assert said(findings, Verdict.FAILS) == []
    assert "The most frequent output has 3 votes, enough; the receipt says the same." in said(findings, Verdict.HOLDS)


def test_no_is_an_output_too(committee: Committee) -> None:
    request = asked(committee)
    receipt = committee.settle(request, [Ballot(operator, NO) for operator in request.drawn[:3]])
    assert (receipt.status, receipt.canonical_output_hash) == (ReceiptStatus.COMPLETED, NO)


@pytest.mark.parametrize("votes", [0, 2])
def test_too_few_votes_are_no_quorum(committee: Committee, votes: int) -> None:
    request = asked(committee)
    receipt = committee.settle(request, [Ballot(operator, NO) for operator in request.drawn[:votes]])
    assert (receipt.status, receipt.canonical_output_hash) == (ReceiptStatus.FAILED, ZERO)
    assert {account.credit for account in committee.accounts()} == {0}
    assert {account.stake for account in committee.accounts()} == {STAKE}


def test_a_task_that_was_left_behind_is_settled_without_votes(path: Path) -> None:
    first = opened(path)
    left = asked(first)
    first.close()
    again = opened(path)
    request = asked(again, 1)
    again.settle(request, [Ballot(operator, NO) for operator in request.drawn])
    again.close()
    view = ChainView(SqliteStore(path))
    assert export(view, left.intent_id).receipt.status == ReceiptStatus.FAILED
    assert export(view, request.intent_id).receipt.status == ReceiptStatus.COMPLETED


def test_a_settlement_that_fails_leaves_nothing(committee: Committee, path: Path) -> None:
    request = asked(committee)
    before = ChainView(SqliteStore(path)).tip
    with pytest.raises(ValueError, match="output is not 32 bytes"):
        committee.settle(request, [Ballot(request.drawn[0], Hash(b"short"))])
    assert ChainView(SqliteStore(path)).tip == before


def test_the_chain_of_others_is_refused(committee: Committee, path: Path) -> None:
    asked(committee)
    with pytest.raises(BlockError):
        opened(path, word(7))


def test_needed_operators() -> None:
    assert [operators_needed(n) for n in (3, 5, 8, 100)] == [5, 7, 12, 150]
