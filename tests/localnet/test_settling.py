"""Nondet transactions of the local network, settled by operators with stake."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pygenvm.executor.host_protocol.host import HostErrorReply
from pygenvm.executor.primitives import calldata
from pygenvm.localnet.chain import Chain, Execution, accounts, calldata_of_call
from pygenvm.localnet.chain.model import Decision, Settlement, Settling, Status
from pygenvm.localnet.chain.settling import committees
from pygenvm.localnet.documents import execution_document
from pygenvm.localnet.errors import DatabaseError
from pygenvm.localnet.render import Printer
from pygenvm.localnet.votes import AGREES, word
from pygenvm.settlement.blocks.view import ChainView
from pygenvm.settlement.state.sqlite import SqliteStore
from pygenvm.settlement.types.words import Hash
from pygenvm.settlement.verifier.checks import Verdict, check
from pygenvm.settlement.verifier.export import export
from tests.localnet.localnet_fakes import FakeExecutor, Rollback, Run, Trap
from tests.settlement.receipts import said

ALICE = accounts.named()["alice"]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Oracle:
    """A contract with one nondet block: ``sees`` is what the nodes find in it, 42 where it has none.

    A node that sees ``"silence"`` has no verdict. With value the transaction fails.
    """

    def __init__(self, **sees: Any) -> None:
        self.sees = {name.replace("_", " "): value for name, value in sees.items()}
        self.ran: list[str] = []

    async def __call__(self, run: Run) -> Any:
        if run.is_init:
            return None
        if run.method == "send":
            await run.post(run.address, "ask", value=run.value)
            return None
        if run.method == "plain":
            return self.sees.get(run.node, 42)
        self.ran.append(run.node)
        seen = self.sees.get(run.node, 42)
        own = b"\x00" + calldata.encode(seen)
        try:
            leader = await run.host.get_leader_nondet_result(0)
        except HostErrorReply:
            leader = own
            await run.host.post_nondet_result(0, leader)
        if seen == "silence":
            raise Trap("timeout")
        if leader != own:
            await run.host.notify_nondet_disagreement(0)
        if run.value:
            raise Rollback("no money, please")
        await run.write(0, leader)
        return calldata.decode(leader[1:])


def chain_of(
    folder: Path, oracle: Oracle, nodes: int, threshold: int, rotations: int, appeals: int = 0, **more: Any
) -> Chain:
    settling = Settling(folder / "local.db.settlement", nodes, threshold, rotations, appeals, **more)
    return Chain(folder / "local.db", executor=FakeExecutor({b"oracle": oracle}), settling=settling, clock=lambda: NOW)


async def ask(
    folder: Path,
    oracle: Oracle,
    *,
    nodes: int = 3,
    threshold: int = 2,
    rotations: int = 2,
    appeals: int = 0,
    method: str = "ask",
    value: int = 0,
    **more: Any,
) -> Execution:
    chain = chain_of(folder, oracle, nodes, threshold, rotations, appeals, **more)
    sees, oracle.sees = oracle.sees, {}
    contract = (await chain.deploy(b"oracle", sender=ALICE)).receipt.transaction.contract
    oracle.sees = sees
    return await chain.call(contract, calldata_of_call(method), sender=ALICE, value=value)


def settled(execution: Execution) -> Settlement:
    found = execution.receipt.settlement
    assert found is not None
    return found


def decisions(execution: Execution) -> list[tuple[str, Decision]]:
    return [(round_.leader.name, round_.decision) for round_ in settled(execution).rounds]


def shown(execution: Execution) -> str:
    out = io.StringIO()
    console = Console(file=out, width=200, highlight=False)
    Printer(console, console, {}).execution(execution)
    return out.getvalue()


def verified(folder: Path, intents: Sequence[bytes]) -> None:
    """All receipts are in the state, and hold offline."""
    view = ChainView(SqliteStore(folder / "local.db.settlement"))
    for intent in intents:
        document = export(view, Hash(intent))
        assert said(check(document, document.root), Verdict.FAILS) == []


async def test_what_is_printed(tmp_path: Path) -> None:
    """Names and draw are those of the transaction's id, which the clock decides: the text is always the same."""
    execution = await ask(tmp_path, Oracle(validator_3=7))
    text = re.sub("0x[0-9a-f]{64}", "0x…", shown(execution))
    contract = execution.receipt.transaction.contract.as_hex
    expected = f"""\
Called {contract}
  method      ask()
  returned    42
  from        alice 0x92169dB9E359b0CCC9C7d38836398b20dF6a0B36
  storage     3 bytes in 1 slot
  round 1     proposed by leader: accepted, 2 of 3 operators agree, 2 are needed
    validator 4   agrees
    validator 3   disagrees   nondet block 0: it does not accept the leader's result, 42
    validator 2   agrees
    receipt       0x…
    intent        0x…
  operators
    name         address                                     balance  stake  credit
    leader       0x523410ba4d20072dd026ea2aa8c6d3214353007f  1        2      0
    validator 1  0x67bf41f8016ab4979a8fa0d54233ac9f12023b95  1        2      0
    validator 2  0x292942da375254f9de0332b7ef02601517f05645  1        2      0.1
    validator 3  0x9956056d9679f8e55627815e31784825c47bf42c  1        2      0
    validator 4  0x12a96d6a9ebb70a99fa02a5bbb81b2c35993f8e4  1        2      0.1
  transaction #2, 0.00 s
"""
    assert text == expected


