"""The node's server: exact bytes over real sockets, misbehaving executors and hosts, and our own client against it."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor.host_protocol.answering import answer
from pygenvm.executor.host_protocol.client import HostClient
from pygenvm.executor.host_protocol.codec import Request, encode_request
from pygenvm.executor.host_protocol.endpoint import TcpEndpoint, parse_endpoint
from pygenvm.executor.host_protocol.server import listen, serve
from pygenvm.executor.outcome import InternalErrorRaised, Return, VMErrorRaised
from pygenvm.executor.primitives.abi import (
    CODE_SLOT,
    LOCKED_SLOTS_SLOT,
    UPGRADERS_SLOT,
    HostErrorCode,
    HostMethod,
    StorageType,
)
from pygenvm.executor.primitives.address import Address
from tests.support.host_vectors import CONSUMED, EXAMPLES, RECEIVER, Example
from tests.support.hosts import CONTRACT, SENDER, InMemoryHost, serving
from tests.support.properties import examples

TRANSPORTS = ["unix", "tcp"]


def example_host() -> InMemoryHost:
    """A node that answers as in the examples of the specification, asked in their order."""
    host = InMemoryHost(
        calldata=bytes.fromhex("0e066d6574686f641c666f6f"),
        balances={CONTRACT: 0x0102},
        leader_results=[bytes.fromhex("00d102")],
        eth_calls={(CONTRACT, b"\x12\x34"): b"\xff"},
        fuel=2**53 - 1,
    )
    host.slot(CODE_SLOT)[:] = b"\4\3\2\1"
    return host


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    endpoint = parse_endpoint(address)
    if isinstance(endpoint, TcpEndpoint):
        return await asyncio.open_connection(endpoint.host, endpoint.port)
    return await asyncio.open_unix_connection(endpoint.path)


@pytest.fixture(params=TRANSPORTS)
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return "127.0.0.1:0" if request.param == "tcp" else f"unix://{tmp_path_factory.mktemp('s')}/h"


# --- bytes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
async def test_examples_are_answered(example: Example) -> None:
    host = example_host()
    if example.reply is not None and example.reply.error is HostErrorCode.I_AM_LEADER:
        host.leader_results = None
    assert await answer(host, Request(example.method, example.values)) == example.answer
    assert host.requests == [Request(example.method, example.values)]


async def test_whole_run_byte_for_byte(address: str) -> None:
    host = example_host()
    host.fuel += 1000  # consumed on the way
    examples = [e for e in EXAMPLES if e.name != "I am the leader"]
    async with listen(lambda: host, address) as listener:
        reader, writer = await connect(listener.address)
        for example in examples:
            writer.write(example.request)
            assert await reader.readexactly(len(example.answer)) == example.answer
        writer.write(bytes.fromhex(CONSUMED["Return(42)"]))
        assert await reader.read() == b"\0"
        session = await listener.session()
        writer.close()
        await writer.wait_closed()
    assert session.host is host
    assert session.consumed
    assert [(r.method, r.fields) for r in host.requests[:-1]] == [(e.method, e.values) for e in examples]
    assert host.outcome == Return(b"\xd1\2")
    assert host.fingerprint is None
    assert bytes(host.slot(bytes(32))) == bytes(5) + b"\xab\xcd"


async def test_requests_may_arrive_in_single_bytes(address: str) -> None:
    async with listen(example_host, address) as listener:
        reader, writer = await connect(listener.address)
        for byte in EXAMPLES[0].request:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert await reader.readexactly(5) == bytes(5)
        writer.close()
        await writer.wait_closed()
        assert not (await listener.session()).consumed


# --- executors that misbehave ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "record"),
    [
        (b"\x63", "unknown method 99"),
        (b"\3\xff\xff\xff\xff", "message of more than"),
        (b"\1\0\0", "closed the connection in the middle of a request"),
    ],
)
async def test_bad_executors_end_the_session(
    address: str, data: bytes, record: str, caplog: pytest.LogCaptureFixture
) -> None:
    host = InMemoryHost()
    async with listen(lambda: host, address) as listener:
        reader, writer = await connect(listener.address)
        writer.write(data)
        writer.write_eof()
        assert await reader.read() == b""
        session = await listener.session()
        writer.close()
        await writer.wait_closed()
    assert not session.consumed
    assert record in (session.failure or "")
    assert record in caplog.text
    assert host.requests == []


async def test_an_executor_that_only_leaves_is_no_warning(address: str, caplog: pytest.LogCaptureFixture) -> None:
    async with listen(InMemoryHost, address) as listener:
        _, writer = await connect(listener.address)
        writer.close()
        await writer.wait_closed()
        assert not (await listener.session()).consumed
    assert caplog.text == ""


async def test_a_connection_that_is_reset(caplog: pytest.LogCaptureFixture) -> None:
    async with listen(InMemoryHost, "127.0.0.1:0") as listener:
        _, writer = await connect(listener.address)
        # Without time to linger the kernel sends a reset instead of an end.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.write(encode_request(HostMethod.GET_CALLDATA))
        await writer.drain()
        writer.transport.abort()
        assert not (await listener.session()).consumed
    assert "connection to executor lost" in caplog.text


async def test_requests_behind_the_result_are_not_carried_out(address: str) -> None:
    host = InMemoryHost()
    async with listen(lambda: host, address) as listener:
        reader, writer = await connect(listener.address)
        writer.write(encode_request(HostMethod.CONSUME_RESULT, b"\0\0") + encode_request(HostMethod.CONSUME_FUEL, 1))
        assert await reader.read(2) == b"\0"
        assert (await listener.session()).consumed
        writer.close()
    assert host.methods == [HostMethod.CONSUME_RESULT]


async def test_an_executor_that_does_not_read_cannot_hold_up_the_end(address: str) -> None:
    async with asyncio.timeout(30), listen(InMemoryHost, address) as listener:
        _, writer = await connect(listener.address)
        writer.write(encode_request(HostMethod.STORAGE_READ, StorageType.DEFAULT, CONTRACT, bytes(32), 0, 32 << 20))
        await writer.drain()
        await asyncio.sleep(0.05)
    writer.transport.abort()


@examples(60)
@given(st.binary(max_size=400))
def test_garbage_never_raises(garbage: bytes) -> None:
    class Writer:
        """Only what serve() uses; the transport is its own abort()."""

        def __init__(self) -> None:
            self.transport = self
            self.closed = False

        def write(self, data: bytes) -> None:
            assert data

        async def drain(self) -> None:
            pass

        def abort(self) -> None:
            pass

        def close(self) -> None:
            self.closed = True

        async def wait_closed(self) -> None:
            pass

    async def run() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(garbage)
        reader.feed_eof()
        writer = Writer()
        host = InMemoryHost()
        failure = await serve(host, reader, writer, request_limit=256)  # type: ignore[arg-type]
        assert (failure is None) == (host.result is not None)
        assert writer.closed

    logging.disable(logging.CRITICAL)
    try:
        asyncio.run(run())
    finally:
        logging.disable(logging.NOTSET)


# --- hosts that misbehave -------------------------------------------------------------------------


class BrokenHost(InMemoryHost):
    async def get_balance(self, address: Address) -> int:
        raise RuntimeError("database gone")

    async def storage_read(
        self, storage_type: StorageType, address: Address, slot: bytes, index: int, length: int
    ) -> bytes:
        return b"too short"


@pytest.mark.parametrize(
    ("method", "refusals", "record"),
    [
        ("get_balance", {}, "database gone"),
        ("storage_read", {}, "expected 100 bytes, got 9"),
        ("consume_fuel", {HostMethod.CONSUME_FUEL: HostErrorCode.ABSENT}, "consume_fuel cannot be answered"),
    ],
)
async def test_a_failing_host_looks_dead_to_the_executor(
    address: str,
    method: str,
    refusals: dict[HostMethod, HostErrorCode],
    record: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    requests = {
        "get_balance": encode_request(HostMethod.GET_BALANCE, CONTRACT),
        "storage_read": encode_request(HostMethod.STORAGE_READ, StorageType.DEFAULT, CONTRACT, bytes(32), 0, 100),
        "consume_fuel": encode_request(HostMethod.CONSUME_FUEL, 1),
    }
    async with listen(lambda: BrokenHost(refusals=refusals), address) as listener:
        reader, writer = await connect(listener.address)
        writer.write(requests[method])
        assert await reader.read() == b""
        session = await listener.session()
        writer.close()
        await writer.wait_closed()
    assert not session.consumed
    assert record in (session.failure or "")
    assert record in caplog.text


# --- listening ------------------------------------------------------------------------------------


async def test_each_connection_gets_a_host_of_its_own(address: str) -> None:
    async with listen(InMemoryHost, address) as listener:
        for amount in (1, 2):
            reader, writer = await connect(listener.address)
            writer.write(encode_request(HostMethod.CONSUME_FUEL, amount))
            writer.write(encode_request(HostMethod.CONSUME_RESULT, b"\0\0"))
            assert await reader.read() == b"\0"
            session = await listener.session()
            assert session.host.fields_of(HostMethod.CONSUME_FUEL) == [{"amount": amount}]
            writer.close()
            await writer.wait_closed()


async def test_leaving_ends_running_sessions_and_removes_the_path(tmp_path: Path) -> None:
    path = tmp_path / "h"
    async with listen(InMemoryHost, f"unix://{path}"):
        reader, writer = await connect(f"unix://{path}")
        writer.write(b"\1")
        await writer.drain()
        await asyncio.sleep(0.05)
        assert path.is_socket()
    assert await reader.read() == b""
    assert not path.exists()
    writer.close()


async def test_addresses_that_cannot_be_listened_on(tmp_path: Path) -> None:
    for address, error in (("nonsense", ValueError), (f"unix://{tmp_path}/no/h", OSError)):
        with pytest.raises(error):
            async with listen(InMemoryHost, address):
                pass


# --- our client and our server --------------------------------------------------------------------


@pytest.mark.parametrize("tcp", [False, True], ids=TRANSPORTS)
def test_client_and_server(tcp: bool) -> None:
    host = InMemoryHost(
        calldata=b"calldata",
        balances={SENDER: 2**256 - 1},
        leader_results=[b"\0\0", HostErrorCode.FORBIDDEN],
        eth_calls={(SENDER, b"ask"): b"answer"},
        finalized={(CONTRACT, bytes(32)): bytearray(b"old")},
        refusals={HostMethod.ETH_SEND: HostErrorCode.FORBIDDEN},
    )
    host.put_code(b"code")
    host.put_upgraders([SENDER])
    host.put_locked_slots([bytes(32)])
    with serving(host, tcp=tcp) as node:
        client = HostClient.connect(node.address)

        def read(slot: bytes, length: int, storage_type: StorageType = StorageType.DEFAULT) -> bytes:
            return client.storage_read(storage_type, CONTRACT, slot, 0, length)

        assert read(UPGRADERS_SLOT, 24) == b"\1\0\0\0" + SENDER.as_bytes
        assert read(LOCKED_SLOTS_SLOT, 36) == b"\1\0\0\0" + bytes(32)
        assert client.get_calldata() == b"calldata"
        assert read(CODE_SLOT, 10) == b"\4\0\0\0code\0\0"
        client.storage_write(bytes(32), 2, b"new")
        assert read(bytes(32), 6) == b"\0\0new\0"
        assert read(bytes(32), 6, StorageType.LATEST_FINAL) == b"old\0\0\0"
        assert read(bytes(32), 3, StorageType.LATEST_NON_FINAL) == b"\0\0n"
        assert read(bytes(32), 0) == b""
        assert client.get_balance(SENDER) == 2**256 - 1
        assert client.get_balance(CONTRACT) == 0
        assert client.get_leader_nondet_result(0) == Return(b"\0")
        for call_no, error in ((1, "forbidden"), (2, "absent")):
            with pytest.raises(VMErrorRaised, match=error):
                client.get_leader_nondet_result(call_no)
        client.post_nondet_result(3, b"\1no")
        client.post_event([bytes(32), b"\1" * 32], b"\6")
        client.post_message(RECEIVER, b"\0", b"{}")
        client.deploy_contract(b"\0", b"code", b"{}")
        assert client.eth_call(SENDER, b"ask") == b"answer"
        with pytest.raises(VMErrorRaised, match="absent"):
            client.eth_call(SENDER, b"other")
        with pytest.raises(VMErrorRaised, match="forbidden"):
            client.eth_send(SENDER, b"", b"{}")
        client.consume_fuel(100)
        assert client.remaining_fuel_as_gen() == 2**53 - 101
        client.notify_nondet_disagreement(1)
        client.consume_result(b"\0\0")
        assert node.wait()
        client.close()
    assert set(host.methods) == set(HostMethod)
    assert host.fields_of(HostMethod.POST_EVENT) == [{"topics": [bytes(32), b"\1" * 32], "blob": b"\6"}]


def test_a_dead_server_is_an_internal_error() -> None:
    host = BrokenHost()
    with serving(host) as node:
        client = HostClient.connect(node.address)
        with pytest.raises(InternalErrorRaised, match="get_balance: host connection: closed by the host"):
            client.get_balance(CONTRACT)
        assert not node.wait()
        client.close()
