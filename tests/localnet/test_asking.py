"""A settlement service that says what is not so, or nothing: whoever asked there has changed nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain import Chain, Execution, accounts, calldata_of_call
from pygenvm.localnet.chain.model import Decision, Node, Service, Settling, Status, Word
from pygenvm.localnet.chain.requests import GivenState, judge_document
from pygenvm.localnet.chain.runs import Runs
from pygenvm.localnet.errors import SettlementError
from pygenvm.settlement.blocks.transactions import Commit, ImportIntent, Reveal, parse
from pygenvm.settlement.bridge.documents import Document
from pygenvm.settlement.codec.hashes import commit_hash, prompt_hash
from pygenvm.settlement.service import forms
from pygenvm.settlement.types.words import Hash
from pygenvm.settlement.verifier.export import export
from tests.localnet.localnet_fakes import FakeExecutor, Run
from tests.localnet.test_settling import Oracle
from tests.settlement.chains import OPERATOR_KEYS, REQUESTER_KEY, Net, new_chain
from tests.settlement.engines import SPEC
from tests.settlement.test_documents import DOCUMENT
from tests.settlement.vectors import word

ALICE = accounts.named()["alice"]


#: The answer to a transaction that is then forgotten.
LOST = {"status": "waiting"}


class Lies:
    """A service in one process with its operators, all of whom accept; what it answers can be changed.

    :param answers: by the last part of a path, what becomes of the answer.
    """

    def __init__(self, **answers: Callable[[Any], Any]) -> None:
        self.answers = answers
        self.net = Net(new_chain())
        self.net.register_all()
        self.documents: list[Document] = []
        self.submitted = 0
        app = web.Application()
        for path, handler in (
            ("/chain", self._chain),
            ("/accounts/{account}", self._account),
            ("/operators", self._operators),
            ("/operators/{operator}", self._operator),
            ("/intents/{intent}", self._intent),
            ("/transactions/{transaction}", self._transaction),
            ("/tasks/{task}", self._task),
            ("/receipts/{intent}/document", self._receipt),
        ):
            app.router.add_get("/v1/settlement" + path, handler)
        app.router.add_post("/v1/settlement/transactions", self._submit)
        self._runner = web.AppRunner(app)

    async def __aenter__(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def _said(self, name: str, answer: Any, status: int = 200) -> web.Response:
        if (lie := self.answers.get(name)) is not None:
            answer = lie(answer)
        if isinstance(answer, web.Response):
            return answer
        return web.json_response(answer, status=status)

    async def _chain(self, request: web.Request) -> web.Response:
        chain = self.net.leader
        return self._said(
            "chain",
            {
                "aChainId": forms.hexed(chain.a_chain_id),
                "cChainId": forms.hexed(chain.c_chain_id),
                "height": chain.tip.height,
            },
        )

    async def _account(self, request: web.Request) -> web.Response:
        account = _address(request.match_info["account"])
        engine = self.net.leader.engine()
        return self._said(
            "account",
            {
                "balance": str(engine.balance(account)),
                "credit": str(engine.credit(account)),
                "nextNonce": self.net.leader.nonce(account),
            },
        )

    async def _operators(self, request: web.Request) -> web.Response:
        return self._said("operators", {"eligible": len(OPERATOR_KEYS)})

    async def _operator(self, request: web.Request) -> web.Response:
        found = self.net.leader.engine().operator(_address(request.match_info["operator"]))
        return self._said("operator", {"stake": str(found.stake)})

    async def _intent(self, request: web.Request) -> web.Response:
        task = self.net.leader.engine().task_for_intent(_hash(request.match_info["intent"]))
        if not any(task):
            return web.json_response({"error": "no"}, status=404)
        return self._said("intent", {"taskId": forms.hexed(task)})

    async def _transaction(self, request: web.Request) -> web.Response:
        return self._said("transaction", {"error": "unknown"}, 404)

    async def _submit(self, request: web.Request) -> web.Response:
        """Everything happens at once."""
        self.submitted += 1
        if (lie := self.answers.get("submit")) is not None and (answer := lie(self.submitted)) is not None:
            return web.json_response(answer, status=202 if answer == LOST else 400)
        members = await request.json()
        transaction = parse(bytes.fromhex(members["transaction"][2:]))
        assert isinstance(transaction.call, ImportIntent)
        intent = transaction.call.intent
        prompt = bytes.fromhex(members["prompt"][2:])
        assert intent.prompt_hash == prompt_hash(prompt)
        document = Document.decode(prompt)
        self.documents.append(document)
        chain = self.net.leader
        chain.submit(transaction.encode())
        self.net.block()
        task = chain.engine().task_for_intent(intent.intent_id)
        drawn = chain.engine().selection(task)
        for operator in drawn:
            commitment = commit_hash(task, SPEC, intent.prompt_hash, document.yes, word(1), operator, word(2))
            self.net.send(operator, Commit(task, commitment))
        self.net.to_height(self.net.block().height + 31)
        for operator in drawn:
            self.net.send(operator, Reveal(task, document.yes, word(1), word(2)))
        self.net.to_height(self.net.block().height + 31)
        self.net.block()
        return web.json_response({"id": "0x", "status": "waiting"}, status=202)

    async def _task(self, request: web.Request) -> web.Response:
        engine = self.net.leader.engine()
        return self._said("task", forms.task(engine, engine.task(_hash(request.match_info["task"]))))

    async def _receipt(self, request: web.Request) -> web.Response:
        document = export(self.net.leader, _hash(request.match_info["intent"]))
        return self._said("receipt", json.loads(document.to_json()))


def _address(text: str) -> Any:
    return bytes.fromhex(text[2:])


def _hash(text: str) -> Hash:
    return Hash(bytes.fromhex(text[2:]))


async def asked(folder: Path, lies: Lies, appeals: int = 0) -> Execution:
    async with lies as url:
        service = Service(url, REQUESTER_KEY.secret, bytes(SPEC))
        chain = Chain(
            folder / "local.db",
            executor=FakeExecutor({b"oracle": Oracle()}),
            settling=Settling(Path(), 5, 3, 1, appeals=appeals, service=service),
        )
        contract = (await chain.deploy(b"oracle", sender=ALICE)).receipt.transaction.contract
        return await chain.call(contract, calldata_of_call("ask"), sender=ALICE)


async def test_what_is_so(tmp_path: Path) -> None:
    lies = Lies()
    execution = await asked(tmp_path, lies)
    assert (execution.receipt.status, execution.receipt.value) == (Status.OK, 42)
    settlement = execution.receipt.settlement
    assert settlement is not None
    (round_,) = settlement.rounds
    assert (round_.decision, [vote.word for vote in round_.votes if vote]) == (Decision.AGREE, [Word.AGREE] * 5)  # type: ignore[union-attr]
    assert [account.credit for _, account in settlement.operators] == [10**17] * 5
    (document,) = lies.documents
    assert document.proposal.results == execution.receipt.nondet_results


class Born(Oracle):
    """With the nondet block in its constructor too."""

    async def __call__(self, run: Run) -> Any:
        return await super().__call__(replace(run, is_init=False) if run.is_init else run)


@pytest.mark.parametrize(
    ("method", "value", "status", "documents"),
    [("ask", 0, Status.OK, 2), ("ask", 5, Status.FAILED, 2), ("send", 7, Status.OK, 3)],
)
async def test_operators_find_the_same(tmp_path: Path, method: str, value: int, status: Status, documents: int) -> None:
    """On nothing but the document: in a call, in one that fails, in a message that fails and in the one that brings its
    value back; and in the deployment before them."""
    lies, oracle = Lies(), Born()
    async with lies as url:
        settling = Settling(Path(), 5, 3, 1, service=Service(url, REQUESTER_KEY.secret, bytes(SPEC)))
        executor = FakeExecutor({b"oracle": oracle})
        chain = Chain(tmp_path / "local.db", executor=executor, settling=settling, strict_views=value == 7)
        contract = (await chain.deploy(b"oracle", sender=ALICE)).receipt.transaction.contract
        execution = await chain.call(contract, calldata_of_call(method), sender=ALICE, value=value)
    assert execution.receipt.status is status
    assert [one.code for one in lies.documents] == [b"oracle", *[b""] * (documents - 1)]
    assert [one.is_message for one in lies.documents] == [False, value == 7, True][:documents]
    assert [one.strict_views for one in lies.documents] == [value == 7] * documents
    runs = Runs(executor, 10.0, lambda: datetime.now(UTC), Node("validator 1", "0x"), None, strict_views=value == 7)
    for document in lies.documents:
        assert await agrees(runs, Document.decode(document.encode()))
        assert not await agrees(runs, replace(document, effects=word(9)))
    oracle.sees = {"validator 1": 1}
    assert [await agrees(runs, document) for document in lies.documents] == [False] * documents


def test_pages_of_a_document(tmp_path: Path) -> None:
    contract, slot = Address(b"\x05" * 20), bytes(word(1))
    pages = {(contract.as_bytes, slot, number): bytes((number,)) for number in (1, 2, 5, 9)}
    others = {(contract.as_bytes, bytes(word(2)), 1): b"x", (bytes(20), slot, 2): b"y"}
    state = GivenState(replace(DOCUMENT, pages={**pages, **others}))
    for first in range(11):
        for last in range(first, 11):
            wanted = {number: bytes((number,)) for number in (1, 2, 5, 9) if first <= number <= last}
            assert state.pages(contract, slot, first, last) == wanted
    assert state.pages(contract, bytes(word(3)), 0, 9) == {}
    assert state.pages(Address(bytes(20)), slot, 0, 1 << 20) == {2: b"y"}


async def agrees(runs: Runs, document: Document) -> bool:
    return (await judge_document(runs, document)).agrees


def without(name: str) -> Callable[[Any], Any]:
    return lambda answer: {key: value for key, value in answer.items() if key != name}


def flipped(answer: Any) -> Any:
    """One bit of the canonical output."""
    receipt = bytearray.fromhex(answer["receipt"][2:])
    receipt[214] ^= 1
    return {**answer, "receipt": "0x" + receipt.hex()}


def another(answer: Any) -> Any:
    """A good receipt, of a task of somebody else's."""
    net = Net(new_chain())
    net.register_all()
    task = net.ask()
    drawn = net.leader.engine().selection(task)
    for operator in drawn:
        net.commit(task, operator, 1)
    net.to_height(net.block().height + 31)
    for operator in drawn:
        net.reveal(task, operator, 1)
    net.to_height(net.block().height + 31)
    net.block()
    intent = net.leader.engine().task(task).intent_id
    return json.loads(export(net.leader, intent).to_json())