async def test_a_dissenter_is_not_paid(tmp_path: Path) -> None:
    names = [f"validator {number}" for number in range(1, 5)]
    oracle = Oracle()
    execution = await ask(tmp_path, oracle)
    assert execution.receipt.value == 42
    (round_,) = settled(execution).rounds
    drawn = [vote.node.name for vote in round_.votes if vote]
    assert oracle.ran == ["leader", *drawn]
    assert set(drawn) <= set(names)
    assert len(round_.votes) == 3

    folder = tmp_path / "dissent"
    folder.mkdir()
    execution = await ask(folder, Oracle(**{drawn[0].replace(" ", "_"): 7}))
    (again,) = settled(execution).rounds
    assert (again.decision, execution.receipt.ok) == (Decision.AGREE, True)
    assert [vote.node.name for vote in again.votes if vote] == drawn
    credit = {node.name: account.credit for node, account in settled(execution).operators}
    paid = {round_.leader.name if vote is None else vote.node.name for vote in round_.votes} - {drawn[0]}
    assert {name for name, amount in credit.items() if amount} == paid
    assert list(credit) == ["leader", *names]
    verified(folder, [again.intent_id])


async def test_the_next_leader_proposes_what_holds(tmp_path: Path) -> None:
    execution = await ask(tmp_path, Oracle(leader=1))
    assert decisions(execution) == [("leader", Decision.DISAGREE), ("validator 1", Decision.AGREE)]
    assert (execution.receipt.status, execution.receipt.value) == (Status.OK, 42)
    rounds = settled(execution).rounds
    assert len({round_.receipt.prompt_hash for round_ in rounds}) == 2
    verified(tmp_path, [round_.intent_id for round_ in rounds])


async def test_undetermined_when_no_leader_is_accepted(tmp_path: Path) -> None:
    everybody_else = {f"validator_{number}": number for number in range(1, 5)}
    execution = await ask(tmp_path, Oracle(leader=0, **everybody_else), rotations=1)
    receipt = execution.receipt
    assert decisions(execution) == [("leader", Decision.DISAGREE), ("validator 1", Decision.DISAGREE)]
    assert (receipt.status, receipt.number, receipt.balances) == (Status.UNDETERMINED, None, ())
    document = execution_document(execution, {})
    assert (document["ok"], document["error"]["kind"]) == (False, "undetermined")
    assert re.fullmatch(
        r"2 leaders were not accepted; of the last, [01] of 3 operators agree, 2 are needed",
        document["error"]["message"],
    )
    assert shown(execution).startswith(f"Undetermined: {document['error']['message']}\nNothing was changed.\n")
    verified(tmp_path, [round_.intent_id for round_ in settled(execution).rounds])


