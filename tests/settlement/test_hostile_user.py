"""Somebody with an account tries over HTTP what the rules do not allow: refused by name, and nothing has changed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pygenvm.settlement.blocks.pool import HEIGHTS_MAX
from pygenvm.settlement.blocks.signatures import Secp256k1Key
from pygenvm.settlement.blocks.transactions import (
    Call,
    Commit,
    Deregister,
    ImportIntent,
    Register,
    Reveal,
    Settle,
    Transaction,
    WithdrawRewards,
    WithdrawStake,
    sign,
)
from pygenvm.settlement.codec.hashes import commit_hash, prompt_hash
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.types.constants import BURN_ADDRESS, ESCROW_ACCOUNT
from pygenvm.settlement.types.words import MAX_U256, ZERO, Address, Hash
from tests.settlement.chains import ETHER, KEYS, OPERATOR_KEYS, REQUESTER, REQUESTER_KEY
from tests.settlement.engines import A_CHAIN, C_CHAIN, PROMPT, SPEC, intent
from tests.settlement.service import Live, live
from tests.settlement.vectors import word

STRANGER = Secp256k1Key(sha256(b"stranger").digest())
PATH = "/v1/settlement/transactions"


class World:
    """A service with a task of five operators."""

    def __init__(self, net: Live) -> None:
        self.net = net
        self.task = ZERO
        self.drawn: list[Secp256k1Key] = []

    async def state(self) -> Any:
        """All slots and balances."""
        return await self.net.node.read(lambda view: (view.engine().state.digest(), view.engine().state.balances()))

    async def refused(self, key: Secp256k1Key, call: Call) -> str:
        """The name of the refusal, at once or in the next block; ``waiting`` if it goes on waiting."""
        before = await self.state()
        account = await self.net.engine(f"/accounts/0x{key.address.hex()}")
        transaction = sign(key, A_CHAIN, account["nextNonce"], call)
        status, text = await self.net.ask("POST", PATH, {"transaction": "0x" + transaction.encode().hex()})
        if status == 202:
            await self.net.blocks()
            outcome = await self.net.engine(f"/transactions/0x{transaction.id.hex()}")
            name = str(outcome["name"] or outcome["status"])
        else:
            assert status in (400, 409), text
            name = str(json.loads(text)["name"])
        assert await self.state() == before
        return name

    async def to_height(self, height: int) -> None:
        """So that the next block has this height."""
        now = (await self.net.engine("/chain"))["height"]
        if height - 1 > now:
            await self.net.blocks(height - 1 - now)


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    async with live(folder) as net:
        for number, key in enumerate(OPERATOR_KEYS):
            await net.submit(key, Register(2 * ETHER, SPEC, word(0x80 + number)))
        await net.blocks()
        asked = intent(REQUESTER, reward=ETHER)
        await net.submit(REQUESTER_KEY, ImportIntent(asked))
        await net.blocks()
        found = World(net)
        found.task = Hash(bytes.fromhex((await net.engine(f"/intents/0x{asked.intent_id.hex()}"))["taskId"][2:]))
        task = await net.engine(f"/tasks/0x{found.task.hex()}")
        found.drawn = [KEYS[Address(bytes.fromhex(one[2:]))] for one in task["operators"]]
        yield found


def forged(**changes: Any) -> Intent:
    """With the id of another."""
    return replace(intent(REQUESTER, c_tx=9), **changes)


def named(**changes: Any) -> Intent:
    """With its own id."""
    changed = forged(**changes)
    return replace(changed, intent_id=changed.computed_id())


INTENTS = {
    "another id": (forged(intent_id=word(1)), "ErrIntentIDMismatch"),
    "another prompt": (forged(prompt_hash=word(1)), "ErrIntentIDMismatch"),
    "fewer votes": (forged(threshold=4), "ErrIntentIDMismatch"),
    "another fee": (forged(fee=2), "ErrIntentIDMismatch"),
    "another C chain": (named(c_chain_id=A_CHAIN), "ErrIntentIDMismatch"),
    "another A chain": (named(a_chain_id=C_CHAIN), "ErrIntentIDMismatch"),
    "imported before": (intent(REQUESTER, reward=ETHER), "ErrIntentAlreadyUsed"),
    "imported before, with another reward": (intent(REQUESTER, reward=1), "ErrIntentAlreadyUsed"),
    "no model": (named(model_spec_hash=ZERO), "ErrEmptyModelSpec"),
    "no prompt": (named(prompt_hash=ZERO), "ErrEmptyPromptHash"),
    "too few operators": (named(n=2, threshold=2), "ErrBadN"),
    "too many operators": (named(n=257, threshold=200), "ErrBadN"),
    "a minority": (named(threshold=2), "ErrBadThreshold"),
    "more than all": (named(threshold=6), "ErrBadThreshold"),
    "an overflow": (named(reward=MAX_U256), "ErrRewardOverflow"),
    "an overflow with the fee": (named(reward=MAX_U256 // 5), "ErrRewardOverflow"),
    # These may go well later.
    "money that is not there": (named(reward=10**30), "waiting"),
    "a model of nobody": (named(model_spec_hash=word(0x77)), "waiting"),
    "more than there are": (named(n=9, threshold=5), "waiting"),
    "more than there are with the margin": (named(n=7, threshold=4), "waiting"),
}


@pytest.fixture(params=["another's", "of Escrow", "of Burn"])
def other(request: pytest.FixtureRequest) -> Address:
    return {"another's": OPERATOR_KEYS[0].address, "of Escrow": ESCROW_ACCOUNT, "of Burn": BURN_ADDRESS}[request.param]


async def test_intents(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for what, (asked, name) in INTENTS.items():
            if name != "waiting":
                assert (what, await it.refused(REQUESTER_KEY, ImportIntent(asked))) == (what, name)


@pytest.mark.parametrize("what", [what for what, (_, name) in INTENTS.items() if name == "waiting"])
async def test_intents_that_wait_until_they_expire(tmp_path: Path, what: str) -> None:
    async with world(tmp_path) as it:
        call = ImportIntent(INTENTS[what][0])
        account = await it.net.engine(f"/accounts/0x{REQUESTER.hex()}")
        transaction = sign(REQUESTER_KEY, A_CHAIN, account["nextNonce"], call)
        path = f"/transactions/0x{transaction.id.hex()}"
        assert await it.refused(REQUESTER_KEY, call) == "waiting"
        await it.net.blocks(HEIGHTS_MAX - 1)
        assert (await it.net.engine(path))["status"] == "waiting"
        (block,) = await it.net.blocks()
        assert block["refused"] == [{"id": f"0x{transaction.id.hex()}", "name": "ErrTransactionExpired"}]
        outcome = await it.net.engine(path)
        assert (outcome["status"], outcome["name"]) == ("refused", "ErrTransactionExpired")
        assert outcome["error"] == "settlement: transaction has waited for too many blocks"


async def test_the_intent_of_another(tmp_path: Path, other: Address) -> None:
    """It would pay. Nor does a signature help that is another's."""
    async with world(tmp_path) as it:
        asked = intent(other, c_tx=9)
        assert await it.refused(REQUESTER_KEY, ImportIntent(asked)) == "ErrTransactionCaller"
        mine = sign(REQUESTER_KEY, A_CHAIN, 1, ImportIntent(intent(REQUESTER, c_tx=9)))
        theirs = Transaction(A_CHAIN, other, 1, ImportIntent(asked), signature=mine.signature)
        status, text = await it.net.ask("POST", PATH, {"transaction": "0x" + theirs.encode().hex()})
        assert (status, json.loads(text)["name"]) == (400, "ErrTransactionSignature")


