"""`genvm receipt`: a good file holds, and each lie in one is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pygenvm.cli.main import main
from pygenvm.settlement.codec import merkle
from pygenvm.settlement.codec.receipt import Receipt
from pygenvm.settlement.state.sqlite import SqliteStore
from pygenvm.settlement.types.words import ZERO, Hash
from pygenvm.settlement.verifier.checks import Verdict, check
from pygenvm.settlement.verifier.document import Document, DocumentError, read
from tests.settlement.receipts import ASKED, played, said
from tests.settlement.vectors import account, word

NO_RECORD = "What an operator asked the services: give the record of its run with --record."


def test_good_receipts(documents: list[Document]) -> None:
    for index, document in enumerate(documents):
        assert read(document.to_json()) == document
        findings = check(document, document.root)
        assert said(findings, Verdict.FAILS) == []
        assert said(findings, Verdict.UNKNOWN) == [NO_RECORD]
        assert document.proof.index == index
    agreed, split, silent = (said(check(one, one.root), Verdict.HOLDS) for one in documents)
    assert "The receipt says that the operators agreed on an output." in agreed
    assert "The most frequent output has 3 votes, enough; the receipt says the same." in agreed
    assert "The 3 who were paid are those who voted for it, in the order of their reveals." in agreed
    assert "The task is request 0 of its requester, made at height 2." in agreed
    assert "It was settled at height 63, after the windows for commits and reveals." in agreed
    assert sum("revealed what it had committed to" in sentence for sentence in agreed) == 4
    assert "The receipt says that the operators did not agree." in split
    assert "The most frequent output has 1 vote, too few; the receipt says the same." in split
    assert "0 operators revealed an output, each once." in silent


def test_what_is_not_in_the_file_is_not_checked(documents: list[Document]) -> None:
    bare = Document(documents[0].receipt, documents[0].root, documents[0].proof)
    assert read(bare.to_json()) == bare
    assert said(check(bare), Verdict.FAILS) == []
    assert [sentence.split(":")[0] for sentence in said(check(bare), Verdict.UNKNOWN)] == [
        "Whether the root is one of the chain",
        "Whether this is the answer to a particular request",
        "Whether the task id is that of this request",
        "Who was drawn",
        "Who voted for what",
        "What an operator asked the services",
    ]
    reveals = documents[0].reveals
    assert reveals is not None
    partly = replace(documents[0], reveals=(replace(reveals[0], nonce=None), *reveals[1:]))
    assert read(partly.to_json()) == partly
    unknown = said(check(partly, partly.root), Verdict.UNKNOWN)
    assert unknown == [
        f"Whether 0x{reveals[0].operator.hex()} revealed what it had committed to: the file has not all of it.",
        NO_RECORD,
    ]


def _receipt(**members: object) -> Callable[[Document], Document]:
    """A lie in the receipt, with a tree in which it is the only one, so that the proof does not give it away."""

    def change(document: Document) -> Document:
        lie: Receipt = replace(document.receipt, **members)  # type: ignore[arg-type]
        return replace(document, receipt=lie, proof=merkle.Proof(0, ()), root=merkle.receipt_leaf(lie.hash()))

    return change


def _reveal(**members: object) -> Callable[[Document], Document]:
    def change(document: Document) -> Document:
        first, *rest = document.reveals or ()
        return replace(document, reveals=(replace(first, **members), *rest))  # type: ignore[arg-type]

    return change


NOT_PROVEN = "The proof does not lead from this receipt to the root."
NOT_COMMITTED = "did not commit to what it is said to have revealed."
NOT_DRAWN = "The operators are not those who were drawn."
NEVER = "No settlement writes such a receipt: version, status, output and winners do not go together."
OTHER_ROOT = "The root is not the one that you gave."
LIES: list[tuple[Callable[[Document], Document], str]] = [
    (lambda one: replace(one, receipt=replace(one.receipt, fee_paid=1)), NOT_PROVEN),
    (lambda one: replace(one, root=word(1)), NOT_PROVEN),
    (lambda one: replace(one, root=word(1)), OTHER_ROOT),
    (lambda one: replace(one, proof=replace(one.proof, index=1)), NOT_PROVEN),
    # The A side would take this one.
    (lambda one: replace(one, proof=replace(one.proof, index=8)), NOT_PROVEN),
    (lambda one: replace(one, proof=replace(one.proof, siblings=one.proof.siblings[:-1])), NOT_PROVEN),
    (_receipt(fee_paid=1), OTHER_ROOT),
    (_receipt(fee_paid=1), "The fee is not that of so many operators."),
    (
        _receipt(version=2),
        NEVER,
    ),
    (
        _receipt(status=4),
        NEVER,
    ),
    (
        _receipt(canonical_output_hash=ZERO),
        NEVER,
    ),
    (_receipt(threshold=2), "2 of 5 operators is not what the rules allow."),
    (_receipt(intent_id=word(1)), "The intent has another id than the receipt says."),
    (_receipt(requester=account(1)), "The receipt answers something else than the intent asks."),
    (_receipt(prompt_hash=word(1)), "The receipt answers something else than the intent asks."),
    (_receipt(threshold=4), "The receipt answers something else than the intent asks."),
    (_receipt(task_id=word(1)), "The task id is not that of the request."),
    (_receipt(settled_at_height=62), "It was settled at height 62, before 63, when the windows had closed."),
    (_receipt(operators_root=word(1)), NOT_DRAWN),
    (_receipt(winners_root=word(1)), "Those who were paid are not those who voted for the output."),
    (_receipt(canonical_output_hash=word(2)), "votes of 3 needed; the receipt says something else."),
    (_receipt(status=3, canonical_output_hash=ZERO, winners_root=ZERO), "the receipt says something else."),
    (lambda one: replace(one, request_nonce=1), "The task id is not that of the request."),
    (lambda one: replace(one, request_height=3), "The task id is not that of the request."),
    (lambda one: replace(one, operators=(one.operators or ())[::-1]), NOT_DRAWN),
    (lambda one: replace(one, operators=(one.operators or ())[:4]), NOT_DRAWN),
    # A tree with its last leaf twice has the same root.
    (lambda one: replace(one, operators=(*(one.operators or ()), (one.operators or ())[-1])), NOT_DRAWN),
    (_reveal(output=word(2)), NOT_COMMITTED),
    (_reveal(embedding=word(2)), NOT_COMMITTED),
    (_reveal(nonce=word(3)), NOT_COMMITTED),
    (_reveal(commit=word(2)), NOT_COMMITTED),
    (_reveal(operator=account(1)), "Someone is said to have revealed who was not drawn, or twice."),
    (
        lambda one: replace(one, reveals=((one.reveals or ())[0], *(one.reveals or ()))),
        "Someone is said to have revealed who was not drawn, or twice.",
    ),
    (
        lambda one: replace(one, reveals=(one.reveals or ())[1:]),
        "2 votes of 3 needed; the receipt says something else.",
    ),
    (
        lambda one: replace(one, reveals=(one.reveals or ())[::-1]),
        "Those who were paid are not those who voted for the output.",
    ),
]


@pytest.mark.parametrize(("lie", "sentence"), LIES)
def test_lies(documents: list[Document], lie: Callable[[Document], Document], sentence: str) -> None:
    found = said(check(lie(documents[0]), documents[0].root), Verdict.FAILS)
    assert any(sentence in one for one in found), found


# --- files ---


def _changed(document: Document, change: Callable[[dict[str, object]], object]) -> str:
    members = json.loads(document.to_json())
    change(members)
    return json.dumps(members)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda one: one.pop("proof"), "has no 'proof'"),
        (lambda one: one.update(version=2), "not version 1"),
        (lambda one: one.update(format="x"), "not version 1"),
        (lambda one: one.update(more=1), "'more', which this version does not know"),
        (lambda one: one.update(receipt="0x00"), "a receipt has 355 bytes"),
        (lambda one: one.update(receipt=5), "no hexadecimal text"),
        (lambda one: one.update(receipt="0xzz"), "no hexadecimal text"),
        (lambda one: one.update(proof=one["proof"] + "00"), "proof frame"),
        (lambda one: one.update(intent="0x00"), "buffer too small"),
        (lambda one: one.update(request={"nonce": -1, "height": 1}), "nonce is not an integer"),
        (lambda one: one.update(request={"nonce": 1}), "has no 'height'"),
        (lambda one: one.update(operators={}), "no list"),
        (lambda one: one.update(operators=["0x00"] * 257), "no list of at most 256"),
        (lambda one: one.update(operators=["0x00"]), "operator is not 20 bytes"),
        (lambda one: one.update(reveals=[[]]), "no JSON object"),
        (lambda one: one["reveals"][0].update(output="0x00"), "output is not 32 bytes"),
    ],
)
def test_bad_files(documents: list[Document], change: Callable[[dict[str, object]], object], says: str) -> None:
    with pytest.raises(DocumentError, match=says):
        read(_changed(documents[0], change))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100, '{"a":1,"a":2}', " " * (1 << 21), "NaN"])
def test_no_files_of_ours(text: str) -> None:
    with pytest.raises(DocumentError):
        read(text)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, file = tmp_path / "settlement.db", tmp_path / "receipt.json"
    store = SqliteStore(state)
    root = played(store).leader.engine().receipt_root()
    store.close()
    assert main(["receipt", "export", str(state), "--intent", "0x" + ASKED[0].hex()]) == 0
    file.write_text(capsys.readouterr().out)

    assert main(["receipt", "verify", str(file), "--root", root.hex()]) == 0
    out = capsys.readouterr().out
    assert out.endswith("\nEverything that was checked holds. 1 could not be checked.\n")
    assert main(["receipt", "verify", str(file)]) == 0
    assert capsys.readouterr().out.endswith("\nEverything that was checked holds. 2 could not be checked.\n")
    assert main(["receipt", "verify", str(file), "--root", "0x" + "11" * 32]) == 1
    out = capsys.readouterr().out
    assert "FAILS      The root is not the one that you gave.\n" in out
    assert out.endswith("\nThis receipt is not good: 1 of what it says does not hold.\n")

    assert main(["receipt", "show", str(file)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["status"], shown["n"], shown["feePaid"]) == (2, 5, str(5 * 10**16))
    assert Hash(bytes.fromhex(shown["hash"][2:])) == read(file.read_text()).receipt.hash()

    for words, says in (
        (["verify", str(tmp_path / "none")], "No such file"),
        (["verify", str(state)], "no UTF-8"),
        (["verify", str(file), "--record", str(file)], "record"),
        (["export", str(state), "--intent", "00" * 32], "no settled receipt for intent"),
        (["export", str(tmp_path / "none.db"), "--intent", "00" * 32], "unable to open"),
        (["export", "memory:", "--intent", "00" * 32], "holds no chain"),
    ):
        assert main(["receipt", *words]) == 3
        assert says in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(SystemExit) as caught:
        main(["receipt", "verify", str(file), "--root", "0x12"])
    assert caught.value.code == 2
