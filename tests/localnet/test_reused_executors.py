"""Executors that carry out several runs: nobody can tell, and no run leaves anything to the next one."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import socket
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from pygenvm.executor import limits
from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.frozen import replaced
from pygenvm.executor.host_protocol.codec import encode_request
from pygenvm.executor.host_protocol.host import Host
from pygenvm.executor.host_protocol.lent import Pages
from pygenvm.executor.host_protocol.result import decode_result
from pygenvm.executor.outcome import InternalError, Return, UserError, VMError
from pygenvm.executor.pool.client import PooledRun
from pygenvm.executor.pool.series_frames import encode
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.spawn.known_runs import KnownRuns, key_of
from pygenvm.executor.spawn.series import Gone, SeriesExecutor, SeriesRun
from pygenvm.localnet import LocalNet
from pygenvm.localnet.chain.database import StateView
from pygenvm.localnet.chain.overlay import Overlay
from pygenvm.localnet.chain.run_host import RunHost
from pygenvm.localnet.chain.store import Store
from pygenvm.localnet.executors.base import Executor
from pygenvm.localnet.executors.process import ExecutorProcess
from pygenvm.localnet.executors.series import ReusedExecutors
from pygenvm.localnet.net import read_state
from tests.executor.pool.pool_support import gone
from tests.support.example_runs import EXAMPLE_RUNS, answers, example_host
from tests.support.execution import config_file, message_json
from tests.support.hosts import CONTRACT, InMemoryHost
from tests.support.module_server import serving_module
from tests.support.reused import LendingHost, Seen, request, run
from tests.support.running import until

pytestmark = pytest.mark.usefixtures("built_runners")

SOURCE = b"""# v0.2.16
# { "Depends": "py-genlayer:test" }
from genlayer import *

class Contract(gl.Contract):
    texts: DynArray[str]

    @gl.public.write
    def add(self, text: str) -> int:
        self.texts.append(text)
        return len(self.texts)

    @gl.public.write
    def add_other(self, other: Address) -> None:
        raise gl.vm.UserError(str(gl.get_contract_at(other).view().count()))

    @gl.public.view
    def count(self) -> int:
        return len(self.texts)

    @gl.public.write
    def say(self, text: str) -> None:
        print("said", text)

    @gl.public.view
    def who(self) -> Address:
        return gl.message.sender_address

    @gl.public.view
    def age(self) -> int:
        return gl.trace_time_micro()

    @gl.public.view
    def all(self) -> list[str]:
        return list(self.texts)

    @gl.public.view
    def loop(self) -> None:
        print("looping")
        while True:
            pass

    @gl.public.view
    def chat(self) -> None:
        while True:
            print("x" * 1000)

    @gl.public.view
    def eat(self) -> int:
        return len(b"x" * (600 << 20))
