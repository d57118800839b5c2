"""Consensus: who is drawn, how votes are counted, rotation, time-outs, appeals, settlement."""

from __future__ import annotations

import asyncio
import collections
from datetime import UTC, datetime
from typing import Any

import pytest

from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.chain.model import calldata_of_call
from pygenvm.localnet.chain.network.errors import NoValidators
from pygenvm.localnet.chain.network.rounds import draw, tally
from pygenvm.localnet.chain.network.types import (
    Model,
    NetworkTransaction,
    RoundLabel,
    RoundResult,
    Submission,
    TxKind,
    TxStatus,
    Validator,
    VirtualValidator,
    VoteWord,
)
from pygenvm.localnet.rpc.errors import rpc_error
from pygenvm.settlement.verifier.checks import Verdict, check
from pygenvm.settlement.verifier.document import read
from tests.localnet.network.conftest import ALICE, BOB, PATIENCE, PROGRAM, Clock, Driver, Opening, World, run

MODEL = Model("default", "default")
A, D, T, V, I = (  # noqa: E741
    VoteWord.AGREE,
    VoteWord.DISAGREE,
    VoteWord.TIMEOUT,
    VoteWord.DETERMINISTIC_VIOLATION,
    VoteWord.IDLE,
)


@pytest.mark.parametrize(
    ("votes", "result"),
    [
        ([A], RoundResult.MAJORITY_AGREE),
        ([A, A, A, D, D], RoundResult.MAJORITY_AGREE),
        ([A, A, D, D], RoundResult.NO_MAJORITY),
        ([A, A, D, D, D], RoundResult.MAJORITY_DISAGREE),
        ([A, A, D, D, I], RoundResult.MAJORITY_DISAGREE),
        ([A, A, T, T, T], RoundResult.TIMEOUT),
        ([A, V, V, V, D], RoundResult.DETERMINISTIC_VIOLATION),
        ([A, A, T, D, D], RoundResult.NO_MAJORITY),
    ],
)
def test_more_than_half_decide(votes: list[VoteWord], result: RoundResult) -> None:
    assert tally(votes) is result


def test_the_draw_is_by_stake_and_the_same_for_a_seed() -> None:
    pool = [Validator(n, Address(bytes([n]) * 20), stake, MODEL, datetime.now(UTC)) for n, stake in ((1, 1), (2, 3))]
    first = collections.Counter(draw(pool, str(seed).encode())[0].number for seed in range(600))
    assert 390 < first[2] < 510
    assert draw(pool, b"x") == draw(pool, b"x")
    assert sorted(validator.number for validator in draw(pool, b"y")) == [1, 2]


def _labels(transaction: NetworkTransaction) -> list[RoundLabel]:
    return [round_.label for round_ in transaction.rounds]


