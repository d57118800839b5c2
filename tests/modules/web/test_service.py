"""The web service as an executor sees it: WebSocket, real scripts, servers of the lab (spec modules/03)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from websockets.asyncio.client import connect

from pygenvm.executor.module_protocol.codec import (
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
from pygenvm.modules.config import ConfigError, read_document
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import HttpClient
from pygenvm.modules.log import Logger
from pygenvm.modules.process import Hosted
from pygenvm.modules.web.module import WebModule
from pygenvm.modules.web.rendering import Rendering
from pygenvm.modules.web.settings import DEFAULT_FILE
from tests.modules.web.lab import Lab
from tests.modules.web.ssrf import CASES
from tests.modules.webdriver.support import require_browser

HOST_DATA = {"node_address": "0xA1", "tx_id": "0x22"}
PAGE = "http://public.example.com/"


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with Lab() as lab:
        yield lab


def document(**changes: Any) -> dict[str, Any]:
    shipped = read_document(DEFAULT_FILE, None, Path("/nowhere"))
    return shipped | {"bind_address": "127.0.0.1:0", "vm_count": 1} | changes


class Client:
    """One executor."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def ask(self, name: str, payload: Any = None) -> Answer:
        await self._connection.send(encode_request(Request(name, payload)))
        return decode_answer(await self._connection.recv())

    async def fetch(self, url: str = PAGE, **changes: Any) -> Answer:
        return await self.ask("Request", {"method": "GET", "url": url, "headers": {}, "body": None} | changes)

    async def render(self, url: str = PAGE, mode: str = "text", **changes: Any) -> Answer:
        return await self.ask("Render", {"mode": mode, "url": url, "wait_after_loaded": "0ms"} | changes)


@contextlib.asynccontextmanager
async def serving(lab: Lab, log: int | None = None, **changes: Any) -> AsyncIterator[str]:
    """Address of a service with the lab for an Internet; ``log``: where its log goes."""
    with open(os.devnull, "wb") as nowhere:
        logger = Logger(fd=nowhere.fileno() if log is None else log)
        allowed = changes.get("always_allow_hosts", [])
        hosted = Hosted(
            "web",
            document(**changes),
            lambda setup: WebModule(setup, egress=lab.egress(always_allow_hosts=allowed)),
            log=logger,
        )
        await hosted.start()
        try:
            yield hosted.address
        finally:
            await hosted.stop(1)
            logger.flush()


@contextlib.asynccontextmanager
async def connected(address: str, host_data: Mapping[str, Any] = HOST_DATA) -> AsyncIterator[Client]:
    async with connect(address, max_size=None, compression=None) as connection:
        await connection.send(encode_hello(Hello("cookie", host_data)))
        yield Client(connection)


@contextlib.asynccontextmanager
async def client_of(lab: Lab, host_data: Mapping[str, Any] = HOST_DATA, **changes: Any) -> AsyncIterator[Client]:
    async with serving(lab, **changes) as address, connected(address, host_data) as client:
        yield client


def _error(answer: Answer) -> tuple[list[str], dict[str, Any]]:
    assert isinstance(answer, UserError), answer
    return answer.value["causes"], answer.value["ctx"]


# --- requests -------------------------------------------------------------------------------------


