"""HTTP for everything that a service asks of others: bounded in time, size and redirects (spec modules/02 §5, 03 §5).

Providers, signer and rendering service are asked through a plain :class:`HttpClient`; what contracts name goes through
one with a :class:`Door` (:mod:`modules.web.egress`), which sees each hop and makes its connections.

No environment proxies, no netrc, no cookies: a request takes nothing along that the caller did not give.
"""

from __future__ import annotations

import asyncio
import base64
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from ssl import SSLContext
from typing import Final, Protocol
from urllib.parse import unquote_to_bytes

import ada_url
import aiohttp
from yarl import URL

from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError

#: What the services call themselves unless the caller says otherwise (spec modules/02 §5).
USER_AGENT: Final = "reqwest"

# --- URLs -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Url:
    """A URL as the WHATWG parser normalises it; every part is ASCII.

    ``host`` is lower case, an IPv6 address in brackets; ``port`` is None where absent or the scheme's default.
    ``query`` is without its question mark; None and empty differ. ``authority`` has user info and port, if any.
    """

    href: str
    scheme: str
    host: str
    port: int | None
    path: str
    query: str | None
    authority: str
    username: str
    password: str

    @property
    def connect_port(self) -> int:
        return self.port or (443 if self.scheme == "https" else 80)

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.connect_port


def parse_url(text: str, base: Url | None = None) -> Url:
    """:raises ValueError: the text is no absolute URL (or, with a base, none relative to it)."""
    if len(text) > limits.URL_BYTES:
        raise ValueError(f"longer than {limits.URL_BYTES} characters")
    parts = ada_url.parse_url(text if base is None else ada_url.join_url(base.href, text))
    href = str(parts["href"]).partition("#")[0]
    username, password = str(parts["username"]), str(parts["password"])
    user = f"{username}:{password}@" if password else f"{username}@" if username else ""
    return Url(
        href=href,
        scheme=str(parts["protocol"]).removesuffix(":"),
        host=str(parts["hostname"]),
        port=int(parts["port"]) if parts["port"] else None,
        path=str(parts["pathname"]),
        query=href.partition("?")[2] if "?" in href else None,
        authority=user + str(parts["host"]),
        username=username,
        password=password,
    )


_SECRET_PARAMETER = re.compile(r"([?&](?:api[_-]?key|key|access[_-]?token|token|secret)=)[^&#]*", re.IGNORECASE)
_PASSWORD = re.compile(r"^([a-z]+://[^/?#@]*:)[^/?#@]*@", re.IGNORECASE)


def redacted_url(url: str) -> str:
    """The URL as it may stand in an error or a log: without passwords and API keys (spec modules/02 §5)."""
    return _PASSWORD.sub(r"\1***@", _SECRET_PARAMETER.sub(r"\1***", url))


# --- headers --------------------------------------------------------------------------------------

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")

#: Fields about one connection and the framing of the body: they are ours, whatever the caller says.
_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-connection", "proxy-authorization", "transfer-encoding"),
        *("content-length", "te", "trailer", "upgrade", "expect"),
    )
)
#: Fields that stay behind when a redirect leaves the origin they were meant for.
_SECRET = frozenset(("authorization", "cookie", "cookie2", "x-api-key", "x-goog-api-key", "api-key", "host"))
#: Fields that go with a body when a redirect turns the request into a GET.
_OF_BODY = frozenset(("content-type", "content-encoding", "content-language", "content-location"))


