"""The core under many coroutines: nothing blocks the loop, writers take turns, whoever is cancelled leaves no trace."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.host_protocol.host import Host
from pygenvm.executor.outcome import VMError
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.chain import Chain, Execution, Receipt, accounts, calldata_of_call
from pygenvm.localnet.chain.model import Kind, Status
from pygenvm.localnet.chain.store import Store
from pygenvm.localnet.errors import BadRequest, BadValue, InsufficientBalance, NotFound
from pygenvm.localnet.executors.base import RunReport, RunRequest
from pygenvm.localnet.executors.process import ExecutorProcess
from tests.localnet.localnet_fakes import FakeExecutor, Run
from tests.support.paths import ROOT

ALICE, BOB = accounts.named()["alice"], accounts.named()["bob"]
FAKE = [sys.executable, str(Path(__file__).with_name("fake_genvm.py"))]
PATIENCE = 60


class Meeting:
    """Where a contract waits for its test, and the test for the contract."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.go_on = asyncio.Event()
        self.left = False

    async def wait(self) -> None:
        self.arrived.set()
        try:
            await self.go_on.wait()
        finally:
            self.left = True


class Counter:
    """A contract that counts, and takes its time between reading and writing."""

    def __init__(self) -> None:
        self.meetings: dict[str, Meeting] = {}

    def meeting(self, name: str) -> Meeting:
        return self.meetings.setdefault(name, Meeting())

    async def __call__(self, run: Run) -> Any:
        count = (await run.read(0, 1))[0]
        match run.method:
            case "add":
                for _ in range(5):
                    await asyncio.sleep(0)
                await run.write(0, bytes([count + 1]))
                return count + 1
            case "meet":
                await run.write(0, bytes([count + 1]))
                await self.meeting(run.args[0]).wait()
                return (await run.read(0, 1))[0]
            case "get":
                return count
            case "get_twice":
                await self.meeting(run.args[0]).wait()
                return [count, (await run.read(0, 1))[0], await run.host.get_balance(run.address)]
            case "post":
                for method, *args in run.args[0]:
                    await run.post(run.address, method, *args)
                await run.write(0, bytes([count + 1]))
        return None


class Progress:
    """An executor that notes how often the loop went round during each run."""

    def __init__(self, executor: Callable[[Host, RunRequest], Awaitable[RunReport]]) -> None:
        self._executor = executor
        self.ticks = 0
        self.during_runs: list[int] = []

    async def __call__(self, host: Host, request: RunRequest) -> RunReport:
        begun = self.ticks
        try:
            return await self._executor(host, request)
        finally:
            self.during_runs.append(self.ticks - begun)

    @contextlib.asynccontextmanager
    async def ticking(self, seconds: float = 0) -> AsyncIterator[None]:
        async def tick() -> None:
            while True:
                self.ticks += 1
                await asyncio.sleep(seconds)

        task = asyncio.create_task(tick())
        try:
            yield
        finally:
            task.cancel()


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
async def chain(tmp_path: Path, counter: Counter) -> AsyncIterator[Chain]:
    async with Chain(tmp_path / "local.db", executor=FakeExecutor({b"counter": counter})) as made:
        yield made


async def deploy(chain: Chain, **options: Any) -> Address:
    execution = await chain.deploy(b"counter", sender=ALICE, **options)
    assert execution.receipt.ok
    return execution.receipt.transaction.contract


async def call(chain: Chain, contract: Address, method: str, *args: Any, **options: Any) -> Execution:
    return await chain.call(contract, calldata_of_call(method, args), **{"sender": ALICE, **options})


async def view(chain: Chain, contract: Address, method: str, *args: Any) -> Any:
    return (await chain.view(contract, calldata_of_call(method, args), sender=ALICE)).value


async def soon(waiting: Awaitable[Any]) -> Any:
    """What must come without anybody else's doing."""
    return await asyncio.wait_for(waiting, PATIENCE)


# --- many at once ---------------------------------------------------------------------------------------------------


