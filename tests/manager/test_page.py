"""The page for people, in a real browser."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from pygenvm.manager import limits
from tests.manager.browsing import chromium
from tests.manager.live import LiveManager, live_manager
from tests.manager.test_feed import end, waiting_run

pytestmark = pytest.mark.slow

RETURN = "--say=executed with `Return(null)`"
SECONDS = 30_000
expect.set_options(timeout=SECONDS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveManager]:
    with live_manager(tmp_path, permits=4) as live:
        yield live


class Watched:
    """Pages of one test, and what must not have happened on any of them at its end."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[Any] = []
        self.requests: list[str] = []
        self.faults: list[str] = []

    def open(self, url: str, *, ready: bool = True, **options: Any) -> Page:
        context = self._browser.new_context(**options)
        context.set_default_timeout(SECONDS)
        self._contexts.append(context)
        page = context.new_page()

        def asked(request: Request) -> None:
            self.requests.append(request.url)

        def said(message: ConsoleMessage) -> None:
            # Chromium logs every status of 400 and more, and every connection that fails.
            if message.type == "error" and "Failed to load resource" not in message.text:
                self.faults.append(message.text)

        page.on("request", asked)
        page.on("console", said)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.goto(url)
        if ready:
            expect(page.locator("#connection")).to_have_text("live")
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def watched(browser: Browser, live: LiveManager) -> Iterator[Watched]:
    watched = Watched(browser)
    yield watched
    watched.close()
    assert watched.faults == []
    assert [url for url in watched.requests if not url.startswith((live.url + "/", "data:"))] == []


def run(live: LiveManager, *words: str, sync: bool = False) -> int:
    body: dict[str, Any] = {
        "major": 0,
        "message": {},
        "is_sync": sync,
        "capture_output": True,
        "host_data": "{}",
        "timestamp": "2024-11-26T06:42:42Z",
        "host": "unix:///nowhere",
        "extra_args": list(words),
    }
    answer = requests.post(f"{live.url}/genvm/run", json=body, timeout=60).json()
    assert answer["result"] == "started", answer
    number: int = answer["id"]
    return number


def row(page: Page, table: str, number: int) -> Any:
    return page.locator(f"#{table} [data-run='{number}']")


def test_runs_in_every_state(live: LiveManager, watched: Watched) -> None:
    page = watched.open(live.url)
    good = run(live, RETURN)
    bad = run(live, '--say=executed with `UserError("not enough")`')
    crashed = run(live, "--exit=3")
    expect(row(page, "ended", good)).to_contain_text("return")
    expect(row(page, "ended", bad)).to_contain_text('user error"not enough"')
    expect(row(page, "ended", crashed)).to_contain_text("crashedexit code 3: failed as it was told to")
    first, second = run(live, "--sleep=100"), run(live, "--sleep=100", sync=True)
    waiting = threading.Thread(target=run, args=(live, RETURN))
    waiting.start()
    expect(row(page, "active", first)).to_contain_text("running")
    expect(row(page, "active", second)).to_contain_text("vTEST sync")
    expect(page.locator("#active .pill.warn")).to_have_text("waiting for permits")
    expect(page.locator("#permits-used")).to_have_text("3")
    expect(page.locator("#count-running")).to_have_text("2")
    expect(page.locator("#count-waiting")).to_have_text("1")
    expect(page.locator("#legend")).to_contain_text(re.compile(r"return1.*user error1.*crashed1"))
    # All of it again for whoever comes later.
    later = watched.open(live.url)
    expect(row(later, "ended", crashed)).to_contain_text("exit code 3")
    expect(row(later, "active", first)).to_contain_text("running")
    requests.delete(f"{live.url}/genvm/{first}", timeout=60)
    waiting.join(60)


def test_a_run_is_stopped_by_the_second_press(live: LiveManager, watched: Watched) -> None:
    page = watched.open(live.url)
    number = run(live, "--sleep=100")
    button = row(page, "active", number).get_by_role("button", name=f"Stop run {number}")
    button.click()
    expect(button).to_have_text("Really stop")
    assert requests.get(f"{live.url}/status", timeout=30).json()["running"] == 1
    button.click()
    expect(page.locator("#said")).to_have_text(f"Run {number} has been stopped.")
    expect(row(page, "ended", number)).to_contain_text("stoppeda client stopped it; SIGTERM")
    expect(page.locator("#active-empty")).to_have_text("Nothing runs.")


