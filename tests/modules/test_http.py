"""The HTTP client of the services against servers that do what they should not (spec modules/02 §5, 03 §5)."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError, Shortage
from pygenvm.modules.http import HttpClient, Response, checked_headers, parse_url, redacted_url
from tests.modules.web.lab import Handler, Lab
from tests.support.quick import few

_OK = b"HTTP/1.1 200 OK\r\n"
_MEGABYTE = 1 << 20


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with Lab() as lab:
        yield lab


@pytest.fixture
async def client(lab: Lab) -> AsyncIterator[HttpClient]:
    client = HttpClient(door=lab.egress(), tls=lab.client_tls())
    yield client
    await client.close()


async def _ask(client: HttpClient, url: str, method: str = "GET", **options: Any) -> Response:
    defaults: dict[str, Any] = {"headers": {}, "seconds": 5, "body_max": _MEGABYTE}
    return await client.request(method, url, **(defaults | options))


async def _fails(client: HttpClient, url: str, **options: Any) -> ModuleError:
    """The error, which comes in time."""
    begin = time.monotonic()
    with pytest.raises(ModuleError) as raised:
        await _ask(client, url, **options)
    assert time.monotonic() - begin < options.get("seconds", 5) + 1
    assert raised.value.fatal
    return raised.value


def _says(data: bytes) -> Handler:
    async def handler(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return handler


def _body(data: bytes, *fields: str) -> Handler:
    lines = "".join(f"{field}\r\n" for field in (*fields, f"content-length: {len(data)}"))
    return _says(_OK + lines.encode() + b"\r\n" + data)


URL = "http://public.example.com/x"

# --- what it sends and gets -----------------------------------------------------------------------


async def test_an_answer_has_lower_case_names_bytes_and_the_last_of_repeated_fields(
    lab: Lab, client: HttpClient
) -> None:
    lab.handlers["/x"] = _says(
        b"HTTP/1.1 418 I am\r\nX-A: 1\r\nx-a: 2\r\nSet-Cookie: a\r\nX-Bytes: \xe9\xff\r\n"
        b"content-length: 3\r\n\r\n\x00\xff\n"
    )
    answer = await _ask(client, URL)
    assert (answer.status, answer.body, answer.url) == (418, b"\x00\xff\n", URL)
    assert answer.headers == {"x-a": b"2", "set-cookie": b"a", "x-bytes": b"\xe9\xff", "content-length": b"3"}


async def test_the_request_has_what_the_caller_gives_and_little_else(lab: Lab, client: HttpClient) -> None:
    async def echo(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await reader.readexactly(5)
        writer.write(_OK + f"content-length: {len(head) + 5}\r\n\r\n{head}".encode() + body)

    lab.handlers["/x"] = echo
    headers = {"X-One": b"1", "x-one": "two", "Content-Length": "99", "transfer-encoding": "chunked", "Expect": "100"}
    answer = await _ask(client, f"{URL}?a=%7e&b=c+d", "POST", headers=headers, body=b"hello")
    head, _, body = answer.body.decode().partition("\r\n\r\n")
    first, *fields = head.split("\r\n")
    assert (first, body) == ("POST /x?a=%7e&b=c+d HTTP/1.1", "hello")
    assert sorted(field.lower() for field in fields) == [
        "accept-encoding: gzip, deflate",
        "accept: */*",
        "connection: close",
        "content-length: 5",
        "host: public.example.com",
        "user-agent: reqwest",
        "x-one: two",
    ]


async def test_the_user_agent_of_the_caller_stays(lab: Lab, client: HttpClient) -> None:
    await _ask(client, URL, headers={"User-Agent": "mine"})
    assert "mine" in lab.requests[0][1]
    assert "reqwest" not in lab.requests[0][1]


async def test_user_info_of_the_url_is_an_authorization(lab: Lab, client: HttpClient) -> None:
    answer = await _ask(client, "http://us%65r:p%40ss@public.example.com/")
    assert "authorization: basic dxnlcjpwqhnz" in lab.requests[0][1].lower()
    assert answer.url == "http://us%65r:***@public.example.com/"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é", "a\0", "(x)"])
async def test_a_bad_header_name(client: HttpClient, name: str) -> None:
    assert (await _fails(client, URL, headers={name: "x"})).causes == ["DESERIALIZING"]


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"\0", b"\n", b"\x7f", b"\xff", "a\nb"])
async def test_a_bad_header_value(client: HttpClient, value: Any) -> None:
    assert (await _fails(client, URL, headers={"x": value})).causes == ["invalid header value"]


@given(st.dictionaries(st.text(), st.binary()))
def test_headers_that_are_let_through_cannot_break_out(headers: dict[str, bytes]) -> None:
    try:
        checked = checked_headers(headers)
    except ModuleError:
        return
    assert not any(char in f"{name}{value}" for name, value in checked.items() for char in "\r\n\0")


async def test_a_plain_client_uses_its_connections_again(lab: Lab) -> None:
    peers = []

    async def two_requests(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername"))
        for _ in range(2):
            writer.write(_OK + b"content-length: 2\r\n\r\nok")
            await writer.drain()
            await reader.readuntil(b"\r\n\r\n")

    lab.handlers["/x"] = two_requests
    client = HttpClient()
    for _ in range(2):
        assert (await _ask(client, f"http://127.0.0.50:{lab.port}/x")).body == b"ok"
    await client.close()
    assert len(peers) == 1


# --- redirects ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "method", "expected", "has_body"),
    [
        *((status, "POST", "GET", False) for status in (301, 302, 303)),
        *((status, "HEAD", "HEAD", False) for status in (301, 302, 303)),
        *((status, "POST", "POST", True) for status in (307, 308)),
        (303, "DELETE", "GET", False),
    ],
)
async def test_a_redirect_changes_the_method_or_keeps_the_body(
    lab: Lab, client: HttpClient, status: int, method: str, expected: str, has_body: bool
) -> None:
    body = None if method == "HEAD" else b"hello"
    headers = {"content-type": "text/plain", "x-own": "1"}
    await _ask(client, f"http://public.example.com/go?status={status}&to=/end", method, headers=headers, body=body)
    assert [request.split(" ")[0] for request, _ in lab.requests] == [method, expected]
    last = lab.requests[1][1].lower()
    assert ("content-length: 5" in last) is has_body
    assert ("content-type: text/plain" in last) is has_body
    assert "x-own: 1" in last


async def test_credentials_stay_at_their_origin(lab: Lab, client: HttpClient) -> None:
    secret = {"Authorization": "Bearer k", "cookie": "k", "X-Api-Key": "k", "x-goog-api-key": "k", "x-other": "o"}
    await _ask(
        client,
        "http://public.example.com/go?status=307&to=/same%3Fstatus%3D307%26to%3Dhttp://example.com/",
        headers=secret,
    )
    there, same, other = (head.lower() for _, head in lab.requests)
    for name in ("authorization", "cookie", "x-api-key", "x-goog-api-key"):
        assert f"\r\n{name}: " in there
        assert f"\r\n{name}: " in same
        assert f"\r\n{name}: " not in other
    assert "\r\nx-other: o" in other


async def test_all_hops_share_the_time(lab: Lab, client: HttpClient) -> None:
    async def slowly(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n")

    lab.handlers["/x"] = slowly
    error = await _fails(client, URL, seconds=0.5)
    assert (error.causes, error.ctx) == (["SENDING_REQUEST"], {"rust_error": "operation timed out"})
    assert 2 <= len(lab.requests) <= 3


async def test_a_redirect_without_location_is_an_answer(lab: Lab, client: HttpClient) -> None:
    assert (await _ask(client, "http://public.example.com/go?status=302")).status == 302


# --- servers that misbehave -----------------------------------------------------------------------


async def test_an_endless_body_is_cut(lab: Lab, client: HttpClient) -> None:
    sent = 0

    async def endless(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(_OK + b"connection: close\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            sent += 65536
            await writer.drain()

    lab.handlers["/x"] = endless
    error = await _fails(client, URL)
    assert error.causes == ["READING_BODY"]
    assert set(error.ctx) == {"url", "status", "headers", "rust_error"}
    assert (error.ctx["status"], "larger than 1048576 bytes" in error.ctx["rust_error"]) == (200, True)
    assert sent < 30 * _MEGABYTE


async def test_a_body_that_says_it_is_too_large_is_not_read(lab: Lab, client: HttpClient) -> None:
    async def huge(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_OK + b"content-length: 99999999999\r\n\r\n" + b"x" * 100)
        await asyncio.sleep(30)

    lab.handlers["/x"] = huge
    assert "larger than" in (await _fails(client, URL, seconds=2)).ctx["rust_error"]


async def test_all_bodies_together_are_bounded(lab: Lab, client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTTP_BODIES_BYTES", 3_000_000)
    together = asyncio.Barrier(5)

    async def large(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_OK + b"content-length: 1000000\r\n\r\n" + bytes(900_000))
        await writer.drain()
        await asyncio.wait_for(together.wait(), 5)
        await asyncio.sleep(0.2)
        writer.write(bytes(100_000))

    lab.handlers["/x"] = large
    outcomes = await asyncio.gather(*(_ask(client, URL) for _ in range(5)), return_exceptions=True)
    failed = [str(outcome) for outcome in outcomes if isinstance(outcome, Shortage)]
    assert 2 <= len(failed) < 5
    assert set(failed) == {"too many large bodies at a time"}
    # What they had is free again.
    lab.handlers["/x"] = _body(bytes(1_000_000))
    for _ in range(5):
        assert len((await _ask(client, URL)).body) == 1_000_000


async def test_a_client_that_was_closed_opens_again(lab: Lab) -> None:
    client = HttpClient(door=lab.egress())
    for _ in range(2):
        assert (await _ask(client, URL)).body == b"public"
        await client.close()


@pytest.mark.parametrize("part", ["head", "fields", "body", "chunks", "nothing"])
async def test_a_slow_server_is_left_in_time(lab: Lab, client: HttpClient, part: str) -> None:
    begin = {
        "head": b"HTTP/1.1 200 O",
        "fields": _OK + b"x-",
        "body": _OK + b"content-length: 1000\r\n\r\n",
        "chunks": _OK + b"transfer-encoding: chunked\r\n\r\n",
        "nothing": b"",
    }[part]

    async def slowly(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while True:
            await asyncio.sleep(0.05)
            if part != "nothing":
                writer.write(b"1\r\nx\r\n" if part == "chunks" else b"x")
                await writer.drain()

    lab.handlers["/x"] = slowly
    error = await _fails(client, URL, seconds=0.4)
    assert error.causes == ["READING_BODY" if part in ("body", "chunks") else "SENDING_REQUEST"]
    assert error.ctx["rust_error"] == "operation timed out"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"junk\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"\x16\x03\x01\x00\xff\x00\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
        _OK + b"x: " + b"y" * (limits.HTTP_HEADER_BYTES + 1) + b"\r\n\r\n",
        _OK + b"".join(b"x-%d: y\r\n" % i for i in range(limits.HTTP_HEADER_FIELDS + 1)) + b"\r\n",
        _OK + b"x" * 1_000_000,
    ],
    ids=lambda answer: repr(answer[:40]),
)
async def test_what_is_no_answer(lab: Lab, client: HttpClient, answer: bytes) -> None:
    lab.handlers["/x"] = _says(answer)
    error = await _fails(client, URL)
    assert error.causes == ["SENDING_REQUEST"]
    assert set(error.ctx) == {"rust_error"}
    assert len(error.ctx["rust_error"]) < 1000


@pytest.mark.parametrize(
    "answer",
    [
        b"content-length: 10\r\n\r\nhalf",
        b"transfer-encoding: chunked\r\n\r\n5\r\nhel",
        b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
async def test_half_an_answer(lab: Lab, client: HttpClient, answer: bytes) -> None:
    lab.handlers["/x"] = _says(_OK + answer)
    error = await _fails(client, URL)
    assert error.causes == ["READING_BODY"]
    assert (error.ctx["url"], error.ctx["status"]) == (URL, 200)


@pytest.mark.parametrize("chunk", [b"zz\r\nhello\r\n", b"ffffffffffffffffff\r\nx", b"-1\r\nx\r\n"])
async def test_a_chunk_without_a_size(lab: Lab, client: HttpClient, chunk: bytes) -> None:
    async def parts(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_OK + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(chunk)

    lab.handlers["/x"] = parts
    # aiohttp forgets to tell who reads; the time ends it.
    assert (await _fails(client, URL, seconds=0.5)).causes == ["READING_BODY"]


async def test_more_than_the_content_length_is_an_error(lab: Lab, client: HttpClient) -> None:
    for fields in (b"", b"connection: close\r\n"):
        lab.handlers["/x"] = _says(_OK + fields + b"content-length: 4\r\n\r\nbodymore")
        await _fails(client, URL)


async def test_nobody_listens(client: HttpClient) -> None:
    error = await _fails(client, "http://public.example.com:1/")
    assert error.causes == ["SENDING_REQUEST"]
    assert "Cannot connect to host public.example.com:1" in error.ctx["rust_error"]


async def test_a_name_that_is_not_known(client: HttpClient) -> None:
    assert "dns error: gone.example.com" in (await _fails(client, "http://gone.example.com/")).ctx["rust_error"]


# --- TLS ------------------------------------------------------------------------------------------


async def test_a_certificate_that_is_trusted(client: HttpClient) -> None:
    assert (await _ask(client, "https://public.example.com/")).body == b"public"


async def test_certificates_that_are_not(lab: Lab) -> None:
    lab.names["else.example.org"] = [["127.0.0.50"]]
    unknown, wrong_name = HttpClient(door=lab.egress()), HttpClient(door=lab.egress(), tls=lab.client_tls())
    for client, url in ((unknown, "https://public.example.com/"), (wrong_name, "https://else.example.org/")):
        error = await _fails(client, url)
        assert error.causes == ["SENDING_REQUEST"]
        assert "certificate" in error.ctx["rust_error"].lower()
        await client.close()
    assert lab.requests == []


async def test_tls_to_a_server_that_has_none(lab: Lab, client: HttpClient) -> None:
    lab.tls_port = lab.port
    assert (await _fails(client, "https://public.example.com/", seconds=2)).causes == ["SENDING_REQUEST"]


# --- content codings ------------------------------------------------------------------------------


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return packer.compress(data) + packer.flush()


_TEXT = b"hello " * 1000


def _gzip(data: bytes) -> bytes:
    """The same at any time: it names tests, which have the same names in every process."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", _gzip(_TEXT)),
        ("GZip ", _gzip(_TEXT)),
        ("gzip", _gzip(_TEXT[:3000]) + _gzip(_TEXT[3000:])),
        ("gzip", _gzip(_TEXT) + b"trailing junk"),
        ("deflate", zlib.compress(_TEXT)),
        ("deflate", _raw_deflate(_TEXT)),
    ],
)
async def test_encoded_bodies_are_decoded(lab: Lab, client: HttpClient, coding: str, data: bytes) -> None:
    lab.handlers["/x"] = _body(data, f"content-encoding: {coding}")
    answer = await _ask(client, URL)
    assert (answer.body, set(answer.headers)) == (_TEXT, set())