async def test_twenty_at_once(tmp_path: Path, counter: Counter) -> None:
    progress = Progress(FakeExecutor({b"counter": counter}))
    told: list[Receipt] = []
    async with Chain(tmp_path / "local.db", executor=progress, on_commit=told.append) as chain:
        shared = await deploy(chain)

        async def author(number: int) -> tuple[Any, Address]:
            if number % 4 == 3:
                return await view(chain, shared, "get"), shared
            own = await deploy(chain, name=f"counter_{number}")
            added = (await call(chain, shared, "add")).receipt.value
            assert (await call(chain, own, "add")).receipt.value == 1
            assert await view(chain, own, "get") == 1
            return added, own

        async with progress.ticking():
            results = await soon(asyncio.gather(*(author(number) for number in range(20))))
        counts = [count for number, (count, _) in enumerate(results) if number % 4 != 3]
        assert sorted(counts) == list(range(1, 16)), "two transactions at once have seen the same state"
        assert counts == sorted(counts), "who came first was not served first"
        assert len({contract for _, contract in results}) == 16
        assert await view(chain, shared, "get") == 15
        recorded = await chain.log(100)
    assert told == recorded
    assert [receipt.number for receipt in told] == list(range(1, 47))
    adds = [ticks for ticks in progress.during_runs if ticks >= 5]
    assert len(adds) >= 30, "the loop did not go round during a transaction"


async def test_processes_do_not_block_the_loop(tmp_path: Path) -> None:
    progress = Progress(ExecutorProcess(FAKE))
    async with Chain(tmp_path / "local.db", executor=progress) as chain, progress.ticking(0.001):
        contract = (await chain.deploy(b"# fake", sender=ALICE)).receipt.transaction.contract
        data = calldata_of_call("options")
        runs = [chain.view(contract, data, sender=ALICE), chain.view(contract, data, sender=BOB)]
        receipts = await soon(asyncio.gather(*runs, chain.deploy(b"# fake", sender=BOB)))
    assert [receipt.value["permissions"] for receipt in receipts[:2]] == ["rcn", "rcn"]
    # Starting Python alone takes ten times as long as this many. A busy machine may leave the loop no time during one.
    assert sorted(progress.during_runs)[1] >= 5


async def test_the_loop_goes_on_during_a_commit(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, counter: Counter
) -> None:
    """A view goes on to its next request meanwhile, and waits there."""
    contract = await deploy(chain)
    gone_round, commit = threading.Event(), Store.commit

    def slow(self: Store, changes: Any) -> Any:
        asyncio.run_coroutine_threadsafe(goes_round(), loop)
        assert gone_round.wait(PATIENCE), "the event loop stands still"
        return commit(self, changes)

    async def goes_round() -> None:
        counter.meeting("a").go_on.set()
        for _ in range(20):
            await asyncio.sleep(0)
        assert counter.meeting("a").left
        gone_round.set()

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(Store, "commit", slow)
    adding = asyncio.create_task(call(chain, contract, "meet", "b", value=3))
    await soon(counter.meeting("b").arrived.wait())
    viewing = asyncio.create_task(view(chain, contract, "get_twice", "a"))
    await soon(counter.meeting("a").arrived.wait())
    counter.meeting("b").go_on.set()
    assert await soon(viewing) == [0, 0, 0]
    assert (await soon(adding)).receipt.ok


# --- views and transactions -----------------------------------------------------------------------------------------


async def test_a_view_does_not_wait_for_a_transaction(chain: Chain, counter: Counter) -> None:
    contract = await deploy(chain)
    transaction = asyncio.create_task(call(chain, contract, "meet", "a", value=4))
    await soon(counter.meeting("a").arrived.wait())
    assert await soon(view(chain, contract, "get")) == 0
    assert await soon(chain.balance(contract)) == 0
    assert len(await soon(chain.log())) == 1
    counter.meeting("a").go_on.set()
    assert (await soon(transaction)).receipt.value == 1
    assert await view(chain, contract, "get") == 1


async def test_a_view_sees_one_moment_and_no_transaction_waits_for_it(chain: Chain, counter: Counter) -> None:
    contract = await deploy(chain)
    first = asyncio.create_task(call(chain, contract, "meet", "writer"))
    await soon(counter.meeting("writer").arrived.wait())
    viewing = asyncio.create_task(view(chain, contract, "get_twice", "a"))
    await soon(counter.meeting("a").arrived.wait())
    counter.meeting("writer").go_on.set()
    await soon(first)
    await soon(call(chain, contract, "add", value=7))
    before = await soon(chain.snapshot())
    await soon(chain.deal(contract, 100))
    await soon(chain.restore(before))
    counter.meeting("a").go_on.set()
    assert await soon(viewing) == [0, 0, 0]
    assert (await view(chain, contract, "get"), await chain.balance(contract)) == (2, 7)