def checked_headers(headers: Mapping[str, str | bytes]) -> dict[str, str]:
    """Lower-case names; of names that differ in case only the last one stays.

    :raises ModuleError: ``DESERIALIZING`` for a bad name, ``invalid header value`` for a bad value; both fatal.
    """
    checked = {}
    for name, value in headers.items():
        # White space around a value is none of it (RFC 9110 §5.5).
        raw = (value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")).strip(b" \t")
        try:
            if not _NAME.fullmatch(name.encode("ascii")):
                raise ValueError
        except ValueError:
            raise ModuleError("DESERIALIZING", ctx={"rust_error": "invalid HTTP header name"}) from None
        try:
            if not _VALUE.fullmatch(raw):
                raise ValueError
            checked[name.lower()] = raw.decode()  # aiohttp has no way to send other bytes
        except ValueError:
            raise ModuleError("invalid header value", ctx={"name": name}) from None
    return checked


# --- client ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Response:
    """``headers``: lower-case names, of repeated fields the last one. ``url``: of the last hop, without secrets."""

    status: int
    headers: dict[str, bytes]
    body: bytes
    url: str


class Door(Protocol):
    """Who decides where a client may connect to."""

    def admit(self, url: Url, previous: Url | None) -> None:
        """Called before each hop; ``previous`` is the hop that redirected here.

        :raises ModuleError: the hop is refused.
        """

    def connector(self) -> aiohttp.BaseConnector:
        """What makes the connections, in the running event loop."""


class HttpClient:
    """One per service and purpose; used by many requests at once, in one event loop."""

    def __init__(self, *, door: Door | None = None, tls: SSLContext | None = None) -> None:
        self._door = door
        self._tls: SSLContext | bool = tls or True
        self._session: aiohttp.ClientSession | None = None
        #: Bytes of bodies that are being received, of all requests together.
        self._receiving = 0

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str | bytes],
        body: bytes | None = None,
        seconds: float,
        body_max: int,
        redirects: int = limits.HTTP_REDIRECTS,
    ) -> Response:
        """Whatever status the other side answers with.

        :param seconds: for everything together, redirects included.
        :param body_max: bytes of the answer's body, as it comes and decoded.
        :raises ModuleError: ``SENDING_REQUEST`` (ctx ``rust_error``), ``READING_BODY`` (ctx ``url``, ``status``,
            ``headers``, ``rust_error``), what :func:`checked_headers` and the door raise. No URL has keys in it.
        """
        sent = {name: value for name, value in checked_headers(headers).items() if name not in _HOP}
        try:
            target = parse_url(url)
        except ValueError as error:
            raise _not_sent(f"builder error: {error}") from None
        deadline = asyncio.get_running_loop().time() + seconds
        previous: Url | None = None
        for _ in range(redirects + 1):
            self._admit(target, previous)
            answer = await self._hop(method, target, sent, body, deadline, body_max)
            if isinstance(answer, Response):
                return answer
            status, location = answer
            try:
                previous, target = target, parse_url(location, target)
            except ValueError:
                raise _not_sent("redirect to a malformed URL") from None
            if status not in (307, 308):
                body = None
                method = method if method in ("GET", "HEAD") else "GET"
                sent = {name: value for name, value in sent.items() if name not in _OF_BODY}
            if target.origin != previous.origin:
                sent = {name: value for name, value in sent.items() if name not in _SECRET}
        raise _not_sent("too many redirects")

    async def close(self) -> None:
        """A later request opens it again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _admit(self, url: Url, previous: Url | None) -> None:
        if url.scheme not in ("http", "https"):
            raise _not_sent(f"URL scheme is not allowed: {url.scheme}")
        if self._door is None:
            refuse_downgrade(url, previous)
        else:
            self._door.admit(url, previous)

    async def _hop(
        self, method: str, url: Url, headers: dict[str, str], body: bytes | None, deadline: float, body_max: int
    ) -> Response | tuple[int, str]:
        """One request; a redirect comes back as its status and target. ``deadline`` is in the loop's time."""
        if (url.username or url.password) and "authorization" not in headers:
            user = unquote_to_bytes(url.username) + b":" + unquote_to_bytes(url.password)
            headers = headers | {"authorization": "Basic " + base64.b64encode(user).decode()}
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._opened().request(
                    method,
                    _for_aiohttp(url),
                    headers=headers,
                    data=body,
                    allow_redirects=False,
                    ssl=self._tls,
                    skip_auto_headers=("content-type",),
                )
        except ModuleError as error:  # of the door, while it connects
            error.ctx.setdefault("url", redacted_url(url.href))
            raise
        except _FAILURES as error:
            raise _not_sent(_text(error)) from None
        try:
            location = answer.headers.get("location")
            if answer.status in (301, 302, 303, 307, 308) and location is not None:
                return answer.status, location
            return await self._received(answer, url, deadline, body_max, has_body=method != "HEAD")
        finally:
            # A connection whose answer was not read to its end cannot be used again.
            if answer.content.at_eof():
                answer.release()
            else:
                answer.close()

    async def _received(
        self, answer: aiohttp.ClientResponse, url: Url, deadline: float, body_max: int, *, has_body: bool
    ) -> Response:
        headers = {name.decode("latin-1").lower(): value for name, value in answer.raw_headers}
        coding = headers.get("content-encoding", b"").strip().lower()
        decoder = _Inflate(coding, body_max) if coding in _CODINGS else None
        body = bytearray()
        received = 0
        too_large = _Malformed(f"body is larger than {body_max} bytes")
        try:
            if has_body and (answer.content_length or 0) > body_max:
                raise too_large
            async with asyncio.timeout_at(deadline):
                async for chunk in answer.content.iter_any():
                    received += len(chunk)
                    decoded = chunk if decoder is None else decoder.feed(chunk)
                    self._receiving += len(decoded)
                    body += decoded
                    if received > body_max or len(body) > body_max:
                        raise too_large
                    if self._receiving > limits.HTTP_BODIES_BYTES:
                        raise _Malformed("too many large bodies at a time")
            if decoder is not None and received:
                decoder.finish()
                # They tell of what came over the wire, which nobody sees any more.
                headers.pop("content-encoding", None)
                headers.pop("content-length", None)
        except _FAILURES as error:
            shown = {"url": redacted_url(url.href), "status": answer.status, "headers": headers}
            raise ModuleError("READING_BODY", ctx={**shown, "rust_error": _text(error)}) from None
        finally:
            self._receiving -= len(body)
        return Response(answer.status, headers, bytes(body), redacted_url(url.href))

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._door.connector() if self._door else aiohttp.TCPConnector(limit=limits.HTTP_CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"user-agent": USER_AGENT, "accept-encoding": "gzip, deflate"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.HTTP_CONNECT_SECONDS),
                auto_decompress=False,
                trust_env=False,
                max_line_size=limits.HTTP_HEADER_BYTES,
                max_field_size=limits.HTTP_HEADER_BYTES,
                max_headers=limits.HTTP_HEADER_FIELDS,
            )
        return self._session


