"""What becomes of transactions: order, effects, value, what is refused."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from pygenvm.executor.limits import CONTRACT_FILE_BYTES
from pygenvm.executor.outcome import Return, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain import Chain, accounts, calldata_of_call
from pygenvm.localnet.chain.network.errors import (
    InsufficientFunds,
    NonceTooLow,
    QueueFull,
    TooLarge,
    TransactionNotFound,
    WrongStatus,
)
from pygenvm.localnet.chain.network.store import QueueLimits
from pygenvm.localnet.chain.network.types import (
    RoundLabel,
    RoundResult,
    Submission,
    TxKind,
    TxMode,
    TxStatus,
    Variant,
    VoteWord,
)
from pygenvm.localnet.errors import BadValue
from tests.localnet.localnet_fakes import FakeExecutor
from tests.localnet.network.conftest import ALICE, BOB, PATIENCE, PROGRAM, Opening, World, program, run

STRANGER = Address(b"\x55" * 20)


def test_nonces_that_were_skipped_may_come_later_each_once(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            network = tester.network

            async def send(nonce: int, id: int) -> None:
                await network.submit(Submission(TxKind.TRANSFER, ALICE, BOB, 1, id=id.to_bytes(32, "big"), nonce=nonce))

            await send(0, 1)
            # A client sends several at once, and they come in another order.
            await send(4, 2)
            assert await network.nonce(ALICE) == 5
            await send(2, 3)
            await send(9, 4)
            for nonce, id in ((1, 5), (3, 6), (5, 7), (8, 8)):
                await send(nonce, id)
            assert await network.nonce(ALICE) == 10
            for nonce in (0, 1, 2, 3, 4, 5, 8, 9):
                with pytest.raises(
                    NonceTooLow, match=rf"nonce too low: .* has used {nonce} already, its next one is 10"
                ):
                    await send(nonce, 100)
            with pytest.raises(TooLarge, match=f"nonce too high: it is {1 << 63}, and can be at most {(1 << 63) - 2}"):
                await send(1 << 63, 101)
            # The same bytes again are the same transaction.
            await send(0, 1)
            assert await network.balance(BOB) == accounts.START_BALANCE + 8
        async with opening() as tester:
            for nonce in (6, 7):
                await tester.network.submit(Submission(TxKind.TRANSFER, ALICE, BOB, 1, nonce=nonce))
            with pytest.raises(NonceTooLow):
                await tester.network.submit(Submission(TxKind.TRANSFER, ALICE, BOB, 1, nonce=6))

    run(main())


def test_what_commands_have_used_is_not_skipped(tmp_path: Path, opening: Opening) -> None:
    async def main() -> None:
        async with Chain(tmp_path / "net.db", executor=FakeExecutor({PROGRAM: program(World())})) as chain:
            for _ in range(3):
                await chain.deploy(PROGRAM, sender=ALICE)
        async with opening() as tester:
            assert await tester.network.nonce(ALICE) == 3
            await tester.network.submit(Submission(TxKind.TRANSFER, ALICE, BOB, 1, nonce=5))
            for nonce in range(3):
                with pytest.raises(NonceTooLow):
                    await tester.network.submit(Submission(TxKind.TRANSFER, ALICE, BOB, 1, nonce=nonce))
            for nonce in (3, 4):
                await tester.network.submit(Submission(TxKind.TRANSFER, ALICE, BOB, 1, nonce=nonce))

    run(main())


def test_a_deployment_is_accepted_by_five_and_becomes_final(opening: Opening) -> None:
    async def main() -> None:
        async with opening(finality_window=0.05) as tester:
            id = await tester.submit(TxKind.DEPLOY, None, ["set", 7])
            transaction = await tester.wait(id, TxStatus.FINALIZED)
            assert [change.status for change in transaction.status_changes] == [
                TxStatus.PENDING,
                TxStatus.PROPOSING,
                TxStatus.COMMITTING,
                TxStatus.REVEALING,
                TxStatus.ACCEPTED,
                TxStatus.FINALIZED,
            ]
            (round_,) = transaction.rounds
            assert (round_.label, round_.result) == (RoundLabel.ACCEPTED, RoundResult.MAJORITY_AGREE)
            assert list(round_.votes.values()) == [VoteWord.AGREE] * 5
            assert len(set(round_.votes)) == 5
            assert await tester.get(transaction.recipient, Variant.FINALIZED) == 7
            assert [info.address for info in await tester.network.contracts()] == [transaction.recipient]

    run(main())


def test_what_is_accepted_is_not_yet_final(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy(["set", 1])
            assert await tester.network.finalize((await tester.network.recent())[0].id)
            changed = await tester.do(contract, ["set", 2])
            await tester.do(contract, ["set", 3])
            assert await tester.get(contract) == 3
            assert await tester.get(contract, Variant.FINALIZED) == 1
            # Contracts can ask for it too.
            other = await tester.deploy()
            seen = await tester.do(other, ["final", contract])
            assert seen.leader is not None
            assert seen.leader.outcome == Return(calldata.encode(1))
            assert await tester.network.finalize(changed.id)
            assert await tester.get(contract, Variant.FINALIZED) == 2

    run(main())


def test_a_contract_executes_in_order_and_others_do_not_wait(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            first, second = await tester.deploy(), await tester.deploy()
            stuck = await tester.submit(TxKind.CALL, first, ["wait", "for ever"], ["add", 1])
            behind = await tester.submit(TxKind.CALL, first, ["add", 10])
            ids = [await tester.submit(TxKind.CALL, second, ["add", 1]) for _ in range(5)]
            results = [(await tester.wait(id)).leader for id in ids]
            assert [node.outcome for node in results if node] == [Return(calldata.encode(n)) for n in range(1, 6)]
            assert (await tester.network.transaction(stuck)).status is TxStatus.PROPOSING
            assert (await tester.network.transaction(behind)).status is TxStatus.PENDING
            tester.world.gates["for ever"].set()
            assert (await tester.wait(behind)).leader.outcome == Return(calldata.encode(11))

    run(main())


def test_a_call_sent_with_the_deployment_finds_the_contract(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            nonce = await tester.network.nonce(ALICE)
            contract = accounts.contract_address(ALICE, salt=0, nonce=nonce)
            await tester.submit(TxKind.DEPLOY, None, ["wait", "deployment"])
            call = await tester.submit(TxKind.CALL, contract, ["add", 1])
            tester.world.gates.setdefault("deployment", asyncio.Event()).set()
            assert (await tester.wait(call)).leader.succeeded

    run(main())


def test_a_run_is_repeated_when_what_it_has_read_changes(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            source, reader = await tester.deploy(["set", 1]), await tester.deploy()
            copying = await tester.submit(TxKind.CALL, reader, ["copy", source], ["wait", "meanwhile"])
            await asyncio.wait_for(_waiting(tester.world, "meanwhile"), PATIENCE)
            await tester.do(source, ["set", 2])
            tester.world.gates["meanwhile"].set()
            transaction = await tester.wait(copying)
            assert await tester.get(reader) == 2
            # The run that saw the old value has left nothing.
            assert len(transaction.rounds) == 1

    run(main())


async def _waiting(world: World, name: str) -> None:
    await world.waiting.setdefault(name, asyncio.Event()).wait()


def test_a_reader_comes_to_its_end_beside_one_who_always_writes(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            source, reader = await tester.deploy(), await tester.deploy()
            writing = True

            async def write() -> int:
                count = 0
                while writing:
                    await tester.do(source, ["add", 1])
                    count += 1
                return count

            writer = asyncio.create_task(write())
            transaction = await tester.do(reader, ["copy", source], *([["other", source]] * 30))
            assert transaction.status is TxStatus.ACCEPTED
            writing = False
            assert await writer > 0

    run(main())


def test_value_is_the_contracts_once_it_is_accepted_and_comes_back_if_not(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            network = tester.network
            contract = await tester.deploy(value=5)
            before = await network.balance(ALICE)
            held = await tester.submit(TxKind.CALL, contract, ["wait", "value"], value=30)
            assert await network.balance(ALICE) == before - 30
            assert await network.balance(contract) == 5
            tester.world.gates.setdefault("value", asyncio.Event()).set()
            assert (await tester.wait(held)).credited
            assert await network.balance(contract) == 35
            failed = await tester.do(contract, ["fail"], value=100)
            assert failed.status is TxStatus.ACCEPTED
            assert failed.leader.outcome == UserError("no")
            assert not failed.credited
            # It may still be appealed, so nobody has the value.
            assert await network.balance(ALICE) == before - 130
            await network.finalize(failed.id)
            assert await network.balance(ALICE) == before - 30

    run(main())


def test_messages_on_acceptance_and_on_finality(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            network = tester.network
            sender, receiver = await tester.deploy(), await tester.deploy()
            parent = await tester.do(
                sender,
                ["post", receiver, [["add", 1]], 10, "accepted"],
                ["post", receiver, [["add", 100]], 20, "finalized"],
                ["send", BOB, 3],
                value=50,
            )
            (child,) = parent.triggered
            accepted = await tester.wait(child)
            assert (accepted.triggered_by, accepted.triggered_on) == (parent.id, "accepted")
            assert (accepted.sender, accepted.origin, accepted.value) == (sender, ALICE, 10)
            assert await tester.get(receiver) == 1
            assert await network.balance(sender) == 17
            assert await network.balance(BOB) == accounts.START_BALANCE
            # It is not final before the one that has sent it.
            assert not await network.finalize(child) or (await network.transaction(parent.id)).status.decided
            await network.finalize(parent.id)
            later = [id for id in (await network.transaction(parent.id)).triggered if id != child]
            assert [(await tester.wait(id)).triggered_on for id in later] == ["finalized", "finalized"]
            await tester.settle()
            assert await tester.get(receiver) == 101
            assert await network.balance(BOB) == accounts.START_BALANCE + 3
            assert await network.balance(receiver) == 30

    run(main())


def test_a_message_that_fails_brings_its_value_back(opening: Opening) -> None:
    async def main() -> None:
        async with opening(finality_window=0.0) as tester:
            sender, receiver = await tester.deploy(), await tester.deploy()
            parent = await tester.do(sender, ["post", receiver, [["fail"]], 40, "accepted"], value=50)
            await tester.settle()
            child = await tester.network.transaction(parent.triggered[0])
            (back,) = child.triggered
            assert (await tester.wait(back)).calldata == calldata_of_call("#error")
            assert await tester.network.balance(sender) == 50

    run(main())


def test_contracts_deploy_contracts(opening: Opening) -> None:
    async def main() -> None:
        async with opening(finality_window=0.0) as tester:
            factory = await tester.deploy()
            parent = await tester.do(factory, ["deploy", 5, 0], ["deploy", 0, 77], value=5)
            await tester.settle()
            children = [await tester.wait(id) for id in (await tester.network.transaction(parent.id)).triggered]
            assert [child.kind for child in children] == [TxKind.DEPLOY] * 2
            assert children[0].recipient == accounts.contract_address(factory, salt=0, nonce=0)
            assert children[1].recipient == accounts.contract_address(factory, salt=77, nonce=0)
            assert await tester.network.balance(children[0].recipient) == 5

    run(main())


def test_transfers_happen_at_once(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            id = await tester.network.submit(Submission(TxKind.TRANSFER, ALICE, STRANGER, value=9))
            transaction = await tester.network.transaction(id)
            assert (transaction.status, transaction.rounds) == (TxStatus.FINALIZED, ())
            assert await tester.network.balance(STRANGER) == 9
            contract = await tester.deploy()
            paid = await tester.network.submit(Submission(TxKind.TRANSFER, ALICE, contract, value=4))
            # A contract is asked whether it takes it.
            assert (await tester.wait(paid)).status is TxStatus.ACCEPTED
            assert await tester.network.balance(contract) == 4

    run(main())


def test_the_same_transaction_again_changes_nothing(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy()
            made = Submission(
                TxKind.CALL, ALICE, contract, calldata=calldata_of_call("do", [[["add", 1]]]), id=b"\x01" * 32, nonce=1
            )
            ids = await asyncio.gather(*(tester.network.submit(made) for _ in range(20)))
            assert set(ids) == {b"\x01" * 32}
            await tester.wait(ids[0])
            assert await tester.network.submit(made) == ids[0]
            await tester.settle()
            assert await tester.get(contract) == 1
            assert await tester.network.nonce(ALICE) == 2
            with pytest.raises(NonceTooLow) as refused:
                await tester.network.submit(dataclasses.replace(made, id=b"\x02" * 32))
            assert refused.value.data["expected"] == 2
            # A gap is no reason to refuse; the nonce goes on from there.
            await tester.network.submit(dataclasses.replace(made, id=b"\x03" * 32, nonce=9))
            assert await tester.network.nonce(ALICE) == 10

    run(main())


def test_what_is_refused_leaves_nothing(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            network, contract = tester.network, await tester.deploy()
            call = Submission(TxKind.CALL, STRANGER, contract)
            before = len(await network.recent())
            with pytest.raises(InsufficientFunds):
                await network.submit(dataclasses.replace(call, value=1))
            for error, changes in (
                (BadValue, {"value": -1}),
                (BadValue, {"value": 1 << 256}),
                (BadValue, {"sender": contract}),
                (TooLarge, {"nonce": 1 << 63}),
                (TooLarge, {"calldata": bytes(limits.CALLDATA_BYTES + 1)}),
                (TooLarge, {"code": bytes(CONTRACT_FILE_BYTES + 1), "kind": TxKind.DEPLOY}),
            ):
                with pytest.raises(error):
                    await network.submit(dataclasses.replace(call, **changes))
            assert len(await network.recent()) == before
            assert await network.nonce(STRANGER) == 0
            with pytest.raises(TransactionNotFound):
                await network.transaction(b"\x09" * 32)

    run(main())


def test_a_queue_has_an_end(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygenvm.localnet.chain.network.network._QUEUE_LIMITS", QueueLimits(3, 5))

    async def main() -> None:
        async with opening() as tester:
            contract, other = await tester.deploy(), await tester.deploy()
            for _ in range(3):
                await tester.submit(TxKind.CALL, contract, ["wait", "queue"])
            with pytest.raises(QueueFull) as full:
                await tester.submit(TxKind.CALL, contract)
            assert full.value.data == {"scope": "contract", "address": str(contract), "pending": 3, "limit": 3}
            await tester.do(other)
            tester.world.gates["queue"].set()
            await tester.settle()
            await tester.do(contract)

    run(main())


def test_cancelling(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy()
            running = await tester.submit(TxKind.CALL, contract, ["wait", "cancel"])
            pending = await tester.submit(TxKind.CALL, contract, ["add", 1], value=7)
            await asyncio.wait_for(_waiting(tester.world, "cancel"), PATIENCE)
            before = await tester.network.balance(ALICE)
            await tester.network.cancel(pending)
            assert await tester.network.balance(ALICE) == before + 7
            with pytest.raises(WrongStatus):
                await tester.network.cancel(running)
            tester.world.gates["cancel"].set()
            await tester.wait(running)
            assert (await tester.network.transaction(pending)).status is TxStatus.CANCELED
            with pytest.raises(WrongStatus):
                await tester.network.cancel(running)
            assert await tester.get(contract) == 0

    run(main())


def test_leader_only_is_final_at_once(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy(mode=TxMode.LEADER_ONLY)
            alone = await tester.do(contract, ["add", 1], mode=TxMode.LEADER_ONLY)
            assert alone.status is TxStatus.FINALIZED
            assert list(alone.rounds[0].votes.values()) == [VoteWord.AGREE]
            twice = await tester.do(contract, ["ask"], mode=TxMode.LEADER_SELF_VALIDATOR)
            assert twice.status is TxStatus.FINALIZED
            assert [node.validator for node in twice.rounds[0].validators] == [twice.leader.validator]

    run(main())


def test_code_is_replaced_in_the_order_of_the_queue(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy(["set", 3])
            assert await tester.network.deployer(contract) == ALICE
            upgrade = await tester.network.upgrade(contract, b"another")
            transaction = await tester.wait(upgrade)
            assert (transaction.kind, transaction.rounds[0].label) == (TxKind.UPGRADE, RoundLabel.CODE_UPGRADE)
            assert await tester.network.code(contract) == b"another"
            broken = await tester.do(contract, ["add", 1])
            assert broken.leader.outcome == VMError("invalid_contract")

    run(main())


def test_limits_are_kept_for_what_clients_ask(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            id = await tester.submit(TxKind.DEPLOY, None, validators=1 << 200, rotations=1 << 200)
            transaction = await tester.wait(id)
            assert (transaction.validators, transaction.rotations) == (limits.NETWORK_VALIDATORS, limits.ROTATIONS)

    run(main())
