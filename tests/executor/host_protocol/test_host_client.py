"""The executor's client against a scripted socket: exact bytes, broken hosts, ending a run."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from pygenvm.executor.host_protocol.client import HostClient
from pygenvm.executor.limits import HOST_COPY_BYTES
from pygenvm.executor.observer import Observer
from pygenvm.executor.outcome import InternalErrorRaised, Return, UserError, VMError, VMErrorRaised
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod, StorageType
from pygenvm.executor.run.ending import Ending, State
from tests.support.host_vectors import CONSUMED, CONTRACT, EXAMPLES, Example
from tests.support.hosts import Step, expect, expect_end, scripted_host, send, shut_down_writing, stall

SLOT = bytes(32)
READ_4 = bytes.fromhex(f"01 00 {CONTRACT.as_bytes.hex()} {SLOT.hex()} 00000000 04000000")


def call(client: HostClient, example: Example) -> Any:
    return getattr(client, example.method.name.lower())(**example.values)


def read_4(client: HostClient) -> bytes:
    return client.storage_read(StorageType.DEFAULT, CONTRACT, SLOT, 0, 4)


class InThread:
    """Runs a call in another thread and keeps what came of it."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.value: Any = None
        self.error: BaseException | None = None

        def run() -> None:
            try:
                self.value = function(*arguments)
            except BaseException as error:
                self.error = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def wait(self) -> Any:
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.value


def expected_value(example: Example) -> Any:
    if example.reply is None or example.reply.error is HostErrorCode.I_AM_LEADER:
        return None
    if example.method is HostMethod.GET_LEADER_NONDET_RESULT:
        return Return(example.reply.value[1:])
    return example.reply.value


def until(event: threading.Event) -> Step:
    """The host waits for the test."""

    def step(_: socket.socket, _leaving: threading.Event) -> None:
        assert event.wait(30)

    return step


# --- bytes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_examples_of_the_specification(example: Example, tcp: bool) -> None:
    with scripted_host(expect(example.request), send(example.answer), expect_end(), tcp=tcp) as address:
        client = HostClient.connect(address)
        assert call(client, example) == expected_value(example)
        client.close()


def test_all_examples_in_one_conversation_with_single_bytes() -> None:
    steps = [step for e in EXAMPLES for step in (expect(e.request), send(e.answer, chunk=1))]
    with scripted_host(*steps, expect_end()) as address:
        client = HostClient.connect(address)
        for example in EXAMPLES:
            assert call(client, example) == expected_value(example)
        client.close()


@pytest.mark.parametrize("message", CONSUMED.values(), ids=CONSUMED)
@pytest.mark.parametrize("acknowledgement", [b"\0", b"\x2a"])
def test_consume_result(message: str, acknowledgement: bytes) -> None:
    data = bytes.fromhex(message)
    with scripted_host(expect(data), send(acknowledgement), expect_end()) as address:
        client = HostClient.connect(address)
        client.consume_result(data[5:])
        client.close()


def test_large_values_both_ways() -> None:
    data = bytes(range(256)) * 8192
    with scripted_host(
        expect(b"\2" + SLOT + bytes(4) + len(data).to_bytes(4, "little") + data),
        send(b"\0"),
        expect(READ_4[:-4] + len(data).to_bytes(4, "little")),
        send(b"\0" + data),
        expect(b"\0"),
        send(b"\0" + len(data).to_bytes(4, "little") + data),
    ) as address:
        client = HostClient.connect(address)
        client.storage_write(SLOT, 0, memoryview(data))
        assert client.storage_read(StorageType.DEFAULT, CONTRACT, SLOT, 0, len(data)) == data
        assert client.get_calldata() == data
        client.close()


# --- observers ------------------------------------------------------------------------------------


