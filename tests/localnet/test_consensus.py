"""Leader and validators: who decides what, and what becomes of a transaction that most nodes do not agree with."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pygenvm.executor.host_protocol.host import Host, HostErrorReply
from pygenvm.executor.outcome import UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.localnet.chain import Chain, Execution, accounts, calldata_of_call
from pygenvm.localnet.chain.consensus import validators
from pygenvm.localnet.chain.model import Kind, Status
from pygenvm.localnet.documents import execution_document
from pygenvm.localnet.executors.base import RunReport, RunRequest
from pygenvm.localnet.render import Printer
from tests.localnet.localnet_fakes import FakeExecutor, Rollback, Run, Trap

ALICE = accounts.named()["alice"]
LEADER = "0x"
NODES = validators(4)


class Oracle:
    """A contract with one nondet block; ``behave`` says what each node does in it."""

    def __init__(self) -> None:
        self.at: dict[str, str] = {}
        self.nodes: list[str] = []

    async def __call__(self, run: Run) -> Any:
        if run.is_init:
            return None
        if run.method == "get":
            return (await run.read(0, 1))[0]
        if run.method == "send":
            await run.post(run.address, "ask", value=run.value)
            return None
        if run.method == "#error":
            await run.write(0, b"\xee")
            return None
        self.nodes.append(run.node_address)
        behaviour = self.at.get(run.node_address, "agree")
        try:
            leader = await run.host.get_leader_nondet_result(0)
        except HostErrorReply:
            leader = b"\x00" + calldata.encode(42)
            await run.host.post_nondet_result(0, leader)
        match behaviour:
            case "disagree":
                await run.host.notify_nondet_disagreement(0)
            case "diverge":
                return 43
            case "refuse":
                raise Rollback("no price today")
            case "timeout":
                raise Trap("timeout")
            case "event":
                await run.host.post_event([], calldata.encode({"a": 1}))
        await run.write(0, b"\x2a")
        return 42


@pytest.fixture
def oracle() -> Oracle:
    return Oracle()


async def ask(
    path: Path, oracle: Oracle, *, nodes: int = 4, method: str = "ask", value: int = 0
) -> tuple[Chain, Execution]:
    chain = Chain(path / "local.db", executor=FakeExecutor({b"oracle": oracle}), validators=NODES[:nodes])
    behaviour, oracle.at = oracle.at, {}
    deployed = (await chain.deploy(b"oracle", sender=ALICE)).receipt
    assert deployed.round is not None
    assert deployed.round.agreeing == 1 + nodes
    oracle.at = behaviour
    contract = deployed.transaction.contract
    return chain, await chain.call(contract, calldata_of_call(method), sender=ALICE, value=value)


async def stored(chain: Chain, execution: Execution) -> int:
    contract = execution.receipt.transaction.contract
    value: int = (await chain.view(contract, calldata_of_call("get"), sender=ALICE)).value
    return value


def shown(execution: Execution) -> str:
    out = io.StringIO()
    console = Console(file=out, width=200, highlight=False)
    Printer(console, console, {}).execution(execution)
    return out.getvalue()


async def test_all_nodes_agree(tmp_path: Path, oracle: Oracle) -> None:
    chain, execution = await ask(tmp_path, oracle)
    assert execution.receipt.status is Status.OK
    assert await stored(chain, execution) == 42
    # Each of them is told who it is.
    assert oracle.nodes[0] == LEADER
    assert sorted(oracle.nodes[1:]) == sorted(node.address for node in NODES)
    assert len({node.address for node in NODES}) == 4
    assert "validators  5 of 5 nodes agree\n    leader        agrees\n    validator 1   agrees\n" in shown(execution)


@pytest.mark.parametrize(
    ("nodes", "against", "accepted"),
    [
        (1, 0, True),
        (1, 1, False),
        (2, 1, True),
        (2, 2, False),
        (3, 1, True),
        (3, 2, False),
        (4, 2, True),
        (4, 3, False),
    ],
)
async def test_more_than_half_decide(tmp_path: Path, oracle: Oracle, nodes: int, against: int, accepted: bool) -> None:
    oracle.at = {node.address: "disagree" for node in NODES[:against]}
    chain, execution = await ask(tmp_path, oracle, nodes=nodes)
    receipt = execution.receipt
    assert receipt.ok is accepted
    assert receipt.status is (Status.OK if accepted else Status.UNDETERMINED)
    assert await stored(chain, execution) == (42 if accepted else 0)
    assert receipt.round is not None
    assert (receipt.round.nodes, receipt.round.agreeing) == (1 + nodes, 1 + nodes - against)


async def test_an_undetermined_transaction_leaves_nothing_but_a_line_in_the_log(tmp_path: Path, oracle: Oracle) -> None:
    oracle.at = {node.address: "disagree" for node in NODES}
    chain, execution = await ask(tmp_path, oracle, value=7)
    receipt = execution.receipt
    assert receipt.number is None
    assert (receipt.balances, receipt.slots_written) == ((), 0)
    assert await chain.balance(receipt.transaction.contract) == 0
    (deployed, logged) = await chain.log()
    assert (deployed.status, logged.status) == (Status.OK, Status.UNDETERMINED)
    document = execution_document(execution, {})
    assert document["ok"] is False
    assert document["error"]["kind"] == "undetermined"
    assert document["error"]["message"] == "1 of 5 nodes agree"
    text = shown(execution)
    assert text.startswith("Undetermined: 1 of 5 nodes agree\nNothing was changed.\n")
    assert "\nfix: " in text


@pytest.mark.parametrize(
    ("behaviour", "vote", "block", "reason"),
    [
        ("disagree", "disagree", 0, "nondet block 0: it does not accept the leader's result, 42"),
        ("diverge", "disagree", None, "outside of nondet blocks it finds another outcome, another storage: 43"),
        ("event", "disagree", None, "outside of nondet blocks it finds another events"),
        ("timeout", "none", None, "VM error: timeout"),
    ],
)
async def test_why_a_validator_does_not_agree(
    tmp_path: Path, oracle: Oracle, behaviour: str, vote: str, block: int | None, reason: str
) -> None:
    oracle.at = {NODES[1].address: behaviour}
    _, execution = await ask(tmp_path, oracle)
    assert execution.receipt.ok
    found = execution_document(execution, {})["transaction"]["validators"]
    seconds = [one.pop("seconds") for one in found["votes"]]
    assert seconds == [0.0] * 5
    agreeing: list[dict[str, Any]] = [
        {"node": name, "address": address, "vote": "agree", "block": None, "reason": ""}
        for name, address in [("leader", LEADER), *((node.name, node.address) for node in NODES)]
    ]
    agreeing[2] |= {"vote": vote, "block": block, "reason": reason}
    assert found == {"nodes": 5, "agreeing": 4, "accepted": True, "votes": agreeing}
    word = {"disagree": "disagrees", "none": "no verdict"}[vote]
    assert f"    validator 2   {word:<12}{reason}\n" in shown(execution)


async def test_validators_agree_with_a_failure(tmp_path: Path, oracle: Oracle) -> None:
    oracle.at = dict.fromkeys((LEADER, *(node.address for node in NODES)), "refuse")
    _, execution = await ask(tmp_path, oracle)
    assert execution.receipt.status is Status.FAILED
    assert execution.receipt.outcome == UserError("no price today")
    assert execution.receipt.round is not None
    assert execution.receipt.round.agreeing == 5
    assert "validators  5 of 5 nodes agree" in shown(execution)


async def test_validators_do_not_agree_with_a_failure(tmp_path: Path, oracle: Oracle) -> None:
    oracle.at = {LEADER: "refuse"}
    _, execution = await ask(tmp_path, oracle)
    assert execution.receipt.status is Status.UNDETERMINED
    assert execution.receipt.outcome == UserError("no price today")
    assert "Undetermined: 1 of 5 nodes agree" in shown(execution)


async def test_a_leader_that_ran_out_of_time_has_nothing_to_judge(tmp_path: Path, oracle: Oracle) -> None:
    oracle.at = {LEADER: "timeout"}
    _, execution = await ask(tmp_path, oracle)
    assert (execution.receipt.status, execution.receipt.outcome) == (Status.FAILED, VMError("timeout"))
    assert execution.receipt.round is None
    assert oracle.nodes == [LEADER]


async def test_a_message_that_is_undetermined_gives_its_value_back(tmp_path: Path, oracle: Oracle) -> None:
    oracle.at = {node.address: "disagree" for node in NODES}
    chain, execution = await ask(tmp_path, oracle, method="send", value=5)
    assert execution.receipt.ok
    asked, returned = execution.delivered
    assert (asked.status, asked.transaction.kind) == (Status.UNDETERMINED, Kind.CALL)
    assert (returned.status, returned.transaction.kind, returned.transaction.value) == (Status.OK, Kind.ERROR, 5)
    assert await chain.balance(execution.receipt.transaction.contract) == 5
    assert await stored(chain, execution) == 0xEE
    assert [receipt.status for receipt in await chain.log()] == [
        Status.OK,
        Status.OK,
        Status.UNDETERMINED,
        Status.OK,
    ]


async def test_validators_run_at_the_same_time_and_not_all_of_them(
    tmp_path: Path, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pygenvm.localnet.limits.VALIDATORS_AT_ONCE", 3)
    inner, running, most = FakeExecutor({b"oracle": oracle}), [0], [0]

    async def counted(host: Host, request: RunRequest) -> RunReport:
        running[0] += 1
        most[0] = max(most[0], running[0])
        for _ in range(20):
            await asyncio.sleep(0)
        try:
            return await inner(host, request)
        finally:
            running[0] -= 1

    chain = Chain(tmp_path / "local.db", executor=counted, validators=validators(8))
    assert (await chain.deploy(b"oracle", sender=ALICE)).receipt.ok
    assert most[0] == 3