def test_permits_are_changed(live: LiveManager, watched: Watched) -> None:
    page = watched.open(live.url)
    page.get_by_label("Total").fill("12")
    page.get_by_role("button", name="Set").click()
    expect(page.locator("#said")).to_have_text("There are 12 permits.")
    expect(page.locator("#permits-total")).to_have_text("12")
    assert live.manager.permits.total == 12
    # Changed by somebody else.
    requests.post(f"{live.url}/permits", json={"permits": 5}, timeout=30)
    expect(page.locator("#permits-total")).to_have_text("5")


def test_modules_are_started_and_stopped(live: LiveManager, watched: Watched, tmp_path: Path) -> None:
    page = watched.open(live.url)
    tile = page.locator("[data-module=web]")
    tile.get_by_role("button", name="Start the web module").click()
    expect(page.locator("#said")).to_have_text("The web module listens.")
    expect(tile.locator(".pill")).to_have_text("running")
    tile.get_by_role("button", name="Stop the web module").click()
    expect(tile.locator(".pill")).to_have_text("stopped")
    (tmp_path / "module").write_text("#!/bin/sh\nexit 4\n")
    tile.get_by_role("button", name="Start the web module").click()
    expect(page.locator("#said.bad")).to_contain_text("module_failed_to_start: it ended with exit code 4")


def test_a_module_that_fails_is_seen(live: LiveManager, watched: Watched, tmp_path: Path) -> None:
    page = watched.open(live.url)
    requests.post(f"{live.url}/module/start", json={"module_type": "llm"}, timeout=30).raise_for_status()
    tile = page.locator("[data-module=llm]")
    expect(tile.locator(".pill")).to_have_text("running")
    (tmp_path / "module").write_text("#!/bin/sh\nexit 4\n")
    module = live.manager.modules._modules["llm"].process
    assert module is not None
    live.call(module.kill)
    expect(tile.locator(".pill.bad")).to_have_text("not listening")
    expect(tile.locator("[data-part=failure]")).to_contain_text("it ended with")


def test_the_log(live: LiveManager, watched: Watched) -> None:
    page = watched.open(live.url)
    first, second = run(live, RETURN), run(live, RETURN)
    lines = page.locator("#lines li")
    expect(lines.filter(has_text="genvm ended")).to_have_count(2)
    row(page, "ended", second).get_by_role("link").click()
    expect(page.get_by_label("With")).to_have_value(f"#{second}")
    expect(lines).to_have_count(2)
    page.get_by_label("With").fill("ENDED")
    expect(lines).to_have_count(2)
    expect(row(page, "ended", first)).to_have_count(1)
    page.get_by_label("With").fill("")
    page.get_by_label("From").select_option("warn")
    expect(lines.filter(has_text="genvm ended")).to_have_count(0)
    expect(lines.filter(has_text="modules are not running")).to_have_count(2)


def test_failures_alone_and_holding(live: LiveManager, watched: Watched) -> None:
    page = watched.open(live.url)
    good, bad = run(live, RETURN), run(live, "--exit=3")
    expect(row(page, "ended", good)).to_have_count(1)
    page.get_by_label("Show").select_option("failed")
    expect(row(page, "ended", good)).to_have_count(0)
    expect(row(page, "ended", bad)).to_have_count(1)
    page.get_by_role("button", name="Hold").click()
    later = run(live, "--exit=4")
    expect(page.locator("#lines")).to_contain_text("exit_status=4")
    expect(row(page, "ended", later)).to_have_count(0)
    page.get_by_role("button", name="Go on").click()
    expect(row(page, "ended", later)).to_have_count(1)


def test_nothing_that_is_shown_becomes_markup(live: LiveManager, watched: Watched) -> None:
    page = watched.open(live.url)
    text = "<img src=/x onerror=alert(1)><b>bold</b>"
    number = run(live, f"--say=executed with `UserError({text})`")
    expect(row(page, "ended", number)).to_contain_text(text)
    live.call(lambda: live.manager.log.warn(text, what=text))
    expect(page.locator("#lines li").last).to_contain_text(f"{text} what={text}")
    assert page.locator("main img, main b").count() == 0