async def test_without_rotations_there_is_one_leader(tmp_path: Path) -> None:
    execution = await ask(tmp_path, Oracle(leader=0), rotations=0)
    assert decisions(execution) == [("leader", Decision.DISAGREE)]
    assert execution_document(execution, {})["error"]["message"].endswith("of 3 operators agree, 2 are needed")
    assert execution.receipt.status is Status.UNDETERMINED


async def test_a_failure_can_be_accepted(tmp_path: Path) -> None:
    execution = await ask(tmp_path, Oracle(), value=5)
    assert [round_.decision for round_ in settled(execution).rounds] == [Decision.AGREE]
    assert execution.receipt.status is Status.FAILED
    assert execution_document(execution, {})["error"]["message"] == "no money, please"
    assert "  round 1     proposed by leader: accepted, 3 of 3" in shown(execution)


async def test_an_appeal_asks_a_larger_committee(tmp_path: Path) -> None:
    """Four of the ten operators of the larger one reject what the leader found, and all others of the first one."""
    oracle = Oracle(**{f"validator_{number}": 7 for number in range(1, 5)})
    execution = await ask(tmp_path, oracle, appeals=1, rotations=0)
    first, second = settled(execution).rounds
    assert (first.appeal, first.decision, first.receipt.n, first.receipt.threshold) == (0, Decision.DISAGREE, 3, 2)
    assert (second.appeal, second.receipt.n, second.receipt.threshold) == (1, 7, 5)
    assert first.receipt.prompt_hash == second.receipt.prompt_hash
    assert first.leader == second.leader
    # The leader ran once.
    assert oracle.ran.count("leader") == 1
    agreeing = [vote is None or word(vote) == AGREES for vote in second.votes].count(True)
    assert second.decision is (
        Decision.AGREE if agreeing >= 5 else Decision.NONE if agreeing > 2 else Decision.DISAGREE
    )
    assert "  round 2     appeal 1, proposed by leader: " in shown(execution)
    verified(tmp_path, [first.intent_id, second.intent_id])


async def test_an_appeal_can_turn_a_decision(tmp_path: Path) -> None:
    first = await ask(tmp_path, Oracle(), rotations=0)
    (round_,) = settled(first).rounds
    against = [vote.node.name for vote in round_.votes if vote][:2]
    (tmp_path / "again").mkdir()
    execution = await ask(
        tmp_path / "again", Oracle(**{name.replace(" ", "_"): 7 for name in against}), rotations=0, appeals=2
    )
    assert [one.decision for one in settled(execution).rounds] == [Decision.DISAGREE, Decision.AGREE]
    assert (execution.receipt.ok, execution.receipt.value) == (True, 42)
    assert not execution_document(execution, {})["transaction"]["settlement"]["rounds"][0]["appeal"]


