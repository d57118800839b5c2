"""Operators as processes, over sockets, from the question to the receipt that is verified offline."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from pygenvm.settlement.codec.keccak import keccak256
from pygenvm.settlement.operator.client import Client
from pygenvm.settlement.types.constants import SLASH_PER_OPERATOR
from pygenvm.settlement.verifier.checks import Finding, Verdict
from tests.settlement.chains import ETHER, OPERATOR_KEYS, REQUESTER
from tests.settlement.engines import SPEC
from tests.settlement.network import PROMPT, Network, Process, network

pytestmark = pytest.mark.slow

#: Gives the prompt back.
AGREED = ("cat",)


def hashed(output: bytes) -> str:
    return "0x" + keccak256(output).hex()


def all_holds(findings: list[Finding]) -> None:
    assert [one.sentence for one in findings if one.verdict is not Verdict.HOLDS] == []


async def votes(net: Network, task: dict[str, Any], answers: list[tuple[str, ...]]) -> None:
    """Up to the block with the commits of operators that answer so, in the order of selection."""
    for operator, answer in zip(task["operators"], answers, strict=False):
        await net.operate(operator, *answer)
    await net.waiting(len(answers))
    await net.blocks()


async def revealed(net: Network, task: dict[str, Any], count: int) -> None:
    await net.to_height(task["commitDeadline"] + 1)
    await net.waiting(count)
    await net.blocks()


async def settled(net: Network, task: dict[str, Any]) -> dict[str, Any]:
    await net.to_height(task["revealDeadline"] + 2)
    found: dict[str, Any] = await net.get(f"/tasks/{task['taskId']}")
    return found


async def stakes(net: Network, task: dict[str, Any]) -> list[int]:
    found = [await net.get(f"/operators/{one}") for one in task["operators"]]
    return [int(one["stake"]) for one in found]


async def test_agreement(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.register_all()
        asked, task = await net.ask()
        await votes(net, task, [AGREED] * 5)
        await revealed(net, task, 5)
        found = await settled(net, task)
        assert (found["state"], found["canonicalOutput"]) == ("settled", hashed(PROMPT))
        assert sorted(one["operator"] for one in found["reveals"]) == sorted(task["operators"])
        receipt, findings = await net.receipt(asked.intent_id)
        all_holds(findings)
        assert receipt["receipt"]["canonicalOutputHash"] == hashed(PROMPT)
        for process in net.operators.values():
            await process.said("task ended")
            assert await process.stop() == 0
        # What was settled is no longer on disk.
        assert list(tmp_path.glob("*/*.vote")) == []


async def test_one_dissents(tmp_path: Path) -> None:
    """It is not paid, and loses nothing."""
    async with network(tmp_path) as net:
        await net.register_all()
        asked, task = await net.ask()
        await votes(net, task, [AGREED, AGREED, ("printf", "another"), AGREED, AGREED])
        await revealed(net, task, 5)
        found = await settled(net, task)
        assert (found["state"], found["canonicalOutput"]) == ("settled", hashed(PROMPT))
        outputs = {one["operator"]: one["output"] for one in found["reveals"]}
        assert outputs[task["operators"][2]] == hashed(b"another")
        all_holds((await net.receipt(asked.intent_id))[1])
        assert await stakes(net, task) == [2 * ETHER] * 5
        credits = [int((await net.get(f"/accounts/{one}"))["credit"]) for one in task["operators"]]
        assert credits == [ETHER, ETHER, 0, ETHER, ETHER]
        assert int((await net.get(f"/accounts/0x{REQUESTER.hex()}"))["credit"]) == ETHER


async def test_one_withholds(tmp_path: Path) -> None:
    """An operator that is gone after its commit is slashed, and the others are paid from that."""
    async with network(tmp_path) as net:
        await net.register_all()
        asked, task = await net.ask()
        await votes(net, task, [AGREED] * 5)
        await net.operators[bytes.fromhex(task["operators"][1][2:])].kill()
        await revealed(net, task, 4)
        found = await settled(net, task)
        assert (found["state"], len(found["reveals"])) == ("settled", 4)
        all_holds((await net.receipt(asked.intent_id))[1])
        whole, slashed = 2 * ETHER, 2 * ETHER - SLASH_PER_OPERATOR
        assert await stakes(net, task) == [whole, slashed, whole, whole, whole]
        paid = int((await net.get(f"/accounts/{task['operators'][0]}"))["credit"])
        assert paid == ETHER + SLASH_PER_OPERATOR // 4


async def test_two_copy(tmp_path: Path) -> None:
    """A copied commitment cannot be revealed, and who made it is slashed."""
    async with network(tmp_path) as net:
        await net.register_all()
        asked, task = await net.ask()
        await votes(net, task, [AGREED] * 3)
        victim, *_, first, second = task["operators"]
        copycats = [await net.copycat(one, task["taskId"], victim) for one in (first, second)]
        await net.waiting(2)
        await net.blocks()
        for process in copycats:
            assert (await process.said("Commit ended"))["status"] == "included"
        await revealed(net, task, 3)
        await net.waiting(2)
        (block,) = await net.blocks()
        assert [one["name"] for one in block["refused"]] == ["ErrCommitMismatch"] * 2
        for process in copycats:
            ended = await process.said("Reveal ended")
            assert (ended["status"], ended["name"]) == ("refused", "ErrCommitMismatch")
            assert ended["error"] == "aivm/quorum: reveal does not match commit"
        found = await settled(net, task)
        assert (found["state"], len(found["reveals"])) == ("settled", 3)
        all_holds((await net.receipt(asked.intent_id))[1])
        whole, slashed = 2 * ETHER, 2 * ETHER - SLASH_PER_OPERATOR
        assert await stakes(net, task) == [whole, whole, whole, slashed, slashed]


async def test_no_quorum(tmp_path: Path) -> None:
    """The requester has the reward back, and a receipt that says so."""
    async with network(tmp_path) as net:
        await net.register_all()
        asked, task = await net.ask()
        await votes(net, task, [AGREED, AGREED, ("printf", "b"), ("printf", "c"), ("printf", "d")])
        await revealed(net, task, 5)
        found = await settled(net, task)
        assert (found["state"], found["canonicalOutput"], found["escrow"]) == ("failed", None, "0")
        receipt, findings = await net.receipt(asked.intent_id)
        all_holds(findings)
        assert receipt["receipt"]["status"] == 3
        assert int((await net.get(f"/accounts/0x{REQUESTER.hex()}"))["credit"]) == 5 * ETHER
        assert await stakes(net, task) == [2 * ETHER] * 5


async def test_killed_between_commit_and_reveal(tmp_path: Path) -> None:
    """A restarted operator reveals in time what it had committed to, and asks for no second answer."""
    async with network(tmp_path) as net:
        await net.register_all()
        asked, task = await net.ask()
        await votes(net, task, [AGREED] * 5)
        killed = task["operators"][4]
        await net.operators[bytes.fromhex(killed[2:])].kill()
        await revealed(net, task, 4)
        await net.operate(killed, "false")
        await net.waiting(1)
        await net.blocks()
        found = await settled(net, task)
        assert (found["state"], len(found["reveals"])) == ("settled", 5)
        assert await stakes(net, task) == [2 * ETHER] * 5
        all_holds((await net.receipt(asked.intent_id))[1])


async def test_killed_before_its_commit_is_in_a_block(tmp_path: Path) -> None:
    """The same vote is committed to again, though the service has lost the transaction with its process."""
    async with network(tmp_path) as net:
        await net.register_all()
        _, task = await net.ask()
        operator = task["operators"][0]
        first = await net.operate(operator, *AGREED)
        await net.waiting(1)
        (vote,) = (tmp_path / operator[2:]).glob("*.vote")
        before = vote.read_bytes()
        await first.kill()
        await net.restart()
        assert (await net.get("/chain"))["waiting"] == 0
        await net.operate(operator, "false")
        await net.waiting(1)
        assert vote.read_bytes() == before
        await net.blocks()
        assert [one["operator"] for one in (await net.get(f"/tasks/{task['taskId']}"))["commits"]] == [operator]


async def test_service_is_away_for_a_while(tmp_path: Path) -> None:
    """Operators that go on find it again, its chain and the prompts of tasks."""
    async with network(tmp_path) as net:
        await net.register_all()
        _, task = await net.ask()
        port = net.base.rpartition(":")[2]
        await net.restart(f"--port={port}")
        processes = [await net.operate(one, *AGREED) for one in task["operators"]]
        await net.waiting(5)
        await net.restart(f"--port={port}")
        await net.waiting(5)
        await net.blocks()
        assert len((await net.get(f"/tasks/{task['taskId']}"))["commits"]) == 5
        assert [await one.stop() for one in processes] == [0] * 5


async def test_by_hand(tmp_path: Path) -> None:
    """Register, leave, withdraw, with a key of its own."""
    async with network(tmp_path) as net:
        key = OPERATOR_KEYS[0]
        common = ("pygenvm.cli.main", "operator"), (f"--rpc={net.base}", net.own(key)[0])

        async def done(action: str, *options: str) -> tuple[int, str]:
            process = await Process.start(*common[0], action, *common[1], *options)
            await net.waiting(1)
            await net.blocks()
            status = await process.ended()
            return status, process.text

        me = f"0x{key.address.hex()}"
        spec = "0x" + SPEC.hex()
        register = await done("register", f"--stake={2 * ETHER}", f"--model-spec={spec}")
        assert register == (0, f"{me}: done in block 1\n")
        assert (await net.get(f"/operators/{me}"))["stake"] == str(2 * ETHER)
        assert await done("register", f"--stake={2 * ETHER}", f"--model-spec={spec}") == (1, "")
        assert await done("leave") == (0, f"{me}: done in block 3\n")
        early = await Process.start(*common[0], "withdraw-stake", *common[1])
        assert (await early.ended(), (await net.get("/chain"))["waiting"]) == (1, 0)
        await net.to_height(63)
        assert await done("withdraw-stake") == (0, f"{me}: done in block 63\n")
        assert (await net.get(f"/accounts/{me}"))["balance"] == str(3 * ETHER)
        assert await done("withdraw-rewards") == (1, "")


async def test_over_a_unix_socket(tmp_path: Path) -> None:
    """With a token; nobody else may connect, and the socket is gone afterwards."""
    socket, token = tmp_path / "settlement.sock", tmp_path / "token"
    token.write_text("correct horse battery")
    async with network(tmp_path, f"--socket={socket}", f"--token-file={token}") as net:
        assert net.base == f"unix://{socket}"
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        client = Client(net.base, "correct horse battery")
        try:
            assert (await client.get("/chain"))["height"] == 0
        finally:
            await client.close()
        operator = await net.operate("0x" + OPERATOR_KEYS[0].address.hex(), *AGREED, options=[f"--token-file={token}"])
        await operator.said("operator starts")
        await asyncio.sleep(0.5)
        assert [line for line in operator.lines if line["level"] in ("warn", "error")] == []
        assert await net.service.stop() == 0
        assert not socket.exists()
        await operator.said("the service could not be asked")