def test_it_keeps_up_with_a_hundred_runs_a_second(live: LiveManager, watched: Watched) -> None:
    page = watched.open(live.url)
    page.evaluate(
        """() => { window.frames_ = 0; const f = () => { window.frames_ += 1; requestAnimationFrame(f); };
                   requestAnimationFrame(f); }"""
    )
    seconds, rate = 5, 100

    async def flood() -> None:
        start = time.monotonic()
        for count in range(seconds * rate):
            await asyncio.sleep(max(0.0, start + count / rate - time.monotonic()))
            one = waiting_run(2 * count + 1)
            live.manager.feed.run_changed(one)
            one.started_at = time.monotonic()
            live.manager.feed.run_changed(one)
            live.manager.feed.logged(
                {
                    "time": time.time_ns() // 1_000_000,
                    "level": "info",
                    "target": "genvm_modules::manager",
                    "message": "genvm ended",
                    "fields": f"cookie={one.cookie} exit_status=0",
                    "id": one.id,
                }
            )
            live.manager.feed.run_changed(end(one))

    live.wait(flood())
    ended = time.monotonic()
    expect(row(page, "ended", 2 * seconds * rate - 1)).to_have_count(1)
    behind = time.monotonic() - ended
    # The second that goes on is not drawn.
    expect(page.locator("#legend")).to_contain_text(f"return{seconds * rate}")
    assert behind < 2
    # It was usable all the time, also on a machine that has other things to do.
    assert page.evaluate("window.frames_") > 10 * seconds
    assert page.locator("#ended tr").count() == 50
    assert page.locator("#lines li").count() <= limits.RECENT_LOG_LINES


def test_a_connection_that_is_lost_is_seen_and_taken_up_again(browser: Browser, tmp_path: Path) -> None:
    watched = Watched(browser)
    with live_manager(tmp_path) as live:
        port = int(live.url.rpartition(":")[2])
        page = watched.open(live.url)
        before = run(live, RETURN)
        expect(row(page, "ended", before)).to_have_count(1)
    expect(page.locator("#connection")).to_have_text(re.compile("not connected|connecting"))
    expect(page.locator("#lost")).to_contain_text("Not connected.")
    # What was known stays to be read.
    expect(row(page, "ended", before)).to_have_count(1)
    with live_manager(tmp_path, port=port):
        page.get_by_role("button", name="Try again now").click()
        expect(page.locator("#connection")).to_have_text("live")
        expect(page.locator("#lost")).to_be_hidden()
        expect(row(page, "ended", before)).to_have_count(0)
        watched.close()
    assert watched.faults == []