"""


@pytest.fixture(scope="module")
def config(built_runners: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with serving_module(answers) as server:
        modules = {name: {"address": server.address} for name in ("llm", "web")}
        yield config_file(tmp_path_factory.mktemp("reused"), built=True, modules=modules)


@pytest.fixture(scope="module")
def reused(config: Path) -> Iterator[ReusedExecutors]:
    with contextlib.closing(ReusedExecutors(options=[f"--config={config}"], grace=2.0)) as executors:
        yield executors


@pytest.fixture(scope="module")
def fresh(config: Path) -> Executor:
    return ExecutorProcess(options=[f"--config={config}"])


# --- nobody can tell ---


def play(name: str, executor: Executor, kind: type[InMemoryHost]) -> tuple[list[Seen], object]:
    """All runs of an example; what is seen of each, and the storage in the end."""
    host = example_host(name)
    host.__class__ = kind
    args, steps = EXAMPLE_RUNS[name]
    host.calldata = calldata.encode({"args": args})
    seen = [run(executor, host, is_init=True)[0]]
    for step in steps:
        host.requests.clear()
        host.calldata = calldata.encode({"method": step.method, "args": step.args})
        seen.append(run(executor, host, sender=step.sender, value=step.value, datetime=step.datetime)[0])
    return seen, {key: bytes(content).rstrip(b"\0") for key, content in host.storage.items() if any(content)}


@pytest.mark.parametrize("name", sorted(EXAMPLE_RUNS.keys() - {"faq.py"}))  # that needs a model of 90 MB
def test_examples_do_the_same_as_in_a_process_of_their_own(name: str, reused: ReusedExecutors, fresh: Executor) -> None:
    expected = play(name, fresh, InMemoryHost)
    play(name, reused, LendingHost)  # images are there now, and no run ends an executor for making one
    for kind in (LendingHost, InMemoryHost, LendingHost):
        assert play(name, reused, kind) == expected
    assert len(reused.waiting) == 1


def test_runs_of_examples_have_the_same_executor(reused: ReusedExecutors) -> None:
    names = ("token.py", "failures.py", "voting.py")
    for name in names:
        play(name, reused, LendingHost)  # makes its image
    before = process_of(reused)
    for name in names:
        play(name, reused, LendingHost)
    assert reused.waiting == [before]


class FewPages(LendingHost):
    lent_pages = 1


def test_pages_that_were_not_lent_are_asked_for(reused: ReusedExecutors) -> None:
    for name in ("nested.py", "factory.py"):
        assert play(name, reused, FewPages) == play(name, reused, InMemoryHost)


def test_a_read_only_network_stays_as_it_is(reused: ReusedExecutors, tmp_path: Path) -> None:
    net = LocalNet(tmp_path / "local.db", executor=reused)
    assert net.deploy(SOURCE).receipt.ok
    long = "x" * 10_000
    for number in (1, 2, 3):
        receipt = net.call(None, "add", [long + str(number)]).receipt
        assert (receipt.value, receipt.bytes_written > 10_000) == (number, True)
    assert net.view(None, "all").value == [long + "1", long + "2", long + "3"]
    assert isinstance(net.view(None, "add", ["no"]).outcome, VMError)
    assert net.view(None, "count").value == 3
    second = net.deploy(SOURCE).receipt.transaction.contract
    [first] = [info.address for info in net.contracts() if info.address != second]
    assert "3" in str(net.call(None, "add_other", [first]).receipt.outcome)


def test_a_read_only_run_gives_nothing_back() -> None:
    with contextlib.closing(Store(None)) as store:
        state = StateView(store, asyncio.Lock())
        for read_only in (True, False):
            overlay = Overlay(state)
            host = RunHost(state, overlay, CONTRACT, b"", read_only=read_only)
            asyncio.run(host.take_back({(bytes(32), 0): b"written"}, 7))
            assert overlay.read(CONTRACT, bytes(32), 0, 7) == (bytes(7) if read_only else b"written")
            with contextlib.nullcontext() if read_only else pytest.raises(ValueError, match="page"):
                asyncio.run(host.take_back({(b"", 0): b"written"}, 7))


class Incurious(LendingHost):
    wants_fingerprint = False


def test_who_does_not_want_fingerprints_gets_none(reused: ReusedExecutors) -> None:
    curious, incurious = (host_of("add_other", CONTRACT, kind=kind) for kind in (LendingHost, Incurious))
    for host in (curious, incurious):
        asyncio.run(reused(host, request(message_json(contract=host.contract))))
    assert [decode_result(host.result or b"").fingerprint is None for host in (curious, incurious)] == [False, True]
    assert curious.outcome == incurious.outcome == UserError("0")
    # In a record it is compared.
    (recorded, _), (expected, _) = run(reused, incurious), run(reused, curious)
    assert recorded == expected


# --- what is known already ---


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def in_new_network(reused: ReusedExecutors, path: Path, *calls: tuple[str, Sequence[object]]) -> object:
    """What is left of calls to a contract that is deployed first, and what a node hears of them."""
    with contextlib.closing(LocalNet(path, executor=reused, clock=lambda: NOW)) as net:
        receipts = [net.deploy(SOURCE).receipt, *(net.call(None, method, args).receipt for method, args in calls)]
        told = [(one.outcome, one.stdout, one.stderr, one.log, one.bytes_written) for one in receipts]
        return told, net.view(None, "all").value, read_state(net, None)


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_the_same_again_is_not_carried_out(reused: ReusedExecutors, tmp_path: Path) -> None:
    calls = ("add", ["a"]), ("add", ["b"]), ("add", [5]), ("say", ["c"])
    in_new_network(reused, tmp_path / "1.db", *calls)  # makes images, which nobody is told of
    before = in_new_network(reused, tmp_path / "2.db", *calls)
    with stopped(process_of(reused)):
        assert in_new_network(reused, tmp_path / "3.db", *calls) == before
    assert all(text in str(before) for text in ("Traceback", "said c"))


def test_whatever_is_not_the_same_is_carried_out(reused: ReusedExecutors, tmp_path: Path) -> None:
    process_of(reused)
    with contextlib.closing(LocalNet(tmp_path / "1.db", executor=reused, clock=lambda: NOW)) as net:
        assert net.deploy(SOURCE).receipt.ok
        assert [net.view(None, "count").value, net.call(None, "add", ["a"]).receipt.value] == [0, 1]
        assert [net.view(None, "count").value, net.view(None, "all").value] == [1, ["a"]]
        senders = [Address(bytes([number]) * 20) for number in (1, 2)]
        assert [net.view(None, "who", sender=sender).value for sender in senders] == senders
        # It asks for the storage of another contract, which may have changed.
        (info,) = net.contracts()
        second = net.deploy(SOURCE).receipt.transaction.contract
        for count in (1, 2):
            outcome = net.call(second, "add_other", [info.address]).receipt.outcome
            assert outcome == UserError(str(count))
            net.call(info.address, "add", ["b"])
        # In debug mode contracts are told how long they run.
        assert len({net.view(second, "age").value for _ in range(5)}) > 1


@pytest.mark.parametrize(
    ("said", "is_known"),
    [
        ([], True),
        ([encode("print", 2, b"x" * 1000)], False),
        ([encode("storage", bytes(20))], False),
        ([encode("pages", bytes(20), bytes(32), 0, 1)], False),
        ([encode("request", encode_request(HostMethod.GET_BALANCE, CONTRACT))], False),
    ],
)
@pytest.mark.parametrize("ended", [(0, True, True), (0, True, False), (0, False, True)])
def test_what_is_known(
    said: list[bytes], is_known: bool, ended: tuple[int, bool, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "KNOWN_RUN_BYTES", 1000)
    known, arguments = KnownRuns(), RunArguments(message=message_json(), host="", cookie="1")
    result = encode("request", encode_request(HostMethod.CONSUME_RESULT, b"\0"))
    host = LendingHost()
    seen = asyncio.run(converse(host, b"".join((*said, result, encode("ended", *ended))), known))
    assert (seen.failure, host.result) == (None, b"\0")
    again = RunArguments(message=message_json(), host="elsewhere", cookie="2")
    key = key_of(again, asyncio.run(host.lend()))
    assert key == key_of(arguments, asyncio.run(host.lend()))
    assert (known.heard(key) is not None) == (is_known and ended == (0, True, True))


def test_what_makes_a_run_another_one() -> None:
    host = LendingHost()
    lent = asyncio.run(host.lend())
    arguments = RunArguments(message=message_json(), host="")
    others = [
        replaced(arguments, message=message_json(value=1)),
        replaced(arguments, permissions="r"),
        replaced(arguments, sync=True),
        replaced(arguments, debug_mode=True),
    ]
    page = {(bytes(32), 0): b"x"}
    lents = [replaced(lent, **change) for change in ({"calldata": b"x"}, {"pages": page}, {"read_only": True})]
    keys = {key_of(arguments, lent), *(key_of(one, lent) for one in others), *(key_of(arguments, one) for one in lents)}
    assert None not in keys
    assert len(keys) == 1 + len(others) + len(lents)
    watched = [replaced(arguments, record=Path("x")), replaced(arguments, trace=True)]
    assert {*(key_of(one, lent) for one in watched), key_of(arguments, None)} == {None}


# --- what ends an executor ---


def host_of(method: str, *args: object, kind: type[LendingHost] = LendingHost) -> LendingHost:
    host = kind(calldata=calldata.encode({"method": method, "args": list(args)}))
    host.put_code(SOURCE)
    return host


def process_of(executors: ReusedExecutors) -> int:
    """The one that will have the next run; whoever makes the contract's image is replaced."""
    run(executors, host_of("count"))
    if not executors.waiting:
        run(executors, host_of("count"))
    [pid] = executors.waiting
    return pid