async def test_votes(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        first, second, late = it.drawn[:3]
        (absent, *_) = [key for key in OPERATOR_KEYS if key not in it.drawn]
        height = (await it.net.engine(f"/tasks/0x{it.task.hex()}"))["commitDeadline"]

        def commitment(key: Secp256k1Key) -> Hash:
            return commit_hash(it.task, SPEC, PROMPT, word(1), word(2), key.address, word(3))

        good = Reveal(it.task, word(1), word(2), word(3))
        assert await it.refused(first, Commit(it.task, ZERO)) == "ErrEmptyCommit"
        assert await it.refused(first, Commit(word(9), word(1))) == "ErrTaskUnknown"
        assert await it.refused(absent, Commit(it.task, word(1))) == "ErrNotSelected"
        assert await it.refused(REQUESTER_KEY, Commit(it.task, word(1))) == "ErrNotSelected"
        await it.net.submit(first, Commit(it.task, commitment(first)))
        # Committed to by another.
        await it.net.submit(second, Commit(it.task, commitment(first)))
        await it.net.blocks()
        assert await it.refused(first, Commit(it.task, word(8))) == "ErrAlreadyCommitted"
        await it.to_height(height + 1)
        assert await it.refused(late, Commit(it.task, commitment(late))) == "ErrCommitClosed"
        assert await it.refused(late, good) == "ErrNotCommitted"
        assert await it.refused(absent, good) == "ErrNotCommitted"
        assert await it.refused(second, good) == "ErrCommitMismatch"
        for wrong in (replace(good, output=word(7)), replace(good, embedding=word(7)), replace(good, nonce=word(7))):
            assert await it.refused(first, wrong) == "ErrCommitMismatch"
        assert await it.refused(first, replace(good, output=ZERO)) == "ErrEmptyOutputHash"
        await it.net.submit(first, good)
        await it.net.blocks()
        assert await it.refused(first, good) == "ErrAlreadyRevealed"
        await it.to_height(height + 30 + 2)
        # It is settled now, by itself.
        assert await it.refused(first, Commit(it.task, word(1))) == "ErrTaskNotCommitting"
        assert await it.refused(first, good) == "ErrTaskNotCommitting"
        assert await it.refused(STRANGER_WITH_MONEY, Settle(it.task)) == "ErrTaskAlreadySettled"


#: Nobody of the task.
STRANGER_WITH_MONEY = REQUESTER_KEY


async def test_reveals_and_settling_before_their_time(tmp_path: Path) -> None:
    """They wait, and are worth nothing then: what was seen early is no commit."""
    async with world(tmp_path) as it:
        first = it.drawn[0]
        await it.net.submit(first, Commit(it.task, word(1)))
        await it.net.blocks()
        assert await it.refused(first, Reveal(it.task, word(1), word(2), word(3))) == "waiting"
        assert await it.refused(REQUESTER_KEY, Settle(it.task)) == "waiting"


async def test_operators(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        operator = OPERATOR_KEYS[0]
        assert await it.refused(operator, Register(2 * ETHER, SPEC, ZERO)) == "ErrOperatorExists"
        assert await it.refused(operator, WithdrawStake()) == "ErrOperatorUnbonding"
        assert await it.refused(operator, WithdrawRewards()) == "ErrNoCredit"
        assert await it.refused(REQUESTER_KEY, Deregister()) == "ErrOperatorUnknown"
        assert await it.refused(REQUESTER_KEY, WithdrawStake()) == "ErrOperatorUnknown"
        assert await it.refused(REQUESTER_KEY, Register(ETHER - 1, SPEC, ZERO)) == "ErrStakeBelowMin"
        assert await it.refused(REQUESTER_KEY, Register(2 * ETHER, ZERO, ZERO)) == "ErrEmptyModelSpec"
        assert await it.refused(REQUESTER_KEY, Register(MAX_U256, SPEC, ZERO)) == "waiting"


async def test_who_has_nothing_fills_no_pool(tmp_path: Path) -> None:
    """Otherwise whoever makes enough keys keeps operators from revealing, and they are slashed."""
    async with world(tmp_path) as it:
        for call in (Register(2 * ETHER, SPEC, ZERO), Settle(it.task), Commit(it.task, word(1))):
            assert await it.refused(STRANGER, call) == "ErrTransactionSender"
        assert (await it.net.engine("/chain"))["waiting"] == 0


async def test_a_prompt_is_not_for_nothing(tmp_path: Path) -> None:
    """Each that waits takes the place of another."""
    async with world(tmp_path) as it:
        prompt = b"Whatever."
        for key, reward in ((OPERATOR_KEYS[0], ETHER), (REQUESTER_KEY, 10**30)):
            asked = replace(intent(key.address, c_tx=3, reward=reward), prompt_hash=prompt_hash(prompt))
            call = ImportIntent(replace(asked, intent_id=asked.computed_id()))
            data = "0x" + sign(key, A_CHAIN, 1, call).encode().hex()
            status, text = await it.net.ask("POST", PATH, {"transaction": data, "prompt": "0x" + prompt.hex()})
            assert (status, json.loads(text)["name"]) == (400, "ErrInsufficientFunds")


async def test_replays(tmp_path: Path) -> None:
    """Of a transaction that was carried out, and of one for another chain."""
    async with world(tmp_path) as it:
        before = await it.state()
        done = sign(REQUESTER_KEY, A_CHAIN, 0, ImportIntent(intent(REQUESTER, reward=ETHER)))
        elsewhere = sign(REQUESTER_KEY, C_CHAIN, 1, ImportIntent(intent(REQUESTER, c_tx=2)))
        for transaction, status, name in ((done, 409, "ErrTransactionNonce"), (elsewhere, 400, "ErrTransactionChain")):
            found, text = await it.net.ask("POST", PATH, {"transaction": "0x" + transaction.encode().hex()})
            assert (found, json.loads(text)["name"]) == (status, name)
        await it.net.blocks()
        assert await it.state() == before