async def test_a_transaction_waits_for_views_that_other_processes_may_read_beside(
    chain: Chain, counter: Counter
) -> None:
    contract = await deploy(chain)
    viewing = asyncio.create_task(view(chain, contract, "get_twice", "a"))
    await soon(counter.meeting("a").arrived.wait())
    adding = asyncio.create_task(call(chain, contract, "meet", "b"))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not counter.meeting("b").arrived.is_set()
    counter.meeting("b").go_on.set()
    counter.meeting("a").go_on.set()
    assert await soon(viewing) == [0, 0, 0]
    assert (await soon(adding)).receipt.value == 1


# --- cancellation ---------------------------------------------------------------------------------------------------


async def test_a_transaction_that_is_cancelled_while_it_runs(chain: Chain, tmp_path: Path, counter: Counter) -> None:
    contract = await deploy(chain)
    before = (tmp_path / "local.db").read_bytes()
    cancelled = asyncio.create_task(call(chain, contract, "meet", "a", value=5))
    waiting = asyncio.create_task(call(chain, contract, "meet", "never"))
    next_one = asyncio.create_task(call(chain, contract, "add"))
    await soon(counter.meeting("a").arrived.wait())
    waiting.cancel()
    cancelled.cancel()
    for task in (cancelled, waiting):
        with pytest.raises(asyncio.CancelledError):
            await soon(task)
        assert task is waiting or (tmp_path / "local.db").read_bytes() == before
    assert counter.meeting("a").left
    assert not counter.meeting("never").arrived.is_set()
    assert (await soon(next_one)).receipt.value == 1
    assert await chain.balance(contract) == 0


async def test_a_transaction_that_is_cancelled_while_it_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counter: Counter
) -> None:
    """It is committed and told of; its messages are delivered by the next command."""
    committing, go_on, commit = threading.Event(), threading.Event(), Store.commit
    told: list[Receipt] = []

    def slow(self: Store, changes: Any) -> Any:
        committing.set()
        assert go_on.wait(PATIENCE)
        return commit(self, changes)

    executor = FakeExecutor({b"counter": counter})
    async with Chain(tmp_path / "local.db", executor=executor, on_commit=told.append) as chain:
        contract = await deploy(chain)
        monkeypatch.setattr(Store, "commit", slow)
        task = asyncio.create_task(call(chain, contract, "post", [["add"]], value=3))
        await soon(asyncio.to_thread(committing.wait, PATIENCE))
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await soon(task)
        assert await chain.balance(contract) == 3
        assert (await view(chain, contract, "get"), len(told)) == (1, 2)
        execution = await call(chain, contract, "add")
        assert [receipt.value for receipt in (*execution.resumed, execution.receipt)] == [2, 3]
        assert told == await chain.log()