async def test_what_was_accepted_is_appealed_too(tmp_path: Path) -> None:
    """The larger committee is against it, as all are that were not in the first one; so the next leader is asked."""
    (round_,) = settled(await ask(tmp_path, Oracle(), appeals=1)).rounds
    first = {vote.node.name for vote in round_.votes if vote} | {"leader"}
    (tmp_path / "again").mkdir()
    others = {f"validator {number}" for number in range(1, 10)} - first
    oracle = Oracle(**{name.replace(" ", "_"): 7 for name in others})
    execution = await ask(tmp_path / "again", oracle, rotations=0, appeals=1, appeal_accepted=True)
    one, two = settled(execution).rounds
    assert (one.decision, one.appeal, two.appeal, two.receipt.n) == (Decision.AGREE, 0, 1, 7)
    assert two.decision is not Decision.AGREE
    assert (execution.receipt.status, execution.receipt.number) == (Status.UNDETERMINED, None)
    assert oracle.ran.count("leader") == 1
    verified(tmp_path / "again", [one.intent_id, two.intent_id])

    (tmp_path / "good").mkdir()
    execution = await ask(tmp_path / "good", Oracle(), rotations=0, appeals=2, appeal_accepted=True)
    assert [(one.appeal, one.decision) for one in settled(execution).rounds] == [
        (number, Decision.AGREE) for number in range(3)
    ]
    assert (execution.receipt.ok, execution.receipt.value) == (True, 42)


async def test_who_withholds_is_slashed(tmp_path: Path) -> None:
    """Its vote does not count, though its run agreed, and the others get what it loses."""
    (round_,) = settled(await ask(tmp_path, Oracle())).rounds
    first, second, *_ = (vote.node.name for vote in round_.votes if vote)
    (tmp_path / "again").mkdir()
    execution = await ask(tmp_path / "again", Oracle(), withholding=frozenset([first]))
    (round_,) = settled(execution).rounds
    assert (round_.decision, execution.receipt.value) == (Decision.AGREE, 42)
    operators = {node.name: account for node, account in settled(execution).operators}
    assert (operators[first].stake, operators[first].credit) == (19 * 10**17, 0)
    assert operators[second].credit == 10**17 + 10**17 // 2
    document = execution_document(execution, {})["transaction"]["settlement"]["rounds"][0]
    assert [vote["vote"] for vote in document["votes"] if vote["node"] == first] == ["withheld"]
    assert f"    {first:<14}withholds   it committed and did not reveal: slashed" in shown(execution)
    assert "accepted, 2 of 3 operators agree, 2 are needed" in shown(execution)
    verified(tmp_path / "again", [round_.intent_id])

    (tmp_path / "both").mkdir()
    execution = await ask(tmp_path / "both", Oracle(), rotations=0, withholding=frozenset([first, second]))
    assert [one.decision for one in settled(execution).rounds] == [Decision.NONE]
    assert execution.receipt.status is Status.UNDETERMINED


@pytest.mark.slow
async def test_others_take_the_places_of_those_who_withheld_too_often(tmp_path: Path) -> None:
    """Eleven times takes half of a stake, and less than that is not drawn."""
    oracle = Oracle()
    contract = (await ask(tmp_path, oracle)).receipt.transaction.contract
    everybody = frozenset(["leader", *(f"validator {number}" for number in range(1, 200))])
    chain = chain_of(tmp_path, oracle, 3, 2, 0, withholding=everybody)
    for number in range(20):
        # An argument each, so that their ids differ.
        assert not (await chain.call(contract, calldata_of_call("ask", [number]), sender=ALICE)).receipt.ok
    later = await chain_of(tmp_path, oracle, 3, 2, 0).call(contract, calldata_of_call("ask"), sender=ALICE)
    assert later.receipt.value == 42
    stakes = [account.stake for _, account in settled(later).operators]
    assert len(stakes) > 5
    assert min(stakes) < 10**18
    verified(tmp_path, [settled(later).rounds[0].intent_id])


def test_committees_of_appeals() -> None:
    def sizes(nodes: int, threshold: int) -> list[tuple[int, int]]:
        return committees(Settling(Path(), nodes, threshold, 0, 2))

    assert sizes(5, 3) == [(5, 3), (11, 7), (23, 14)]
    assert sizes(3, 3) == [(3, 3), (7, 7), (15, 15)]
    assert sizes(99, 50)[1] == (199, 101)