async def test_a_request_and_its_answer(lab: Lab) -> None:
    async def echo(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await reader.readexactly(4)
        writer.write(b"HTTP/1.1 404 Gone\r\nX-Multi: a\r\nx-multi: \xff\r\ncontent-length: 4\r\n\r\n" + body)

    lab.handlers["/echo"] = echo
    async with client_of(lab) as client:
        answer = await client.fetch(f"{PAGE}echo?x", method="POST", body=b"\0\xff\r\n", headers={"X-Own": b"\t1"})
    headers = {"x-multi": b"\xff", "content-length": b"4"}
    assert answer == Ok({"response": {"status": 404, "headers": headers, "body": b"\0\xff\r\n"}})
    first, head = lab.requests[0]
    assert first == "POST /echo?x"
    assert "x-own: 1" in head.lower()
    assert "user-agent: reqwest" in head.lower()


async def test_nothing_reaches_a_forbidden_address(lab: Lab) -> None:
    wrong = []
    async with client_of(lab) as client:
        for case in CASES:
            lab.looked_up.clear()
            answer = await client.fetch(case.url)
            cause = answer.value["causes"][0] if isinstance(answer, UserError) else None
            if cause != case.cause or isinstance(answer, FatalError):
                wrong.append((case.name, answer))
    assert wrong == []
    assert lab.reached == {}


async def test_rules_of_the_configuration(lab: Lab) -> None:
    hosts = ["Loopback.example.com", "::1"]
    async with client_of(lab, always_allow_hosts=hosts, extra_tld=["lan"]) as client:
        for url in ("http://LOOPBACK.example.com/", "http://[0::1]/", f"http://loopback.example.com:{lab.port}/"):
            answer = await client.fetch(url)
            assert isinstance(answer, Ok), url
            assert answer.value["response"]["body"] == b"secret"
        lab.names["router.lan"] = [["127.0.0.50"], ["127.0.0.1"]]
        assert isinstance(await client.fetch("http://router.lan/"), Ok)
        assert _error(await client.fetch("http://router.lan/"))[0] == ["ADDRESS_FORBIDDEN"]
        assert _error(await client.fetch("http://127.0.0.1/"))[0] == ["TLD_FORBIDDEN"]


_FORGED = {"Genlayer-Node-Address": b"0xB2", "GENLAYER-tx-id": b"0xB2", "genlayer-salt": b"0xB2", "HOST": b"0xB2"}


async def test_a_contract_cannot_forge_who_asks(lab: Lab) -> None:
    async with client_of(lab) as client:
        assert isinstance(await client.fetch(headers=_FORGED | {"Content-Length": b"99", "x-own": b"1"}), Ok)
    head = lab.requests[0][1].lower()
    assert "x-own: 1" in head
    assert "0xb2" not in head
    assert "genlayer" not in head
    assert "content-length" not in head


async def test_a_signed_request(lab: Lab) -> None:
    signed: list[str] = []

    async def sign(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        signed.append((await reader.readexactly(size)).decode())
        assert "authorization: Bearer of-the-node" in head
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nsig")

    lab.handlers["/sign"] = sign
    settings = {
        "signer_url": "#{signerUrl}/sign",
        "signer_headers": {"authorization": "Bearer #{secret}"},
    }
    host_data = HOST_DATA | {"signerUrl": f"http://127.0.0.50:{lab.port}", "secret": "of-the-node"}
    async with client_of(lab, host_data, **settings) as client:
        answer = await client.fetch(f"{PAGE}a?b=c", method="POST", body=b"body", headers=_FORGED, sign=True)
    assert isinstance(answer, Ok)
    sent = dict(line.split(": ", 1) for line in lab.requests[1][1].lower().split("\r\n") if ": " in line)
    assert (sent["genlayer-node-address"], sent["genlayer-tx-id"]) == ("0xa1", "0x22")
    assert sent["signature"] == "genvm=:c2ln:".lower()
    assert "0xb2" not in str(sent)
    lines = signed[0].split("\n")
    assert lines[:4] == [
        '"@method": POST',
        '"@authority": public.example.com',
        '"@path": /a',
        '"genlayer-node-address": 0xA1',
    ]
    assert lines[5].lower() == f'"genlayer-salt": {sent["genlayer-salt"]}'
    assert lines[-2] == '"@query": ?b=c'
    assert sent["signature-input"] == f"genvm={lines[-1].partition(': ')[2]}".lower()


@pytest.mark.parametrize(
    ("host_data", "cause"),
    [({}, "SIGN_URL_PATCH_FAILED"), ({"signerUrl": "http://127.0.0.50:1/"}, "SIGN_URL_SEND_FAILED")],
)
async def test_what_goes_wrong_with_signing_is_told_to_the_contract(
    lab: Lab, host_data: dict[str, str], cause: str
) -> None:
    async with client_of(lab, HOST_DATA | host_data) as client:
        assert _error(await client.fetch(sign=True))[0] == [cause]
        assert isinstance(await client.fetch(), Ok)
    assert len(lab.requests) == 1


async def test_bounds_of_the_configuration(lab: Lab) -> None:
    async def slowly(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async def large(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n" + bytes(1001))

    lab.handlers |= {"/slow": slowly, "/large": large}
    async with client_of(lab, fetch_seconds=0.3, response_bytes_max=1000) as client:
        causes, ctx = _error(await client.fetch(f"{PAGE}slow"))
        assert (causes, ctx) == (["SENDING_REQUEST"], {"rust_error": "operation timed out"})
        causes, ctx = _error(await client.fetch(f"{PAGE}large"))
        assert (causes, ctx["status"], ctx["url"]) == (["READING_BODY"], 200, f"{PAGE}large")
        assert ctx["rust_error"] == "body is larger than 1000 bytes"
        assert isinstance(await client.fetch(), Ok)


async def test_what_the_machine_lacks_is_no_answer_for_a_contract(lab: Lab) -> None:
    """It would be one that no other validator gets."""
    async with client_of(lab) as client:
        assert isinstance(await client.fetch(), Ok)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        open_files = max(map(int, os.listdir("/dev/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_files + 20, limits[1]))
        taken = []
        try:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            answer = await client.fetch()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for descriptor in taken:
                os.close(descriptor)
        assert isinstance(answer, FatalError)
        assert "this machine lacks something" in answer.text
        assert isinstance(await client.fetch(), Ok)


async def test_a_body_of_the_default_size_arrives(lab: Lab) -> None:
    data = os.urandom(1 << 20) * 32

    async def large(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(data) + data)

    lab.handlers["/large"] = large
    async with client_of(lab) as client:
        answer = await client.fetch(f"{PAGE}large")
    assert isinstance(answer, Ok)
    assert answer.value["response"]["body"] == data


@pytest.mark.slow
async def test_two_hundred_executors_at_once(lab: Lab) -> None:
    async def one(address: str) -> list[Answer]:
        async with connected(address) as client:
            return [await client.fetch() for _ in range(5)]

    async with serving(lab, vm_count=2) as address:
        answers = await asyncio.gather(*(one(address) for _ in range(200)))
    assert all(isinstance(answer, Ok) for some in answers for answer in some)
    assert len(lab.requests) == 1000


# --- malformed ------------------------------------------------------------------------------------


async def test_requests_that_are_none(lab: Lab) -> None:
    async with client_of(lab) as client:
        for name, payload, text in (
            ("Request", {"method": "PUT"}, "handling Request: field `headers`"),
            ("Request", None, "handling Request: the payload of Request must be a map, not null"),
            (
                "Render",
                {"mode": "text", "url": "x", "wait_after_loaded": None},
                "handling Render: field `wait_after_loaded`",
            ),
            ("Prompt", {}, "handling Prompt: the web service has no request 'Prompt'"),
        ):
            answer = await client.ask(name, payload)
            assert isinstance(answer, FatalError)
            assert answer.text.startswith(text)
        assert isinstance(await client.fetch(), Ok)


# --- pages ----------------------------------------------------------------------------------------


class Renderer:
    """Speaks the protocol of a rendering service; ``answer`` is what it says next."""

    def __init__(self, lab: Lab) -> None:
        self.answer = (200, {"resulting-status": "200"}, b"text")
        self.queries: list[dict[str, list[str]]] = []
        self.host = f"http://127.0.0.50:{lab.port}"
        lab.handlers["/render"] = self._render

    async def _render(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.queries.append(parse_qs(urlsplit(head.split(" ")[1]).query, strict_parsing=True))
        status, fields, body = self.answer
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in fields.items())]
        writer.write("\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body)


async def test_pages_are_rendered_by_the_service_that_is_configured(lab: Lab) -> None:
    renderer = Renderer(lab)
    url = f"{PAGE}ä?q=a b&c=d+e%20f#frag"
    async with client_of(lab, webdriver_host=renderer.host + "/") as client:
        assert await client.render(url, wait_after_loaded="1500ms") == Ok({"text": "text"})
        assert await client.render(url, "html", wait_after_loaded="99s") == Ok({"text": "text"})
        renderer.answer = (200, {"resulting-status": "304"}, b"\x89PNG\xff")
        assert await client.render(url, "screenshot") == Ok({"image": b"\x89PNG\xff"})
        assert await client.render(url) == Ok({"text": "\ufffdPNG\ufffd"})
    assert [(query["url"], query["mode"], float(query["waitAfterLoaded"][0])) for query in renderer.queries] == [
        ([url], ["text"], 1.5),
        ([url], ["html"], 60.0),
        ([url], ["screenshot"], 0.0),
        ([url], ["text"], 0.0),
    ]


@pytest.mark.parametrize("status", [204, 299, 304])
async def test_good_statuses_of_pages(lab: Lab, status: int) -> None:
    renderer = Renderer(lab)
    renderer.answer = (200, {"Resulting-Status": str(status)}, b"")
    async with client_of(lab, webdriver_host=renderer.host) as client:
        assert await client.render() == Ok({"text": ""})


@pytest.mark.parametrize("status", [100, 300, 301, 404, 408, 418, 495, 500])
async def test_other_statuses_of_pages(lab: Lab, status: int) -> None:
    renderer = Renderer(lab)
    renderer.answer = (200, {"Resulting-Status": str(status)}, "näh".encode())
    async with client_of(lab, webdriver_host=renderer.host) as client:
        for mode in ("text", "html", "screenshot"):
            causes, ctx = _error(await client.render(mode=mode))
            assert (causes, ctx) == (["WEBPAGE_LOAD_FAILED"], {"url": PAGE, "status": status, "body": "näh"})


async def test_a_page_at_a_forbidden_address(lab: Lab) -> None:
    renderer = Renderer(lab)
    renderer.answer = (200, {"Resulting-Status": "418", "Resulting-Cause": "forbidden"}, b"Address forbidden")
    async with client_of(lab, webdriver_host=renderer.host) as client:
        causes, ctx = _error(await client.render())
    assert (causes, ctx) == (["ADDRESS_FORBIDDEN"], {"url": PAGE, "rust_error": "Address forbidden"})


async def test_a_rendering_service_that_fails_ends_the_run(lab: Lab) -> None:
    renderer = Renderer(lab)
    async with client_of(lab, webdriver_host=renderer.host) as client:
        for answer, pattern in (
            (
                (500, {}, b"{}"),
                r'ModuleError \{ causes: \["STATUS_NOT_OK"\], fatal: true, ctx: .*"status": Number\(500\.0\)',
            ),
            # It is never followed: that would be another host, unfiltered.
            ((302, {"location": PAGE}, b""), r'causes: \["STATUS_NOT_OK"\]|SENDING_REQUEST'),
        ):
            renderer.answer = answer
            failed = await client.render()
            assert isinstance(failed, FatalError)
            assert re.search(pattern, failed.text)
    assert not any(head.startswith("GET / ") for _, head in lab.requests)


async def test_a_rendering_service_that_is_not_there(lab: Lab) -> None:
    async with client_of(lab, webdriver_host="http://127.0.0.50:1") as client:
        failed = await client.render()
        assert isinstance(failed, FatalError)
        assert failed.text.startswith(
            'ModuleError { causes: ["SENDING_REQUEST"], fatal: true, ctx: {"rust_error": Str("'
        )
        # It does not matter for what else is asked.
        assert isinstance(await client.fetch(), Ok)


async def test_urls_of_pages_are_checked_first(lab: Lab) -> None:
    renderer = Renderer(lab)
    async with client_of(lab, webdriver_host=renderer.host) as client:
        for case in CASES:
            if case.cause not in (None, "ADDRESS_FORBIDDEN", "SENDING_REQUEST"):
                assert _error(await client.render(case.url))[0] == [case.cause]
    assert renderer.queries == []


async def test_contracts_cannot_ask_the_rendering_service_itself(lab: Lab) -> None:
    """It is reached unfiltered, and would open what a contract must not."""
    lab.names["render.example.com"] = [["127.0.0.50"]]
    async with client_of(lab, webdriver_host="http://render.example.com") as client:
        for url in (
            "http://render.example.com/render?url=file:///",
            "http://RENDER.example.com:80",
            "http://webdriver.invalid/",
        ):
            assert _error(await client.fetch(url))[0][0] in ("ADDRESS_FORBIDDEN", "TLD_FORBIDDEN")
        answer = await client.fetch(f"{PAGE}go?status=302&to=http://webdriver.invalid/render")
        assert _error(answer)[0] == ["SENDING_REQUEST"]
    assert [request for request, _ in lab.requests] == ["GET /go?status=302&to=http://webdriver.invalid/render"]


# --- statistics -----------------------------------------------------------------------------------


async def test_statistics_count_what_was_asked_of_others(lab: Lab) -> None:
    async with serving(lab) as address:
        async with connected(address) as client:
            assert await client.ask("GetStats") == Ok({"scripting": {"requests_count": 0, "requests_time": 0}})
            for url in (PAGE, PAGE, "http://127.0.0.1/", "http://gone.example.com/"):
                await client.fetch(url)
            answer = await client.ask("GetStats")
            assert isinstance(answer, Ok)
            counted = answer.value["scripting"]
            assert counted["requests_count"] == 3
            assert counted["requests_time"] > 0
        async with connected(address) as client:
            assert await client.ask("GetStats") == Ok({"scripting": {"requests_count": 0, "requests_time": 0}})


# --- answers of a file ----------------------------------------------------------------------------


async def test_answers_of_a_mock_file(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "mocks.yaml"
    entries = [
        {"url": "example.org/page", "body": "a page"},
        {"url": "example.org/missing", "status": 404, "body": "no"},
        {"url": "example.org/fails", "fail": "WEBPAGE_LOAD_FAILED"},
        {"url": "example.org/breaks", "fail": {"cause": "SENDING_REQUEST", "fatal": True}},
    ]
    path.write_text(yaml.safe_dump({"web": entries}))
    async with client_of(lab, mocks=str(path)) as client:
        assert await client.render("http://example.org/page") == Ok({"text": "a page"})
        fetched = await client.fetch("http://example.org/page")
        assert fetched == Ok({"response": {"status": 200, "headers": {}, "body": b"a page"}})
        fetched = await client.fetch("http://example.org/missing")
        assert isinstance(fetched, Ok)
        assert fetched.value["response"]["status"] == 404
        causes, ctx = _error(await client.render("http://example.org/missing"))
        assert (causes, ctx["status"]) == (["WEBPAGE_LOAD_FAILED"], 404)
        assert _error(await client.fetch("http://example.org/fails"))[0] == ["WEBPAGE_LOAD_FAILED"]
        assert isinstance(await client.fetch("http://example.org/breaks"), FatalError)
        # What no pattern matches is asked of the real web.
        assert isinstance(await client.fetch(PAGE), Ok)
    assert len(lab.requests) == 1


# --- scripts --------------------------------------------------------------------------------------


async def test_a_script_that_answers_with_something_else(lab: Lab, tmp_path: Path) -> None:
    script = tmp_path / "web.lua"
    script.write_text("function Render(ctx, p) return {} end function Request(ctx, p) error('oh no') end")
    async with client_of(lab, lua_script_path=str(script)) as client:
        page, answer = await client.render(), await client.fetch()
    assert isinstance(page, FatalError)
    assert page.text.startswith("handling Render: Render of the script must return a table with text or image")
    assert isinstance(answer, FatalError)
    assert answer.text.startswith("handling Request: ")
    assert "oh no" in answer.text


async def test_a_script_without_checks_is_still_behind_the_door(lab: Lab, tmp_path: Path) -> None:
    script = tmp_path / "web.lua"
    script.write_text(
        """
        local lib = require("lib-genvm")
        function Render(ctx, p) return {text = ""} end
        function Request(ctx, p) return lib.rs.request(ctx, {method = "GET", url = p.url, headers = {}}) end
        """
    )
    async with client_of(lab, lua_script_path=str(script)) as client:
        for url in ("http://127.0.0.1/", "http://[::1]/", "http://loopback.example.com/"):
            assert _error(await client.fetch(url))[0] == ["ADDRESS_FORBIDDEN"]
    assert lab.reached == {}


# --- configuration --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"webdriver_host": "127.0.0.1:4444"}, "webdriver_host: is no URL"),
        ({"webdriver_host": "ftp://h"}, "webdriver_host: is no URL"),
        ({"always_allow_hosts": ["http://a"]}, "always_allow_hosts: not a host name: 'http://a'"),
        ({"always_allow_hosts": "a"}, "always_allow_hosts: must be a list"),
        ({"extra_tld": {"a": 1}}, "extra_tld: must be a list"),
        ({"fetch_seconds": 0}, "fetch_seconds: must be at least"),
        ({"response_bytes_max": 1 << 30}, "response_bytes_max: must be at most"),
        ({"webdriver": [1]}, "webdriver: must be a mapping"),
        ({"mocks": "/nowhere.yaml"}, "mocks: /nowhere.yaml: No such file"),
    ],
)
async def test_a_configuration_that_will_not_do(changes: dict[str, Any], text: str) -> None:
    with open(os.devnull, "wb") as nowhere, pytest.raises(ConfigError) as raised:
        Hosted("web", document(**changes), WebModule, log=Logger(fd=nowhere.fileno()))
    assert str(raised.value).startswith(text)


async def test_what_is_left_out_has_its_default(lab: Lab) -> None:
    ours = {"webdriver", "mocks", "fetch_seconds", "response_bytes_max", "render_seconds", "render_wait_seconds_max"}
    without = {key: value for key, value in document().items() if key not in ours}
    with open(os.devnull, "wb") as nowhere:
        Hosted("web", without, WebModule, log=Logger(fd=nowhere.fileno()))


async def test_secrets_of_the_signer_are_nowhere(lab: Lab, tmp_path: Path) -> None:
    async def repeats_it(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 401 X\r\ncontent-length: 0\r\n\r\n")

    lab.handlers["/sign"] = repeats_it
    secret, log = "s3cr3t-of-the-signer", tmp_path / "log"
    with log.open("wb") as file:
        settings = {"signer_url": f"http://127.0.0.50:{lab.port}/sign", "signer_headers": {"x-key": secret}}
        script = tmp_path / "web.lua"
        script.write_text(
            """
            local lib, web = require("lib-genvm"), require("lib-web")
            function Render(ctx, p) return {text = web.rs.config.signer_headers["x-key"]} end
            function Request(ctx, p)
              lib.log({message = web.rs.config.signer_headers["x-key"], level = "error"})
              return lib.rs.request(ctx, {method = "GET", url = p.url, headers = {}, sign = true})
            end
            """
        )
        async with (
            serving(lab, file.fileno(), lua_script_path=str(script), **settings) as address,
            connected(address) as client,
        ):
            answers = [await client.render(), await client.fetch()]
    assert secret not in str(answers)
    assert b"script_log" in log.read_bytes()
    assert secret.encode() not in log.read_bytes()
    assert secret in lab.requests[0][1]


# --- a rendering service of its own ---------------------------------------------------------------


@pytest.fixture
def children() -> Callable[[], list[int]]:
    """Process ids of the rendering services that this process has started."""

    def found() -> list[int]:
        pids = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                if int(parent) == os.getpid() and b"webdriver" in (folder / "cmdline").read_bytes():
                    pids.append(int(folder.name))
        return pids

    return found


async def test_its_own_rendering_service(lab: Lab, children: Callable[[], list[int]], tmp_path: Path) -> None:
    """Started by the first page, started again when it has died, ended with the module."""
    require_browser()
    page = f"http://127.0.0.50:{lab.port}/"
    log = tmp_path / "log"
    with log.open("wb") as file:
        async with serving(lab, file.fileno(), always_allow_hosts=["127.0.0.50"]) as address:
            async with connected(address) as client:
                assert isinstance(await client.fetch(page), Ok)
                assert children() == []
                assert await client.render(page) == Ok({"text": "public"})
                first = children()
                assert len(first) == 1
                assert await client.render(page, "html") == Ok({"text": "public"})
                assert children() == first
                os.kill(first[0], signal.SIGKILL)
                image = await client.render(page, "screenshot")
                assert isinstance(image, Ok)
                assert image.value["image"].startswith(b"\x89PNG")
                assert len(children()) == 1
                # Its rules are those of the module.
                causes, _ = _error(await client.render("http://loopback.example.com/"))
                assert causes == ["WEBPAGE_LOAD_FAILED"]
            # Two at once: one service.
            async with connected(address) as one, connected(address) as two:
                os.kill(children()[0], signal.SIGKILL)
                while children():
                    await asyncio.sleep(0.01)
                pages = await asyncio.gather(one.render(page), two.render(page))
                assert list(pages) == [Ok({"text": "public"})] * 2
                assert len(children()) == 1
    assert children() == []
    assert b"rendering service has ended" in log.read_bytes()


async def test_its_own_rendering_service_does_not_start(
    lab: Lab, children: Callable[[], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Chromium that is not there: how to get one is told, at once, and again without another try."""
    async with client_of(lab, webdriver={"executable": "/nowhere/chromium"}) as client:
        for _ in range(2):
            failed = await client.render()
            assert isinstance(failed, FatalError)
            assert failed.text.startswith(
                'ModuleError { causes: ["SENDING_REQUEST"], fatal: true, ctx: {"rust_error": '
            )
            assert "/nowhere/chromium" in failed.text
            assert children() == []
        assert isinstance(await client.fetch(), Ok)
    async with client_of(lab, webdriver={"renders_per_browser": "many"}) as client:
        failed = await client.render()
        assert isinstance(failed, FatalError)
        assert "renders_per_browser: must be a whole number" in failed.text


async def test_its_own_rendering_service_was_replaced_for_another_request() -> None:
    program = """if True:
        import os, sys, time
        os.write(int(sys.argv[4]), b'{"listening": "http://127.0.0.1:1"}\\n')
        time.sleep(60)
    """
    with open(os.devnull, "wb") as nowhere:
        log = Logger(fd=nowhere.fileno())
        rendering = Rendering("", {}, HttpClient(), log, command=[sys.executable, "-c", program])
        first = await rendering.real_url(f"{rendering.host}/render")
        assert not await rendering.has_ended(first)
        assert rendering._process is not None
        rendering._process.kill()
        assert await rendering.has_ended(first)
        second = await rendering.real_url(f"{rendering.host}/render")
        assert await rendering.has_ended(first)
        assert not await rendering.has_ended(second)
        await rendering.stop()


async def test_its_own_rendering_service_says_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull, "wb") as nowhere:
        http = HttpClient()
        for program, text in (
            ("import sys; sys.exit(3)", "it has ended without a word"),
            ("import os, sys; os.write(int(sys.argv[4]), b'junk')", "Expecting value"),
            ("import time; time.sleep(60)", "it was not ready within 0.3 s"),
        ):
            if "sleep" in program:
                monkeypatch.setattr("pygenvm.modules.limits.WEBDRIVER_START_SECONDS", 0.3)
            command = [sys.executable, "-c", program]
            rendering = Rendering("", {}, http, Logger(fd=nowhere.fileno()), command=command)
            with pytest.raises(ModuleError) as raised:
                await rendering.real_url(f"{rendering.host}/render")
            assert text in raised.value.ctx["rust_error"]
            await rendering.stop()
        await http.close()
