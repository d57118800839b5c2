"""Five operators, each a process with executors of its own, judge transactions of a local network over sockets."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pygenvm.cli.main import main
from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives import calldata
from pygenvm.localnet.executors.process import ExecutorProcess
from pygenvm.localnet.operating import Executing
from pygenvm.modules.log import Logger
from pygenvm.settlement.blocks.signatures import Secp256k1Key
from pygenvm.settlement.bridge.documents import Document
from pygenvm.settlement.codec.hashes import prompt_hash
from pygenvm.settlement.operator.answering import NoAnswer, Question
from pygenvm.settlement.types.constants import SLASH_PER_OPERATOR
from pygenvm.settlement.types.words import ZERO
from tests.settlement.chains import ETHER, REQUESTER
from tests.settlement.engines import SPEC
from tests.settlement.judging import KEYS, URL, Market, ended, market
from tests.settlement.vectors import word
from tests.support.paths import EXAMPLES

pytestmark = pytest.mark.usefixtures("built_runners")

YES, NO = 42.5, 1.0
WHOLE, SLASHED = 2 * ETHER, 2 * ETHER - SLASH_PER_OPERATOR
REWARD = ETHER // 10


class Receipts:
    """Files of receipts, from the service; verified without it."""

    def __init__(self, net: Market, capsys: pytest.CaptureFixture[str]) -> None:
        self._net = net
        self._capsys = capsys

    async def export(self, intent: str) -> tuple[dict[str, Any], str]:
        """The file, and the root of the last block."""
        command = ("-m", "pygenvm.cli.main", "receipt", "export", self._net.base, "--intent", intent)
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
        text, _ = await process.communicate()
        assert process.returncode == 0
        return json.loads(text), (await self._net.get("/chain"))["receiptRoot"]

    def verify(self, document: dict[str, Any], *words: str) -> tuple[int, list[str]]:
        file = self._net.folder / "receipt.json"
        file.write_text(json.dumps(document))
        code = main(["receipt", "verify", str(file), *words])
        return code, self._capsys.readouterr().out.splitlines()

    async def hold(self, document: Any) -> None:
        """All receipts of a transaction, to the last sentence, with the record of one who voted."""
        for round_ in document["transaction"]["settlement"]["rounds"]:
            found, root = await self.export(round_["intent"])
            record = self._net.records(found["reveals"][0]["operator"]) / round_["receipt"]["taskId"] / "validator-1"
            code, lines = self.verify(found, "--root", root, "--record", str(record))
            assert code == 0, lines
            assert lines[-1] == "Everything that was checked holds.", lines
            assert [line for line in lines if line.startswith("unchecked")] == [], lines


def told(document: Any) -> list[tuple[str, str, list[str]]]:
    rounds = document["transaction"]["settlement"]["rounds"]
    return [(one["leader"]["node"], one["decision"], [vote["vote"] for vote in one["votes"]]) for one in rounds]


async def stakes(net: Market, task: dict[str, Any]) -> list[int]:
    return [int((await net.get(f"/operators/{one}"))["stake"]) for one in task["operators"]]


async def credit(net: Market, address: str) -> int:
    return int((await net.get(f"/accounts/{address}"))["credit"])


async def test_operators_with_executors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with market(tmp_path) as net:
        receipts = Receipts(net, capsys)
        code, document = await ended(await net.local("deploy", str(EXAMPLES / "price_oracle.py"), f'--args=["{URL}"]'))
        assert code == 0, document

        first = await agreement(net, receipts)
        await requester_lies(net, first)
        await asked_in_vain(net)
        await one_dissents(net, receipts, first)
        await one_withholds(net, receipts)
        await two_copy(net, receipts)
        await no_quorum(net, receipts)
        await killed_between_commit_and_reveal(net, receipts)
        await rejected(net, receipts)


async def agreement(net: Market, receipts: Receipts) -> Any:
    process = await net.update()
    task = await net.round([YES] * 5)
    code, document = await ended(process)
    assert (code, document["result"]) == (0, 4250), document
    assert told(document) == [("leader", "agree", ["agree"] * 5)]
    assert document["transaction"]["settlement"]["state"] == net.base
    assert [await credit(net, one) for one in task["operators"]] == [REWARD] * 5
    await receipts.hold(document)
    return document


async def requester_lies(net: Market, first: Any) -> None:
    """What the leader found is one thing, what the requester says of it another: an operator is against all of it."""
    (round_,) = first["transaction"]["settlement"]["rounds"]
    prompt = bytes.fromhex((await net.get(f"/tasks/{round_['receipt']['taskId']}/prompt"))["prompt"][2:])
    good = Document.decode(prompt)
    assert good.encode() == prompt
    operator = KEYS[0].address
    net.web.prices["0x" + operator.hex()] = YES
    executor = ExecutorProcess(options=[f"--config={net.config}"])
    executing = Executing(executor, operator, 30.0, None, Logger(fd=os.open(os.devnull, os.O_WRONLY)))

    async def answer(document: Document) -> str:
        given = document.encode()
        found = await executing.answer(Question(ZERO, SPEC, prompt_hash(given), given))
        return {document.yes: "agree", document.no: "disagree"}[found.output]

    lies = {
        "nothing": good,
        "outcome": replace(good, proposal=replace(good.proposal, outcome=Return(calldata.encode(1)).to_bytes())),
        "result": replace(good, proposal=replace(good.proposal, results=(Return(calldata.encode(1)).to_bytes(),))),
        "effects": replace(good, effects=word(1)),
        "no effects": replace(good, effects=ZERO),
        "state": replace(good, pages={}),
        "no contract": replace(good, accounts={}),
    }
    said = {name: await answer(document) for name, document in lies.items()}
    assert said == {**dict.fromkeys(lies, "disagree"), "nothing": "agree"}

    unanswerable = {
        b"": "the prompt is no document of a transaction: the document breaks off at byte 0",
        prompt + b"\0": "the prompt is no document of a transaction: the document is not in its canonical form",
        replace(good, proposal=replace(good.proposal, results=())).encode(): "the run has no verdict: VMError",
        replace(good, call=replace(good.call, value=10**40)).encode(): "the transaction cannot be judged: ",
        replace(good, call=replace(good.call, datetime="soon")).encode(): "the run has no verdict: InternalError",
        replace(good, pages={(bytes(20), bytes(32), 0): bytes(5000)}).encode(): "the transaction cannot be judged: ",
    }
    for given, why in unanswerable.items():
        with pytest.raises(NoAnswer) as error:
            await executing.answer(Question(ZERO, SPEC, prompt_hash(given), given))
        assert str(error.value).startswith(why)


async def asked_in_vain(net: Market) -> None:
    """What cannot come to anything is told at once, and nothing has changed."""
    (tmp := net.folder / "poor.key").touch(mode=0o600)
    tmp.write_text("77" * 32)
    poor = "0x" + Secp256k1Key(b"\x77" * 32).address.hex()
    spec = "0x" + "77" * 32
    for words, said in (
        ((f"--key-file={tmp}",), f"the account {poor} has 0, and a task of 5 operators costs 550000000000000000"),
        ((f"--model-spec={spec}",), f"0 operators can be drawn for the model spec {spec}; for 5 there must be 7"),
        (
            ("--validators=7", "--threshold=4"),
            f"7 operators can be drawn for the model spec 0x{SPEC.hex()}; for 7 there",
        ),
    ):
        code, document = await ended(await net.update(*words))
        assert (code, document["error"]["kind"]) == (3, "settlement"), document
        assert document["error"]["message"].startswith(said), document
    assert (await net.get("/chain"))["waiting"] == 0
    _, found = await ended(await net.local("log"))
    assert len(found["transactions"]) == 2


async def one_dissents(net: Market, receipts: Receipts, first: Any) -> None:
    """It is not paid, and loses nothing; and what was changed of the receipt is found."""
    process = await net.update()
    task = await net.drawn()
    before = [await credit(net, one) for one in task["operators"]]
    await net.committed(task, [YES, YES, NO, YES, YES])
    await net.settled(task, 5)
    code, document = await ended(process)
    assert (code, told(document)) == (0, [("leader", "agree", ["agree", "agree", "disagree", "agree", "agree"])])
    paid = [await credit(net, one) - had for one, had in zip(task["operators"], before, strict=True)]
    assert paid == [REWARD, REWARD, 0, REWARD, REWARD]
    assert await stakes(net, task) == [WHOLE] * 5
    await receipts.hold(document)

    (round_,) = document["transaction"]["settlement"]["rounds"]
    good, root = await receipts.export(round_["intent"])
    other, _ = await receipts.export(first["transaction"]["settlement"]["rounds"][0]["intent"])
    for operator, vote in zip(task["operators"], round_["votes"], strict=True):
        record = str(net.records(operator) / task["taskId"] / "validator-1")
        code, lines = receipts.verify(good, "--root", root, "--record", record)
        assert code == 0
        # All who found the same page have the same transcript.
        bound = [line.split()[1] for line in lines if "bound its vote" in line]
        assert operator in bound or len(bound) == 1, (vote, lines)

    def fails(changes: dict[str, Any], *more: str) -> list[str]:
        code, lines = receipts.verify({**good, **changes}, *more)
        assert code == 1
        return [line.removeprefix("FAILS      ") for line in lines if line.startswith("FAILS")]

    receipt = bytearray.fromhex(good["receipt"][2:])
    receipt[214] ^= 1
    assert "The proof does not lead from this receipt to the root." in fails({"receipt": "0x" + receipt.hex()})
    assert fails({"proof": other["proof"]}) == ["The proof does not lead from this receipt to the root."]
    assert fails({}, "--root", "0x" + "11" * 32) == ["The root is not the one that you gave."]
    wrong = [{**good["reveals"][0], "embedding": "0x" + "22" * 32}, *good["reveals"][1:]]
    assert any("did not commit to what it is said to have revealed" in one for one in fails({"reveals": wrong}))
    # A record of the leader: of another run, whose answers came with other frames.
    dissenter = str(net.records(task["operators"][2]) / task["taskId"] / "validator-1")
    (unbound,) = receipts_of_others(receipts, other, dissenter)
    assert unbound.startswith("FAILS      No vote is bound to the record, whose transcript is 0x")


def receipts_of_others(receipts: Receipts, document: dict[str, Any], record: str) -> list[str]:
    code, lines = receipts.verify(document, "--record", record)
    assert code == 1
    return [line for line in lines if line.startswith("FAILS")]


async def one_withholds(net: Market, receipts: Receipts) -> None:
    """It is gone after its commit, and slashed."""
    process = await net.update()
    task = await net.drawn()
    await net.committed(task, [YES] * 5)
    await net.kill(task["operators"][1])
    await net.settled(task, 4)
    code, document = await ended(process)
    assert (code, told(document)) == (0, [("leader", "agree", ["agree", "withheld", "agree", "agree", "agree"])])
    assert await stakes(net, task) == [WHOLE, SLASHED, WHOLE, WHOLE, WHOLE]
    await receipts.hold(document)
    await net.judge(task["operators"][1])


async def two_copy(net: Market, receipts: Receipts) -> None:
    """They commit to what another has committed to, and are refused when they repeat what it reveals."""
    process = await net.update()
    task = await net.drawn()
    victim, *_, first, second = task["operators"]
    for one in (first, second):
        await net.kill(one)
    before = await stakes(net, task)
    await net.committed(task, [YES, YES, YES, None, None])
    copycats = [await net.copycat(one, task["taskId"], victim) for one in (first, second)]
    await net.waiting(2)
    await net.blocks()
    await net.to_height(task["commitDeadline"] + 1)
    await net.waiting(3)
    await net.blocks()
    await net.waiting(2)
    (block,) = await net.blocks()
    assert [one["name"] for one in block["refused"]] == ["ErrCommitMismatch"] * 2
    for copycat in copycats:
        assert (await copycat.said("Reveal ended"))["error"] == "aivm/quorum: reveal does not match commit"
    await net.to_height(task["revealDeadline"] + 2)
    code, document = await ended(process)
    assert (code, told(document)) == (0, [("leader", "agree", ["agree"] * 3 + ["withheld"] * 2)])
    lost = [had - has for had, has in zip(before, await stakes(net, task), strict=True)]
    assert lost == [0, 0, 0, SLASH_PER_OPERATOR, SLASH_PER_OPERATOR]
    await receipts.hold(document)
    for one in (first, second):
        await net.judge(one)


async def no_quorum(net: Market, receipts: Receipts) -> None:
    """Two for it, two against it, and one whose web is away: the reward comes back, and the next leader is asked."""
    process = await net.update()
    before = await credit(net, f"0x{REQUESTER.hex()}")
    task = await net.round([YES, NO, YES, NO, None])
    assert (task["state"], task["canonicalOutput"], task["escrow"]) == ("failed", None, "0")
    assert await credit(net, f"0x{REQUESTER.hex()}") - before == 5 * REWARD
    await net.round([YES] * 5)
    code, document = await ended(process)
    assert code == 0, document
    assert told(document) == [
        ("leader", "none", ["agree", "disagree", "agree", "disagree", "none"]),
        ("validator 1", "agree", ["agree"] * 5),
    ]
    await receipts.hold(document)


async def killed_between_commit_and_reveal(net: Market, receipts: Receipts) -> None:
    """Restarted, it reveals in time what it had committed to."""
    process = await net.update()
    task = await net.drawn()
    before = await stakes(net, task)
    await net.committed(task, [YES] * 5)
    await net.kill(task["operators"][4])
    # What it would find now is something else, and it does not ask.
    net.web.prices[task["operators"][4]] = NO
    await net.judge(task["operators"][4])
    await net.settled(task, 5)
    code, document = await ended(process)
    assert (code, told(document)) == (0, [("leader", "agree", ["agree"] * 5)])
    assert await stakes(net, task) == before
    await receipts.hold(document)


async def rejected(net: Market, receipts: Receipts) -> None:
    """Every leader is, as often as configured: then it is undetermined, and nothing has changed."""
    net.web.leaders.update({"leader": 7.0, "validator 1": 8.0})
    process = await net.update("--rotations=1")
    for _ in range(2):
        task = await net.round([YES] * 5)
        assert task["state"] == "settled"
    code, document = await ended(process)
    assert (code, document["error"]["kind"]) == (1, "undetermined"), document
    assert told(document) == [
        ("leader", "disagree", ["disagree"] * 5),
        ("validator 1", "disagree", ["disagree"] * 5),
    ]
    await receipts.hold(document)
    _, found = await ended(await net.local("view", "get"))
    assert found["result"]["cents"] == 4250