def test_a_leader_that_stands_alone_is_replaced(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy()
            # The first leader sees something that nobody else does.
            (leader,) = draw(await tester.network.validators(), b"\x07" * 32, 1)
            tester.world.sees[str(leader.address)] = 13
            transaction = await tester.do(contract, ["ask"], id=b"\x07" * 32)
            assert _labels(transaction) == [RoundLabel.LEADER_ROTATION, RoundLabel.ACCEPTED]
            assert transaction.rotation_count == 1
            first, second = transaction.rounds
            assert list(first.votes.values()) == [A, D, D, D, D]
            assert "nondet block 0" in first.validators[0].reason
            assert second.leader.outcome == Return(calldata.encode(42))
            # Nobody is left to take the place of the one that was dropped.
            assert len(second.votes) == 4

    run(main())


def test_without_agreement_a_transaction_is_undetermined(opening: Opening) -> None:
    async def main() -> None:
        world = World()
        async with opening(world) as tester:
            for number, validator in enumerate(await tester.network.validators()):
                world.sees[str(validator.address)] = number
            contract = await tester.deploy(["set", 1])
            transaction = await tester.do(contract, ["add", 1], ["ask"], value=9)
            assert transaction.status is TxStatus.UNDETERMINED
            assert _labels(transaction) == [RoundLabel.LEADER_ROTATION] * 3 + [RoundLabel.UNDETERMINED]
            assert len({round_.leader.validator.address for round_ in transaction.rounds}) == 4
            assert await tester.get(contract) == 1
            few = await tester.do(contract, ["ask"], rotations=0)
            assert _labels(few) == [RoundLabel.UNDETERMINED]

    run(main())


def test_a_leader_that_is_left_alone_decides_nothing(opening: Opening) -> None:
    async def main() -> None:
        async with opening(validators=3) as tester:
            for number, validator in enumerate(await tester.network.validators()):
                tester.world.sees[str(validator.address)] = number
            contract = await tester.deploy()
            transaction = await tester.do(contract, ["ask"])
            assert transaction.status is TxStatus.UNDETERMINED
            assert [len(round_.votes) for round_ in transaction.rounds] == [3, 2]

    run(main())


def test_time_outs_of_the_leader_and_of_validators(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy()
            tester.world.broken = {"leader": "timeout"}
            late = await tester.do(contract, ["add", 1])
            assert (late.status, _labels(late)) == (TxStatus.LEADER_TIMEOUT, [RoundLabel.LEADER_TIMEOUT])
            tester.world.broken = {f"validator {number}": "timeout" for number in (1, 2, 3)}
            late = await tester.do(contract, ["add", 1])
            assert (late.status, late.result) == (TxStatus.VALIDATORS_TIMEOUT, RoundResult.TIMEOUT)
            tester.world.broken = {"validator 1": "something else"}
            odd = await tester.do(contract, ["add", 1])
            assert [vote for vote in odd.rounds[0].votes.values() if vote is not A] == [V]
            assert odd.status is TxStatus.ACCEPTED
            assert await tester.get(contract) == 1

    run(main())


def test_virtual_validators_are_there_for_one_transaction(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy()
            virtual = (
                VirtualValidator(provider="openai", model="gpt-4o"),
                VirtualValidator(stake=5),
                VirtualValidator(),
            )
            transaction = await tester.do(contract, ["add", 1], virtual=virtual)
            nodes = [transaction.leader, *transaction.rounds[0].validators]
            assert sorted(node.validator.model.provider for node in nodes) == ["default", "default", "openai"]
            own = {validator.address for validator in await tester.network.validators()}
            assert not own & transaction.rounds[0].votes.keys()

    run(main())


def test_without_validators_transactions_wait(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy()
            await tester.network.delete_all_validators()
            id = await tester.submit(TxKind.CALL, contract, ["add", 1])
            await asyncio.sleep(0.1)
            assert (await tester.network.transaction(id)).status is TxStatus.PENDING
            # A question would wait as long: it is refused.
            with pytest.raises(NoValidators, match="sim_createValidator"):
                await tester.get(contract)
            with pytest.raises(NoValidators):
                await tester.network.simulate(Submission(TxKind.DEPLOY, ALICE, code=PROGRAM))
            assert rpc_error(NoValidators("no validators")).code == -32002
            # Whoever brings validators, or asks nobody for an opinion, needs none.
            await tester.network.read(
                contract, calldata_of_call("get"), virtual=(VirtualValidator(provider="p", model="m"),)
            )
            await tester.network.view(contract, calldata_of_call("get"), sender=ALICE)
            gone = await tester.submit(TxKind.CALL, contract, ["add", 1])
            await tester.network.cancel(gone)
            await tester.network.create_validator(3, MODEL)
            assert list((await tester.wait(id)).rounds[0].votes.values()) == [A]

    run(main())


# --- appeals --------------------------------------------------------------------------------------


async def _more(tester: Driver, count: int) -> None:
    await tester.network.create_random_validators(count, 1, 1)


def test_an_appeal_without_anybody_left_fails(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy()
            transaction = await tester.do(contract, ["add", 1])
            assert await tester.network.appeal(transaction.id)
            # At once, so that who waits for ACCEPTED does not see the old status.
            assert (await tester.network.transaction(transaction.id)).status is not TxStatus.ACCEPTED
            again = await tester.wait(transaction.id, TxStatus.ACCEPTED)
            assert again.appeals.failed == 0
            assert len(again.rounds) == 1

    run(main())


def test_an_appeal_that_fails_shortens_the_window(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            await _more(tester, 10)
            contract = await tester.deploy()
            transaction = await tester.do(contract, ["add", 1], ["ask"])
            await tester.do(contract, ["add", 1])
            assert await tester.network.appeal(transaction.id)
            again = await tester.wait(transaction.id, TxStatus.ACCEPTED)
            assert again.appeals.failed == 1
            assert _labels(again) == [RoundLabel.ACCEPTED, RoundLabel.VALIDATOR_APPEAL_FAILED]
            # Seven others have seen the state before the transaction, though there is another one after it.
            assert list(again.rounds[1].votes.values()) == [A] * 7
            assert not again.rounds[1].votes.keys() & again.rounds[0].votes.keys()
            assert await tester.get(contract) == 2

    run(main())


def test_an_appeal_that_succeeds_executes_anew_with_all_that_followed(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract, receiver = await tester.deploy(), await tester.deploy()
            transaction = await tester.do(
                contract, ["add", 1], ["ask"], ["post", receiver, [["add", 5]], 7, "accepted"], value=10
            )
            await tester.settle()
            newer = await tester.do(contract, ["add", 100])
            beside = await tester.do(receiver, ["add", 1000])
            assert (await tester.get(contract), await tester.get(receiver)) == (101, 1005)
            await _more(tester, 10)
            drawn = set(transaction.rounds[0].votes)
            for validator in await tester.network.validators():
                if validator.address not in drawn:
                    tester.world.sees[str(validator.address)] = 43
            events = tester.network.events()
            assert await tester.network.appeal(transaction.id)
            await tester.settle()
            # Those who do not agree see the same when they lead: it may come to anything, but in order.
            again = await tester.wait(transaction.id)
            assert RoundLabel.VALIDATOR_APPEAL_SUCCESSFUL in _labels(again)
            assert len((await tester.network.transaction(newer.id)).rounds) == 2
            assert len((await tester.network.transaction(beside.id)).rounds) == 2
            first, *later = again.triggered
            assert (await tester.network.transaction(first)).status is TxStatus.CANCELED
            accepted = again.status is TxStatus.ACCEPTED
            assert len(later) == accepted
            assert await tester.get(contract) == 100 + accepted
            assert await tester.get(receiver) == 1000 + 5 * accepted
            assert await tester.network.balance(receiver) == 7 * accepted
            await tester.network.check()
            events.close()

    run(main())


def test_what_was_triggered_is_dropped_while_it_runs(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract, receiver = await tester.deploy(), await tester.deploy()
            parent = await tester.do(
                contract, ["post", receiver, [["add", 1], ["wait", "child"]], 4, "accepted"], value=4
            )
            await asyncio.wait_for(tester.world.waiting.setdefault("child", asyncio.Event()).wait(), PATIENCE)
            await tester.network.set_status(parent.id, TxStatus.PENDING)
            assert (await tester.network.transaction(parent.triggered[0])).status is TxStatus.CANCELED
            tester.world.gates["child"].set()
            await tester.settle()
            again = await tester.wait(parent.id)
            assert len(again.triggered) == 2
            # Only the second one has had its effects.
            assert await tester.get(receiver) == 1
            assert await tester.network.balance(receiver) == 4

    run(main())


def test_nothing_is_final_before_what_has_triggered_it(opening: Opening) -> None:
    async def main() -> None:
        clock = Clock()
        async with opening(clock=clock) as tester:
            await _more(tester, 3)
            contract, receiver = await tester.deploy(), await tester.deploy()
            gate = tester.world.gates["parent"] = asyncio.Event()
            gate.set()
            parent = await tester.do(contract, ["wait", "parent"], ["post", receiver, [["add", 1]], 0, "accepted"])
            child = (await tester.wait(parent.triggered[0])).id
            gate.clear()
            assert await tester.network.appeal(parent.id)
            await tester.network.increase_time(5000)
            await asyncio.sleep(0.1)
            assert (await tester.network.transaction(child)).status is TxStatus.ACCEPTED
            gate.set()
            # The window of the parent stood still meanwhile.
            await tester.wait(parent.id, TxStatus.ACCEPTED)
            assert (await tester.network.transaction(child)).status is TxStatus.ACCEPTED
            await tester.network.increase_time(10_000)
            await tester.wait(child, TxStatus.FINALIZED)
            assert (await tester.network.transaction(parent.id)).status is TxStatus.FINALIZED

    run(main())


def test_a_leader_appeal_goes_before_what_came_after(opening: Opening) -> None:
    async def main() -> None:
        world = World()
        async with opening(world) as tester:
            contract = await tester.deploy()
            for number, validator in enumerate(await tester.network.validators()):
                world.sees[str(validator.address)] = number
            lost = await tester.do(contract, ["add", 1], ["ask"], value=6)
            assert lost.status is TxStatus.UNDETERMINED
            await tester.do(contract, ["add", 10])
            assert await tester.network.appeal(lost.id)
            again = await tester.wait(lost.id, TxStatus.UNDETERMINED)
            assert again.rounds[-1].label is RoundLabel.LEADER_APPEAL_FAILED
            world.sees.clear()
            world.sees["nobody"] = 0
            await _more(tester, 5)
            assert await tester.network.appeal(lost.id)
            won = await tester.wait(lost.id, TxStatus.ACCEPTED)
            assert won.rounds[-1].label is RoundLabel.LEADER_APPEAL_SUCCESSFUL
            assert won.leader.outcome == Return(calldata.encode(42))
            await tester.settle()
            assert await tester.get(contract) == 11
            assert await tester.network.balance(contract) == 6

    run(main())


def test_an_appeal_of_validators_that_ran_out_of_time_is_heard_by_another_leader(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy()
            tester.world.broken = {f"validator {number}": "timeout" for number in range(1, 10)}
            late = await tester.do(contract, ["add", 1], value=6)
            # Nobody else leads: it would take as long again.
            assert (late.status, _labels(late)) == (TxStatus.VALIDATORS_TIMEOUT, [RoundLabel.VALIDATORS_TIMEOUT])
            assert await tester.get(contract) == 0
            await _more(tester, 2)
            assert await tester.network.appeal(late.id)
            again = await tester.wait(late.id, TxStatus.VALIDATORS_TIMEOUT)
            assert _labels(again)[1:] == [RoundLabel.VALIDATORS_TIMEOUT_APPEAL_FAILED]
            assert len(again.rounds[1].votes) == 7
            tester.world.broken = {}
            assert await tester.network.appeal(late.id)
            won = await tester.wait(late.id, TxStatus.ACCEPTED)
            assert _labels(won)[2:] == [RoundLabel.VALIDATORS_TIMEOUT_APPEAL_SUCCESSFUL]
            assert len({round_.leader.validator.address for round_ in won.rounds if round_.leader}) == 3
            assert await tester.get(contract) == 1
            assert await tester.network.balance(contract) == 6

    run(main())


def test_what_is_final_or_pending_cannot_be_appealed(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy()
            transaction = await tester.do(contract)
            pending = await tester.submit(TxKind.CALL, contract, ["wait", "here"])
            assert not await tester.network.appeal(pending)
            tester.world.gates.setdefault("here", asyncio.Event()).set()
            await tester.wait(pending)
            await tester.network.finalize(transaction.id)
            assert not await tester.network.appeal(transaction.id)
            assert (await tester.network.transaction(transaction.id)).status is TxStatus.FINALIZED

    run(main())


def test_a_deployment_that_is_overturned_is_no_contract_meanwhile(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            id = await tester.submit(TxKind.DEPLOY, None, ["ask"], value=3)
            deployed = await tester.wait(id)
            called = await tester.do(deployed.recipient, ["add", 1])
            await _more(tester, 12)
            for validator in await tester.network.validators():
                if validator.address not in deployed.rounds[0].votes:
                    tester.world.broken[str(validator.address)] = "odd"
            await tester.network.appeal(id)
            await tester.settle()
            again = await tester.wait(id)
            assert RoundLabel.VALIDATOR_APPEAL_SUCCESSFUL in _labels(again)
            assert len((await tester.network.transaction(called.id)).rounds) >= 2
            await tester.network.check()

    run(main())


# --- settlement -----------------------------------------------------------------------------------


def test_rounds_with_nondet_blocks_are_settled(opening: Opening) -> None:
    async def main() -> None:
        async with opening(settle=True) as tester:
            contract = await tester.deploy()
            (leader,) = draw(await tester.network.validators(), b"\x07" * 32, 1)
            tester.world.sees[str(leader.address)] = 13
            events: Any = tester.network.events()
            id = (await tester.do(contract, ["ask"], id=b"\x07" * 32)).id
            async with asyncio.timeout(PATIENCE):
                while not all(r.intent_id for r in (await tester.network.transaction(id)).rounds):
                    await asyncio.sleep(0.02)
            transaction = await tester.network.transaction(id)
            for round_ in transaction.rounds:
                document = await tester.network.settlement_receipt(round_.intent_id)
                found = read(document.decode())
                assert [finding for finding in check(found, None, None) if finding.verdict is Verdict.FAILS] == []
                assert len(found.operators or ()) == len(round_.votes)
            plain = await tester.do(contract, ["add", 1])
            assert plain.rounds[0].intent_id is None
            # A process that is killed before it has noted a settlement makes another one.
            first = transaction.rounds[1].intent_id
            await tester.network._write(
                lambda store: store._execute("INSERT INTO network_unsettled VALUES (?, 1)", transaction.seq)
            )
            tester.network._settlements.wake()
            async with asyncio.timeout(PATIENCE):
                while (await tester.network.transaction(id)).rounds[1].intent_id == first:
                    await asyncio.sleep(0.02)
            assert await tester.network.settlement_receipt(bytes(32)) is None
            events.close()

    run(main())


def test_transactions_of_accounts_without_validators_of_their_own(opening: Opening) -> None:
    async def main() -> None:
        async with opening(validators=1) as tester:
            contract = await tester.deploy(sender=BOB)
            transaction = await tester.do(contract, ["ask"], sender=BOB)
            assert list(transaction.rounds[0].votes.values()) == [A]

    run(main())