async def test_an_encoded_body_in_single_bytes(lab: Lab, client: HttpClient) -> None:
    data = _gzip(b"hello") + _gzip(b" world")

    async def slowly(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_OK + b"content-encoding: gzip\r\nconnection: close\r\n\r\n")
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.001)

    lab.handlers["/x"] = slowly
    assert (await _ask(client, URL)).body == b"hello world"


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "identity"])
async def test_other_codings_stay_as_they_came(lab: Lab, client: HttpClient, coding: str) -> None:
    lab.handlers["/x"] = _body(b"data", f"content-encoding: {coding}")
    answer = await _ask(client, URL)
    assert (answer.body, answer.headers["content-encoding"]) == (b"data", coding.encode())


@pytest.mark.parametrize("coding", few(["gzip", "deflate"], "gzip"))
async def test_a_bomb_is_cut(lab: Lab, client: HttpClient, coding: str) -> None:
    data = (_gzip if coding == "gzip" else zlib.compress)(bytes(200 * _MEGABYTE))
    lab.handlers["/x"] = _body(data, f"content-encoding: {coding}")
    error = await _fails(client, URL)
    assert (error.causes, error.ctx["rust_error"]) == (["READING_BODY"], "decoded body is too large")


async def test_a_body_of_the_largest_size_is_no_bomb(lab: Lab, client: HttpClient) -> None:
    lab.handlers["/x"] = _body(_gzip(bytes(_MEGABYTE)), "content-encoding: gzip")
    assert len((await _ask(client, URL)).body) == _MEGABYTE
    lab.handlers["/x"] = _body(_gzip(bytes(_MEGABYTE + 1)), "content-encoding: gzip")
    await _fails(client, URL)