async def test_a_delivery_that_is_cancelled_goes_on_with_the_next_command(chain: Chain, counter: Counter) -> None:
    contract = await deploy(chain)
    posts = [["add"], ["meet", "a"], ["add"]]
    task = asyncio.create_task(call(chain, contract, "post", posts))
    await soon(counter.meeting("a").arrived.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(task)
    assert [receipt.number for receipt in await chain.log()] == [1, 2, 3]
    counter.meeting("a").go_on.set()
    execution = await call(chain, contract, "get")
    assert [receipt.value for receipt in (*execution.resumed, execution.receipt)] == [3, 4, 4]


async def test_cancelling_ends_the_process(tmp_path: Path) -> None:
    async with Chain(tmp_path / "local.db", executor=ExecutorProcess(FAKE)) as chain:
        contract = (await chain.deploy(b"# fake", sender=ALICE)).receipt.transaction.contract
        pid_file = tmp_path / "pid"
        data = calldata_of_call("hold", [str(pid_file)])
        task = asyncio.create_task(chain.call(contract, data, sender=ALICE))
        while not pid_file.exists() or not pid_file.read_text():
            await asyncio.sleep(0.02)
        pid = pid_file.read_text()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(task)
        assert not Path(f"/proc/{pid}").exists()
        assert (await soon(chain.call(contract, calldata_of_call("options"), sender=ALICE))).receipt.ok


# --- two processes --------------------------------------------------------------------------------------------------


async def test_two_processes_on_one_database(chain: Chain, tmp_path: Path) -> None:
    contract = await deploy(chain)
    script = f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        from pygenvm.localnet import LocalNet
        from tests.localnet.localnet_fakes import FakeExecutor
        from tests.localnet.test_localnet_chain import Counter
        net = LocalNet({str(tmp_path / "local.db")!r}, executor=FakeExecutor({{b"counter": Counter()}}))
        print("begun", flush=True)
        for _ in range(20):
            net.call(None, "add")
    """
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", textwrap.dedent(script), stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert await soon(other.stdout.readline()) == b"begun\n"
    for _ in range(20):
        await soon(call(chain, contract, "add"))
        await asyncio.sleep(0.01)
    assert await soon(other.wait()) == 0
    assert await view(chain, contract, "get") == 40


# --- what is refused ------------------------------------------------------------------------------------------------


async def test_a_closed_chain(tmp_path: Path, counter: Counter) -> None:
    chain = Chain(tmp_path / "local.db", executor=FakeExecutor({b"counter": counter}))
    contract = await deploy(chain)
    running = asyncio.create_task(call(chain, contract, "meet", "a"))
    await soon(counter.meeting("a").arrived.wait())
    closing = asyncio.create_task(chain.close())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="closed"):
        await chain.balance(ALICE)
    assert not closing.done()
    counter.meeting("a").go_on.set()
    await soon(closing)
    assert running.done()
    assert running.result().receipt.ok
    await soon(chain.close())


async def test_what_the_core_refuses(chain: Chain, tmp_path: Path) -> None:
    contract = await deploy(chain)
    before = (tmp_path / "local.db").read_bytes()
    refusals: list[tuple[type[BadRequest], Awaitable[Any]]] = [
        (BadValue, call(chain, contract, "add", sender=contract)),
        (BadValue, call(chain, contract, "add", origin=contract)),
        (BadValue, call(chain, contract, "add", value=-1)),
        (BadValue, call(chain, contract, "add", value=1 << 256)),
        (InsufficientBalance, call(chain, contract, "add", value=1, sender=Address(b"\x11" * 20))),
        (InsufficientBalance, call(chain, contract, "add", value=1, sender=contract, origin=ALICE)),
        (InsufficientBalance, chain.check_sender(ALICE, value=accounts.START_BALANCE + 1)),
        (NotFound, call(chain, BOB, "add")),
        (NotFound, chain.view(BOB, calldata_of_call("get"), sender=ALICE)),
        (NotFound, chain.state(BOB)),
        (BadValue, chain.view(contract, calldata_of_call("get"), sender=contract)),
        (BadValue, chain.deploy(b"counter", sender=ALICE, salt=-1)),
        (BadValue, chain.deploy(b"counter", sender=ALICE, salt=1 << 256)),
        (BadValue, chain.deal(ALICE, 1 << 256)),
        (BadValue, chain.deal(ALICE, -1)),
    ]
    for kind, command in refusals:
        with pytest.raises(BadRequest) as refusal:
            await command
        assert type(refusal.value) is kind
    assert (tmp_path / "local.db").read_bytes() == before
    await chain.check_sender(contract, origin=ALICE)
    assert (await call(chain, contract, "add", sender=contract, origin=ALICE)).receipt.value == 1


async def test_an_impossible_command_delivers_nothing(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, counter: Counter
) -> None:
    contract = await deploy(chain)
    task = asyncio.create_task(call(chain, contract, "post", [["meet", "a"]]))
    await soon(counter.meeting("a").arrived.wait())
    task.cancel()
    counter.meeting("a").go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await soon(task)
    for _ in range(2):
        with pytest.raises(InsufficientBalance):
            await call(chain, contract, "add", value=accounts.START_BALANCE + 1)
    assert len((await call(chain, contract, "get")).resumed) == 1


async def test_a_view_of_code_that_is_not_deployed(chain: Chain, tmp_path: Path) -> None:
    receipt = await chain.view_code(b"counter", calldata_of_call("get"), sender=ALICE)
    assert (receipt.status, receipt.value, receipt.transaction.kind) == (Status.OK, 0, Kind.VIEW)
    receipt = await chain.view_code(b"counter", calldata_of_call("add"), sender=ALICE)
    assert receipt.outcome == VMError("forbidden")
    assert list(tmp_path.iterdir()) == []
    assert await chain.code(await deploy(chain)) == b"counter"
    assert await chain.code(BOB) == b""