class Watcher(Observer):
    """Keeps what it is told, without the times; those only must make sense."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def host_requested(self, method: HostMethod, request: bytes) -> None:
        self.seen.append((method, request))

    def host_replied(
        self, method: HostMethod, request: bytes, error: HostErrorCode | None, value: Any, begun: int, ended: int
    ) -> None:
        assert 0 < begun <= ended <= time.perf_counter_ns()
        self.seen.append((method, request, error, value))


def test_an_observer_is_told_of_requests_and_their_replies() -> None:
    watcher = Watcher()
    notify = b"\x0e" + bytes(4)
    with scripted_host(expect(READ_4), send(b"\0abcd"), expect(READ_4), send(b"\x03"), expect(notify)) as address:
        client = HostClient.connect(address, watcher)
        assert read_4(client) == b"abcd"
        with pytest.raises(VMErrorRaised):
            read_4(client)
        client.notify_nondet_disagreement(0)
        client.close()
    assert watcher.seen == [
        (HostMethod.STORAGE_READ, READ_4),
        (HostMethod.STORAGE_READ, READ_4, HostErrorCode.OK, b"abcd"),
        (HostMethod.STORAGE_READ, READ_4),
        (HostMethod.STORAGE_READ, READ_4, HostErrorCode(3), None),
        (HostMethod.NOTIFY_NONDET_DISAGREEMENT, notify),
        (HostMethod.NOTIFY_NONDET_DISAGREEMENT, notify, HostErrorCode.OK, None),
    ]


def test_an_observer_gets_long_data_in_one_piece() -> None:
    """It goes out in two."""
    watcher = Watcher()
    data = bytes(HOST_COPY_BYTES + 1)
    request = b"\2" + SLOT + bytes(4) + len(data).to_bytes(4, "little") + data
    with scripted_host(expect(request), send(b"\0")) as address:
        client = HostClient.connect(address, watcher)
        client.storage_write(SLOT, 0, memoryview(data))
        client.close()
    write = HostMethod.STORAGE_WRITE
    assert watcher.seen == [(write, request), (write, request, HostErrorCode.OK, None)]


@pytest.mark.parametrize("reply", [b"", b"\xee"], ids=["hangs up", "unknown error byte"])
def test_an_observer_is_told_of_replies_that_never_come(reply: bytes) -> None:
    """And of no request that is not sent any more."""
    watcher = Watcher()
    with scripted_host(expect(READ_4), send(reply)) as address:
        client = HostClient.connect(address, watcher, Ending())
        for _ in range(2):
            with pytest.raises(InternalErrorRaised):
                read_4(client)
        client.close()
    assert watcher.seen == [(HostMethod.STORAGE_READ, READ_4), (HostMethod.STORAGE_READ, READ_4, None, None)]


def test_the_connection_is_free_while_an_observer_hears_of_a_reply() -> None:
    """What it writes may take long, and must not keep the main thread from ending the run."""

    class Slow(Watcher):
        def host_replied(self, *told: Any) -> None:
            super().host_replied(*told)
            if len(self.seen) == 2:
                InThread(client.get_calldata).wait()

    watcher = Slow()
    with scripted_host(expect(READ_4), send(b"\0abcd"), expect(b"\0"), send(b"\0" + bytes(4))) as address:
        client = HostClient.connect(address, watcher)
        assert read_4(client) == b"abcd"
        client.close()
    assert [seen[0] for seen in watcher.seen] == [HostMethod.STORAGE_READ] * 2 + [HostMethod.GET_CALLDATA] * 2


# --- error bytes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", list(HostErrorCode)[1:], ids=lambda error: error.name)
def test_error_bytes_are_vm_errors_and_the_conversation_goes_on(error: HostErrorCode) -> None:
    examples = [e for e in EXAMPLES if e.answer]
    steps = [step for e in examples for step in (expect(e.request), send(bytes([error])))]
    with scripted_host(*steps, expect(READ_4), send(b"\0abcd")) as address:
        client = HostClient.connect(address)
        for example in examples:
            if example.method is HostMethod.GET_LEADER_NONDET_RESULT and error is HostErrorCode.I_AM_LEADER:
                assert call(client, example) is None
                continue
            with pytest.raises(VMErrorRaised) as raised:
                call(client, example)
            assert raised.value.error == VMError(error.name.lower())
        assert read_4(client) == b"abcd"
        client.close()


@pytest.mark.parametrize(
    ("result", "outcome"),
    [(b"\0\x14ok", Return(b"\x14ok")), (b"\1no", UserError("no")), (b"\2OOM", VMError("OOM"))],
)
def test_leader_results(result: bytes, outcome: Any) -> None:
    answer = b"\0" + len(result).to_bytes(4, "little") + result
    with scripted_host(expect(b"\4\7\0\0\0"), send(answer)) as address:
        client = HostClient.connect(address)
        assert client.get_leader_nondet_result(7) == outcome
        client.close()


@pytest.mark.parametrize(
    ("result", "reason"), [(b"", "^empty leader result$"), (b"\3x", "unknown kind 3"), (b"\1\xff", "not UTF-8")]
)
def test_malformed_leader_results(result: bytes, reason: str) -> None:
    answer = b"\0" + len(result).to_bytes(4, "little") + result
    with scripted_host(expect(b"\4\0\0\0\0"), send(answer)) as address:
        client = HostClient.connect(address)
        with pytest.raises(InternalErrorRaised, match=reason):
            client.get_leader_nondet_result(0)
        client.close()


# --- broken hosts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "storage_read: host connection: closed by the host"),
        (b"\0ab", "closed by the host"),
        (b"\5", "unknown error byte 5"),
        (b"\xff garbage", "unknown error byte 255"),
        (b"\0abcdX", "1 bytes behind the reply"),
        (b"\1abcd", "4 bytes behind the reply"),
    ],
)
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_broken_replies_are_internal_errors(answer: bytes, reason: str, tcp: bool) -> None:
    with scripted_host(expect(READ_4), send(answer), shut_down_writing(), stall(), tcp=tcp) as address:
        client = HostClient.connect(address)
        with pytest.raises(InternalErrorRaised, match=reason):
            read_4(client)
        client.close()


def test_oversized_slice_is_refused_when_announced() -> None:
    with scripted_host(expect(b"\0"), send(b"\0\xff\xff\xff\xff"), stall()) as address:
        client = HostClient.connect(address)
        with pytest.raises(InternalErrorRaised, match="get_calldata: host connection: message of more than"):
            client.get_calldata()
        client.close()


def test_only_the_result_is_sent_after_an_internal_error() -> None:
    consume = bytes.fromhex(CONSUMED["internal error boom"])
    with scripted_host(expect(READ_4), send(b"\x63"), expect(consume), send(b"\0"), expect_end()) as address:
        ending = Ending()
        client = HostClient.connect(address, admission=ending)
        for _ in range(2):
            with pytest.raises(InternalErrorRaised, match="storage_read: host connection: unknown error byte 99"):
                read_4(client)
        with pytest.raises(InternalErrorRaised, match="get_balance: host connection: unknown error byte 99"):
            client.get_balance(CONTRACT)
        assert ending.vm_delivers()
        client.consume_result(consume[5:])
        client.close()


def test_the_result_is_the_last_request() -> None:
    with scripted_host(expect(bytes.fromhex(CONSUMED["Return(null)"])), send(b"\0"), expect_end()) as address:
        ending = Ending()
        client = HostClient.connect(address, admission=ending)
        assert ending.vm_delivers()
        client.consume_result(b"\0\0")
        with pytest.raises(InternalErrorRaised, match="already"):
            client.consume_result(b"\0\0")
        with pytest.raises(InternalErrorRaised, match="already"):
            client.get_calldata()
        client.close()


def test_a_host_that_is_gone_when_the_result_is_sent() -> None:
    with scripted_host() as address:
        client = HostClient.connect(address)
    with pytest.raises(InternalErrorRaised, match="consume_result: host connection"):
        client.consume_result(b"\0\0")
    client.close()


@pytest.mark.parametrize("index", [-1, 1 << 32])
def test_wrong_arguments_send_nothing(index: int) -> None:
    with scripted_host(expect_end()) as address:
        client = HostClient.connect(address)
        with pytest.raises(ValueError, match="storage read of 4 bytes"):
            client.storage_read(StorageType.DEFAULT, CONTRACT, SLOT, index, 4)
        with pytest.raises(ValueError, match="a slot has 32 bytes, got 31"):
            client.storage_read(StorageType.DEFAULT, CONTRACT, SLOT[1:], 0, 4)
        client.close()


def test_a_failing_observer_leaves_no_half_made_request_behind() -> None:
    class Failing(Observer):
        def host_requested(self, method: HostMethod, request: bytes) -> None:
            raise RuntimeError("disk full")

    with scripted_host(expect_end()) as address:
        client = HostClient.connect(address, Failing(), Ending())
        with pytest.raises(RuntimeError):
            read_4(client)
        with pytest.raises(InternalErrorRaised, match="an earlier request was not completed"):
            read_4(client)
        client.close()


@pytest.mark.parametrize("address", ["nonsense", "unix:///nonexistent/host.sock", "127.0.0.1:1", "unix://" + "x" * 200])
def test_connecting_to_nothing(address: str) -> None:
    with pytest.raises(InternalErrorRaised, match=address):
        HostClient.connect(address)


def test_ipv6() -> None:
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with listening:
        client = HostClient.connect(f"[::1]:{listening.getsockname()[1]}")
        client.consume_fuel(1)
        connection, _ = listening.accept()
        with connection:
            assert connection.recv(100) == bytes.fromhex("08 0100000000000000")
        client.close()


# --- threads and the end of a run -----------------------------------------------------------------


def test_draining_gives_up_when_the_host_does_not_answer() -> None:
    began = threading.Event()
    ending = Ending()
    with scripted_host(expect(READ_4), lambda *_: began.set(), stall()) as address:
        client = HostClient.connect(address, admission=ending)
        reading = InThread(read_4, client)
        assert began.wait(30)
        ending.signal()
        assert ending.take_over()
        assert not client.drain(0.01)
        waiting = InThread(client.get_calldata)
    # The host is gone now.
    with pytest.raises(InternalErrorRaised, match="storage_read: host connection"):
        reading.wait()
    with pytest.raises(InternalErrorRaised, match="get_calldata: the run is being ended"):
        waiting.wait()
    client.close()


def test_who_takes_over_waits_for_the_request_under_way_and_keeps_others_out() -> None:
    consume = bytes.fromhex(CONSUMED["VMError timeout"])
    began, go_on = threading.Event(), threading.Event()
    ending = Ending()

    def take_over_and_end() -> None:
        assert ending.take_over()
        assert client.drain(30)
        client.consume_result(consume[5:])

    with scripted_host(
        expect(READ_4),
        lambda *_: began.set(),
        until(go_on),
        send(b"\0abcd"),
        expect(consume),
        send(b"\0"),
        expect_end(),
    ) as address:
        client = HostClient.connect(address, admission=ending)
        reading = InThread(read_4, client)
        assert began.wait(30)
        waiting = InThread(client.get_calldata)
        ending.signal()
        taking_over = InThread(take_over_and_end)
        while ending.state is not State.MAIN_DELIVERS:
            time.sleep(0.001)
        go_on.set()
        assert reading.wait() == b"abcd"
        taking_over.wait()
        with pytest.raises(InternalErrorRaised, match="get_calldata: the run is being ended"):
            waiting.wait()
        client.close()


def test_requests_of_many_threads_do_not_mix() -> None:
    count, threads = 50, 4

    def answer_all(connection: socket.socket, _leaving: threading.Event) -> None:
        for _ in range(count * threads):
            request = b""
            while len(request) < len(READ_4):
                request += connection.recv(len(READ_4) - len(request))
            assert request[:54] == READ_4[:54]
            connection.sendall(b"\0" + request[54:58])

    def work(client: HostClient, number: int) -> None:
        for round_ in range(count):
            index = number * count + round_
            answer = client.storage_read(StorageType.DEFAULT, CONTRACT, SLOT, index, 4)
            assert answer == index.to_bytes(4, "little")

    with scripted_host(answer_all, expect_end()) as address:
        client = HostClient.connect(address)
        for worker in [InThread(work, client, number) for number in range(threads)]:
            worker.wait()
        client.close()
