"""What can be told of a receipt without asking anybody, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from pygenvm.settlement.codec import merkle
from pygenvm.settlement.codec.hashes import commit_hash, task_id
from pygenvm.settlement.codec.receipt import VERSION
from pygenvm.settlement.codec.transcript import Exchange, transcript_hash
from pygenvm.settlement.engine.settle import plurality
from pygenvm.settlement.types.constants import (
    COMMIT_BLOCKS,
    MAX_N,
    MIN_N,
    REQUEST_FEE_PER_OPERATOR,
    REVEAL_BLOCKS,
    ReceiptStatus,
)
from pygenvm.settlement.types.words import MAX_U64, ZERO, Hash, u256
from pygenvm.settlement.verifier.document import Document


class Verdict(Enum):
    HOLDS = "holds"
    FAILS = "does not hold"
    UNKNOWN = "could not be checked"


class Finding(NamedTuple):
    verdict: Verdict
    sentence: str


def check(
    document: Document, trusted_root: Hash | None = None, exchanges: Sequence[Exchange] | None = None
) -> list[Finding]:
    """All findings, in the order in which one follows from the other.

    :param trusted_root: a root that the reader has from the chain itself.
    :param exchanges: what a nondet block asked the services, by a record of an operator's run.
    """
    return [
        *_receipt(document),
        *_proof(document, trusted_root),
        *_intent(document),
        *_task(document),
        *_operators(document),
        *_commits(document),
        *_outcome(document),
        *_transcript(document, exchanges),
    ]


def _told(condition: bool, holds: str, fails: str) -> Finding:
    return Finding(Verdict.HOLDS, holds) if condition else Finding(Verdict.FAILS, fails)


def _unknown(sentence: str) -> Finding:
    return Finding(Verdict.UNKNOWN, sentence)


def _receipt(document: Document) -> Iterator[Finding]:
    receipt = document.receipt
    completed = receipt.status == ReceiptStatus.COMPLETED
    shape = receipt.version == VERSION and receipt.status in (ReceiptStatus.COMPLETED, ReceiptStatus.FAILED)
    yield _told(
        shape and (receipt.canonical_output_hash != ZERO) == completed and (receipt.winners_root != ZERO) == completed,
        f"The receipt says that the operators {'agreed on an output' if completed else 'did not agree'}.",
        "No settlement writes such a receipt: version, status, output and winners do not go together.",
    )
    yield _told(
        MIN_N <= receipt.n <= MAX_N and receipt.n // 2 + 1 <= receipt.threshold <= receipt.n,
        f"{receipt.threshold} of {receipt.n} operators is a majority that the rules allow.",
        f"{receipt.threshold} of {receipt.n} operators is not what the rules allow.",
    )
    yield _told(
        receipt.fee_paid == REQUEST_FEE_PER_OPERATOR * receipt.n,
        "The fee is that of so many operators.",
        "The fee is not that of so many operators.",
    )


def _proof(document: Document, trusted_root: Hash | None) -> Iterator[Finding]:
    yield _told(
        merkle.verify_strictly(document.receipt.hash(), document.proof, document.root),
        f"The receipt is number {document.proof.index} of those below the root 0x{document.root.hex()}.",
        "The proof does not lead from this receipt to the root.",
    )
    if trusted_root is None:
        yield _unknown("Whether the root is one of the chain: give the one that you have from there with --root.")
    else:
        yield _told(
            trusted_root == document.root,
            "The root is the one that you gave.",
            "The root is not the one that you gave.",
        )


def _intent(document: Document) -> Iterator[Finding]:
    receipt, intent = document.receipt, document.intent
    if intent is None:
        yield _unknown("Whether this is the answer to a particular request: the file has no intent.")
        return
    yield _told(
        intent.computed_id() == receipt.intent_id and intent.intent_id == receipt.intent_id,
        f"The intent is transaction 0x{intent.c_tx_hash.hex()}, call {intent.call_index}, and has the receipt's id.",
        "The intent has another id than the receipt says.",
    )
    asked = (intent.c_chain_id, intent.a_chain_id, intent.caller, intent.model_spec_hash, intent.prompt_hash)
    answered = (
        receipt.c_chain_id,
        receipt.a_chain_id,
        receipt.requester,
        receipt.model_spec_hash,
        receipt.prompt_hash,
    )
    yield _told(
        (*asked, intent.n, intent.threshold) == (*answered, receipt.n, receipt.threshold),
        "What was asked is what the receipt says: chains, requester, model, prompt and number of operators.",
        "The receipt answers something else than the intent asks.",
    )


def _task(document: Document) -> Iterator[Finding]:
    receipt, nonce, height = document.receipt, document.request_nonce, document.request_height
    if nonce is None or height is None:
        yield _unknown("Whether the task id is that of this request: the file has no nonce and height of it.")
        return
    counted = u256(nonce)
    found = task_id(
        receipt.requester,
        counted,
        receipt.model_spec_hash,
        receipt.prompt_hash,
        min(height, MAX_U64),
        receipt.n,
        receipt.threshold,
    )
    yield _told(
        found == receipt.task_id,
        f"The task is request {nonce} of its requester, made at height {height}.",
        "The task id is not that of the request.",
    )
    earliest = height + COMMIT_BLOCKS + REVEAL_BLOCKS + 1
    yield _told(
        receipt.settled_at_height >= earliest,
        f"It was settled at height {receipt.settled_at_height}, after the windows for commits and reveals.",
        f"It was settled at height {receipt.settled_at_height}, before {earliest}, when the windows had closed.",
    )


def _operators(document: Document) -> Iterator[Finding]:
    receipt, operators = document.receipt, document.operators
    if operators is None:
        yield _unknown("Who was drawn: the file has no operators.")
        return
    yield _told(
        len(operators) == len(set(operators)) == receipt.n
        and merkle.root_over_addresses(operators) == receipt.operators_root,
        f"The {receipt.n} operators are those who were drawn, in this order.",
        "The operators are not those who were drawn.",
    )


def _commits(document: Document) -> Iterator[Finding]:
    receipt = document.receipt
    for one in document.reveals or ():
        who = f"0x{one.operator.hex()}"
        if one.embedding is None or one.nonce is None or one.commit is None:
            yield _unknown(f"Whether {who} revealed what it had committed to: the file has not all of it.")
            continue
        found = commit_hash(
            receipt.task_id,
            receipt.model_spec_hash,
            receipt.prompt_hash,
            one.output,
            one.embedding,
            one.operator,
            one.nonce,
        )
        yield _told(
            found == one.commit,
            f"{who} revealed what it had committed to.",
            f"{who} did not commit to what it is said to have revealed.",
        )


def _outcome(document: Document) -> Iterator[Finding]:
    receipt, reveals = document.receipt, document.reveals
    if reveals is None:
        yield _unknown("Who voted for what: the file has no reveals.")
        return
    people = [one.operator for one in reveals]
    drawn = document.operators
    yield _told(
        len(people) == len(set(people)) and (drawn is None or set(people) <= set(drawn)),
        f"{len(people)} operators revealed an output, each once.",
        "Someone is said to have revealed who was not drawn, or twice.",
    )
    output, votes = plurality(one.output for one in reveals)
    agreed, counted = votes >= receipt.threshold, f"{votes} vote{'' if votes == 1 else 's'}"
    if not agreed:
        output = ZERO
    winners = [one.operator for one in reveals if agreed and one.output == output]
    yield _told(
        output == receipt.canonical_output_hash and agreed == (receipt.status == ReceiptStatus.COMPLETED),
        f"The most frequent output has {counted}, {'enough' if agreed else 'too few'}; the receipt says the same.",
        f"The most frequent output has {counted} of {receipt.threshold} needed; the receipt says something else.",
    )
    yield _told(
        merkle.root_over_addresses(winners) == receipt.winners_root,
        f"The {len(winners)} who were paid are those who voted for it, in the order of their reveals.",
        "Those who were paid are not those who voted for the output.",
    )


def _transcript(document: Document, exchanges: Sequence[Exchange] | None) -> Iterator[Finding]:
    # Zero is the vote of somebody who binds it to nothing.
    bound = [one.embedding for one in document.reveals or () if one.embedding not in (None, ZERO)]
    if exchanges is None:
        if bound or not document.reveals:
            yield _unknown("What an operator asked the services: give the record of its run with --record.")
        return
    if not bound:
        yield _unknown("Whether a vote is bound to the record: the file has no embedding hashes.")
        return
    found = transcript_hash(exchanges)
    voters = [one for one in document.reveals or () if one.embedding == found]
    if not voters:
        yield Finding(Verdict.FAILS, f"No vote is bound to the record, whose transcript is 0x{found.hex()}.")
    for one in voters:
        with_votes = "for the output" if one.output == document.receipt.canonical_output_hash else "for another output"
        yield Finding(
            Verdict.HOLDS,
            f"0x{one.operator.hex()} bound its vote {with_votes} to the {len(exchanges)} exchanges recorded.",
        )