async def test_a_bomb_of_many_small_parts_is_cut(lab: Lab, client: HttpClient) -> None:
    lab.handlers["/x"] = _body(_gzip(b"") * 40_000, "content-encoding: gzip")
    assert "too many parts" in (await _fails(client, URL)).ctx["rust_error"]


@pytest.mark.parametrize(
    "data",
    [b"junk", _gzip(_TEXT)[:-5], _gzip(_TEXT)[:5], b"\x1f"],
)
async def test_a_body_that_is_not_encoded_as_it_says(lab: Lab, client: HttpClient, data: bytes) -> None:
    lab.handlers["/x"] = _body(data, "content-encoding: gzip")
    assert (await _fails(client, URL)).causes == ["READING_BODY"]


async def test_answers_without_a_body_have_nothing_to_decode(lab: Lab, client: HttpClient) -> None:
    lab.handlers["/x"] = _says(_OK + b"content-encoding: gzip\r\ncontent-length: 100\r\n\r\n")
    answer = await _ask(client, URL, "HEAD")
    assert (answer.body, answer.headers["content-encoding"]) == (b"", b"gzip")


# --- URLs -----------------------------------------------------------------------------------------


def test_the_parts_of_a_url() -> None:
    url = parse_url("HTTPS://Us:P%20w@Exämple.com:8443/a/../b c?q=%20x#frag")
    assert url.href == "https://Us:P%20w@xn--exmple-cua.com:8443/b%20c?q=%20x"
    assert (url.scheme, url.host, url.port, url.path, url.query) == (
        "https",
        "xn--exmple-cua.com",
        8443,
        "/b%20c",
        "q=%20x",
    )
    assert url.authority == "Us:P%20w@xn--exmple-cua.com:8443"
    assert parse_url("http://a.b").query is None
    assert parse_url("http://a.b/?").query == ""
    assert parse_url("http://a.b:80/").port is None
    assert parse_url("x", url).href == "https://Us:P%20w@xn--exmple-cua.com:8443/x"