async def test_who_has_no_verdict_does_not_commit(tmp_path: Path) -> None:
    silent = {f"validator_{number}": "silence" for number in range(1, 5)}
    execution = await ask(tmp_path, Oracle(**silent), rotations=0)
    (round_,) = settled(execution).rounds
    assert round_.decision is Decision.NONE
    assert round_.receipt.canonical_output_hash == bytes(32)
    assert {account.stake for _, account in settled(execution).operators} == {2 * 10**18}
    document = execution_document(execution, {})
    assert {vote["vote"] for vote in document["transaction"]["settlement"]["rounds"][0]["votes"]} <= {"none", "agree"}
    assert document["error"]["meaning"].startswith("A validator without a verdict does not agree")
    assert "  round 1     proposed by leader: no quorum, " in shown(execution)


async def test_what_has_no_nondet_blocks_is_not_settled(tmp_path: Path) -> None:
    execution = await ask(tmp_path, Oracle(), method="plain")
    assert execution.receipt.settlement is None
    assert execution.receipt.round is not None
    assert (execution.receipt.round.nodes, execution.receipt.round.agreeing) == (3, 3)
    assert not (tmp_path / "local.db.settlement").exists()
    others = {f"validator_{number}": 1 for number in range(1, 5)}
    (tmp_path / "differs").mkdir()
    execution = await ask(tmp_path / "differs", Oracle(**others), method="plain")
    assert execution.receipt.status is Status.UNDETERMINED
    assert execution_document(execution, {})["error"]["message"] == "1 of 3 nodes agree"


async def test_messages_are_settled_too(tmp_path: Path) -> None:
    execution = await ask(tmp_path, Oracle(leader=1), method="send")
    (delivered,) = execution.delivered
    assert execution.receipt.settlement is None
    assert delivered.settlement is not None
    assert [round_.decision for round_ in delivered.settlement.rounds] == [Decision.DISAGREE, Decision.AGREE]
    assert delivered.value == 42
    assert "    round 2     proposed by validator 1: accepted, " in shown(execution)


async def test_operators_keep_what_they_earned(tmp_path: Path) -> None:
    oracle = Oracle()
    first = await ask(tmp_path, oracle)
    contract = first.receipt.transaction.contract
    # A larger committee, then a smaller one, of which some are drawn that it would not have registered.
    for nodes, count in ((7, 10), (3, 10)):
        chain = chain_of(tmp_path, oracle, nodes, nodes // 2 + 1, 0)
        later = await chain.call(contract, calldata_of_call("ask"), sender=ALICE)
        assert later.receipt.ok
        assert len(settled(later).operators) == count
    earned = sum(account.credit for _, account in settled(later).operators)
    assert earned == (3 + 7 + 3) * 10**17


async def test_a_state_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "local.db.settlement").write_text("this is no database")
    with pytest.raises(
        DatabaseError, match=r"^the settlement state .*local\.db\.settlement cannot be used: cannot open"
    ):
        await ask(tmp_path, Oracle())


async def test_the_document(tmp_path: Path) -> None:
    execution = await ask(tmp_path, Oracle())
    document = execution_document(execution, {})["transaction"]["settlement"]
    (round_,) = settled(execution).rounds
    assert document["state"] == str(tmp_path / "local.db.settlement")
    (shown_round,) = document["rounds"]
    assert shown_round["leader"] == {"node": "leader", "address": round_.leader.address}
    assert shown_round["decision"] == "agree"
    assert shown_round["intent"] == "0x" + round_.intent_id.hex()
    assert shown_round["receipt"] == {**round_.receipt.to_json(), "hash": "0x" + round_.receipt.hash().hex()}
    assert [sorted(vote) for vote in shown_round["votes"]] == [["address", "block", "node", "reason", "vote"]] * 3
    assert len(document["operators"]) == 5
    assert document["operators"][0] == {
        "node": "leader",
        "address": round_.leader.address,
        "balance": "1000000000000000000",
        "stake": "2000000000000000000",
        "credit": document["operators"][0]["credit"],
    }