LIES: dict[str, tuple[dict[str, Callable[[Any], Any]], str]] = {
    "no chain": ({"chain": lambda _: {}}, "aChainId in an answer of the service is no hexadecimal text"),
    "no JSON": ({"chain": lambda _: web.Response(text="<html>")}, "the service answers no JSON"),
    "a balance": ({"account": lambda _: {"balance": "-1", "credit": "0"}}, "an amount in an answer of the service is"),
    "nobody": ({"operators": lambda _: {"eligible": 6}}, "6 operators can be drawn"),
    "refused": (
        {"submit": lambda _: {"error": "aivm/quorum: insufficient balance", "name": "ErrInsufficientFunds"}},
        "ErrInsufficientFunds: aivm/quorum: insufficient balance",
    ),
    "refused in a block": (
        {"transaction": lambda _: web.json_response({"status": "refused", "name": "ErrBadN", "error": "no"})},
        "ErrBadN: no",
    ),
    "a changed output": ({"receipt": flipped}, "The proof does not lead from this receipt to the root."),
    "another receipt": ({"receipt": another}, "It is of another task."),
    "no reveals": ({"receipt": without("reveals")}, "The file does not have all that a receipt is checked against."),
    "no receipt": ({"receipt": lambda _: {}}, "the service gives no receipt: "),
}