def test_whoever_leaves_is_forgotten(live: LiveManager, watched: Watched) -> None:
    page = watched.open(live.url)
    assert len(live.manager.feed.watchers) == 1
    page.close()
    deadline = time.monotonic() + 20
    while len(live.manager.feed.watchers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(live.manager.feed.watchers) == 0


def test_a_token(browser: Browser, tmp_path: Path) -> None:
    token = "a token, but without blanks".replace(" ", "-")
    with live_manager(tmp_path, token=token) as live:
        watched = Watched(browser)
        page = watched.open(live.url, ready=False)
        page.get_by_label("Token (kept").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#token-why")).to_have_text("That token is not the right one.")
        page.get_by_label("Token (kept").fill(token)
        page.get_by_role("button", name="Connect").click()
        expect(page.locator("#connection")).to_have_text("live")
        page.get_by_label("Total").fill("6")
        page.get_by_role("button", name="Set").click()
        expect(page.locator("#permits-total")).to_have_text("6")
        page.reload()
        expect(page.locator("#connection")).to_have_text("live")
        assert not any(token in url for url in watched.requests)
        # It is asked for everywhere but for the page itself.
        assert requests.get(f"{live.url}/page-state", timeout=30).status_code == 401
        assert requests.get(f"{live.url}/events", timeout=30).status_code == 401
        assert requests.get(f"{live.url}/status", cookies={"token": token}, timeout=30).status_code == 401
        watched.close()
        assert watched.faults == []


@pytest.mark.parametrize("path", ["/", "/docs"])
@pytest.mark.parametrize("width", [320, 400, 700, 1000])
def test_narrow_screens_do_not_scroll_sideways(live: LiveManager, watched: Watched, path: str, width: int) -> None:
    run(live, "--say=executed with `UserError(" + "long" * 60 + ")`")
    run(live, "--sleep=100")
    page = watched.open(live.url + path, ready=path == "/", viewport={"width": width, "height": 800})
    if path == "/":
        expect(page.locator("#ended tr")).to_have_count(1)
    else:
        expect(page.locator(".operation").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_by_keyboard_alone(live: LiveManager, watched: Watched) -> None:
    number = run(live, "--sleep=100")
    page = watched.open(live.url)
    expect(row(page, "active", number)).to_have_count(1)
    met: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "(document.activeElement.getAttribute('aria-label') || document.activeElement.id"
            " || document.activeElement.textContent).trim()"
        )
        if page.evaluate("document.activeElement === document.body"):
            break
        # Links to the lines of a run are in both tables.
        met += [name] if name != str(number) else []
        # Where one is can be seen.
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", name
        if name == f"Stop run {number}":
            page.keyboard.press("Enter")
            page.keyboard.press("Space")
            expect(page.locator("#said")).to_have_text(f"Run {number} has been stopped.")
            # The button is gone; the place on the page is not.
            expect(page.locator("#runs")).to_be_focused()
    assert met[:7] == [
        "Skip to runs",
        "Skip to the log",
        "API",
        "permits-new",
        "Set",
        "Start the LLM module",
        "Start the web module",
    ]
    assert met[7:] == [
        "plot-range",
        f"Stop run {number}",
        "ended-filter",
        "ended-hold",
        "log-level",
        "log-text",
        "Latest lines of the log",
    ]


def test_a_skip_link_leads_to_the_runs(live: LiveManager, watched: Watched) -> None:
    page = watched.open(live.url)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "runs"


#: Contrast of text against what is behind it, by the formula of WCAG 2.
_CONTRASTS = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || node.closest(".skip, .unseen, noscript, thead") || !node.checkVisibility()) continue;
    let behind = node;
    while (behind && (parse(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) behind = behind.parentElement;
    const ground = behind ? getComputedStyle(behind).backgroundColor : "rgb(255, 255, 255)";
    const [a, b] = [getComputedStyle(node).color, ground].map((text) => light(parse(text)));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push(`${node.tagName} ${node.textContent.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_colour_schemes_can_be_read(live: LiveManager, watched: Watched, scheme: str, tmp_path: Path) -> None:
    run(live, "--exit=3")
    run(live, "--sleep=100")
    for path in ("/", "/docs"):
        page = watched.open(live.url + path, ready=path == "/", color_scheme=scheme)
        page.wait_for_selector("#ended tr" if path == "/" else ".operation")
        assert page.evaluate(_CONTRASTS) == []
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(int(part) for part in re.findall(r"\d+", ground)) < 200) == (scheme == "dark")
        assert len(page.screenshot(path=tmp_path / f"{scheme}.png")) > 10_000


def test_nothing_moves_for_whoever_asks_for_that(live: LiveManager, watched: Watched) -> None:
    run(live, "--sleep=100")
    for motion, name in (("no-preference", "pulse"), ("reduce", "none")):
        page = watched.open(live.url, reduced_motion=motion)
        expect(page.locator("#active .pill.busy")).to_have_count(1)
        script = "getComputedStyle(document.querySelector('#active .pill.busy'), '::before').animationName"
        assert page.evaluate(script) == name


def test_the_document_is_rendered(live: LiveManager, watched: Watched) -> None:
    page = watched.open(f"{live.url}/docs", ready=False)
    card = page.locator("#op-run")
    expect(card).to_contain_text("POST/genvm/run")
    expect(card).to_contain_text("max_execution_minutes")
    expect(card).to_contain_text("(0 … 2^64 - 1, default 50)")
    expect(card).to_contain_text('"result": "started"')
    page.get_by_role("navigation", name="Routes").get_by_role("link", name="/permits").first.click()
    expect(page.locator("#op-getPermits")).to_be_in_viewport()
    assert "undefined" not in page.locator("body").inner_text()