def test_urls_that_are_asked_again_are_parsed_once_unless_they_are_long() -> None:
    assert parse_url("http://a.b/again") is parse_url("http://a.b/again")
    long = "http://a.b/" + "c" * limits.URL_KEPT_BYTES
    assert parse_url(long) is not parse_url(long)
    assert parse_url(long) == parse_url(long)


@pytest.mark.parametrize(
    "text", ["", "a", "//a", "http://", "http://[", "http://a b/", "http://a:99999/", "\ud800", "x" * 70_000]
)
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_url(text)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h/v1?key=SECRET&alt=x", "http://h/v1?key=***&alt=x"),
        ("http://h/?a=1&API_KEY=SECRET", "http://h/?a=1&API_KEY=***"),
        ("http://u:SECRET@h/", "http://u:***@h/"),
        ("http://h/?monkey=1", "http://h/?monkey=1"),
    ],
)
def test_secrets_are_not_shown(url: str, shown: str) -> None:
    assert redacted_url(url) == shown


async def test_a_key_in_the_url_is_in_no_error(lab: Lab, client: HttpClient) -> None:
    lab.handlers["/x"] = _says(_OK + b"content-length: 9\r\n\r\nhalf")
    for url in (
        f"{URL}?key=SECRET",
        "http://loopback.example.com/?key=SECRET",
        "http://public.example.com:1/?key=SECRET",
    ):
        with pytest.raises(ModuleError) as raised:
            await _ask(client, url)
        assert "SECRET" not in f"{raised.value} {raised.value.ctx}"
