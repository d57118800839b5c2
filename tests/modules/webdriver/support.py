"""The small Internet of the web module's tests with pages, and a rendering service that sees it."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import pytest

from pygenvm.modules.log import Logger
from pygenvm.modules.webdriver.locate import BrowserMissing, find_browser
from pygenvm.modules.webdriver.service import RenderingService
from tests.modules.web.lab import PUBLIC, Handler, Lab

T = TypeVar("T")

SECONDS = 30.0


def require_browser() -> None:
    try:
        find_browser()
    except BrowserMissing as error:
        pytest.skip(str(error))


class Loop:
    """An event loop on a thread: what lives there serves tests that just call."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], seconds: float = SECONDS) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)

    def close(self) -> None:
        self.run(self._cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _cancel_all(self) -> None:
        """Pages that never end."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Visitor:
    """One request to the public server; pages write raw bytes, since they misbehave."""

    path: str
    head: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(
        self, body: bytes | str, *, status: str = "200 OK", kind: str = "text/html; charset=utf-8", more: str = ""
    ) -> None:
        data = body.encode() if isinstance(body, str) else body
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n{more}\r\n"
        await self.send(head.encode() + data)

    async def redirect(self, to: str, status: str = "302 Found") -> None:
        await self.answer("", status=status, more=f"Location: {to}\r\n")

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


Serve = Callable[[Visitor], Awaitable[None]]


class Pages:
    """What the public server has: HTML or a function by path. Everything else there is the text "public"."""

    def __init__(self, handlers: dict[str, Handler]) -> None:
        self._handlers = handlers

    def __setitem__(self, path: str, page: str | Serve) -> None:
        async def handler(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            visitor = Visitor(head.split(" ")[1], head, reader, writer)
            await (visitor.answer(page) if isinstance(page, str) else page(visitor))

        self._handlers[path] = handler


class Internet(Lab):
    """The lab with pages, and with ears for datagrams at the forbidden addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.pages = Pages(self.handlers)
        self.udp_port = 0
        self._ears: list[asyncio.DatagramTransport] = []

    async def __aenter__(self) -> Internet:
        await super().__aenter__()
        for address in ("127.0.0.1", "127.0.0.9"):
            ear, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Datagrams(self.reached), local_addr=(address, self.udp_port)
            )
            self.udp_port = ear.get_extra_info("sockname")[1]
            self._ears.append(ear)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for ear in self._ears:
            ear.close()
        await super().__aexit__(*exc)

    def asked(self, path: str) -> int:
        """How often the public server was asked for it, whatever the query."""
        return sum(request.split(" ")[1].partition("?")[0] == path for request, _ in self.requests)

    def clear(self) -> None:
        for state in (self.handlers, self.requests, self.looked_up, self.reached):
            state.clear()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, reached: Counter[str]) -> None:
        self._reached = reached

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._reached["udp"] += 1


def url(path: str, host: str = "public.example.com") -> str:
    return f"http://{host}{path}"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def page_status(self) -> int:
        return int(self.headers["resulting-status"])

    @property
    def cause(self) -> str:
        return self.headers.get("resulting-cause", "")

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def summary(self) -> tuple[int, int, str, str]:
        """HTTP status, page status, cause, text."""
        return self.status, self.page_status, self.cause, self.text


class Client:
    """Asks a service as the web module does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.prefix = ""

    def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        place = urlsplit(self.address)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=SECONDS)
        try:
            connection.request(method, self.prefix + path, headers=headers)
            answer = connection.getresponse()
            fields = {name.lower(): text for name, text in answer.getheaders()}
            return Answer(answer.status, fields, answer.read())
        finally:
            connection.close()

    def render(self, address: str, mode: str = "text", **query: object) -> Answer:
        return self.get("/render?" + urlencode({"url": address, "mode": mode, **query}))

    def metric(self, name: str) -> float:
        """Sum over all labels."""
        lines = self.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(f"genvm_module_webdriver_{name}"))


def service(loop: Loop, internet: Internet, **options: Any) -> RenderingService:
    """A started service; close it with :func:`stop`."""
    made = RenderingService(
        host="127.0.0.1", port=0, log=Logger(level="error"), egress=internet.egress(), **{"concurrency": 4} | options
    )
    loop.run(made.start())
    return made


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((PUBLIC, 0))
        return int(probe.getsockname()[1])
