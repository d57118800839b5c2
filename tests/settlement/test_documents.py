"""What operators are given to judge: read back as it was written, and nothing else is read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pygenvm.settlement.bridge.documents import Account, Document
from pygenvm.settlement.bridge.rounds import Call, Proposal, code_hash, disagree_hash
from pygenvm.settlement.codec.hashes import prompt_hash
from pygenvm.settlement.types.words import ZERO, Address
from tests.settlement.vectors import word

CONTRACT, SENDER = Address(b"\x01" * 20), Address(b"\x02" * 20)
CALL = Call(CONTRACT, SENDER, SENDER, 7, "2026-01-01T00:00:00.000000Z", b"call")
DOCUMENT = Document(
    CALL,
    Proposal((b"\x00one", b"\x01two"), b"\x00three"),
    word(5),
    is_message=True,
    strict_views=False,
    effects=word(6),
    code=b"",
    accounts={SENDER: Account(10**30, 3, is_contract=False), CONTRACT: Account(0, 0, is_contract=True)},
    pages={(CONTRACT, word(1), 1): b"b", (CONTRACT, word(1), 0): b"a"},
)
DEPLOYMENT = replace(DOCUMENT, call=replace(CALL, code_hash=code_hash(b"code")), code=b"code", strict_views=True)


@pytest.mark.parametrize("document", [DOCUMENT, DEPLOYMENT, replace(DOCUMENT, accounts={}, pages={})])
def test_there_and_back(document: Document) -> None:
    assert Document.decode(document.encode()) == document


def test_the_hashes_of_a_vote() -> None:
    assert DOCUMENT.yes == DOCUMENT.proposal.hash()
    assert DOCUMENT.no == disagree_hash(prompt_hash(DOCUMENT.encode()))
    # Whoever asks the same of another state asks something else.
    assert replace(DOCUMENT, pages={}).no != DOCUMENT.no


def test_breaking_off() -> None:
    data = DEPLOYMENT.encode()
    for size in range(len(data)):
        with pytest.raises(ValueError, match="breaks off"):
            Document.decode(data[:size])


def test_any_changed_byte_is_refused_or_another_document() -> None:
    data = DOCUMENT.encode()
    for at in range(len(data)):
        changed = data[:at] + bytes((data[at] ^ 0x80,)) + data[at + 1 :]
        try:
            found = Document.decode(changed)
        except ValueError:
            continue
        assert found != DOCUMENT
        assert found.encode() == changed


def test_only_the_canonical_form() -> None:
    data = DOCUMENT.encode()
    first, second = (CONTRACT + word(1) + bytes((0, 0, 0, number, 0, 0, 0, 1)) for number in (0, 1))
    assert first + b"a" + second + b"b" in data
    for twisted in (
        data.replace(first + b"a" + second + b"b", second + b"b" + first + b"a"),
        data.replace(second, first),
        data + b"\0",
    ):
        with pytest.raises(ValueError, match="the document is not in its canonical form"):
            Document.decode(twisted)


def test_counts_that_no_document_has_room_for() -> None:
    empty = replace(DOCUMENT, accounts={}, pages={}).encode()
    with pytest.raises(ValueError, match="breaks off"):
        Document.decode(empty[:-4] + b"\xff" * 4)


def test_code_of_another_deployment() -> None:
    for changes in ({"code": b"other"}, {"code": b""}, {"call": CALL}):
        with pytest.raises(ValueError, match="the code is not the one that the call deploys"):
            replace(DEPLOYMENT, **changes)
    assert CALL.code_hash == ZERO
