"""The page of a network, in a real browser, with real executors behind it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests.localnet.clients.serving import Server, serving
from tests.manager.browsing import chromium
from tests.support.paths import ROOT

pytestmark = [pytest.mark.runners]

SECONDS = 30_000
expect.set_options(timeout=SECONDS)
CONTRACTS = ROOT / "examples" / "contracts"
#: One of five validators has another opinion of every essay.
MOCKS = """
llm:
  - {prompt: Grade an essay, answer: {score: 2, reason: poor}, node: validator 2}
  - {prompt: Grade an essay, answer: {score: 7, reason: fine}}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("network")
    (folder / "mocks.yaml").write_text(MOCKS)
    with serving(
        folder, "--mocks", str(folder / "mocks.yaml"), "--finality-window", "300", "--validators", "12"
    ) as server:
        yield server


class Watched:
    """Pages of one test, and what must not have happened on any of them at its end."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser, self._url = browser, url
        self._contexts: list[Any] = []
        self.requests: list[str] = []
        self.faults: list[str] = []

    def open(self, view: str = "", **options: Any) -> Page:
        context = self._browser.new_context(**options)
        context.set_default_timeout(SECONDS)
        self._contexts.append(context)
        page = context.new_page()

        def said(message: ConsoleMessage) -> None:
            if message.type == "error":
                self.faults.append(message.text)

        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", said)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.goto(f"{self._url}/#{view}")
        expect(page.locator("#connection")).to_have_text("live")
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def watched(browser: Browser, server: Server) -> Iterator[Watched]:
    watched = Watched(browser, server.url)
    yield watched
    watched.close()
    assert watched.faults == []
    assert [url for url in watched.requests if not url.startswith((server.url + "/", "data:"))] == []


def deploy(page: Page, file: Path, *values: str) -> None:
    page.set_input_files("#deploy-file", file)
    fields = page.locator("#deploy-form form > .fields").nth(1).locator("textarea, input, select")
    for index, value in enumerate(values):
        fields.nth(index).fill(value)
    page.get_by_role("button", name="Deploy", exact=True).click()
    expect(page.locator("#transaction-status")).to_have_text("accepted")


def open_contract(page: Page) -> None:
    """The contract of the transaction that is shown."""
    page.locator("#transaction .facts a").first.click()
    expect(page.locator("#state-title")).to_be_visible()


def send(page: Page, method: str, *values: str) -> None:
    form = page.locator("details.method", has=page.locator("summary", has_text=method))
    if form.get_attribute("open") is None:
        form.locator("summary").click()
    fields = form.locator("form > .fields").first.locator("textarea, input, select")
    for index, value in enumerate(values):
        fields.nth(index).fill(value)
    form.get_by_role("button").click()


def test_deploy_by_form_then_write_and_read(watched: Watched) -> None:
    page = watched.open()
    deploy(page, CONTRACTS / "storage.py", 'say "hi" <b>')
    expect(page.locator("#changes-title")).to_be_visible()
    expect(page.locator("#transaction .tree .changed .value")).to_have_text('"say \\"hi\\" <b>"')
    open_contract(page)
    expect(page.locator("#contract pre .k").first).to_have_text("from")
    send(page, "get_storage")
    expect(page.locator("#contract .answer:not([hidden])")).to_have_text('"say \\"hi\\" <b>"')
    send(page, "update_storage", "bye")
    expect(page.locator("#transaction-status")).to_have_text("accepted")
    changed = page.locator("#transaction .tree .changed")
    expect(changed.locator(".value").first).to_have_text('"bye"')
    expect(changed.locator(".before").first).to_have_text('"say \\"hi\\" <b>"')
    expect(page.locator("#transactions [aria-current]")).to_contain_text("storage.update_storage('bye')")


def test_large_integers_are_shown_digit_by_digit(watched: Watched) -> None:
    page = watched.open()
    deploy(page, CONTRACTS / "token.py", str(2**200))
    expect(page.locator("#transaction .changed").first).to_contain_text(str(2**200))
    open_contract(page)
    send(page, "balance_of", "alice")
    expect(page.locator("#contract .answer:not([hidden])")).to_have_text(str(2**200))


def test_a_call_without_its_arguments(watched: Watched) -> None:
    page = watched.open()
    page.set_input_files("#deploy-file", CONTRACTS / "token.py")
    page.get_by_role("button", name="Deploy", exact=True).click()
    failure = page.locator("#transaction .answer.bad")
    expect(failure).to_contain_text("def __init__(self, supply: int)")
    expect(failure).not_to_contain_text(" in :")


def test_drop_a_file(watched: Watched) -> None:
    page = watched.open("network")
    source = base64.b64encode((CONTRACTS / "counter.py").read_bytes()).decode()
    transfer = page.evaluate_handle(
        "text => { const data = new DataTransfer();"
        "const bytes = Uint8Array.from(atob(text), one => one.charCodeAt(0));"
        "data.items.add(new File([bytes], 'counter.py')); return data; }",
        source,
    )
    page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
    expect(page.locator("#dropping")).to_be_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect(page.locator("#dropping")).to_be_hidden()
    page.get_by_role("button", name="Deploy", exact=True).click()
    expect(page.locator("#transaction-status")).to_have_text("accepted")
    expect(page.locator("#transaction-title")).to_have_text("deploy counter")


def test_five_validators_of_which_one_disagrees(watched: Watched) -> None:
    page = watched.open()
    deploy(page, CONTRACTS / "essay_judge.py", "rain")
    open_contract(page)
    send(page, "submit", "It rains.")
    expect(page.locator("#transaction-status")).to_have_text("accepted")
    people = page.locator(".round").first.locator(".people li")
    expect(people).to_have_count(4)
    expect(people.locator(".pill.good")).to_have_count(3)
    disagreeing = people.filter(has=page.locator(".pill.bad"))
    expect(disagreeing).to_have_count(1)
    expect(disagreeing.locator(".pill")).to_have_text("disagree")
    expect(disagreeing.locator(".why").first).to_contain_text("does not accept the leader's result")
    expect(page.locator(".timeline rect").first).to_be_attached()
    # The receipt is checked on the server, with what `genvm receipt verify` says.
    page.get_by_role("button", name="Check the receipt").click()
    expect(page.locator(".checks li.holds").first).to_be_visible()
    expect(page.locator(".checks li.fails")).to_have_count(0)
    expect(page.locator(".checks")).to_contain_text("The receipt says that the operators agreed on an output.")
    # An appeal asks more of them.
    page.get_by_role("button", name="Appeal").click()
    expect(page.locator(".round")).to_have_count(2)
    expect(page.locator(".round").nth(1).locator("h3")).to_contain_text("validator appeal failed")
    expect(page.locator("#transaction-status")).to_have_text("accepted")
    expect(page.locator("#transaction .tree .changed").first).to_be_visible()
    page.get_by_role("button", name="Finalize now").click()
    expect(page.locator("#transaction .tree .changed").first).to_be_visible()
    expect(page.locator("#transaction-status")).to_have_text("finalized")


def test_failures_are_explained(watched: Watched) -> None:
    page = watched.open()
    page.set_input_files("#deploy-file", {"name": "broken.py", "mimeType": "text/plain", "buffer": b"nothing"})
    expect(page.locator("#deploy-form .answer.bad")).to_contain_text("broken.py cannot be deployed")
    deploy(page, CONTRACTS / "counter.py")
    open_contract(page)
    page.evaluate("location.hash = '#contracts/0x0000000000000000000000000000000000000001'")
    expect(page.locator("#contract .answer.bad")).to_contain_text("no contract")


def test_time_snapshots_accounts_and_validators(watched: Watched, server: Server) -> None:
    page = watched.open("network")
    page.get_by_role("button", name="Keep this state").click()
    row = page.locator("#snapshots li").first
    expect(row).to_contain_text("Snapshot")
    page.locator("#time-seconds").fill("7200")
    page.locator("#time-form button").click()
    expect(page.locator("#time-offset")).to_have_text("2 h 00 min ahead of this machine")
    page.goto(f"{server.url}/#accounts")
    page.locator("#fund-account").fill("bob")
    page.locator("#fund-amount").fill("123456789012345678901234567890")
    page.get_by_role("button", name="Fund").click()
    bob = page.locator("#accounts tr", has_text="bob")
    expect(bob.locator("td").nth(2)).to_have_text("123 457 789 012 345 678 901 234 567 890".replace(" ", "\u202f"))
    page.goto(f"{server.url}/#validators")
    expect(page.locator("#validators tr")).to_have_count(12)
    page.get_by_role("button", name="Add a validator").click()
    expect(page.locator("#validators tr")).to_have_count(13)
    page.get_by_role("button", name="Remove").last.click()
    expect(page.locator("#validators tr")).to_have_count(12)
    page.goto(f"{server.url}/#network")
    page.get_by_role("button", name="Go back").first.click()
    page.goto(f"{server.url}/#accounts")
    expect(bob.locator("td").nth(2)).to_have_text("1 000 000 000 000 000 000 000 000".replace(" ", "\u202f"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["contracts", "transactions", "accounts", "validators", "network"])
def test_narrow_screens_do_not_scroll_sideways(watched: Watched, view: str, scheme: str) -> None:
    page = watched.open(view, viewport={"width": 400, "height": 800}, color_scheme=scheme)
    expect(page.locator(f"#view-{view}")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_by_keyboard(watched: Watched) -> None:
    page = watched.open()
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#view-accounts")).to_be_visible()


def test_a_server_that_goes_away(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        watched = Watched(browser, server.url)
        page = watched.open()
        server.end()
        expect(page.locator("#lost")).to_be_visible()
        expect(page.locator("#connection")).to_have_text("not connected")
    watched.close()
