"""The filtering proxy, spoken to as a browser does and as none would."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from pygenvm.modules.limits import PROXY_HEAD_BYTES
from pygenvm.modules.web.egress import Unreachable, forbidden
from pygenvm.modules.webdriver.proxy import ClosedDoor, Door, RenderProxy

Origin = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Door:
    """Leads everybody to one origin, which gets the head of each request; remembers who was asked for."""

    def __init__(self, origin: Origin) -> None:
        self.asked: list[tuple[str, int]] = []
        self.heads: list[bytes] = []
        self._origin = origin
        self._servers: list[asyncio.Server] = []

    async def open_connection(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.asked.append((host, port))
        for text, error in _FAILURES.items():
            if host == text:
                raise error
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._servers.append(server)
        return await asyncio.open_connection(*server.sockets[0].getsockname()[:2])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            await self._origin(self.heads[-1], reader, writer)
        writer.close()

    def close(self) -> None:
        for server in self._servers:
            server.close()


_FAILURES = {
    "gone.test": Unreachable("dns", "no such name"),
    "closed.test": Unreachable("refused", "nobody listens"),
    "slow.test": Unreachable("timeout", "nobody answers"),
    "private.test": forbidden("private.test"),
}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def _ok(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


@contextlib.asynccontextmanager
async def _proxy(door: Door, **bounds: Any) -> AsyncIterator[tuple[RenderProxy, int]]:
    proxy = RenderProxy(door, **{"bytes_max": 1 << 20, "connections_max": 100, **bounds})
    url = await proxy.start()
    try:
        yield proxy, int(url.rpartition(":")[2])
    finally:
        await asyncio.wait_for(proxy.close(), 5)
        if isinstance(door, _Door):
            door.close()


async def _say(url: str, data: bytes) -> bytes:
    """All that comes back."""
    host, _, port = url.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def _through(origin: Origin, data: bytes, **bounds: int) -> tuple[bytes, _Door, RenderProxy]:
    door = _Door(origin)
    async with _proxy(door, **bounds) as (proxy, port):
        host = "127.0.0.77"
        return await _say(f"{host}:{port}", data), door, proxy


async def test_request_is_rewritten() -> None:
    request = (
        b"POST http://Page.test:8080/a/b?c=d HTTP/1.1\r\nHost: other.test\r\nConnection: keep-alive, X-Mine\r\n"
        b"Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nX-Mine: a\r\nKept: b\r\n"
        b"Content-Length: 3\r\n\r\nabc"
    )
    bodies = []

    async def origin(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies.append(await reader.readexactly(3))
        await _ok(head, reader, writer)

    answer, door, proxy = await _through(origin, request)

    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    assert door.asked == [("page.test", 8080)]
    assert door.heads == [
        b"POST /a/b?c=d HTTP/1.1\r\nHost: Page.test:8080\r\nKept: b\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
    ]
    assert bodies == [b"abc"]
    assert proxy.why("page.test", 8080) == "ok"


async def test_answer_is_rewritten() -> None:
    async def origin(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        writer.write(
            b"HTTP/1.1 407 Who\nConnection: keep-alive, kept\nKeep-Alive: timeout=5\n"
            b"Proxy-Authenticate: Basic\nA: b\n\nx"
        )

    answer, _, _ = await _through(origin, b"GET http://page.test/ HTTP/1.1\r\n\r\n")

    assert answer == b"HTTP/1.1 407 Who\r\nA: b\r\nConnection: close\r\n\r\nx"


async def test_one_request_for_each_connection() -> None:
    request = b"GET http://one.test/ HTTP/1.1\r\n\r\n"

    answer, door, _ = await _through(_ok, request + b"GET http://two.test/ HTTP/1.1\r\n\r\n")

    assert answer.count(b"HTTP/1.1 200") == 1
    assert door.asked == [("one.test", 80)]


async def test_tunnel_goes_both_ways() -> None:
    async def echo(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"<" + head + await reader.read() + b">")

    door = _Door(echo)
    async with _proxy(door) as (proxy, port):
        reader, writer = await asyncio.open_connection("127.0.0.77", port)
        writer.write(b"CONNECT [2001:DB8::1]:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
        writer.write(b"head\r\n\r\nbody")
        writer.write_eof()
        assert await reader.read() == b"<head\r\n\r\nbody>"
        writer.close()
        assert door.asked == [("2001:db8::1", 443)]
        assert proxy.why("2001:db8::1", 443) == "ok"


@pytest.mark.parametrize("host", _FAILURES)
@pytest.mark.parametrize("kind", [b"CONNECT %b:80 HTTP/1.1\r\n\r\n", b"GET http://%b/ HTTP/1.1\r\n\r\n"])
async def test_failures_are_told_and_marked(host: str, kind: bytes) -> None:
    status = {"gone.test": 502, "closed.test": 503, "slow.test": 504, "private.test": 403}[host]
    why = {"gone.test": "dns", "closed.test": "refused", "slow.test": "timeout", "private.test": "forbidden"}[host]

    answer, _, proxy = await _through(_ok, kind % host.encode())

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert f"\r\n{proxy.mark}: {why}\r\n".encode() in answer
    assert proxy.why(host, 80) == why
    assert proxy.why(host, 81) is None
    assert proxy.refused == (why == "forbidden")


async def test_each_proxy_has_a_mark_of_its_own() -> None:
    assert RenderProxy(ClosedDoor(), bytes_max=1, connections_max=1).mark != RenderProxy(
        ClosedDoor(), bytes_max=1, connections_max=1
    ).mark  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: page.test\r\n\r\n",
        b"GET http://page.test/ SPDY/3\r\n\r\n",
        b"GET https://page.test/ HTTP/1.1\r\n\r\n",
        b"GET ftp://page.test/ HTTP/1.1\r\n\r\n",
        b"GET http://page.test HTTP/1.1\r\n\r\n",
        b"GET http://user@page.test/ HTTP/1.1\r\n\r\n",
        b"GET http://page.test:0/ HTTP/1.1\r\n\r\n",
        b"GET http://page.test:65536/ HTTP/1.1\r\n\r\n",
        b"GET http://page.test:-1/ HTTP/1.1\r\n\r\n",
        b"GET http:/// HTTP/1.1\r\n\r\n",
        b"GET http://p\xc3\xa4ge.test/ HTTP/1.1\r\n\r\n",
        b"CONNECT :443 HTTP/1.1\r\n\r\n",
        b"CONNECT page.test HTTP/1.1\r\n\r\n",
        b"CONNECT page.test:x HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        pytest.param(b"GET http://page.test/ HTTP/1.1\r\nA: " + b"x" * PROXY_HEAD_BYTES + b"\r\n\r\n", id="long"),
    ],
)
async def test_what_is_no_request_for_a_proxy(data: bytes) -> None:
    answer, door, _ = await _through(_ok, data)

    assert (answer, door.asked) == (b"", [])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n",
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * (PROXY_HEAD_BYTES // 6), id="long"),
    ],
)
async def test_origin_that_sends_junk(data: bytes) -> None:
    async def origin(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    assert (await _through(origin, b"GET http://page.test/ HTTP/1.1\r\n\r\n"))[0] == b""


async def test_bytes_are_bounded() -> None:
    async def flood(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    answer, _, proxy = await _through(flood, b"GET http://page.test/ HTTP/1.1\r\n\r\n", bytes_max=300_000)

    assert proxy.ended_early.is_set()
    assert len(answer) <= 300_000
    assert proxy.spent < 500_000


async def test_connections_are_bounded() -> None:
    door = _Door(_ok)
    async with _proxy(door, connections_max=2) as (proxy, port):
        answers = [await _say(f"127.0.0.77:{port}", b"GET http://page.test/ HTTP/1.1\r\n\r\n") for _ in range(3)]

        assert [bool(answer) for answer in answers] == [True, True, False]
        assert proxy.ended_early.is_set()


async def test_closing_ends_what_goes_on() -> None:
    async def never(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    door = _Door(never)
    async with _proxy(door) as (proxy, port):
        asking = asyncio.create_task(_say(f"127.0.0.77:{port}", b"GET http://page.test/ HTTP/1.1\r\n\r\n"))
        idle = asyncio.create_task(_say(f"127.0.0.77:{port}", b"GET"))
        while not door.heads:
            await asyncio.sleep(0.01)
        await asyncio.wait_for(proxy.close(), 5)

        assert [await asking, await idle] == [b"", b""]


async def test_closed_door_lets_nobody_out() -> None:
    async with _proxy(ClosedDoor()) as (_, port):
        for data in (b"CONNECT update.googleapis.com:443 HTTP/1.1\r\n\r\n", b"GET http://page.test/ HTTP/1.1\r\n\r\n"):
            assert (await _say(f"127.0.0.77:{port}", data)).startswith(b"HTTP/1.1 403 ")
