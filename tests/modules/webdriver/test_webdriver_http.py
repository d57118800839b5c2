"""What the service answers besides pages (spec modules/03 §10), and to whom."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator

import pytest

from pygenvm.modules.webdriver.service import RenderingService
from tests.modules.webdriver.support import Client, Internet, Loop, Visitor, require_browser, service, url

pytestmark = pytest.mark.slow

TOKEN = "tok-0123456789abcdef"


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("mode=text", "Missing url parameter"),
        ("url=&mode=text", "Missing url parameter"),
        ("url=http://a.test/", "Invalid mode. Must be text, html, or screenshot"),
        ("url=http://a.test/&mode=pdf", "Invalid mode. Must be text, html, or screenshot"),
        ("url=http://a.test/&mode=text&waitAfterLoaded=x", "Invalid waitAfterLoaded. Must be a number, 0 or more"),
        ("url=http://a.test/&mode=text&waitAfterLoaded=nan", "Invalid waitAfterLoaded. Must be a number, 0 or more"),
        ("url=http://a.test/&mode=text&loadTimeout=-1", "Invalid loadTimeout. Must be a number, 0 or more"),
        ("url=a.test&mode=text", "Invalid url. Must be an absolute URL"),
        ("url=file:///etc/passwd&mode=text", "Invalid url. Must be an http or https URL"),
        ("url=view-source:http://a.test/&mode=text", "Invalid url. Must be an http or https URL"),
        ("url=chrome://version&mode=text", "Invalid url. Must be an http or https URL"),
        ("url=http://a.test/" + "x" * 66_000 + "&mode=text", "Invalid url. Must have at most 65536 characters"),
    ],
)
def test_bad_queries(client: Client, query: str, error: str) -> None:
    answer = client.get(f"/render?{query}")

    assert (answer.status, json.loads(answer.body)) == (400, {"error": error})


def test_bad_wait_until(client: Client) -> None:
    answer = client.render("http://a.test/", waitUntil="never")

    assert answer.status == 400
    assert json.loads(answer.body)["error"].startswith("Invalid waitUntil. Must be commit, domcontentloaded, load")


def test_any_method_and_no_other_path(client: Client, internet: Internet) -> None:
    internet.pages["/"] = "text"

    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"):
        assert client.get(f"/render?mode=text&url={url('/')}", method=method).text == "text", method
    answer = client.get("/session", method="POST")
    assert (answer.status, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")


def test_waits_are_cut(client: Client, internet: Internet, rendering: RenderingService) -> None:
    wanted = rendering.wanted({"url": url("/"), "mode": "text", "waitAfterLoaded": "inf", "loadTimeout": "1e99"})
    unlimited = rendering.wanted({"url": url("/"), "mode": "text", "loadTimeout": "0"})

    assert (wanted.wait_seconds, wanted.load_seconds) == (60, 60)
    assert unlimited.load_seconds == 60
    assert rendering.wanted({"url": url("/"), "mode": "text"}).load_seconds == 30


def test_health_and_metrics(client: Client, internet: Internet) -> None:
    internet.pages["/"] = "text"
    before = client.metric("renders_total")
    client.render(url("/"))

    assert (client.get("/health").status, client.get("/health").text) == (200, '{"status": "ok"}')
    assert client.metric("renders_total") == before + 1
    assert client.metric("active") == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://127.0.0.1"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "attacker.example.com"},
        {"Host": "127.0.0.1.example.com:80"},
        {"Host": "[::1"},
    ],
)
def test_web_pages_are_not_answered(client: Client, internet: Internet, headers: dict[str, str]) -> None:
    for path in (f"/render?mode=text&url={url('/')}", "/health", "/metrics", "/"):
        assert client.get(path, **headers).status == 403
    assert internet.requests == []


def test_own_names(client: Client) -> None:
    for host in ("localhost:1", "127.0.0.1", "[::1]:4444"):
        assert client.get("/nothing", Host=host).status == 404


# --- a service with a token, few places and a short queue ---


@pytest.fixture(scope="module")
def narrow(loop: Loop, whole_internet: Internet) -> Iterator[RenderingService]:
    require_browser()
    made = service(loop, whole_internet, path_token=TOKEN, concurrency=1, queue=1, queue_seconds=0.5)
    yield made
    loop.run(made.stop(0))


def test_token(narrow: RenderingService, internet: Internet) -> None:
    internet.pages["/"] = "text"
    with_token, without = Client(narrow.address), Client(narrow.address)
    with_token.prefix = f"/{TOKEN}"

    assert with_token.render(url("/")).text == "text"
    assert with_token.get("/health").status == 200
    assert with_token.get("/metrics").status == 200
    for path in (f"/render?mode=text&url={url('/')}", "/health", "/metrics", "/wrong/health"):
        assert without.get(path).status == 404
    assert TOKEN not in narrow.address


def test_places_and_queue_are_bounded(narrow: RenderingService, internet: Internet) -> None:
    release = threading.Event()

    async def slow(visitor: Visitor) -> None:
        while not release.is_set():
            await asyncio.sleep(0.02)
        await visitor.answer("slow")

    internet.pages["/"] = slow
    client = Client(narrow.address)
    client.prefix = f"/{TOKEN}"
    answers: list[tuple[int, float, bytes]] = []

    def ask() -> None:
        begun = time.monotonic()
        answer = client.render(url("/"))
        answers.append((answer.status, time.monotonic() - begun, answer.body))
        if len(answers) == 2:
            release.set()

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()

    refused, waited, rendered = answers
    assert (rendered[0], rendered[2]) == (200, b"slow")
    assert (refused[0], waited[0]) == (503, 503)
    assert json.loads(refused[2])["error"] == "Service is busy"
    assert refused[1] < 0.3 < waited[1]


def test_client_that_goes_away_leaves_its_place(narrow: RenderingService, internet: Internet, loop: Loop) -> None:
    async def never(visitor: Visitor) -> None:
        await asyncio.sleep(20)

    internet.pages["/never"] = never
    internet.pages["/"] = "text"

    async def ask_and_go() -> None:
        host, _, port = narrow.address.removeprefix("http://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /{TOKEN}/render?mode=text&url={url('/never')} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        while not internet.asked("/never"):
            await asyncio.sleep(0.02)
        writer.close()

    loop.run(ask_and_go())
    client = Client(narrow.address)
    client.prefix = f"/{TOKEN}"
    time.sleep(0.3)

    assert client.render(url("/")).text == "text"