def test_a_timeout_replaces_it(reused: ReusedExecutors) -> None:
    before = process_of(reused)
    host = host_of("loop")
    seen, report = run(reused, host, timeout=0.5)
    assert (host.outcome, report.timed_out, seen.stdout.startswith("looping\n")) == (VMError("timeout"), True, True)
    assert gone(before)
    host = host_of("count")
    run(reused, host)
    assert host.outcome == Return(calldata.encode(0))


def test_endless_output_ends_with_the_timeout(reused: ReusedExecutors) -> None:
    host = host_of("chat")
    _, report = run(reused, host, timeout=1.0)
    assert (host.outcome, report.timed_out, report.failure, report.exit_status) == (VMError("timeout"), True, None, 0)
    assert report.stdout.head.startswith(b"xxx")
    assert report.stdout.dropped > 1 << 20


def test_much_memory_replaces_it(reused: ReusedExecutors) -> None:
    before = process_of(reused)
    host = host_of("eat")
    run(reused, host)
    assert host.outcome == Return(calldata.encode(600 << 20))
    until(lambda: gone(before), "its end")
    assert process_of(reused) != before


def test_whoever_makes_an_image_is_replaced(reused: ReusedExecutors) -> None:
    """The contract's import is run there, and nobody is told how that ends."""
    process_of(reused)
    host = host_of("count")
    host.put_code(SOURCE + f"# {uuid.uuid4()}".encode())
    for waiting in (0, 1, 1):
        run(reused, host)
        assert len(reused.waiting) == waiting


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_one_that_was_ended_while_it_waited_is_replaced(reused: ReusedExecutors, number: signal.Signals) -> None:
    pid = process_of(reused)
    os.kill(pid, number)
    until(lambda: gone(pid), "its end")
    host = host_of("count")
    _, report = run(reused, host)
    assert (host.outcome, report.failure) == (Return(calldata.encode(0)), None)


