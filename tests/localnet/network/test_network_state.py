"""What stays: restarts, snapshots, time, validators and models, blocks, events, the file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain import Chain, accounts, calldata_of_call
from pygenvm.localnet.chain.network import Network
from pygenvm.localnet.chain.network.errors import (
    BadFile,
    ContractNotFound,
    SlowListener,
    TransactionNotFound,
    ValidatorNotFound,
)
from pygenvm.localnet.chain.network.store import NetworkStore
from pygenvm.localnet.chain.network.types import (
    EventKind,
    Model,
    RawFields,
    Submission,
    TxKind,
    TxStatus,
    Variant,
    summary_of,
)
from pygenvm.localnet.chain.store import Store
from pygenvm.localnet.errors import BadValue, DatabaseError
from pygenvm.localnet.page.feed import Feed
from tests.localnet.localnet_fakes import FakeExecutor
from tests.localnet.network.conftest import (
    ALICE,
    BOB,
    CAROL,
    PATIENCE,
    PROGRAM,
    Clock,
    Driver,
    Opening,
    World,
    program,
    run,
)

_NOBODY = 65534
MODEL = Model("openai", "gpt-4o", {"temperature": 0.5}, "openai-compatible", {"api_key_env_var": "K"})


def test_what_was_pending_goes_on_after_a_restart(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy(["set", 1])
            stuck = await tester.submit(TxKind.CALL, contract, ["wait", "restart"], ["add", 1])
            behind = await tester.submit(TxKind.CALL, contract, ["add", 10])
            await asyncio.sleep(0.05)
        async with opening() as tester:
            tester.world.gates["restart"] = asyncio.Event()
            tester.world.gates["restart"].set()
            assert (await tester.wait(stuck)).leader is not None
            await tester.wait(behind)
            assert await tester.get(contract) == 12
            assert await tester.get(contract, Variant.FINALIZED) == 0

    run(main())


def test_an_appeal_goes_on_after_a_restart(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy()
            transaction = await tester.do(contract, ["add", 1])
            await tester.do(contract, ["add", 10])
            await tester.network.create_random_validators(4, 1, 1)
            assert await tester.network.appeal(transaction.id)
            await tester.network._stop_workers()
        async with opening() as tester:
            again = await tester.wait(transaction.id, TxStatus.ACCEPTED)
            assert len(again.rounds[1].votes) == 4
            assert await tester.get(contract) == 11

    run(main())


def test_what_was_handed_over_is_acknowledged_when_a_network_ends(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            transfer = Submission(TxKind.TRANSFER, ALICE, BOB, value=1)
            sent = [asyncio.create_task(tester.network.submit(transfer)) for _ in range(50)]
            await asyncio.sleep(0)
            closing = asyncio.create_task(tester.network.close())
            ids = await asyncio.wait_for(asyncio.gather(*sent), PATIENCE)
            await closing
            with pytest.raises(DatabaseError, match="closed"):
                await tester.network.submit(transfer)
            tester.is_closed = True
        async with opening() as tester:
            assert {transaction.id for transaction in await tester.network.recent(100)} == set(ids)
            assert await tester.network.balance(BOB) == accounts.START_BALANCE + 50

    run(main())


def test_the_file_is_one_process_and_one_file(opening: Opening, tmp_path: Path) -> None:
    async def main() -> None:
        async with opening() as tester:
            await tester.deploy(["set", 5], name="five")
            with pytest.raises(DatabaseError, match="in use"):
                async with opening(lock_seconds=0.1):
                    pass
        assert sorted(path.name for path in tmp_path.iterdir()) == ["net.db", "net.db.lock"]

    run(main())


def test_commands_see_what_the_server_did(opening: Opening, tmp_path: Path) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy(["set", 5], name="five")
            await tester.do(contract, ["add", 1], value=3)
            changed = await tester.do(contract, ["add", 0])
        executor = FakeExecutor({PROGRAM: program(World())})
        async with Chain(tmp_path / "net.db", executor=executor) as chain:
            with pytest.raises(DatabaseError, match="not final"):
                await chain.call(contract, calldata_of_call("do", [[["add", 1]]]), sender=ALICE)
            await chain.deal(CAROL, 5)
            assert (await chain.view(contract, calldata_of_call("get"), sender=ALICE)).value == 6
            assert [info.name for info in await chain.contracts()] == ["five"]
            assert [str(receipt.status) for receipt in await chain.log()] == ["ok", "ok", "ok"]
            assert await chain.balance(contract) == 3
            await chain.deploy(PROGRAM, calldata_of_call(None, [[["set", 8]]]), sender=BOB)
        async with opening() as tester:
            deployed = (await tester.network.contracts())[1].address
            assert await tester.get(deployed, Variant.FINALIZED) == 8
            assert await tester.network.deployer(deployed) == BOB
            await tester.do(deployed, ["add", 1])
            assert await tester.get(deployed, Variant.FINALIZED) == 8
            await tester.network.finalize(changed.id)
        async with Chain(tmp_path / "net.db", executor=executor) as chain:
            done = await chain.call(contract, calldata_of_call("do", [[["add", 1]]]), sender=ALICE)
            assert done.receipt.value == 7
        async with opening() as tester:
            assert await tester.get(contract, Variant.FINALIZED) == 7

    run(main())


def test_a_snapshot_brings_everything_back(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            network = tester.network
            contract = await tester.deploy(["set", 1])
            pending = await tester.submit(TxKind.CALL, contract, ["wait", "snapshot"], ["add", 10])
            number = await network.create_snapshot()
            before = (await network.balance(ALICE), await network.nonce(ALICE), len(await network.recent()))
            height = await network.block_number()
            validator = await network.create_validator(7, MODEL)
            later = await tester.deploy(value=100)
            assert await network.fund(Address(b"\x44" * 20), 5)
            assert await network.restore_snapshot(number)
            await network.check()
            assert (await network.balance(ALICE), await network.nonce(ALICE), len(await network.recent())) == before
            assert await network.contract(later) is None
            assert await network.block_number() >= height
            assert validator in await network.validators()
            # What was pending is executed on what there was then.
            tester.world.gates["snapshot"].set()
            await tester.wait(pending)
            assert await tester.get(contract) == 11
            assert await network.restore_snapshot(number)
            await tester.wait(pending)
            assert not await network.restore_snapshot(number + 1)
            assert await network.create_snapshot() == number + 1
            assert await network.snapshots() == [number, number + 1]
            made = (await network.snapshot_times()).values()
            assert all(abs((datetime.now(UTC) - moment).total_seconds()) < 60 for moment in made)
            assert await network.delete_all_snapshots() == 2
            assert not await network.restore_snapshot(number)

    run(main())


def test_a_snapshot_of_what_is_not_final(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy(["set", 1], final=False)
            changed = await tester.do(contract, ["set", 2])
            number = await tester.network.create_snapshot()
            await tester.network.finalize(changed.id)
            await tester.do(contract, ["set", 3])
            await tester.network.restore_snapshot(number)
            assert await tester.get(contract) == 2
            assert await tester.get(contract, Variant.FINALIZED) == 0
            assert await tester.network.finalize(changed.id)
            assert await tester.get(contract, Variant.FINALIZED) == 2

    run(main())


def test_clearing_and_loading(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy(["set", 6], value=5)
            await tester.network.create_validator(9, MODEL)
            exported = await tester.network.export()
            await tester.network.delete_all_validators()
            await tester.network.clear(["current_state", "transactions"])
            assert await tester.network.contracts() == []
            assert await tester.network.recent() == []
            assert await tester.network.balance(ALICE) == accounts.START_BALANCE
            await tester.network.check()
            await tester.network.load(exported)
            await tester.network.check()
            assert await tester.get(contract) == 6
            assert [validator.stake for validator in await tester.network.validators()] == [1, 1, 1, 1, 1, 9]
            await tester.do(contract, ["add", 1])
            with pytest.raises(DatabaseError):
                await tester.network.load(b"nothing")
            assert await tester.get(contract) == 7

    run(main())


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE network_settings SET value = '1e30' WHERE name = 'offset'",
        "UPDATE network_settings SET value = '\"x\"' WHERE name = 'window'",
        "UPDATE network_settings SET value = '9223372036854775807' WHERE name = 'commits'",
        "UPDATE network_settings SET value = '[1]' WHERE name = 'commits'",
        "UPDATE network_settings SET value = '\"5\"' WHERE name = 'total'",
        "UPDATE accounts SET balance = '-5'",
        "UPDATE accounts SET balance = 'many'",
        "UPDATE network_transactions SET seq = 9223372036854775807 WHERE seq = 1",
        "UPDATE network_transactions SET status = 'LOST'",
        "UPDATE network_transactions SET details = '{'",
        "UPDATE network_transactions SET parent = seq",
        "UPDATE network_rounds SET content = x'ff'",
        "UPDATE network_validators SET stake = '0'",
        "UPDATE network_validators SET secret = x'00'",
        "UPDATE network_validators SET model = '5'",
        "UPDATE network_providers SET model = '{}'",
        "DROP TABLE network_rounds",
        "UPDATE network_transactions SET sender = x'00'",
        "UPDATE network_validators SET address = x'01' WHERE number = 1",
        "UPDATE network_transactions SET details = '" + 100_000 * "[" + "'",
    ],
    ids=range(20),
)
def test_a_damaged_file_leaves_everything_as_it_is(opening: Opening, tmp_path: Path, damage: str) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy(["set", 6], value=5)
            file = tmp_path / "damaged.db"
            file.write_bytes(await tester.network.export())
            with closing(sqlite3.connect(file, isolation_level=None)) as connection:
                connection.execute(damage)
            validators = await tester.network.validators()
            for hostile in (file.read_bytes(), b""):
                with pytest.raises(BadFile):
                    await tester.network.load(hostile)
            await tester.do(contract, ["add", 1])
            assert await tester.get(contract) == 7
            assert await tester.network.validators() == validators
            await tester.network.fund(BOB, 1)
            await tester.network.check()

    run(main())


def test_the_clock_of_a_file_counts_at_once(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            await tester.network.increase_time(1000)
            await tester.network.set_finality_window(5)
            exported = await tester.network.export()
            await tester.network.increase_time(-1000)
            await tester.network.set_finality_window(50)
            await tester.network.load(exported)
            assert (await tester.network.time()).offset_seconds == 1000
            assert await tester.network.finality_window() == 5

    run(main())


def test_the_file_of_a_command_can_be_loaded(opening: Opening) -> None:
    async def main() -> None:
        with closing(Store(None)) as store:
            file = store.snapshot()
        async with opening() as tester:
            await tester.deploy(value=3)
            await tester.network.load(file)
            assert await tester.network.contracts() == []
            assert await tester.network.balance(ALICE) == accounts.START_BALANCE
            await tester.deploy()

    run(main())


def test_windows_run_by_the_clock_of_the_network(opening: Opening) -> None:
    async def main() -> None:
        clock = Clock()
        async with opening(clock=clock, finality_window=100.0) as tester:
            contract = await tester.deploy()
            id = (await tester.do(contract, ["add", 1])).id
            await tester.network.increase_time(99)
            await asyncio.sleep(0.05)
            assert (await tester.network.transaction(id)).status is TxStatus.ACCEPTED
            await tester.network.increase_time(2)
            await tester.wait(id, TxStatus.FINALIZED)
            then = datetime(2030, 1, 1, tzinfo=UTC)
            assert (await tester.network.set_time(then)).now == then
            clock.pass_(10)
            assert (await tester.network.time()).now == then + timedelta(seconds=10)
            transaction = await tester.do(contract, ["add", 1])
            assert transaction.leader.datetime.startswith("2030-01-01T00:00:10")
            pinned = await tester.do(contract, datetime=datetime(2000, 1, 1, tzinfo=UTC))
            assert pinned.leader.datetime.startswith("2000-01-01")
            await tester.network.set_finality_window(0)
            await tester.wait(pinned.id, TxStatus.FINALIZED)
            with pytest.raises(BadValue):
                await tester.network.increase_time(1e300)
            with pytest.raises(BadValue):
                await tester.network.set_finality_window(float("nan"))
        async with opening(clock=clock) as tester:
            assert (await tester.network.time()).now == then + timedelta(seconds=10)
            assert await tester.network.finality_window() == 0

    run(main())


def test_history_is_forgotten_when_nobody_needs_it(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HISTORY_SECONDS", 0.0)

    async def main() -> None:
        async with opening(finality_window=0.02) as tester:
            contract = await tester.deploy()
            for _ in range(5):
                await tester.wait((await tester.do(contract, ["add", 1])).id, TxStatus.FINALIZED)
            await asyncio.sleep(0.1)
            rows = await tester.network.ask(
                lambda store: store._all(
                    "SELECT (SELECT COUNT(*) FROM network_history), (SELECT COUNT(*) FROM network_balances)"
                )
            )
            assert sum(rows[0]) <= 2
            assert await tester.get(contract, Variant.FINALIZED) == 5

    run(main())


def test_blocks_move_with_transactions_and_with_time(opening: Opening) -> None:
    async def main() -> None:
        clock = Clock()
        async with opening(clock=clock) as tester:
            network = tester.network
            first = await network.block_number()
            id = await network.submit(Submission(TxKind.TRANSFER, ALICE, BOB, value=1))
            assert await network.block_number() == first + 1
            block = await network.block(first + 1)
            assert block.transactions == (id,)
            assert await network.block(block.hash) == await network.block(id) == block
            assert block.parent == (await network.block(first)).hash
            clock.pass_(3)
            assert await network.block_number() == first + 4
            latest = await network.block()
            assert (latest.number, latest.timestamp - block.timestamp, latest.transactions) == (first + 4, 3, ())
            assert await network.block(latest.hash) == latest
            assert await network.block(first + 5) is None
            assert await network.block(b"\x01" * 32) is None
            clock.pass_(-100)
            assert await network.block_number() >= first + 1
            await tester.deploy()
            # One for the submission, one for the decision.
            assert await network.block_number() == first + 3

    run(main())


def test_validators_and_models(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            network = tester.network
            assert [validator.number for validator in await network.validators()] == [1, 2, 3, 4, 5]
            created = await network.create_validator(1 << 200, MODEL)
            assert created == await network.validator(created.address)
            changed = await network.update_validator(created.address, 3, Model("a", "b"))
            assert (changed.stake, changed.model.provider, changed.created_at) == (3, "a", created.created_at)
            await network.delete_validator(created.address)
            for asked in (network.validator, network.delete_validator):
                with pytest.raises(ValidatorNotFound):
                    await asked(created.address)
            with pytest.raises(BadValue):
                await network.create_validator(0, MODEL)
            with pytest.raises(BadValue):
                await network.create_random_validators(2, 1, 10, ["nobody"])
            number = await network.add_provider(MODEL)
            await network.update_provider(number, Model("c", "d"))
            assert [(found.number, found.model.provider) for found in await network.providers()][-1] == (number, "c")
            await network.delete_provider(number)
            with pytest.raises(ValidatorNotFound):
                await network.delete_provider(number)
            await network.add_provider(MODEL)
            await network.reset_providers()
            assert all(found.is_default for found in await network.providers())

    run(main())


def test_events_come_in_order_and_slow_listeners_are_cut_off(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EVENTS_BEHIND", 200)

    async def main() -> None:
        async with opening() as tester:
            events, slow = tester.network.events(), tester.network.events()
            id = await tester.submit(TxKind.DEPLOY)
            seen = []
            async with asyncio.timeout(PATIENCE):
                async for event in events:
                    if event.kind is EventKind.TRANSACTION and event.id == id:
                        seen.append(event.status)
                        if event.status.decided:
                            break
            assert seen == [
                TxStatus.PENDING,
                TxStatus.PROPOSING,
                TxStatus.COMMITTING,
                TxStatus.REVEALING,
                TxStatus.ACCEPTED,
            ]
            for _ in range(100):
                await tester.network.submit(Submission(TxKind.TRANSFER, ALICE, BOB, value=1))
            with pytest.raises(SlowListener):
                async for _ in slow:
                    pass
            assert [event async for event in slow] == []
            events.close()

    run(main())


def test_reads_and_simulations_leave_nothing(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy(["set", 4])
            before = len(await tester.network.recent())
            data = calldata_of_call("do", [[["add", 1], ["pay", BOB, 1, "finalized"]]])
            receipt = await tester.network.simulate(Submission(TxKind.CALL, BOB, contract, value=1, calldata=data))
            assert receipt.succeeded
            assert [posted.value for posted in receipt.messages] == [1]
            assert list(receipt.pages.values()) == [bytes(7) + b"\x05"]
            assert await tester.get(contract) == 4
            assert len(await tester.network.recent()) == before
            deployed = await tester.network.simulate(Submission(TxKind.DEPLOY, BOB, code=PROGRAM))
            assert deployed.succeeded
            with pytest.raises(ContractNotFound):
                await tester.network.read(BOB, data)
            slots = await tester.network.slots(contract)
            assert slots[bytes(32)] == bytes(7) + b"\x04"
            assert bytes(32) not in await tester.network.slots(contract, Variant.FINALIZED) or (
                not any((await tester.network.slots(contract, Variant.FINALIZED))[bytes(32)])
            )
            assert await tester.network.trace((await tester.network.recent())[0].id, 0)
            assert await tester.network.trace((await tester.network.recent())[0].id, 5) is None

    run(main())


def test_statuses_can_be_asked_for(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            contract = await tester.deploy(["set", 1])
            first, second = await tester.do(contract, ["add", 1]), await tester.do(contract, ["add", 10])
            await tester.network.set_status(first.id, TxStatus.PENDING)
            await tester.wait(second.id)
            await tester.settle()
            assert await tester.get(contract) == 12
            assert len((await tester.network.transaction(second.id)).rounds) == 2
            assert (await tester.network.set_status(second.id, TxStatus.FINALIZED)).status is TxStatus.FINALIZED

    run(main())


@contextlib.contextmanager
def nobody(*paths: Path) -> Iterator[None]:
    """Without the rights of root, if this process has them; ``paths`` belong to whoever it is then."""
    if os.geteuid() != 0:
        yield
        return
    for path in paths:
        os.chown(path, _NOBODY, -1)
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_cannot_be_written_is_told_and_left_alone(tmp_path: Path) -> None:
    async def start(path: Path) -> None:
        async with Network(path, executor=FakeExecutor({})):
            pass

    # Everything is imported after this, and the file is there.
    run(start(tmp_path / "n.db"))
    with tempfile.TemporaryDirectory() as name:
        folder, path = Path(name), Path(name, "n.db")
        before = (tmp_path / "n.db").read_bytes()
        path.write_bytes(before)
        path.chmod(0o444)
        with nobody(folder, path):
            with pytest.raises(DatabaseError, match=r"n\.db cannot be written: its mode is 0444"):
                run(start(path))
            path.chmod(0o600)
            folder.chmod(0o500)
            for one in (path, folder / "new.db"):
                with pytest.raises(DatabaseError, match="the folder of a database must be writable"):
                    run(start(one))
            folder.chmod(0o700)
        assert list(folder.iterdir()) == [path]
        assert path.read_bytes() == before


def test_it_closes_also_in_the_moment_of_a_change(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            await tester.deploy()
            await asyncio.sleep(0.05)
            tester.network._finality.set()
            # Who waits for that is not awake yet, and what it waits for is over.
            await asyncio.sleep(0)
            tester.is_closed = True
            async with asyncio.timeout(PATIENCE):
                await tester.network.close()

    run(main())


# --- lists ---

LARGE = 1 << 20


async def make_large(tester: Driver, count: int) -> list[bytes]:
    """Transactions with large code, calldata and envelopes."""
    calldata = calldata_of_call("store", [bytes(LARGE)])
    code = PROGRAM + bytes(LARGE)
    raw = RawFields(data=code + calldata)
    return [
        await tester.network.submit(Submission(TxKind.DEPLOY, ALICE, calldata=calldata, code=code, raw=raw))
        for _ in range(count)
    ]


def peak_of(work: Callable[[], Any]) -> int:
    """Bytes that Python has held at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_lists_do_not_read_what_is_large(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            network = tester.network
            small = (await tester.do(await tester.deploy(), ["add", 1])).id
            large = await make_large(tester, 10)
            await network.delete_all_validators()
            listed = await network.summaries(100)
            assert [one.id for one in listed[:11]] == [*reversed(large), small]
            assert (listed[0].calldata, listed[0].calldata_bytes > LARGE) == (None, True)
            assert listed[10].calldata is not None
            feed = Feed(network, "")
            shown = (await feed.state())["transactions"]
            assert shown[-1]["method"] == "…"
            assert shown[-1]["arguments"].endswith(" bytes")
        # Where nobody else takes memory.
        with closing(NetworkStore(network._path)) as store:
            assert peak_of(lambda: store.summaries("1 ORDER BY seq DESC")) < LARGE
            # As it would be otherwise.
            assert peak_of(lambda: store.rows("1 ORDER BY seq DESC")) > 20 * LARGE

    run(main())


def test_a_summary_says_what_a_transaction_does(opening: Opening) -> None:
    async def main() -> None:
        async with opening(validators=12) as tester:
            contract = await tester.deploy()
            waits = await tester.submit(TxKind.CALL, contract, ["wait", "gate"], ["add", 1])
            behind = await tester.submit(TxKind.CALL, contract, ["fail"])
            while (await tester.network.summary(waits)).status is TxStatus.PENDING:
                await asyncio.sleep(0.01)
            for id in (waits, behind):
                assert await tester.network.summary(id) == summary_of(await tester.network.transaction(id))
            tester.world.gates["gate"].set()
            await tester.wait(behind)
            assert (await tester.network.summary(behind)).digest.failed
            await tester.network.appeal(waits)
            await tester.wait(waits, TxStatus.ACCEPTED)
            for one in await tester.network.recent(100):
                assert await tester.network.summary(one.id) == summary_of(one)
            assert (await tester.network.summary(waits)).digest.rounds >= 2
            with pytest.raises(TransactionNotFound):
                await tester.network.summary(bytes(32))
        # A file that was made before transactions had a digest.
        with closing(sqlite3.connect(tester.network._path)) as connection:
            connection.execute("UPDATE network_transactions SET details = json_remove(details, '$.digest')")
            connection.commit()
        async with opening(validators=12) as tester:
            for one in await tester.network.recent(100):
                assert await tester.network.summary(one.id) == summary_of(one)

    run(main())


def test_a_list_has_as_many_as_can_be_held_in_memory(opening: Opening) -> None:
    async def main() -> None:
        async with opening() as tester:
            await tester.network.delete_all_validators()
            large = await make_large(tester, 5)
            found: list[bytes] = []
            before = None
            while some := await tester.network.recent(100, before, size=10 * LARGE):
                assert len(some) == 1
                found += [one.id for one in some]
                before = some[-1].seq
            assert found == large[::-1]
            assert len(await tester.network.transactions_of(ALICE, size=20 * LARGE)) == 3
            assert len(await tester.network.transactions_of(ALICE)) == 5

    run(main())
