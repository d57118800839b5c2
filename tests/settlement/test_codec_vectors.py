"""Hashes, encodings, trees, slots: every vector of them, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest

from pygenvm.settlement.codec import hashes, merkle, receipt
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.codec.receipt import Receipt
from pygenvm.settlement.engine.settle import plurality
from pygenvm.settlement.engine.tasks import required_margin
from pygenvm.settlement.state import keys, slots
from pygenvm.settlement.types.words import ZERO
from tests.settlement.vectors import a, all_vectors, expected, h, inputs, raw, typed


def named(prefix: str) -> list[str]:
    found = [name for name in all_vectors() if name.startswith(prefix)]
    assert found
    return found


def test_keccak_of_nothing() -> None:
    assert keccak256(raw(inputs("keccak-empty")["data"])) == h(expected("keccak-empty"))


@pytest.mark.parametrize("name", named("chain-id-"))
def test_chain_id(name: str) -> None:
    assert hashes.chain_id(inputs(name)["label"]) == h(expected(name))


def _intent(fields: dict[str, Any]) -> Intent:
    return Intent(intent_id=ZERO, reward=None, **typed(fields))


@pytest.mark.parametrize("name", named("intent-id-"))
def test_intent_id(name: str) -> None:
    assert _intent(inputs(name)).computed_id() == h(expected(name))


def test_intent_preimage() -> None:
    preimage = _intent(inputs("intent-preimage-fixture-A")).preimage
    assert preimage == raw(expected("intent-preimage-fixture-A")["bytes"])
    assert len(preimage) == expected("intent-preimage-fixture-A")["length"] == 244


def test_receipt_encoding() -> None:
    told = expected("receipt-encoding-fixture-A")
    read = Receipt(**typed(inputs("receipt-encoding-fixture-A")))
    assert read.encode() == raw(told["bytes"])
    assert len(read.encode()) == told["length"] == receipt.SIZE
    assert receipt.decode(read.encode()) == read


@pytest.mark.parametrize("name", named("receipt-hash-"))
def test_receipt_hash(name: str) -> None:
    assert Receipt(**typed(inputs(name))).hash() == h(expected(name))


def test_receipt_leaf() -> None:
    name = "receipt-leaf-fixture-A"
    assert merkle.receipt_leaf(h(inputs(name)["receipt_hash"])) == h(expected(name))


@pytest.mark.parametrize("name", named("commit-"))
def test_commit(name: str) -> None:
    fields = typed(inputs(name))
    names = ("task_id", "model_spec_hash", "prompt_hash", "output_hash", "embedding_hash", "operator", "nonce")
    assert hashes.commit_hash(*(fields[one] for one in names)) == h(expected(name))


@pytest.mark.parametrize("name", named("task-id-"))
def test_task_id(name: str) -> None:
    fields = typed(inputs(name))
    names = ("requester", "nonce", "model_spec_hash", "prompt_hash", "request_height", "n", "threshold")
    assert hashes.task_id(*(fields[one] for one in names)) == h(expected(name))


def test_conventions_of_clients() -> None:
    model = inputs("model-spec-hash")
    found = hashes.model_spec_hash(model["name"], model["version"], h(model["weight_commit"]), model["quantization"])
    assert found == h(expected("model-spec-hash"))
    assert hashes.prompt_hash(inputs("prompt-hash")["prompt"].encode()) == h(expected("prompt-hash"))


def test_slot_keys() -> None:
    fields = inputs("slots-all")
    operator, requester = a(fields["operator"]), a(fields["requester"])
    spec, task, intent = h(fields["model_spec"]), h(fields["task_id"]), h(fields["intent_id"])
    assert {
        "op.meta": slots.operator_meta(operator),
        "op.spec": slots.operator_spec(operator),
        "op.endp": slots.operator_endpoint(operator),
        "op.stake": slots.operator_stake(operator),
        "mspec.idx": slots.model_member_count(spec),
        "mspec.mem[2]": slots.model_member(spec, 2),
        "mspec.seen": slots.model_membership(spec, operator),
        "cred": slots.credit(operator),
        "req.nonce": slots.requester_nonce(requester),
        "task.A": slots.task_head(task),
        "task.B": slots.task_deadlines(task),
        "task.spec": slots.task_spec(task),
        "task.prompt": slots.task_prompt(task),
        "task.reward": slots.task_reward(task),
        "task.escrow": slots.task_escrow(task),
        "task.intent": slots.task_intent(task),
        "task.fee": slots.task_fee(task),
        "task.height": slots.task_settled_height(task),
        "sel": slots.selected(task, operator),
        "sel.list[1]": slots.selected_at(task, 1),
        "commit": slots.commit(task, operator),
        "reveal": slots.revealed_output(task, operator),
        "reveal.f": slots.revealed(task, operator),
        "reveal.list[0]": slots.revealed_at(task, 0),
        "reveal.cnt": slots.reveal_count(task),
        "settled": slots.settled(task),
        "canon": slots.canonical_output(task),
        "receipt.root": slots.RECEIPT_ROOT,
        "receipt.idx": slots.RECEIPT_COUNT,
        "receipt.leaf[3]": slots.receipt_leaf(3),
        "intent.seen": slots.intent_consumed(intent),
        "intent.task": slots.intent_task(intent),
        "intent.rcpt": slots.intent_receipt(intent),
    } == {name: h(key) for name, key in expected("slots-all").items()}


def test_packed_words() -> None:
    meta = inputs("word-op-meta-unbonding")
    word = slots.OperatorMeta(meta["exists"], meta["unbonding"], meta["unbond_block"])
    assert word.word() == h(expected("word-op-meta-unbonding"))
    assert slots.operator_meta_of(word.word()) == word
    task = inputs("word-task-A")
    head = slots.TaskHead(task["status"], task["n"], task["threshold"], a(task["requester"]))
    assert head.word() == h(expected("word-task-A"))
    assert slots.task_head_of(head.word()) == head
    windows = slots.TaskDeadlines(
        **{
            "commit": inputs("word-task-B")["commit_deadline"],
            "reveal": inputs("word-task-B")["reveal_deadline"],
            "request_height": inputs("word-task-B")["request_height"],
        }
    )
    assert windows.word() == h(expected("word-task-B"))
    assert slots.task_deadlines_of(windows.word()) == windows


def test_durable_key() -> None:
    assert keys.slot(h(inputs("db-key")["slot"])) == raw(expected("db-key"))


@pytest.mark.parametrize("name", named("draw-"))
def test_draw(name: str) -> None:
    fields = inputs(name)
    drawn = hashes.draw([a(one) for one in fields["eligible"]], h(fields["task_id"]), fields["n"])
    assert drawn == [a(one) for one in expected(name)]


def test_margin() -> None:
    assert [required_margin(n) for n in inputs("margin-table")["n"]] == expected("margin-table")


@pytest.mark.parametrize("name", named("receipt-root-"))
def test_receipt_root(name: str) -> None:
    leaves = [merkle.receipt_leaf(h(one)) for one in inputs(name)["receipt_hashes"]]
    assert merkle.root(leaves) == h(expected(name))


@pytest.mark.parametrize("name", named("merkle-proof-"))
def test_proof(name: str) -> None:
    told = expected(name)
    receipts = [h(one) for one in inputs(name)["receipt_hashes"]]
    proof = merkle.proof([merkle.receipt_leaf(one) for one in receipts], inputs(name)["index"])
    assert proof == merkle.Proof(told["index"], tuple(h(one) for one in told["siblings"]))
    root = h(told["root"])
    assert proof.frame(root) == raw(told["frame"])
    assert merkle.read_frame(raw(told["frame"])) == (root, proof)
    assert merkle.verify(receipts[proof.index], proof, root)
    assert merkle.verify_strictly(receipts[proof.index], proof, root)


@pytest.mark.parametrize("name", ["addr-root-3", "addr-root-3-reversed", "addr-root-0"])
def test_root_over_addresses(name: str) -> None:
    assert merkle.root_over_addresses([a(one) for one in inputs(name)["addresses"]]) == h(expected(name))


@pytest.mark.parametrize("name", ["proof-negative", "proof-high-index-alias"])
def test_proofs_that_only_one_side_takes_or_none(name: str) -> None:
    fields = inputs(name)
    proof = merkle.Proof(fields["index"], tuple(h(one) for one in fields["siblings"]))
    assert merkle.verify(h(fields["receipt_hash"]), proof, h(fields["root"])) is expected(name)
    assert not merkle.verify_strictly(h(fields["receipt_hash"]), proof, h(fields["root"]))


@pytest.mark.parametrize("name", named("plurality-"))
def test_plurality(name: str) -> None:
    told = expected(name)
    assert plurality(h(one) for one in inputs(name)["hashes"]) == (h(told["hash"]), told["count"])
