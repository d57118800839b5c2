"""A small Internet on loopback addresses: a public server, forbidden ones that count who comes, and a name server.

``127.0.0.50`` stands for a public address. Ports 80 and 443 of every address are led to those of this lab, so that
URLs look as contracts write them; whatever gets past the rules reaches a listener that counts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import trustme
from aiohttp.abc import ResolveResult

from pygenvm.modules.web.egress import AddressPolicy, Egress

PUBLIC = "127.0.0.50"
#: Addresses that nobody may reach, with a listener at each.
FORBIDDEN = ("127.0.0.1", "127.0.0.9", "::1")

#: Answers of the name server, in turn; the last one stays.
NAMES: dict[str, Sequence[Sequence[str]]] = {
    "public.example.com": [[PUBLIC]],
    "example.com": [[PUBLIC]],
    "münchen.example.com": [[PUBLIC]],
    "xn--mnchen-3ya.example.com": [[PUBLIC]],
    "mixed.example.com": [["127.0.0.1", "::1", PUBLIC, "10.0.0.5"]],
    "loopback.example.com": [["127.0.0.1"]],
    "loopback6.example.com": [["::1"]],
    "other-loopback.example.com": [["127.0.0.9"]],
    "private.example.com": [["10.0.0.5", "192.168.1.1", "172.16.0.1"]],
    "metadata.example.com": [["169.254.169.254"]],
    "mapped.example.com": [["::ffff:127.0.0.1"]],
    "6to4.example.com": [["2002:7f00:1::1"]],
    "nat64.example.com": [["64:ff9b::7f00:1"]],
    "teredo.example.com": [["2001:0:4136:e378:8000:63bf:80ff:fffe"]],
    "unique-local.example.com": [["fd00::5", "fe80::1"]],
    "everything.example.com": [["0.0.0.0", "::"]],
    "localhost": [["127.0.0.1", "::1"]],
    "a.localhost": [["127.0.0.1"]],
    "metadata.google.internal": [["169.254.169.254"]],
    "gone.example.com": [[]],
    # Good when it is looked at, bad when it is used.
    "rebinding.example.com": [[PUBLIC], ["127.0.0.1"]],
    "rebinding6.example.com": [[PUBLIC], ["::1", "::ffff:127.0.0.1"]],
}

AUTHORITY = trustme.CA()
CERTIFICATE = AUTHORITY.issue_cert("*.example.com", "example.com", PUBLIC)

#: What a path of the public server does with a connection, once the head of the request is read.
Handler = Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Lab:
    """``async with Lab() as lab``; ``reached`` counts connections to forbidden addresses, ``requests`` what the public
    server was asked, as ``METHOD /path`` with the head of the request."""

    def __init__(self, names: Mapping[str, Sequence[Sequence[str]]] = NAMES) -> None:
        self.names = {name: list(answers) for name, answers in names.items()}
        self.reached: Counter[str] = Counter()
        self.requests: list[tuple[str, str]] = []
        self.looked_up: Counter[str] = Counter()
        self.handlers: dict[str, Handler] = {}
        self.port = self.tls_port = 0
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Lab:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        CERTIFICATE.configure_cert(tls)
        self.port = await self._listen(None)
        self.tls_port = await self._listen(tls)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    def egress(self, *, always_allow_hosts: Sequence[str] = ()) -> LabEgress:
        """The door of the product, in this lab."""
        return LabEgress(self, always_allow_hosts=always_allow_hosts)

    async def resolve(self, name: str) -> Sequence[str]:
        name = name.rstrip(".")
        answers = self.names.get(name)
        if not answers or not answers[0]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        answer = answers[min(self.looked_up[name], len(answers) - 1)]
        self.looked_up[name] += 1
        return answer

    def client_tls(self) -> ssl.SSLContext:
        """Trusts the lab's certificate, and none of the system: to read those takes 40 ms."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        AUTHORITY.configure_trust(context)
        return context

    def led_to(self, port: int) -> int:
        return {80: self.port, 443: self.tls_port}.get(port, port)

    async def _listen(self, tls: ssl.SSLContext | None) -> int:
        """One port at all addresses."""
        for _ in range(50):
            server = await asyncio.start_server(self._serve, PUBLIC, 0, ssl=tls)
            port = int(server.sockets[0].getsockname()[1])
            servers = [server]
            try:
                for address in FORBIDDEN:
                    servers.append(await asyncio.start_server(self._count, address, port))
            except OSError as error:
                for server in servers:
                    server.close()
                if error.errno is not None and not _in_use(error):
                    raise
                continue
            for server in servers:
                self._stack.callback(server.close)
            return port
        raise AssertionError("no port is free")

    async def _count(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reached[writer.get_extra_info("sockname")[0]] += 1
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsecret")
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, target, _ = head.split(" ", 2)
                self.requests.append((f"{method} {target}", head))
                path = urlsplit(target).path
                await self.handlers.get(path, _answer)(head, reader, writer)
                await writer.drain()
            finally:
                writer.close()


async def _answer(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A page, or what ``?status=…&to=…`` asks for."""
    query = parse_qs(urlsplit(head.split(" ")[1]).query)
    status = int(query.get("status", ["200"])[0])
    fields = {"content-type": "text/html", "content-length": "6", "connection": "close"}
    if "to" in query:
        fields["location"] = query["to"][0]
    lines = [f"HTTP/1.1 {status} Something", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    writer.write("\r\n".join(lines).encode() + (b"" if head.startswith("HEAD") else b"public"))


def _in_use(error: OSError) -> bool:
    return error.errno == 98 or "in use" in str(error)


class LabEgress(Egress):
    """The product's door with the lab's names, its public address, and its ports for 80 and 443."""

    def __init__(self, lab: Lab, *, always_allow_hosts: Sequence[str] = ()) -> None:
        super().__init__(
            always_allow_hosts=always_allow_hosts,
            policy=AddressPolicy(exempt=[f"{PUBLIC}/32"]),
            resolver=lab.resolve,
        )
        self._lab = lab

    async def open_connection(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await super().open_connection(host, self._lab.led_to(port))

    def connector(self) -> aiohttp.BaseConnector:
        connector = super().connector()
        assert isinstance(connector, aiohttp.TCPConnector)
        found = connector._resolve_host

        async def led(host: str, port: int, traces: Any = None) -> list[ResolveResult]:
            return await found(host, self._lab.led_to(port), traces)

        # Addresses are connected to without a resolver; so this is the only place.
        connector._resolve_host = led  # type: ignore[method-assign]
        return connector
