"""The database file shared: locks between processes, turns of coroutines, views of the state while others commit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pygenvm.executor.frozen import replaced
from pygenvm.executor.host_protocol.paged import PAGE_BYTES
from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.chain.database import Database, Session, StateView, in_thread
from pygenvm.localnet.chain.model import ContractInfo, Kind, Receipt, Status, Transaction
from pygenvm.localnet.chain.store import Changes, Store
from pygenvm.localnet.errors import DatabaseError
from tests.support.properties import examples

ALICE, BOB = accounts.named()["alice"], accounts.named()["bob"]
CONTRACT = Address(b"\x01" * 20)
SLOT = b"\x02" * 32


def database(path: Path, **options: Any) -> Database:
    return Database(path, **{"lock_seconds": 30.0, **options})


def change(**effects: Any) -> Changes:
    transaction = Transaction(Kind.CALL, ALICE, ALICE, CONTRACT, 0, b"\x06")
    return Changes(Receipt(transaction, Status.OK, Return(b"\x00"), bytes(32), "2026-01-01T00:00:00Z"), **effects)


def transfer(amount: int, total: int = 0) -> Changes:
    """Alice, who has sent ``total`` already, sends ``amount`` to Bob."""
    balance = accounts.START_BALANCE
    return change(balances={ALICE: balance - total - amount, BOB: balance + total + amount})


async def settle() -> None:
    """Lets everybody run until they wait for something."""
    for _ in range(20):
        await asyncio.sleep(0)


# --- other processes: the lock belongs to the open file, so another Database is as good as another process ------------


async def test_writers_are_alone_and_the_wait_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "local.db"
    waits: list[str] = []
    impatient = database(path, lock_seconds=0.2, on_wait=lambda: waits.append("wait"))
    async with database(path).writing() as session:
        await session.commit([transfer(5)])
        for entering in (impatient.writing, impatient.reading):
            with pytest.raises(DatabaseError, match="in use by another genvm local command"):
                async with entering():
                    pytest.fail("two commands at once")
    assert waits == ["wait", "wait"]
    async with database(path).reading(), database(path, lock_seconds=0).reading():
        pass


async def test_those_who_stand_in_line_wait_together(tmp_path: Path) -> None:
    """Not one after the other, each for the whole time."""
    path = tmp_path / "local.db"
    waits: list[str] = []
    impatient = database(path, lock_seconds=0.35, on_wait=lambda: waits.append("wait"))

    async def read() -> None:
        async with impatient.reading():
            pytest.fail("two commands at once")

    async with database(path).writing() as session:
        await session.commit([transfer(5)])
        failures = await asyncio.gather(*(read() for _ in range(20)), return_exceptions=True)
    assert all(isinstance(failure, DatabaseError) for failure in failures)
    assert len(waits) < 5


async def test_the_second_writer_gets_its_turn(tmp_path: Path) -> None:
    path = tmp_path / "local.db"
    waiting = asyncio.Event()

    async def second() -> int:
        async with database(path, on_wait=waiting.set).writing() as session:
            return await session.ask(Store.transaction_count)

    async with database(path).writing() as session:
        task = asyncio.create_task(second())
        await asyncio.wait_for(waiting.wait(), 30)
        await session.commit([transfer(5)])
    assert await asyncio.wait_for(task, 30) == 1


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DatabaseError, match="cannot open"):
        async with database(tmp_path / "file" / "local.db").writing():
            pytest.fail("there is no such folder")


async def test_the_only_user_keeps_it_open(tmp_path: Path) -> None:
    path = tmp_path / "local.db"
    mine = database(path, only_user=True)
    async with mine.writing() as session:
        await session.replace(lambda store: store.set_balance(ALICE, 5))
    for entering in (mine.reading, mine.writing):
        async with entering() as again:
            assert (again is session, await again.ask(lambda store: store.balance(ALICE))) == (True, 5)
    mine.close()
    mine.close()
    async with database(path).writing() as other:
        assert await other.ask(lambda store: store.balance(ALICE)) == 5


async def test_who_only_reads_leaves_no_files(tmp_path: Path) -> None:
    async with database(tmp_path / "x" / "local.db").reading() as session:
        assert await session.ask(lambda store: store.balance(ALICE)) == accounts.START_BALANCE
    assert list(tmp_path.iterdir()) == []


# --- coroutines of one database -----------------------------------------------------------------------------------


async def test_who_comes_first_is_served_first(tmp_path: Path) -> None:
    shared = database(tmp_path / "local.db")
    order: list[str] = []
    release = asyncio.Event()

    async def use(name: str, *, write: bool) -> None:
        async with shared.writing() if write else shared.reading():
            order.append(name)
            await release.wait()

    async with AsyncExitStack() as ending:
        tasks = []
        for name, write in (("view 1", False), ("view 2", False), ("write 1", True), ("view 3", False)):
            tasks.append(asyncio.create_task(use(name, write=write)))
            await settle()
        ending.push_async_callback(asyncio.gather, *tasks)
        assert order == ["view 1", "view 2"]
        release.set()
    assert order == ["view 1", "view 2", "write 1", "view 3"]


async def test_views_join_a_writer_and_writers_take_turns(tmp_path: Path) -> None:
    shared = database(tmp_path / "local.db")
    order: list[str] = []
    releases = [asyncio.Event() for _ in range(3)]

    async def write(number: int) -> None:
        async with shared.writing():
            order.append(f"write {number}")
            await releases[number].wait()

    tasks = [asyncio.create_task(write(number)) for number in range(3)]
    for number in range(3):
        await settle()
        assert order[-1] == f"write {number}"
        async with shared.reading():
            order.append("read")
        releases[number].set()
    await asyncio.gather(*tasks)
    assert order == ["write 0", "read", "write 1", "read", "write 2", "read"]


async def test_a_writer_that_gives_up_waiting_is_in_nobodys_way(tmp_path: Path) -> None:
    shared = database(tmp_path / "local.db")
    seen: list[Session] = []

    async def use(*, write: bool) -> None:
        async with shared.writing() if write else shared.reading() as session:
            seen.append(session)

    async with shared.reading() as first:
        writer = asyncio.create_task(use(write=True))
        reader = asyncio.create_task(use(write=False))
        await settle()
        assert seen == []
        writer.cancel()
        await asyncio.wait_for(reader, 30)
        assert seen == [first]
    await asyncio.wait_for(use(write=True), 30)


# --- the state at one moment ----------------------------------------------------------------------------------------


def seen_by(state: StateView | Store) -> Any:
    addresses = (ALICE, BOB, CONTRACT)
    return (
        [state.balance(address) for address in addresses],
        [state.nonce(address) for address in addresses],
        [info and info.name for info in map(state.contract, addresses)],
        {page: data for page, data in state.pages(CONTRACT, SLOT, 0, 9).items() if data},
    )


_changes = st.builds(
    lambda amount, nonce, pages: (
        amount,
        {CONTRACT: nonce},
        {(b"\x01" * 20, SLOT, page): data for page, data in pages},
    ),
    st.integers(0, 9),
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([b"a", b"bc", b""])), max_size=3),
)


@examples(60)
@example(steps=[(0, {}, {}), "view", "restore", (0, {}, {})])  # the contract is gone and made again
@given(steps=st.lists(_changes | st.sampled_from(["view", "restore", "deal"]), max_size=8))
def test_a_view_stays_as_it_was(tmp_path_factory: pytest.TempPathFactory, steps: list[Any]) -> None:
    path = tmp_path_factory.mktemp("database") / "local.db"

    async def check() -> None:
        expected: list[tuple[StateView, Any]] = []
        sent = 0
        async with database(path).writing() as session, AsyncExitStack() as views:
            start = await session.ask_long(Store.snapshot)
            for number, step in enumerate(["view", *steps]):
                if step == "view":
                    state = await views.enter_async_context(session.view())
                    expected.append((state, await session.ask(seen_by)))
                elif step == "restore":
                    await session.replace(lambda store: store.restore(start))
                    sent = 0
                elif step == "deal":
                    await session.replace(lambda store: store.set_balance(CONTRACT, 7))
                else:
                    amount, nonces, pages = step
                    made = transfer(amount, sent)
                    made = replaced(made, nonces=nonces, pages=pages)
                    if not await session.ask(lambda store: store.contract(CONTRACT)):
                        made = replaced(made, contract=ContractInfo(CONTRACT, f"made by {number}", 0, True))
                    await session.commit([made])
                    sent += amount
                for state, was in expected:
                    assert seen_by(state) == was

    asyncio.run(check())


async def test_whoever_asks_during_a_commit_waits_without_blocking_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committing, go_on = threading.Event(), threading.Event()
    commit = Store.commit

    def slow(self: Store, changes: Any) -> Any:
        committing.set()
        assert go_on.wait(30), "the event loop stands still"
        return commit(self, changes)

    monkeypatch.setattr(Store, "commit", slow)
    shared = database(tmp_path / "local.db")
    async with shared.writing() as session, session.view() as state:
        task = asyncio.create_task(session.commit([transfer(5)]))
        await asyncio.to_thread(committing.wait, 30)
        questions = [
            asyncio.create_task(session.ask(lambda store: store.balance(BOB))),
            asyncio.create_task(state.ask(lambda: state.balance(BOB))),
        ]
        await settle()
        assert not any(question.done() for question in questions)
        go_on.set()
        (receipt,) = await task
        assert await asyncio.gather(*questions) == [accounts.START_BALANCE + 5, accounts.START_BALANCE]
        assert receipt.number == 1


async def test_what_moves_many_bytes_does_not_block_the_loop(tmp_path: Path) -> None:
    gone_round = threading.Event()

    def read() -> str:
        assert gone_round.wait(30), "the event loop stands still"
        return "read"

    async with database(tmp_path / "local.db").reading() as session, session.view() as state:
        asyncio.get_running_loop().call_soon(gone_round.set)
        assert await state.ask(read, limits.INLINE_BYTES + 1) == "read"


@pytest.mark.parametrize(
    ("durable", "pages", "in_a_thread"),
    [(True, 1, True), (False, 1, False), (False, limits.INLINE_BYTES // PAGE_BYTES + 1, True)],
)
async def test_a_commit_that_takes_no_time_is_done_at_once(
    tmp_path: Path, durable: bool, pages: int, in_a_thread: bool
) -> None:
    committed: list[int] = []

    class Watched(Store):
        def commit(self, changes: Sequence[Changes]) -> list[Receipt]:
            committed.append(threading.get_ident())
            return super().commit(changes)

    written = {(CONTRACT.as_bytes, SLOT, page): b"x" for page in range(pages)}
    async with database(tmp_path / "local.db", durable=durable, store=Watched).writing() as session:
        await session.commit([change(pages=written)])
        assert await session.ask(lambda store: store.slot_count(CONTRACT)) == 1
    assert [thread != threading.get_ident() for thread in committed] == [in_a_thread]


async def test_work_in_a_thread_is_carried_to_its_end() -> None:
    begun, go_on = threading.Event(), threading.Event()
    ended: list[str] = []

    def work() -> None:
        begun.set()
        assert go_on.wait(30)
        ended.append("work")

    async def caller() -> None:
        try:
            await in_thread(work)
        finally:
            ended.append("caller")

    task = asyncio.create_task(caller())
    await asyncio.to_thread(begun.wait, 30)
    for _ in range(3):
        task.cancel()
        await settle()
        assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["work", "caller"]


async def test_a_program_that_ends_during_a_commit(tmp_path: Path) -> None:
    """``asyncio.run`` cancels every task there is; the commit is whole all the same."""
    path = tmp_path / "local.db"
    committing = threading.Event()
    commit = Store.commit

    def slow(self: Store, changes: Any) -> Any:
        committing.set()
        threading.Event().wait(0.2)
        return commit(self, changes)

    async def program() -> None:
        async def write() -> None:
            async with database(path).writing() as session:
                await session.commit([transfer(5)])

        task = asyncio.create_task(write())
        await asyncio.to_thread(committing.wait, 30)
        assert not task.done()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "commit", slow)
        await asyncio.to_thread(asyncio.run, program())
    with closing(Store(path)) as store:
        assert store.balance(BOB) == accounts.START_BALANCE + 5


async def test_a_session_for_several_questions(tmp_path: Path) -> None:
    """Who waits for its end is not in the way of those inside, and those outside come behind him."""
    path = tmp_path / "local.db"
    shared = database(path)
    async with shared.writing() as session:
        await session.commit([transfer(5)])
    order: list[str] = []

    async def write() -> None:
        async with shared.writing() as session:
            order.append("written")
            await session.commit([transfer(1, 5)])

    outside = copy_context()
    async with shared.reading_once():
        writer = asyncio.create_task(write(), context=outside)
        await settle()
        async with asyncio.timeout(30), shared.reading() as one, shared.reading() as other:
            assert one is other
            order.append("read")
    await writer
    assert order == ["read", "written"]
