"""The browser's only way to the network: an HTTP proxy that connects through the one door (spec modules/03 §7).

Each render has a proxy, and with it a port, of its own: what happened at that port happened to that page. Browsers
say the same of every connection that fails behind a proxy, so the cause is read here (:meth:`RenderProxy.why`).

A connection carries one request, since the next could be for another host.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, Protocol

from pygenvm.modules.errors import Shortage
from pygenvm.modules.limits import PROXY_CHUNK_BYTES, PROXY_HEAD_BYTES
from pygenvm.modules.web.egress import Outcome, forbidden, outcome_of

#: A loopback address that nothing else uses, so that the browser's rule "everything but this" excepts nothing else.
PROXY_IP: Final = "127.0.0.77"
#: Where Linux tells whose each socket is.
_SOCKETS: Final = Path("/proc/net/tcp")

_STATUS: Final[dict[str, bytes]] = {
    "dns": b"502 Bad Gateway",
    "refused": b"503 Service Unavailable",
    "timeout": b"504 Gateway Timeout",
    "forbidden": b"403 Forbidden",
}
#: Of one connection, whoever sends them (RFC 9110 §7.6.1); what a proxy asks of its own client is no origin's business.
_HOP: Final = {
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"upgrade",
}


class Door(Protocol):
    """Makes the connections that may be made (:class:`modules.web.egress.Egress`)."""

    async def open_connection(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """``host``: a name, or an address without brackets. Raises what ``outcome_of`` knows."""
        ...


class ClosedDoor:
    """Lets nobody out: for what the browser wants by itself."""

    async def open_connection(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        raise forbidden(host)


class _Junk(Exception):
    """What came is no HTTP; the connection ends."""


class RenderProxy:
    """A proxy that listens from :meth:`start` to :meth:`close`.

    :param only_page: HTML that is the answer to every request; nobody is connected to.
    :ivar ended_early: the page has used up its bytes or connections; everything of it is cut off.
    :ivar spent: bytes that went either way.
    :ivar lacking: what this machine did not have for a connection; the page is not what it would be elsewhere.
    """

    def __init__(self, door: Door, *, bytes_max: int, connections_max: int, only_page: bytes | None = None) -> None:
        #: Marks the pages that are the proxy's own; no origin can know it.
        self.mark: Final = f"x-genvm-{secrets.token_hex(8)}"
        self.ended_early = asyncio.Event()
        self.spent = 0
        self.refused = 0
        self.lacking = ""
        self._door = door
        self._only_page = only_page
        self._bytes_max = bytes_max
        self._connections_left = connections_max
        self._events: dict[tuple[str, int], Outcome] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        #: The port is one that all users of this machine can reach.
        self._only_us = False

    async def start(self, listener: socket.socket | None = None) -> str:
        """Listens, on a socket made elsewhere or a new one; gives the URL for the browser."""
        self._only_us = listener is None
        listener = listener or loopback_listener()
        self._server = await asyncio.start_server(self._accepted, sock=listener, limit=PROXY_HEAD_BYTES)
        host, port = listener.getsockname()[:2]
        return f"http://{host}:{port}"

    def why(self, host: str, port: int) -> Outcome | None:
        """What came of the last connection to that place; None: nobody asked for one."""
        return self._events.get((host, port))

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._cut_off()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _cut_off(self) -> None:
        for task in self._tasks:
            task.cancel()

    # --- a connection ---

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._only_us and not _is_ours(writer):
                # Whoever it is shall neither go out through us nor use up what the page may have.
                raise _Junk
            self._connections_left -= 1
            if self._connections_left < 0:
                self._end_early()
            await self._connection(reader, writer)
        except (_Junk, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            # The render is over; asyncio would log it.
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort() if self.ended_early.is_set() else writer.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, fields = _head(await reader.readuntil(b"\r\n\r\n"))
        method, target, version = _request_line(line)
        if method == b"CONNECT":
            host, port = _authority(target, 0)
            if (way := await self._connect(host, port, writer)) is None:
                return
            with contextlib.closing(way[1]):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await self._both(self._pump(reader, way[1]), self._pump(way[0], writer))
            return
        host, port, origin_form, authority = _absolute(target)
        if self._only_page is not None:
            return await _say(writer, b"200 OK", b"text/html; charset=utf-8", self._only_page)
        if (way := await self._connect(host, port, writer)) is None:
            return
        with contextlib.closing(way[1]):
            kept = [field for field in _without_hop(fields) if _name(field) != b"host"]
            head = [b"%b %b %b" % (method, origin_form, version), b"Host: " + authority, *kept, b"Connection: close"]
            way[1].write(b"\r\n".join(head) + b"\r\n\r\n")
            # The request's body, if any, goes beside; the answer's end is the end.
            sending = asyncio.ensure_future(self._pump(reader, way[1], half_close=False))
            try:
                await self._answer(way[0], writer)
            finally:
                sending.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await sending

    async def _answer(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            line, fields = _head(await _until_blank_line(upstream))
            status = line.split(b" ", 2)[1:2]
            if not line.startswith(b"HTTP/1.") or not status or not status[0].isdigit():
                raise _Junk
            if not 100 <= int(status[0]) < 200:
                break
        head = b"\r\n".join([line, *_without_hop(fields), b"Connection: close"]) + b"\r\n\r\n"
        self._spend(len(head))
        writer.write(head)
        await self._pump(upstream, writer)

    async def _connect(
        self, host: str, port: int, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection through the door; None: there is none, and the browser was told."""
        try:
            way = await self._door.open_connection(host, port)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if isinstance(error, Shortage):
                self.lacking = str(error)
            why = self._events[host, port] = outcome_of(error)
            self.refused += why == "forbidden"
            mark = f"{self.mark}: {why}\r\n".encode()
            await _say(writer, _STATUS[why], b"text/plain", why.encode(), mark)
            return None
        self._events[host, port] = "ok"
        return way

    async def _both(self, *ways: Coroutine[Any, Any, None]) -> None:
        """Until both directions have ended, or one broke."""
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(
        self, source: asyncio.StreamReader, drain: asyncio.StreamWriter, *, half_close: bool = True
    ) -> None:
        while data := await source.read(PROXY_CHUNK_BYTES):
            self._spend(len(data))
            drain.write(data)
            await drain.drain()
        if half_close and drain.can_write_eof():
            drain.write_eof()

    def _spend(self, size: int) -> None:
        self.spent += size
        if self.spent > self._bytes_max:
            self._end_early()

    def _end_early(self) -> None:
        self.ended_early.set()
        self._cut_off()
        raise _Junk