@pytest.mark.parametrize("what", LIES)
async def test_what_is_not_so(tmp_path: Path, what: str) -> None:
    answers, said = LIES[what]
    with pytest.raises(SettlementError) as error:
        await asked(tmp_path, Lies(**answers))
    assert said in str(error.value)
    assert "secret" not in repr(Service("", b"secret", b"", "secret"))
    log = await Chain(tmp_path / "local.db").log()
    assert [one.transaction.kind.value for one in log] == ["deploy"]


async def test_a_transaction_that_got_lost_is_sent_again(tmp_path: Path) -> None:
    """The service was started anew, and what waited is gone."""
    lies = Lies(submit=lambda times: LOST if times == 1 else None)
    execution = await asked(tmp_path, lies)
    assert execution.receipt.ok
    assert (lies.submitted, len(lies.documents)) == (2, 1)


async def test_a_service_that_makes_no_blocks_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVICE_STALLED_SECONDS", 0.2)
    monkeypatch.setattr(limits, "SERVICE_POLL_SECONDS", 0.05)
    with pytest.raises(SettlementError, match=r"the service has stood at block 65 for 0\.2 s; task 0x[0-9a-f]{64} may"):
        await asked(tmp_path, Lies(task=lambda answer: {**answer, "state": "open"}))


async def test_a_service_that_takes_an_intent_and_makes_no_block_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SERVICE_STALLED_SECONDS", 0.2)
    monkeypatch.setattr(limits, "SERVICE_POLL_SECONDS", 0.05)
    waiting = Lies(submit=lambda _: LOST, transaction=lambda _: web.json_response({"status": "waiting"}))
    with pytest.raises(SettlementError, match=r"stood at block 1 for 0\.2 s; intent 0x[0-9a-f]{64} may still become"):
        await asked(tmp_path, waiting)


async def test_too_few_operators_for_an_appeal_is_told_before_anything_is_paid(tmp_path: Path) -> None:
    lies = Lies()
    with pytest.raises(SettlementError, match="for 11, after the last appeal, there must be 16"):
        await asked(tmp_path, lies, appeals=1)
    assert lies.submitted == 0


async def test_a_service_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVICE_AWAY_SECONDS", 0.5)
    settling = Settling(Path(), 5, 3, 1, service=Service("http://127.0.0.1:9", REQUESTER_KEY.secret, bytes(SPEC)))
    chain = Chain(tmp_path / "local.db", executor=FakeExecutor({b"oracle": Oracle()}), settling=settling)
    contract = (await chain.deploy(b"oracle", sender=ALICE)).receipt.transaction.contract
    with pytest.raises(
        SettlementError, match=r"the settlement service http://127\.0\.0\.1:9: the service does not answer"
    ):
        await chain.call(contract, calldata_of_call("ask"), sender=ALICE)


async def test_what_does_not_fit_into_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygenvm.localnet.chain.asking.PROMPT_BYTES", 100)
    with pytest.raises(SettlementError, match="the code, calldata and storage that the transaction reads have"):
        await asked(tmp_path, Lies())