def refuse_downgrade(url: Url, previous: Url | None) -> None:
    """What was asked for under TLS is not asked for again in the clear."""
    if previous is not None and previous.scheme == "https" and url.scheme != "https":
        raise _not_sent("redirect from https to http is refused")


def _for_aiohttp(url: Url) -> URL:
    """The same URL, never parsed differently: what is connected to is what was looked at."""
    rest = url.href[len(f"{url.scheme}://{url.authority}") :]
    made = URL(f"{url.scheme}://{url.authority.rpartition('@')[2]}{rest}", encoded=True)
    if made.raw_host != url.host.strip("[]") or made.port != url.connect_port:
        raise ValueError("the URL's host is ambiguous")
    return made


def _not_sent(text: str) -> ModuleError:
    return ModuleError("SENDING_REQUEST", ctx={"rust_error": text})


#: How a request fails, besides what the door raises.
_FAILURES = (aiohttp.ClientError, OSError, ValueError, TimeoutError)


def _text(error: Exception) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return "operation timed out"
    return redacted_url(str(error)) or type(error).__name__


# --- content codings ------------------------------------------------------------------------------


#: What :class:`_Inflate` knows. A body in any other coding stays as it is.
_CODINGS = (b"gzip", b"deflate")


class _Malformed(ValueError):
    """The body is not what it should be."""


class _Inflate:
    """gzip (of one or more members) or deflate (with or without zlib's header), never more than ``most`` bytes."""

    def __init__(self, coding: bytes, most: int) -> None:
        self._gzip = coding == b"gzip"
        self._left = most
        self._members = 0
        self._inflater: zlib._Decompress | None = None
        self._head = b""

    def feed(self, chunk: bytes) -> bytes:
        out = bytearray()
        chunk, self._head = self._head + chunk, b""
        while chunk:
            if self._inflater is not None and self._inflater.eof:
                if not (self._gzip and chunk[:1] == b"\x1f"):
                    break  # what follows the end is nobody's
                self._inflater = None
            if self._inflater is None:
                if len(chunk) < 2:
                    self._head = chunk
                    break
                self._inflater = zlib.decompressobj(self._window(chunk))
                self._members += 1
                if self._members > limits.HTTP_GZIP_MEMBERS:
                    raise _Malformed("body is compressed in too many parts")
            try:
                out += self._inflater.decompress(chunk, self._left + 1 - len(out))
            except zlib.error as error:
                raise _Malformed(f"body cannot be decoded: {error}") from None
            if len(out) > self._left:
                raise _Malformed("decoded body is too large")
            chunk = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
        self._left -= len(out)
        return bytes(out)

    def finish(self) -> None:
        if self._inflater is None or not self._inflater.eof:
            raise _Malformed("body ends in the middle of its encoding")

    def _window(self, head: bytes) -> int:
        if self._gzip:
            return 16 + zlib.MAX_WBITS
        has_header = head[0] & 0x0F == 8 and int.from_bytes(head[:2], "big") % 31 == 0
        return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS
