"""Whole lives of tasks: digests of all slots, receipts, roots and balances as the specification's vectors have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pygenvm.settlement.codec.hashes import commit_hash
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.engine.engine import Engine
from pygenvm.settlement.engine.settle import Settled
from pygenvm.settlement.types.constants import BURN_ADDRESS, ESCROW_ACCOUNT
from pygenvm.settlement.types.words import Address, Hash
from tests.settlement.engines import ENDPOINTS, PROMPT, SPEC, intent, new_engine
from tests.settlement.vectors import a, account, expected, h, inputs, raw, word

ETHER = 10**18
REQUESTER = account(0xF0)


class Round:
    """One task from commit to settlement, at the heights of the vectors."""

    def __init__(self, engine: Engine, asked: Intent) -> None:
        self.engine = engine
        self.intent = asked
        self.task = engine.import_intent(asked, 100)
        self.selected = engine.selection(self.task)

    def commit(self, index: int, output: int, embedding: int, nonce: int) -> None:
        operator = self.selected[index]
        commitment = commit_hash(self.task, SPEC, PROMPT, word(output), word(embedding), operator, word(nonce))
        self.engine.commit(self.task, operator, commitment, 101)

    def reveal(self, index: int, output: int, embedding: int, nonce: int) -> None:
        self.engine.reveal(self.task, self.selected[index], word(output), word(embedding), word(nonce), 131)

    def settle(self) -> Settled:
        return self.engine.settle(self.task, 161)


def _full(one: Round) -> None:
    for index, output in enumerate((0x42, 0x42, 0x42, 0xE0, 0xE1)):
        one.commit(index, output, 0x07, 0x99)
    for index in range(3):
        one.reveal(index, 0x42, 0x07, 0x99)


def _differing(revealing: int) -> Callable[[Round], None]:
    def act(one: Round) -> None:
        for index in range(5):
            one.commit(index, 0x50 + index, 1, 2)
        for index in range(revealing):
            one.reveal(index, 0x50 + index, 1, 2)

    return act


def _agreeing(*revealing: int) -> Callable[[Round], None]:
    def act(one: Round) -> None:
        for index in range(5):
            one.commit(index, 0x42, 1, 2)
        for index in revealing:
            one.reveal(index, 0x42, 1, 2)

    return act


def _dissent(one: Round) -> None:
    outputs = (0x42, 0x42, 0x42, 0x43, 0x43)
    for index, output in enumerate(outputs):
        one.commit(index, output, 1, 2)
    for index, output in enumerate(outputs):
        one.reveal(index, output, 1, 2)


ACTIONS: dict[str, Callable[[Round], None]] = {
    "lifecycle-full": _full,
    "lifecycle-noquorum": _differing(5),
    "lifecycle-noq_withhold": _differing(3),
    "lifecycle-unanim": _agreeing(0, 1, 2, 3),
    "lifecycle-slash4": _agreeing(3, 2, 1, 0),
    "lifecycle-dissent": _dissent,
}


@pytest.mark.parametrize("name", ACTIONS)
def test_lifecycle(name: str) -> None:
    fields, told = inputs(name), expected(name)
    reward, threshold = int(fields["reward"]), fields["threshold"]
    engine = new_engine(8, funds=3 * ETHER, stake=2 * ETHER)
    engine.fund({REQUESTER: 4 * (5 * reward + 5 * ETHER // 100)})
    one = Round(engine, intent(REQUESTER, c_tx=0x11, fee=123456, reward=reward, threshold=threshold))
    assert one.intent.intent_id == h(told["intent_id"])
    assert one.task == h(told["task_id"])
    assert one.selected == [a(text) for text in told["selected"]]
    assert engine.state.digest() == (h(told["state_digest_after_import"]), told["slots_after_import"])

    ACTIONS[name](one)
    done = one.settle()
    assert done.receipt.status == told["status"]
    assert len(done.winners) == told["winner_count"]
    assert done.receipt.canonical_output_hash == engine.canonical_result(one.task) == h(told["canonical"])
    assert (done.paid, done.slashed) == (int(told["paid"]), int(told["slashed"]))
    assert done.receipt.encode() == raw(told["receipt_bytes"])
    assert done.receipt_hash == h(told["receipt_hash"])
    assert done.receipt_root == engine.receipt_root() == h(told["receipt_root"])
    assert engine.state.digest() == (h(told["state_digest_after_settle"]), told["slots_after_settle"])
    found: dict[str, Any] = {}
    for text in told["accounts"]:
        who = a(text)
        amounts = engine.balance(who), engine.operator(who).stake, engine.credit(who)
        found[text] = dict(zip(("balance", "stake", "credit"), map(str, amounts), strict=True))
    assert found == told["accounts"]
    assert engine.total() == int(told["grand_total"])


def test_four_tasks_and_everybody_leaves() -> None:
    engine = new_engine(12, funds=5 * ETHER, stake=3 * ETHER)
    requesters = [account(0xF0), account(0xF1)]
    engine.fund(dict.fromkeys(requesters, 1000 * ETHER))
    trace, intents = [], []
    for number, (requester, revealing) in enumerate(zip(requesters * 2, (3, 2, 3, 3), strict=True), start=1):
        one = Round(engine, intent(requester, c_tx=number, fee=number + 1, reward=ETHER))
        intents.append(one.intent.intent_id)
        trace.append(f"task {_hex(one.task)} sel {' '.join(f'{who[-1]:02x}' for who in one.selected)}")
        for index in range(5):
            if index < revealing:
                one.commit(index, 0x42, 1, 2)
                one.reveal(index, 0x42, 1, 2)
            else:
                one.commit(index, 0xE0 + index, 1, 2)
        done = one.settle()
        digest, count = engine.state.digest()
        trace.append(
            f"settle {done.receipt.status:d} {len(done.winners)} {done.paid} {done.slashed} {_hex(done.receipt_hash)}"
            f" {_hex(done.receipt_root)} {_hex(digest)} {count}"
        )
    for index, intent_id in enumerate(intents):
        exported = engine.export_receipt(intent_id)
        siblings = "".join(_hex(sibling) + " " for sibling in exported.proof.siblings)
        trace.append(f"proof {index} {siblings} {_hex(exported.root)}")
    operators = [account(0x10 + index) for index in range(len(ENDPOINTS[:12]))]
    for who in operators + requesters:
        if engine.credit(who):
            trace.append(f"withdraw {_hex(who)} {engine.withdraw_rewards(who)}")
    for who in operators[:4]:
        engine.deregister(who, 500)
        trace.append(f"unstake {_hex(who)} {engine.withdraw_stake(who, 560)}")
    digest, count = engine.state.digest()
    balances = engine.balance(ESCROW_ACCOUNT), engine.balance(BURN_ADDRESS), engine.total()
    trace.append(f"final {_hex(digest)} {count} {' '.join(map(str, balances))}")
    assert trace == expected("lifecycle-multi")["trace"]


def _hex(value: Hash | Address) -> str:
    return "0x" + value.hex()