def loopback_listener() -> socket.socket:
    """Listens on any port of :data:`PROXY_IP`, or where a system has one loopback address, on that."""
    listener = socket.socket()
    try:
        listener.bind((PROXY_IP, 0))
    except OSError:
        listener.bind(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener


def _is_ours(writer: asyncio.StreamWriter) -> bool:
    """Whether a process of this user has made a connection; where the system does not say, it is taken for one."""
    try:
        sockets = _SOCKETS.read_text()
    except OSError:
        return True
    ends = [_as_listed(*writer.get_extra_info(name)) for name in ("peername", "sockname")]
    for fields in map(str.split, sockets.splitlines()):
        if fields[1:3] == ends:
            return int(fields[7]) == os.getuid()
    return False


def _as_listed(ip: str, port: int) -> str:
    return f"{int.from_bytes(socket.inet_aton(ip), sys.byteorder):08X}:{port:04X}"


async def _say(writer: asyncio.StreamWriter, status: bytes, kind: bytes, body: bytes, fields: bytes = b"") -> None:
    """A whole answer of the proxy's own."""
    head = b"HTTP/1.1 %b\r\n%bContent-Type: %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    writer.write(head % (status, fields, kind, len(body)) + body)
    await writer.drain()


# --- HTTP/1.1 heads ---

_BLANK = (b"\r\n\r\n", b"\n\n")


async def _until_blank_line(reader: asyncio.StreamReader) -> bytes:
    """The head of an answer; some origins end lines with LF alone.

    :raises _Junk: it does not end.
    """
    head = bytearray()
    while not head.endswith(_BLANK):
        line = await reader.readline() if len(head) < PROXY_HEAD_BYTES else b""
        if not line:
            raise _Junk
        head += line
    return bytes(head)


def _head(head: bytes) -> tuple[bytes, list[bytes]]:
    """First line, and the fields as they are."""
    line, *fields = [line.rstrip(b"\r") for line in head.split(b"\n")]
    return line, [field for field in fields if field]


def _name(field: bytes) -> bytes:
    return field.partition(b":")[0].strip().lower()


def _without_hop(fields: list[bytes]) -> list[bytes]:
    named = {
        name.strip().lower()
        for field in fields
        if _name(field) == b"connection"
        for name in field.partition(b":")[2].split(b",")
    }
    # Two headers of framing are what the message is made of, whatever `Connection` says.
    hop = _HOP | (named - {b"content-length", b"transfer-encoding"})
    return [field for field in fields if _name(field) not in hop]


def _request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    parts = line.split(b" ")
    if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
        raise _Junk
    return parts[0], parts[1], parts[2]


def _absolute(target: bytes) -> tuple[str, int, bytes, bytes]:
    """Host, port, origin-form and authority of ``http://authority/path?query``."""
    if not target.lower().startswith(b"http://"):
        raise _Junk
    authority, slash, rest = target[7:].partition(b"/")
    if not slash or b"@" in authority or b"?" in authority or b"#" in authority:
        raise _Junk
    host, port = _authority(authority, 80)
    return host, port, b"/" + rest, authority


def _authority(text: bytes, default_port: int) -> tuple[str, int]:
    """Host without brackets, and port."""
    host, colon, port = text.rpartition(b":")
    if not colon or port.endswith(b"]"):
        host, port = text, b"%d" % default_port
    if not (host and port.isdigit() and 0 < int(port) < 1 << 16 and host.isascii()):
        raise _Junk
    if host.startswith(b"[") and host.endswith(b"]"):
        host = host[1:-1]
    return host.decode("ascii").lower(), int(port)
