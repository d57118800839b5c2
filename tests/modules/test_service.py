"""The frame of the services against real clients: good ones, many at a time, and hostile ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from pygenvm.executor.limits import MODULE_MESSAGE_BYTES
from pygenvm.executor.module_protocol.codec import (
    GET_STATS,
    Answer,
    FatalError,
    Hello,
    Ok,
    Request,
    UserError,
    decode_answer,
    encode_hello,
    encode_request,
)
from pygenvm.executor.primitives import calldata
from pygenvm.modules import limits
from pygenvm.modules.config import CommonSettings, ConfigError
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.log import Logger
from pygenvm.modules.metrics import Metrics
from pygenvm.modules.service import Patience, Service, Statistics

HELLO = Hello("c00k1e", {"node_address": "0xA1", "tx_id": "0x22", "more": [1]})
SETTINGS = CommonSettings(
    bind_address="127.0.0.1:0",
    lua_script_path="",
    vm_count=1,
    lua_path="",
    signer_url="",
    signer_headers={},
    threads=1,
    blocking_threads=1,
)
Work = Callable[[Request], Awaitable[Any]]


async def echo(request: Request) -> Any:
    return [request.name, request.payload]


@dataclass
class Asked:
    """A session that counts."""

    hello: Hello
    work: Work
    asked: int = 0
    closed: bool = False

    async def ask(self, request: Request) -> Any:
        self.asked += 1
        return await self.work(request)

    def statistics(self) -> Statistics:
        return Statistics(self.asked, self.asked * 7)

    async def close(self) -> None:
        self.closed = True


@dataclass
class Bench:
    """A service and what became of it."""

    service: Service
    metrics: Metrics
    log: Logger
    log_file: Path
    sessions: list[Asked] = field(default_factory=list)

    def records(self) -> list[dict[str, Any]]:
        self.log.flush()
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]


@contextlib.asynccontextmanager
async def serving(
    folder: Path, work: Work = echo, settings: CommonSettings = SETTINGS, *, name: str = "llm", level: str = "info"
) -> AsyncIterator[Bench]:
    path = folder / f"{name}.log"
    with path.open("ab") as file:
        log = Logger(fd=file.fileno(), level=level)
        metrics = Metrics(name)

        async def open_session(hello: Hello) -> Asked:
            if hello.cookie == "fails":
                raise RuntimeError("no VM is free")
            session = Asked(hello, work)
            bench.sessions.append(session)
            return session

        bench = Bench(Service(name, settings, open_session, log=log, metrics=metrics), metrics, log, path)
        await bench.service.start()
        try:
            yield bench
        finally:
            await bench.service.stop(0)


def client(address: str, **options: Any) -> connect:
    return connect(address, compression=None, max_size=MODULE_MESSAGE_BYTES, proxy=None, **options)


async def opened(address: str, cookie: str = "c00k1e") -> ClientConnection:
    """A connection whose hello has been sent."""
    connection = await client(address)
    await connection.send(encode_hello(Hello(cookie, HELLO.host_data)))
    return connection


@contextlib.asynccontextmanager
async def opening(address: str, cookie: str = "c00k1e") -> AsyncIterator[ClientConnection]:
    """The same, which closes."""
    connection = await opened(address, cookie)
    try:
        yield connection
    finally:
        await connection.close()


async def exchange(connection: ClientConnection, frame: bytes | str) -> Answer:
    await connection.send(frame)
    answer = await connection.recv()
    assert isinstance(answer, bytes)
    return decode_answer(answer)


async def ask(connection: ClientConnection, name: str = "Render", payload: Any = "x") -> Answer:
    return await exchange(connection, encode_request(Request(name, payload)))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


# --- the protocol ---------------------------------------------------------------------------------


async def test_a_session_answers_one_request_after_the_other(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench, opening(bench.service.address) as connection:
        assert await ask(connection, "Render", {"url": "u"}) == Ok(["Render", {"url": "u"}])
        assert await ask(connection, GET_STATS, None) == Ok({"scripting": {"requests_count": 1, "requests_time": 7}})
        assert await ask(connection, GET_STATS, "with a payload") == Ok([GET_STATS, "with a payload"])
        assert bench.service.sessions == 1
        (session,) = bench.sessions
        assert session.hello == HELLO
        await connection.close()
        await until(lambda: session.closed)
        assert bench.service.sessions == 0


async def test_requests_sent_at_once_are_answered_in_their_order(tmp_path: Path) -> None:
    running = 0

    async def work(request: Request) -> Any:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.02 if request.payload == 0 else 0)
        running -= 1
        return request.payload

    async with serving(tmp_path, work) as bench, opening(bench.service.address) as connection:
        for number in range(5):
            await connection.send(encode_request(Request("Render", number)))
        answers = [decode_answer(await connection.recv(decode=False)) for _ in range(5)]
    assert answers == [Ok(number) for number in range(5)]


async def test_text_frames_hold_calldata_too_and_answers_are_binary(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench, client(bench.service.address) as connection:
        await connection.send(encode_hello(HELLO).decode())
        assert await exchange(connection, encode_request(Request("Render")).decode()) == Ok(["Render", None])


async def test_any_path_is_served(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        for path in ("/", "/health", "/a/b?c=d"):
            async with opening(bench.service.address + path) as connection:
                assert await ask(connection) == Ok(["Render", "x"])


async def test_ping_is_answered_while_a_request_is_at_work(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def work(_request: Request) -> Any:
        await go_on.wait()

    async with serving(tmp_path, work) as bench, opening(bench.service.address) as connection:
        await connection.send(encode_request(Request("Render")))
        await asyncio.wait_for(await connection.ping(b"payload"), 5)
        go_on.set()
        assert decode_answer(await connection.recv(decode=False)) == Ok(None)


# --- answers --------------------------------------------------------------------------------------


async def raised_by(tmp_path: Path, error: Exception) -> Answer:
    async def work(_request: Request) -> Any:
        raise error

    async with serving(tmp_path, work) as bench, opening(bench.service.address) as connection:
        answer = await ask(connection)
        # The next request finds everything as it was.
        assert await ask(connection, GET_STATS, None) == Ok({"scripting": {"requests_count": 1, "requests_time": 7}})
    return answer


async def test_structured_errors_have_their_envelopes(tmp_path: Path) -> None:
    user = ModuleError(["WEBPAGE_LOAD_FAILED", "more"], fatal=False, ctx={"status": 404, "share": 0.5})
    assert await raised_by(tmp_path, user) == UserError(
        {"causes": ["WEBPAGE_LOAD_FAILED", "more"], "ctx": {"share": "0.5", "status": 404}}
    )
    fatal = ModuleError("NO_PROVIDER_FOR_PROMPT", ctx={"status": 429})
    assert await raised_by(tmp_path, fatal) == FatalError(
        'ModuleError { causes: ["NO_PROVIDER_FOR_PROMPT"], fatal: true, ctx: {"status": Number(429.0)} }'
    )


async def test_other_failures_are_told_as_a_chain(tmp_path: Path) -> None:
    error = ValueError("script failed")
    error.__cause__ = KeyError("missing")
    assert await raised_by(tmp_path, error) == FatalError("handling Render: script failed: 'missing'")
    assert await raised_by(tmp_path, RuntimeError()) == FatalError("handling Render: RuntimeError")


async def test_a_time_out_of_something_inside_is_not_taken_for_the_request_s_bound(tmp_path: Path) -> None:
    assert await raised_by(tmp_path, TimeoutError("slow page")) == FatalError("handling Render: slow page")


@pytest.mark.parametrize("value", [0.5, float("nan"), object(), {1: 2}, "\ud800", {"a": [{"b": 1e300}]}])
async def test_an_answer_without_a_calldata_form_is_a_clear_error(tmp_path: Path, value: Any) -> None:
    async def work(_request: Request) -> Any:
        return value

    async with serving(tmp_path, work) as bench, opening(bench.service.address) as connection:
        answer = await ask(connection)
        assert isinstance(answer, FatalError)
        assert answer.text.startswith("handling Render: the answer cannot be sent: ")
        assert isinstance(await ask(connection, GET_STATS, None), Ok)


async def test_errors_that_have_no_calldata_form_are_told_too(tmp_path: Path) -> None:
    answer = await raised_by(tmp_path, ModuleError("X", fatal=False, ctx={"o": object()}))
    assert isinstance(answer, FatalError)
    assert await raised_by(tmp_path, RuntimeError("\udc80")) == FatalError("handling Render: \\udc80")


async def test_an_answer_that_does_not_fit_a_frame_is_a_user_error(tmp_path: Path) -> None:
    async def work(_request: Request) -> Any:
        return {"image": b"\0" * MODULE_MESSAGE_BYTES}

    async with serving(tmp_path, work) as bench, opening(bench.service.address) as connection:
        answer = await ask(connection)
    assert isinstance(answer, UserError)
    assert answer.value["causes"] == ["ANSWER_TOO_LARGE"]
    assert answer.value["ctx"]["limit"] == MODULE_MESSAGE_BYTES


async def test_a_request_that_takes_too_long_is_answered_and_cancelled(tmp_path: Path) -> None:
    cancelled = asyncio.Event()

    async def work(request: Request) -> Any:
        if request.payload is None:
            return "next"
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    settings = replace(SETTINGS, request_seconds=0.05)
    async with serving(tmp_path, work, settings) as bench, opening(bench.service.address) as connection:
        assert await ask(connection) == UserError({"causes": ["TIMEOUT"], "ctx": {"seconds": "0.05"}})
        assert cancelled.is_set()
        assert await ask(connection, "Render", None) == Ok("next")


async def test_work_for_a_client_that_goes_away_is_cancelled(tmp_path: Path) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def work(_request: Request) -> Any:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async with serving(tmp_path, work) as bench:
        connection = await opened(bench.service.address)
        await connection.send(encode_request(Request("Render")))
        await begun.wait()
        connection.transport.abort()
        await asyncio.wait_for(cancelled.wait(), 5)
        await until(lambda: bench.sessions[0].closed)
        assert b'outcome="abandoned",request="Render"} 1.0' in bench.metrics.text()


# --- hostile clients ------------------------------------------------------------------------------

BAD_HELLOS = {
    "garbage": b"\xff" * 100,
    "empty": b"",
    "no map": calldata.encode("hello"),
    "no cookie": calldata.encode({"host_data": {"node_address": "", "tx_id": ""}}),
    "cookie no text": calldata.encode({"cookie": 1, "host_data": {"node_address": "", "tx_id": ""}}),
    "no host data": calldata.encode({"cookie": ""}),
    "no tx_id": calldata.encode({"cookie": "", "host_data": {"node_address": ""}}),
    "half": encode_hello(HELLO)[:-3],
    "trailing": encode_hello(HELLO) + b"\0",
}


@pytest.mark.parametrize("name", BAD_HELLOS)
async def test_a_bad_hello_is_dropped_without_a_reply(tmp_path: Path, name: str) -> None:
    async with serving(tmp_path) as bench:
        async with client(bench.service.address) as connection:
            await connection.send(BAD_HELLOS[name])
            with pytest.raises(ConnectionClosedError) as raised:
                await connection.recv()
            assert raised.value.rcvd is None
        async with opening(bench.service.address) as connection:
            assert await ask(connection) == Ok(["Render", "x"])
        refusals = [record for record in bench.records() if record["message"] == "connection refused"]
        assert [(record["level"], record["reason"]) for record in refusals] == [("warn", "hello")]
        assert len(bench.sessions) == 1


async def test_no_hello_is_waited_for_only_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HELLO_SECONDS", 0.05)
    monkeypatch.setattr(limits, "HANDSHAKE_SECONDS", 0.05)
    async with serving(tmp_path) as bench:
        async with client(bench.service.address) as connection:
            with pytest.raises(ConnectionClosedError):
                await asyncio.wait_for(connection.recv(), 5)
        # Not even a handshake, and half of one.
        port = int(bench.service.address.rpartition(":")[2])
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\x16\x03\x01 no http\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            with contextlib.suppress(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 5)
            writer.close()


async def test_a_session_that_cannot_be_opened_closes_the_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        connection = await opened(bench.service.address, "fails")
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        (failure,) = [record for record in bench.records() if record["level"] == "error"]
        assert failure["cookie"] == "fails"
        assert "no VM is free" in failure["error"]["causes"][0]


BAD_REQUESTS = {
    "garbage": b"\xff" * 1000,
    "empty": b"",
    "number": calldata.encode(5),
    "two names": calldata.encode({"A": 1, "B": 2}),
    "no name": calldata.encode({}),
    "half": encode_request(Request("Render", "x"))[:-1],
    "two values": encode_request(Request("Render", "x")) * 2,
    "claims gigabytes": b"\xfb\xff\xff\xff\x0f",
    "deep": b"\x0d" * 50_000 + b"\0",
    "many": calldata.encode([]) * 100_000,
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
async def test_a_request_that_cannot_be_read_is_answered_and_the_next_one_works(tmp_path: Path, name: str) -> None:
    async with serving(tmp_path) as bench, opening(bench.service.address) as connection:
        answer = await exchange(connection, BAD_REQUESTS[name])
        assert isinstance(answer, FatalError)
        assert answer.text.startswith("handling request: ")
        assert len(answer.text) < 1000
        assert await ask(connection) == Ok(["Render", "x"])


async def test_a_frame_that_is_too_long_ends_its_connection_only(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench, opening(bench.service.address) as other:
        connection = await opened(bench.service.address)
        with contextlib.suppress(ConnectionClosed):
            await connection.send(b"\0" * (MODULE_MESSAGE_BYTES + 1))
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert await ask(other) == Ok(["Render", "x"])


async def test_broken_frames_end_their_connection_only(tmp_path: Path) -> None:
    """Half of a message, a reserved opcode, a frame that is not masked, one that promises 2^62 bytes."""
    async with serving(tmp_path) as bench, opening(bench.service.address) as other:
        for raw in (b"\x82\xfe\x10", b"\x8f\x80\0\0\0\0", b"\x82\x01a", b"\x82\xff" + struct.pack(">Q", 1 << 62)):
            connection = await opened(bench.service.address)
            assert await ask(connection) == Ok(["Render", "x"])
            connection.transport.write(raw)
            connection.transport.write_eof()
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(connection.recv(), 5)
        assert await ask(other) == Ok(["Render", "x"])
        await until(lambda: bench.service.sessions == 1)


async def test_a_client_that_sends_nothing_more_is_parted_with(tmp_path: Path) -> None:
    settings = replace(SETTINGS, session_idle_seconds=0.05)
    async with serving(tmp_path, settings=settings) as bench:
        connection = await opened(bench.service.address)
        # The beginning of a message is nothing yet.
        connection.transport.write(b"\x02\x81\0\0\0\0a")
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(connection.recv(), 5)
        await until(lambda: bench.sessions[0].closed)


async def test_a_session_is_idle_only_between_its_requests(tmp_path: Path) -> None:
    async def work(_request: Request) -> Any:
        await asyncio.sleep(0.25)
        return 1

    async with serving(tmp_path, work, settings=replace(SETTINGS, session_idle_seconds=0.2)) as bench:
        connection = await opened(bench.service.address)
        for _ in range(2):
            assert await ask(connection) == Ok(1)
        begun = time.monotonic()
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(connection.recv(), 5)
        assert time.monotonic() - begun > 0.15


async def test_patience_ends_the_wait_that_takes_too_long_and_no_other() -> None:
    patience = Patience()
    with patience.of(0.02):
        pass
    # The timer of the first wait fires in the second, and that of the last sooner than the second's would have.
    with patience.of(10):
        await asyncio.sleep(0.05)
    with patience.of(0.05):
        pass
    with patience.of(None):
        await asyncio.sleep(0.1)
    begun = time.monotonic()
    with pytest.raises(TimeoutError), patience.of(0.03):
        await asyncio.sleep(5)
    assert 0.03 <= time.monotonic() - begun < 5
    assert patience.expired
    with patience.of(10):
        await asyncio.sleep(0)
    assert not patience.expired
    with pytest.raises(ZeroDivisionError), patience.of(10):
        _ = 1 // 0
    patience.close()


async def test_who_is_cancelled_from_outside_does_not_take_it_for_a_time_out() -> None:
    async def wait() -> None:
        with Patience().of(10):
            await asyncio.sleep(5)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_client_that_does_not_take_its_answer_is_parted_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEND_SECONDS", 0.2)

    async def work(_request: Request) -> Any:
        return b"\0" * (32 << 20)

    async with serving(tmp_path, work) as bench:
        connection = await opened(bench.service.address)
        connection.transport.pause_reading()
        connection.transport.write(b"")
        await connection.send(encode_request(Request("Render")))
        await until(lambda: bool(bench.sessions) and bench.sessions[0].closed)
        connection.transport.abort()


async def test_a_big_frame_does_not_keep_the_other_sessions_waiting(tmp_path: Path) -> None:
    """Some seconds of decoding."""
    frame = calldata.encode({"Render": [{"a": index} for index in range(400_000)]})

    async def work(request: Request) -> Any:
        return len(request.payload)

    async with (
        serving(tmp_path, work) as bench,
        opening(bench.service.address) as big,
        opening(bench.service.address) as small,
    ):
        await big.send(frame)
        answered = asyncio.create_task(big.recv(decode=False))
        others = 0
        while not answered.done():
            assert await ask(small) == Ok(1)
            others += 1
        assert decode_answer(await answered) == Ok(400_000)
    assert others > 5


# --- who is let in --------------------------------------------------------------------------------


async def test_web_pages_are_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        for origin in ("https://example.org", "null", "http://127.0.0.1"):
            with pytest.raises(InvalidStatus) as raised:
                await client(bench.service.address, origin=origin)
            assert raised.value.response.status_code == 403
        http = bench.service.address.replace("ws://", "http://")
        async with aiohttp.ClientSession() as session:
            assert (await session.get(f"{http}/metrics", headers={"Origin": "https://example.org"})).status == 403
        assert b'refused_total{reason="origin"} 4.0' in bench.metrics.text()
        assert not bench.sessions


async def test_with_a_token_only_its_path_is_served(tmp_path: Path) -> None:
    settings = replace(SETTINGS, path_token="t0ken-t0ken")
    async with serving(tmp_path, settings=settings) as bench:
        address = bench.service.address
        assert address.endswith("/t0ken-t0ken")
        async with opening(address) as connection:
            assert await ask(connection) == Ok(["Render", "x"])
        base = address.removesuffix("/t0ken-t0ken")
        for path in ("", "/", "/t0ken", "/t0ken-t0ken/", "/t0ken-t0ken?x", "/T0KEN-T0KEN", "/t%30ken-t0ken"):
            with pytest.raises(InvalidStatus) as raised:
                await client(base + path)
            assert raised.value.response.status_code == 403
        async with aiohttp.ClientSession() as session:
            root = base.replace("ws://", "http://")
            for path in ("/health", "/metrics", "/t0ken/health", "/t0ken-t0kenhealth", "/T0KEN-T0KEN/health"):
                assert (await session.get(root + path)).status == 404, path
            assert (await session.get(f"{root}/t0ken-t0ken/health")).status == 200


async def test_more_sessions_than_there_may_be_are_refused(tmp_path: Path) -> None:
    async with serving(tmp_path, settings=replace(SETTINGS, sessions_max=2)) as bench:
        first, second = await opened(bench.service.address), await opened(bench.service.address)
        assert await ask(first) == await ask(second) == Ok(["Render", "x"])
        with pytest.raises(InvalidStatus) as raised:
            await client(bench.service.address)
        assert raised.value.response.status_code == 503
        assert b"sessions_max" in (raised.value.response.body or b"")
        await first.close()
        await until(lambda: bench.service.sessions == 1)
        async with opening(bench.service.address) as third:
            assert await ask(third) == Ok(["Render", "x"])
        await second.close()


async def test_health_and_metrics_are_served_beside_the_sessions(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench, opening(bench.service.address) as connection:
        await ask(connection)
        await ask(connection, "no such request " * 100)
        http = bench.service.address.replace("ws://", "http://")
        async with aiohttp.ClientSession() as session:
            health = await session.get(f"{http}/health")
            assert await health.json() == {"name": "llm", "state": "running", "sessions": 1, "check": {}}
            metrics = await session.get(f"{http}/metrics")
            assert metrics.headers["Content-Type"].startswith("text/plain")
            text = await metrics.text()
            other = await session.get(f"{http}/other")
            assert other.status == 404
            assert await other.text() == "This is a WebSocket service. There is GET /health. There is GET /metrics.\n"
            port = http.rpartition(":")[2]
            for host, status in ((f"localhost:{port}", 200), ("[::1]", 200), ("rebound.example", 404), ("[", 404)):
                assert (await session.get(f"{http}/metrics", headers={"Host": host})).status == status, host
    assert "genvm_module_llm_sessions 1.0" in text
    assert 'genvm_module_llm_requests_total{outcome="ok",request="Render"} 1.0' in text
    assert 'genvm_module_llm_requests_total{outcome="ok",request="other"} 1.0' in text
    assert 'genvm_module_llm_request_seconds_count{request="Render"} 1.0' in text


# --- many, and several ----------------------------------------------------------------------------


async def test_200_sessions_at_a_time(tmp_path: Path) -> None:
    together = asyncio.Barrier(200)

    async def work(request: Request) -> Any:
        await together.wait()
        return request.payload

    async with serving(tmp_path, work) as bench:

        async def one(number: int) -> None:
            async with opening(bench.service.address, str(number)) as connection:
                for turn in range(3):
                    assert await ask(connection, "Render", [number, turn]) == Ok([number, turn])

        await asyncio.gather(*map(one, range(200)))
        await until(lambda: bench.service.sessions == 0)
        assert len(bench.sessions) == 200
        assert all(session.closed for session in bench.sessions)


async def test_two_services_live_in_one_process(tmp_path: Path) -> None:
    async with serving(tmp_path, name="llm") as llm, serving(tmp_path, name="web") as web:
        for bench, times in ((llm, 1), (web, 2)):
            for _ in range(times):
                async with opening(bench.service.address) as connection:
                    await ask(connection)
        await llm.service.stop(1)
        assert (llm.service.state, web.service.state) == ("stopped", "running")
        async with opening(web.service.address) as connection:
            assert await ask(connection) == Ok(["Render", "x"])
        assert b"genvm_module_llm_sessions_opened_total 1.0" in llm.metrics.text()
        assert b"genvm_module_web_sessions_opened_total 3.0" in web.metrics.text()
        assert b"module_web" not in llm.metrics.text()


# --- stop and start -------------------------------------------------------------------------------


async def test_a_service_that_is_stopped_lets_its_sessions_finish(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def work(request: Request) -> Any:
        if request.payload == "slow":
            await go_on.wait()
        return request.payload

    async with serving(tmp_path, work) as bench:
        connection = await opened(bench.service.address)
        await connection.send(encode_request(Request("Render", "slow")))
        await until(lambda: bool(bench.sessions and bench.sessions[0].asked))
        stopping = asyncio.create_task(bench.service.stop(30))
        await until(lambda: bench.service.state == "stopping")
        with pytest.raises(OSError, match="Connect call failed"):
            await client(bench.service.address)
        go_on.set()
        assert decode_answer(await connection.recv(decode=False)) == Ok("slow")
        # A run has more requests, and then its statistics.
        assert await ask(connection, "Render", "more") == Ok("more")
        states: list[str] = [bench.service.state]
        await connection.close()
        await asyncio.wait_for(stopping, 5)
        states.append(bench.service.state)
        assert states == ["stopping", "stopped"]


async def test_sessions_that_do_not_finish_in_time_are_broken_off(tmp_path: Path) -> None:
    cancelled = asyncio.Event()

    async def work(_request: Request) -> Any:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async with serving(tmp_path, work) as bench:
        busy, idle = await opened(bench.service.address), await opened(bench.service.address)
        silent = await client(bench.service.address)
        await busy.send(encode_request(Request("Render")))
        await until(lambda: any(session.asked for session in bench.sessions) and len(bench.sessions) == 2)
        await asyncio.wait_for(bench.service.stop(0.1), 5)
        assert bench.service.state == "stopped"
        assert cancelled.is_set()
        assert all(session.closed for session in bench.sessions)
        for connection in (busy, idle):
            with pytest.raises(ConnectionClosed) as raised:
                await connection.recv()
            assert raised.value.rcvd is not None
            assert raised.value.rcvd.code == 1001
        with pytest.raises(ConnectionClosed):
            await silent.recv()


async def test_a_stop_does_not_wait_for_those_that_are_no_session_yet(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        silent = await client(bench.service.address)
        port = int(bench.service.address.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n")
        # Served after the others were let in.
        async with opening(bench.service.address) as connection:
            await ask(connection)
        await asyncio.wait_for(bench.service.stop(60), 5)
        assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionClosed):
            await silent.recv()


async def test_a_second_stop_can_have_less_patience(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        connection = await opened(bench.service.address)
        assert await ask(connection) == Ok(["Render", "x"])
        patient = asyncio.create_task(bench.service.stop(60))
        await until(lambda: bench.service.state == "stopping")
        await asyncio.wait_for(bench.service.stop(0), 5)
        await asyncio.wait_for(patient, 5)
        assert bench.service.state == "stopped"


async def test_a_service_starts_again_on_its_port(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with serving(tmp_path, settings=replace(SETTINGS, bind_address=f"127.0.0.1:{port}")) as bench:
        for _ in range(3):
            connection = await opened(bench.service.address)
            assert await ask(connection) == Ok(["Render", "x"])
            await bench.service.stop(0)
            await bench.service.start()


async def test_an_address_in_use_is_told_with_what_to_do(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        taken = bench.service.address.removeprefix("ws://")
        with pytest.raises(ConfigError, match=r"bind_address: cannot listen on .*[Aa]ddress already in use") as raised:
            async with serving(tmp_path, settings=replace(SETTINGS, bind_address=taken)):
                pass
        assert "port 0" in raised.value.remedy


# --- log ------------------------------------------------------------------------------------------

KEY = 'sk-"1234567/89 äbc'


async def test_records_of_a_session_carry_its_cookie(tmp_path: Path) -> None:
    async def work(_request: Request) -> Any:
        raise ModuleError("EMPTY_PROMPT", fatal=False)

    async with serving(tmp_path, work, level="debug") as bench:
        async with opening(bench.service.address, "one" + "x" * 1000) as connection:
            await ask(connection)
        await until(lambda: bench.sessions[0].closed)
        records = bench.records()
    assert {record["cookie"][:3] for record in records if "session" in record["message"]} == {"one"}
    (failed,) = [record for record in records if record["message"] == "request failed"]
    assert (failed["level"], failed["target"], failed["request"]) == ("info", "genvm_modules::service", "Render")
    assert len(failed["cookie"]) == limits.COOKIE_CHARS
    assert failed["seconds"] >= 0


@pytest.mark.parametrize(
    "work",
    [
        lambda key: {"data": f"the key is {key}!"},
        lambda key: {key: [key.encode(), ("x", key)]},
        lambda key: ModuleError(
            "SENDING_REQUEST", fatal=False, ctx={"url": f"https://a?key={key}", "b": [key.encode()]}
        ),
        lambda key: ModuleError(["A", key], ctx={"body": f"<{key}>".encode(), key: key}),
        lambda key: ValueError(f"cannot open {key}"),
        lambda key: 0.5 if key else 0,
    ],
)
async def test_a_key_is_found_nowhere(tmp_path: Path, work: Callable[[str], Any]) -> None:
    async def asked(_request: Request) -> Any:
        result = work(KEY)
        if isinstance(result, Exception):
            raise result from OSError(f"it was {KEY}")
        return result

    async with serving(tmp_path, asked, level="trace") as bench:
        bench.log.secrets.add(KEY)
        bench.log.info(f"starting with {KEY}", key=KEY, inside={"a": [KEY, {KEY: KEY.encode()}]}, error=OSError(KEY))
        bench.service.check = {"ok": False, "error": KEY}
        async with opening(bench.service.address) as connection:
            await connection.send(encode_request(Request("Prompt")))
            frame = await connection.recv(decode=False)
            http = bench.service.address.replace("ws://", "http://")
            async with aiohttp.ClientSession() as session:
                pages = [await (await session.get(f"{http}/{name}")).read() for name in ("health", "metrics")]
    shown = [frame, bench.log_file.read_bytes(), *pages]
    numbers = ", ".join(map(str, KEY.encode()))
    for form in (KEY.encode(), json.dumps(KEY).encode()[1:-1], KEY.encode().hex().encode(), numbers.encode()):
        assert not any(form in text for text in shown)
    assert b"***" in shown[1]
    decode_answer(frame)


async def test_short_keys_are_not_looked_for(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench, opening(bench.service.address) as connection:
        bench.log.secrets.add("x")
        assert await ask(connection) == Ok(["Render", "x"])


def test_a_log_that_nobody_reads_stops_nobody(tmp_path: Path) -> None:
    read, write = os.pipe()
    log = Logger(fd=write)
    for _ in range(3000):
        log.info("x" * 4000)
    os.close(write)
    with open(read, "rb") as file:
        waiting = file.read(1 << 16)
    assert waiting.startswith(b'{"level":"info"')
    assert log._outlet._size <= limits.LOG_WAITING_BYTES
