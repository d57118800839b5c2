"""The engine's routes: exact answers, what is refused and how, and readers that wait for nobody."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.postgres import Server
from pygenvm.settlement.blocks.transactions import Commit, ImportIntent, Register, Reveal, WithdrawRewards, sign
from pygenvm.settlement.codec.hashes import commit_hash, prompt_hash
from pygenvm.settlement.codec.intent import Intent
from pygenvm.settlement.types.words import ZERO, Hash
from pygenvm.settlement.verifier.checks import Verdict, check
from pygenvm.settlement.verifier.document import read
from tests.settlement.chains import ETHER, KEYS, OPERATOR_KEYS, REQUESTER, REQUESTER_KEY
from tests.settlement.engines import A_CHAIN, C_CHAIN, SPEC, intent
from tests.settlement.service import Live, conforms, document, live
from tests.settlement.vectors import word

PROMPT = b"Which is the highest mountain?"
WRONG = "0x" + "77" * 32


def hexed(value: bytes) -> str:
    return "0x" + value.hex()


def asked(c_tx: int = 1) -> Intent:
    made = replace(intent(REQUESTER, c_tx=c_tx, reward=ETHER), prompt_hash=prompt_hash(PROMPT))
    return replace(made, intent_id=made.computed_id())


async def with_task(net: Live) -> tuple[Intent, dict[str, Any]]:
    """At height 2: all operators, and a task."""
    for number, key in enumerate(OPERATOR_KEYS):
        await net.submit(key, Register(2 * ETHER, SPEC, word(0x80 + number)))
    await net.blocks()
    made = asked()
    await net.submit(REQUESTER_KEY, ImportIntent(made), prompt=hexed(PROMPT))
    await net.blocks()
    found = await net.engine(f"/intents/{hexed(made.intent_id)}")
    task: dict[str, Any] = await net.engine(f"/tasks/{found['taskId']}")
    return made, task


def vote(task: dict[str, Any], operator: str, output: int) -> tuple[Commit, Reveal]:
    task_id, own = Hash(bytes.fromhex(task["taskId"][2:])), bytes.fromhex(operator[2:])
    secret = word(output), word(1), word(2)
    commitment = commit_hash(task_id, SPEC, prompt_hash(PROMPT), *secret[:2], own, secret[2])  # type: ignore[arg-type]
    return Commit(task_id, commitment), Reveal(task_id, *secret)


async def with_receipt(net: Live) -> tuple[Intent, dict[str, Any]]:
    """All five agree on word(9); settled at height 63."""
    made, task = await with_task(net)
    votes = {one: vote(task, one, 9) for one in task["operators"]}
    for one, (commit, _) in votes.items():
        await net.submit(KEYS[bytes.fromhex(one[2:])], commit)  # type: ignore[index]
    await net.blocks(30)
    for one, (_, reveal) in votes.items():
        await net.submit(KEYS[bytes.fromhex(one[2:])], reveal)  # type: ignore[index]
    await net.blocks(31)
    return made, task


async def test_exact_answers_while_a_task_is_open(tmp_path: Path) -> None:
    async with live(tmp_path) as net:
        made, task = await with_task(net)
        operators = task["operators"]
        commit, _ = vote(task, operators[0], 9)
        sent = await net.submit(KEYS[bytes.fromhex(operators[0][2:])], commit)  # type: ignore[index]
        outcome = {"id": sent, "status": "waiting", "height": None, "name": None, "error": None}
        assert await net.engine(f"/transactions/{sent}") == outcome
        chain = await net.engine("/chain")
        block = await net.engine("/blocks/2")
        assert chain == {
            "aChainId": hexed(A_CHAIN),
            "cChainId": hexed(C_CHAIN),
            "cooldown": 60,
            "height": 2,
            "id": block["id"],
            "receiptRoot": hexed(ZERO),
            "receipts": 0,
            "waiting": 1,
        }
        conforms(chain, "Chain")
        assert await net.engine("/accounts/" + operators[0]) == {
            "address": operators[0],
            "balance": str(ETHER),
            "credit": "0",
            "nonce": 1,
            "nextNonce": 2,
        }
        (made_block,) = await net.blocks()
        assert (made_block["height"], made_block["included"], made_block["refused"]) == (3, [sent], [])
        assert await net.engine(f"/transactions/{sent}") == {**outcome, "status": "included", "height": 3}
        assert {one: task[one] for one in task if one not in ("taskId", "operators")} == {
            "intentId": hexed(made.intent_id),
            "state": "open",
            "requester": hexed(REQUESTER),
            "modelSpecHash": hexed(SPEC),
            "promptHash": hexed(prompt_hash(PROMPT)),
            "n": 5,
            "threshold": 3,
            "requestHeight": 2,
            "commitDeadline": 32,
            "revealDeadline": 62,
            "settledHeight": None,
            "reward": str(ETHER),
            "escrow": str(5 * ETHER),
            "feePaid": str(5 * 10**16),
            "commits": [],
            "reveals": [],
            "canonicalOutput": None,
        }
        committed = {**task, "commits": [{"operator": operators[0], "commitment": hexed(commit.commitment)}]}
        assert await net.engine(f"/tasks/{task['taskId']}") == committed
        mine = {"count": 1, "height": 3, "tasks": [committed]}
        assert await net.engine("/tasks") == mine
        assert await net.engine(f"/tasks?operator={operators[4]}") == mine
        stranger = {"count": 0, "height": 3, "tasks": []}
        assert await net.engine(f"/tasks?operator={hexed(REQUESTER)}") == stranger
        conforms(mine, "Tasks")
        prompt = {"promptHash": hexed(prompt_hash(PROMPT)), "prompt": hexed(PROMPT)}
        assert await net.engine(f"/tasks/{task['taskId']}/prompt") == prompt
        conforms(prompt, "Prompt")
        first = {
            "address": hexed(OPERATOR_KEYS[0].address),
            "unbonding": False,
            "unbondHeight": None,
            "stake": str(2 * ETHER),
            "modelSpecHash": hexed(SPEC),
            "endpointHash": hexed(word(0x80)),
            "credit": "0",
        }
        assert await net.engine(f"/operators/{first['address']}") == first
        eligible = await net.engine("/operators?modelSpec=" + hexed(SPEC))
        assert (eligible["eligible"], len(eligible["operators"]), eligible["operators"][0]) == (8, 8, first)
        conforms(eligible, "Operators")
        assert await net.engine("/operators?modelSpec=" + WRONG) == {"eligible": 0, "operators": []}
        (imported,) = block["transactions"]
        assert imported == {
            "id": imported["id"],
            "sender": hexed(REQUESTER),
            "nonce": 0,
            "kind": "importIntent",
            "call": {
                "intentId": hexed(made.intent_id),
                "cChainId": hexed(C_CHAIN),
                "aChainId": hexed(A_CHAIN),
                "cTxHash": hexed(word(1)),
                "callIndex": 7,
                "caller": hexed(REQUESTER),
                "modelSpecHash": hexed(SPEC),
                "promptHash": hexed(prompt_hash(PROMPT)),
                "n": 5,
                "threshold": 3,
                "fee": "1",
                "reward": str(ETHER),
            },
        }
        for height in range(4):
            conforms(await net.engine(f"/blocks/{height}"), "Block")
        latest = await net.engine("/blocks/latest")
        assert latest == await net.engine("/blocks/3") == await net.engine("/blocks/" + latest["id"])
        assert latest["parent"] == block["id"]


async def test_exact_answers_with_a_receipt(tmp_path: Path) -> None:
    async with live(tmp_path) as net:
        made, task = await with_receipt(net)
        found = await net.engine(f"/tasks/{task['taskId']}")
        assert (found["state"], found["canonicalOutput"], found["settledHeight"]) == ("settled", hexed(word(9)), 63)
        conforms(found, "Task")
        receipt = await net.engine(f"/receipts/{hexed(made.intent_id)}")
        conforms(receipt, "Receipt")
        root = receipt["root"]
        assert receipt["proof"] == {"index": 0, "siblings": [], "frame": root + "00" * 10}
        assert receipt["receipt"] == {
            "version": 1,
            "intentId": hexed(made.intent_id),
            "taskId": task["taskId"],
            "cChainId": hexed(C_CHAIN),
            "aChainId": hexed(A_CHAIN),
            "requester": hexed(REQUESTER),
            "modelSpecHash": hexed(SPEC),
            "promptHash": hexed(prompt_hash(PROMPT)),
            "canonicalOutputHash": hexed(word(9)),
            "status": 2,
            "n": 5,
            "threshold": 3,
            "winnersRoot": receipt["receipt"]["winnersRoot"],
            "operatorsRoot": receipt["receipt"]["operatorsRoot"],
            "feePaid": str(5 * 10**16),
            "settledAtHeight": 63,
        }
        assert await net.engine("/receipts") == {"count": 1, "root": root, "hashes": [receipt["hash"]]}
        assert await net.engine("/receipts?from=1") == {"count": 1, "root": root, "hashes": []}
        latest = await net.engine("/roots/latest")
        assert latest == {"height": 63, "block": (await net.engine("/chain"))["id"], "receiptRoot": root}
        conforms(latest, "Root")
        assert (await net.engine("/roots/62"))["receiptRoot"] == hexed(ZERO)
        status, text = await net.ask("GET", f"/v1/settlement/receipts/{hexed(made.intent_id)}/document")
        findings = check(read(text), Hash(bytes.fromhex(root[2:])))
        # The records of the operators' runs are theirs.
        told = {one.verdict for one in findings if "asked the services" not in one.sentence}
        assert (status, told) == (200, {Verdict.HOLDS})
        assert await net.ask("GET", "/health") == (200, '{"status":"ok","height":63}')
        _, counters = await net.ask("GET", "/metrics")
        for line in (
            "genvm_settlement_height 63.0",
            "genvm_settlement_waiting 0.0",
            'genvm_settlement_transactions_total{outcome="included"} 19.0',
            'genvm_settlement_tasks_total{state="settled"} 1.0',
            'genvm_settlement_requests_total{route="/v1/settlement/blocks",status="200"} 4.0',
        ):
            assert line in counters.splitlines()


async def test_events(tmp_path: Path) -> None:
    async with live(tmp_path) as net:
        url = f"http://127.0.0.1:{net.port}/v1/settlement/events"
        async with net.http.get(url) as stream:
            assert stream.headers["Content-Type"] == "text/event-stream"
            _, task = await with_task(net)
            refused = await net.submit(OPERATOR_KEYS[0], WithdrawRewards())
            (block,) = await net.blocks()
            text = ""
            async with asyncio.timeout(10):
                while text.count("event: block") < 3:
                    text += (await stream.content.readany()).decode()
        events = [one.split("\n") for one in text.strip().split("\n\n")]
        told = [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in events]
        assert [name for name, _ in told] == ["hello", "block", "task", "block", "refused", "block"]
        assert told[0][1] == {"height": 0}
        assert told[2][1] == task
        sender = hexed(OPERATOR_KEYS[0].address)
        error = "aivm/quorum: no credit to withdraw"
        assert told[4][1] == {"id": refused, "sender": sender, "name": "ErrNoCredit", "error": error}
        assert block["refused"] == [{"id": refused, "name": "ErrNoCredit"}]
        last = told[5][1]
        assert (last["height"], last["id"], last["transactions"]) == (3, block["id"], [])
        outcome = await net.engine(f"/transactions/{refused}")
        assert outcome == {"id": refused, "status": "refused", "height": 3, "name": "ErrNoCredit", "error": error}
        conforms(outcome, "Outcome")


def registration(**changes: Any) -> str:
    one = sign(OPERATOR_KEYS[0], A_CHAIN, 0, Register(2 * ETHER, SPEC, word(1)))
    return hexed(replace(one, **changes).encode())


BAD_TRANSACTIONS: list[tuple[object, int, str, str | None]] = [
    ({}, 400, "transaction is missing; it must be a hexadecimal text with 0x", None),
    ({"transaction": 5}, 400, "transaction must be a hexadecimal text with 0x", None),
    ({"transaction": "0xzz"}, 400, "transaction must be a hexadecimal text with 0x", None),
    ({"transaction": "0x12 34"}, 400, "transaction must be a hexadecimal text with 0x", None),
    ({"transaction": "0x123"}, 400, "transaction must be a hexadecimal text with 0x", None),
    ({"transaction": "0x\u0660\u0660"}, 400, "transaction must be a hexadecimal text with 0x", None),
    ({"transaction": "0x" + "00" * 2000}, 413, "transaction has more than 1024 bytes", None),
    (
        {"transaction": "0x"},
        400,
        "settlement: not the bytes of a transaction (too short)",
        "ErrTransactionMalformed",
    ),
    (
        {"transaction": registration() + "00"},
        400,
        "settlement: not the bytes of a transaction (wrong length)",
        "ErrTransactionMalformed",
    ),
    (
        {"transaction": registration(sender=REQUESTER)},
        400,
        "settlement: not signed by its sender",
        "ErrTransactionSignature",
    ),
    (
        {"transaction": registration(chain_id=word(5))},
        400,
        "settlement: transaction is for another chain",
        "ErrTransactionChain",
    ),
    (
        {"transaction": registration(), "prompt": "0x00"},
        400,
        "prompt is not what an intent in this transaction has the hash of",
        None,
    ),
    (
        {"transaction": registration(), "prompt": "0x" + "00" * (1 + (1 << 20))},
        413,
        "prompt has more than 1048576 bytes",
        None,
    ),
    ([], 400, "the body must be a JSON object", None),
]


@pytest.mark.parametrize(("body", "status", "error", "name"), BAD_TRANSACTIONS)
async def test_bad_transactions(tmp_path: Path, body: object, status: int, error: str, name: str | None) -> None:
    async with live(tmp_path) as net:
        wanted = {"error": error} if name is None else {"error": error, "name": name}
        found, text = await net.ask("POST", "/v1/settlement/transactions", body)
        assert (found, json.loads(text)) == (status, wanted)
        assert (await net.engine("/chain"))["waiting"] == 0


async def test_conflicts(tmp_path: Path) -> None:
    async with live(tmp_path) as net:
        path, body = "/v1/settlement/transactions", {"transaction": registration()}
        assert (await net.ask("POST", path, body))[0] == 202
        status, text = await net.ask("POST", path, body)
        assert (status, json.loads(text)["name"]) == (409, "ErrTransactionKnown")
        await net.blocks()
        status, text = await net.ask("POST", path, body)
        assert (status, json.loads(text)["name"]) == (409, "ErrTransactionNonce")


HOSTILE: list[tuple[str, str, bytes | None, int, str]] = [
    ("GET", "/v1/settlement/nothing", None, 404, "Not Found"),
    ("GET", "/v1/settlement/tasks/0x12", None, 400, "task must be 32 bytes"),
    ("GET", "/v1/settlement/tasks/..%2f..", None, 400, "task must be a hexadecimal text with 0x"),
    ("GET", f"/v1/settlement/tasks/{WRONG}", None, 404, "aivm/quorum: task not found"),
    ("GET", f"/v1/settlement/tasks/{WRONG}/prompt", None, 404, "aivm/quorum: task not found"),
    ("GET", f"/v1/settlement/receipts/{WRONG}", None, 404, "aivm/quorum: no settled receipt for intent"),
    ("GET", f"/v1/settlement/receipts/{WRONG}/document", None, 404, "aivm/quorum: no settled receipt for intent"),
    ("GET", f"/v1/settlement/intents/{WRONG}", None, 404, "no intent of this id was imported"),
    (
        "GET",
        f"/v1/settlement/transactions/{WRONG}",
        None,
        404,
        "the service knows no transaction of this id (any more)",
    ),
    ("GET", "/v1/settlement/receipts?from=-1", None, 400, "from must be a number from 0 to 4294967295"),
    ("GET", "/v1/settlement/receipts?from=%D9%A1", None, 400, "from must be a number from 0 to 4294967295"),
    ("GET", "/v1/settlement/operators", None, 400, "modelSpec must be a hexadecimal text with 0x"),
    ("GET", "/v1/settlement/operators/0x" + "00" * 20, None, 404, "no operator has this address"),
    ("GET", "/v1/settlement/tasks?operator=0x", None, 400, "operator must be 20 bytes"),
    ("GET", "/v1/settlement/blocks/9", None, 404, "there is no such block"),
    ("GET", f"/v1/settlement/blocks/{WRONG}", None, 404, "there is no such block"),
    ("GET", "/v1/settlement/blocks/18446744073709551616", None, 400, f"height must be a number from 0 to {2**64 - 1}"),
    ("PUT", "/v1/settlement/chain", b"", 405, "method PUT is not for this path; GET, HEAD is"),
    (
        "POST",
        "/v1/settlement/transactions",
        b"",
        400,
        "the body is not JSON: Expecting value: line 1 column 1 (char 0)",
    ),
    (
        "POST",
        "/v1/settlement/transactions",
        b"[" * 5000,
        400,
        "the body is not JSON: JSON text is nested more than 32 levels deep",
    ),
    ("POST", "/v1/settlement/transactions", b"0" * (3 << 20), 413, "the body has more than 2162688 bytes"),
    ("POST", "/v1/settlement/blocks", b'{"count":0}', 400, "count must be from 1 to 200"),
    ("POST", "/v1/settlement/blocks", b'{"count":true}', 400, "count must be from 1 to 200"),
]


async def test_hostile_requests(tmp_path: Path) -> None:
    async with live(tmp_path) as net:
        for method, path, body, status, error in HOSTILE:
            found, text = await net.ask(method, path, data=body)
            answer = json.loads(text)
            assert (path, found, answer["error"]) == (path, status, error)
            conforms(answer, "Error")
        assert (await net.engine("/chain"))["height"] == 0


async def test_a_body_that_is_not_what_its_encoding_says(tmp_path: Path) -> None:
    async with live(tmp_path) as net:
        encoded: Any = {"Content-Encoding": "gzip"}
        status, text = await net.ask("POST", "/v1/settlement/transactions", data=b"{}", **encoded)
        assert (status, json.loads(text)["error"][:23]) == (400, "the body cannot be read")


async def test_who_may_ask(tmp_path: Path) -> None:
    async with live(tmp_path, token="correct horse battery") as net:
        path = "/v1/settlement/chain"
        assert (await net.ask("GET", "/health"))[0] == 200
        assert await net.ask("GET", path) == (401, '{"error":"a bearer token is needed"}')
        assert (await net.ask("GET", path, Authorization="Bearer wrong"))[0] == 401
        good: Any = {"Authorization": "Bearer correct horse battery"}
        assert (await net.ask("GET", path, **good))[0] == 200
        foreign = "web pages from elsewhere may not use the service"
        status, text = await net.ask("GET", path, Origin="http://evil.example", **good)
        assert (status, json.loads(text)) == (403, {"error": foreign})
        status, text = await net.ask("GET", path, Host="evil.example", **good)
        assert (status, json.loads(text)["error"][:25]) == (403, "the service is not called")


async def test_blocks_by_the_clock(tmp_path: Path) -> None:
    async with live(tmp_path, on_demand=False) as net:
        status, text = await net.ask("POST", "/v1/settlement/blocks", {})
        assert (status, json.loads(text)) == (409, {"error": "blocks are made by the clock here"})
        clock = asyncio.create_task(net.node.make_blocks(0.02))
        async with asyncio.timeout(10):
            while (await net.engine("/chain"))["height"] < 5:
                await asyncio.sleep(0.01)
        clock.cancel()


async def test_the_clock_outlives_a_prompt_that_cannot_be_written(tmp_path: Path) -> None:
    """Without blocks nobody can reveal what it has committed to, and without its prompt nobody can answer a task."""
    async with live(tmp_path) as net:
        for number, key in enumerate(OPERATOR_KEYS):
            await net.submit(key, Register(2 * ETHER, SPEC, word(0x80 + number)))
        await net.blocks()
        in_the_way = tmp_path / "prompts"
        in_the_way.write_text("a folder should be here")
        made = asked()
        await net.submit(REQUESTER_KEY, ImportIntent(made), prompt=hexed(PROMPT))
        unavailable = {"error": "the state cannot be read or written at the moment"}
        status, text = await net.ask("POST", "/v1/settlement/blocks", {})
        assert (status, json.loads(text)) == (503, unavailable)
        clock = asyncio.create_task(net.node.make_blocks(0.02))
        await asyncio.sleep(0.1)
        status, text = await net.ask("GET", "/health")
        assert (status, json.loads(text)["status"]) == (503, "failing")
        chain = await net.engine("/chain")
        assert (clock.done(), chain["height"], chain["waiting"]) == (False, 1, 1)
        in_the_way.unlink()
        async with asyncio.timeout(10):
            # The block is there before the clock knows.
            while (await net.ask("GET", "/health"))[0] != 200:
                await asyncio.sleep(0.01)
        clock.cancel()
        assert (await net.engine("/chain"))["height"] >= 2
        found = await net.engine(f"/intents/{hexed(made.intent_id)}")
        assert (await net.engine(f"/tasks/{found['taskId']}/prompt"))["prompt"] == hexed(PROMPT)


async def test_the_clock_outlives_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with live(tmp_path) as net:
        make, failures = net.node._make_block, [OSError("no descriptors"), RuntimeError("a mistake")]
        monkeypatch.setattr(net.node, "_make_block", lambda: _raise(failures.pop()) if failures else make())
        clock = asyncio.create_task(net.node.make_blocks(0.02))
        async with asyncio.timeout(10):
            while net.node.height < 1:
                await asyncio.sleep(0.01)
        clock.cancel()


def _raise(error: Exception) -> Any:
    raise error


async def test_a_block_is_told_though_who_asked_for_it_is_gone(tmp_path: Path) -> None:
    async with live(tmp_path) as net:
        stuck = threading.Event()
        net.node._writer.submit(stuck.wait, 30)
        asking = asyncio.create_task(net.node.make_block())
        await asyncio.sleep(0.05)
        asking.cancel()
        stuck.set()
        async with asyncio.timeout(10):
            while net.node.height < 1:
                await asyncio.sleep(0.01)
        assert await net.ask("GET", "/health") == (200, '{"status":"ok","height":1}')


async def test_readers_do_not_wait_for_the_writer(tmp_path: Path) -> None:
    """While it is in the middle of something, and sees what was accepted before."""
    async with live(tmp_path) as net:
        await with_task(net)
        stuck = threading.Event()
        busy = net.node._writer.submit(stuck.wait, 30)
        sent = asyncio.create_task(net.blocks())
        async with asyncio.timeout(10):
            for _ in range(20):
                assert (await net.engine("/chain"))["height"] == 2
                assert (await net.engine(f"/accounts/{hexed(REQUESTER)}"))["nextNonce"] == 1
        assert not busy.done()
        assert not sent.done()
        stuck.set()
        await sent
        assert (await net.engine("/chain"))["height"] == 3


async def test_another_writer_ends_it(tmp_path: Path) -> None:
    async with live(tmp_path) as net, live(tmp_path) as other:
        await other.blocks()
        status, _ = await net.ask("POST", "/v1/settlement/blocks", {})
        assert status == 503
        status, text = await net.ask("GET", "/health")
        assert (status, json.loads(text)["status"]) == (503, "broken")
        assert net.node.broken.done()


@pytest.mark.slow
async def test_postgres(tmp_path: Path, postgres: Server) -> None:
    """Snapshots of a database are as good."""
    async with live(tmp_path, state=postgres.database()) as net:
        made, task = await with_receipt(net)
        assert (await net.engine(f"/tasks/{task['taskId']}"))["state"] == "settled"
        assert (await net.engine(f"/receipts/{hexed(made.intent_id)}"))["proof"]["index"] == 0


async def test_the_document_has_every_route(tmp_path: Path) -> None:
    async with live(tmp_path) as net:
        chain = f"/v1/bc/{hexed(A_CHAIN)}/"
        # The core routes answer wrong methods themselves.
        served = {
            (route.resource.canonical.replace(chain, "/v1/bc/{chain}/"), route.method)
            for route in net.app.router.routes()
            if route.resource is not None and route.method != "HEAD"
        }
        written = {
            (path, "*" if path.startswith("/v1/bc/") else method.upper())
            for path, methods in document()["paths"].items()
            for method in methods
        }
        assert served == written
        status, text = await net.ask("GET", "/openapi.json")
        assert (status, json.loads(text)) == (200, document())