def test_one_that_is_killed_in_a_run_says_so(reused: ReusedExecutors, tmp_path: Path) -> None:
    net = LocalNet(tmp_path / "local.db", executor=reused)
    assert net.deploy(SOURCE).receipt.ok
    pid = process_of(reused)

    async def killed() -> object:
        loop = asyncio.get_running_loop()
        loop.call_later(0.3, os.kill, pid, signal.SIGKILL)
        return await asyncio.to_thread(net.view, None, "loop")

    receipt = asyncio.run(killed())
    assert receipt.outcome == InternalError("the executor was ended by signal SIGKILL")  # type: ignore[attr-defined]
    assert net.view(None, "count").value == 0


def test_whoever_gives_up_ends_the_run(reused: ReusedExecutors) -> None:
    pid = process_of(reused)

    async def given_up() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await reused(host_of("loop"), request(message_json()))

    asyncio.run(given_up())
    until(lambda: gone(pid), "its end")
    host = host_of("count")
    run(reused, host)
    assert host.outcome == Return(calldata.encode(0))


def test_closing_ends_all(config: Path) -> None:
    executors = ReusedExecutors(options=[f"--config={config}"])
    pid = process_of(executors)
    executors.close()
    until(lambda: gone(pid), "its end")


def test_a_fork_has_its_own(reused: ReusedExecutors) -> None:
    """Two processes that talk to one executor would have each other's results."""
    before = process_of(reused)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(process_of(reused)).encode())
            reused.close()
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as told:
        theirs = int(told.read())
    os.waitpid(child, 0)
    assert theirs != before
    assert process_of(reused) == before
    until(lambda: gone(theirs), "its end")


# --- an executor that does not do what ours do, and a host that fails ---


@pytest.mark.parametrize(
    "frame",
    [
        encode("storage", b"short"),
        encode("pages", bytes(20), bytes(32), 0, 1 << 20),
        encode("pages", bytes(20), bytes(32), 5, 1),
        encode("written", [[b"", 0, b"x"]], 1),
        encode("written", [[bytes(32), 0, "x"]], 1),
        encode("written", [], -1),
        encode("print", 4, b"x"),
        encode("request", b"\x02"),
        encode("request", b"\xff"),
        encode("ended", "0", True, True),
        encode("hello"),
        b"\xff\xff\xff\xff",
    ],
)
def test_whatever_an_executor_sends(frame: bytes) -> None:
    """It costs the run, and the executor."""
    with contextlib.closing(Store(None)) as store:
        state = StateView(store, asyncio.Lock())
        host = RunHost(state, Overlay(state), CONTRACT, b"", read_only=False)
        seen = asyncio.run(converse(host, frame))
    assert (seen.failure or "").startswith("executor violates the protocol: ")


@pytest.mark.parametrize("said", [b"", encode("print", 2, b"late"), encode("ready", 1), b"\xff\xff\xff\xff"])
def test_one_that_is_not_ready_is_given_no_run(said: bytes) -> None:
    """Whatever it says is of a run before, and must not be taken for this one's."""

    async def give() -> bytes:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        with theirs:
            executor = SeriesExecutor(cast(PooledRun, NoProcess()), ours, io.BytesIO())
            theirs.sendall(said)
            theirs.shutdown(socket.SHUT_WR)
            arguments = RunArguments(message=message_json(), host="")
            with pytest.raises(Gone):
                await executor.carry_out(LendingHost(), arguments, timeout=5.0, grace=1.0)
            assert not executor.usable
            return theirs.recv(1)

    assert asyncio.run(give()) == b""


def test_a_host_that_fails() -> None:
    class Failing(LendingHost):
        async def storage_of(self, address: Address) -> tuple[Pages, bool]:
            if address != CONTRACT:
                raise OSError("no disk")
            return {}, True

    seen = asyncio.run(converse(Failing(), encode("storage", bytes(20))))
    assert seen.failure == "host failed: OSError: no disk"


async def converse(host: Host, frame: bytes, known: KnownRuns | None = None) -> SeriesRun:
    """A run of an executor that sends ``frame`` and nothing else."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)
    with theirs:
        executor = SeriesExecutor(cast(PooledRun, NoProcess()), ours, io.BytesIO())
        theirs.sendall(encode("ready") + frame)
        arguments = RunArguments(message=message_json(), host="")
        run = await executor.carry_out(host, arguments, 5.0, 1.0, known)
    if executor.usable:
        executor.end()
    else:
        assert run.failure or known
    return run


class NoProcess:
    """A process that ends when it is told to."""

    def signal(self, number: int) -> None:
        pass

    def kill(self) -> None:
        pass

    async def wait(self) -> int:
        return -9
