"""The page of a network, in a real browser, with real executors behind it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import values
from pygenvm.localnet.arguments import Signature, misfit
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.errors import BadValue
from tests.localnet.clients.serving import Server, serving
from tests.manager.browsing import chromium
from tests.support.paths import ROOT
from tests.support.running import until

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


HEADER = """# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

from genlayer import *
"""
_ADDRESS = "0x" + "00" * 19 + "12"
_CHECKED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
_SPELT = [_CHECKED, _CHECKED.lower(), "0x" + _CHECKED[2:].upper(), _CHECKED.replace("aA", "AA"), "0X" + _CHECKED[2:]]
_JSON = [
    f'["{_CHECKED}"]',
    f'["{_CHECKED.replace("aA", "AA")}"]',
    "1", "-0", "12345678901234567890123", "1.5", "1e3", "01", "NaN", "true", "null", '"a"', "'a'", '"a', "a", "", "[",
    "[1,]", "[1]", "[1 2]", '[1, "a"]', '["a", 1]', '["\\u0041\\n"]', '["\t"]', "[[1]]", "[]", "{}", '{"a": 1}',
    '{"a": 1,}', '{"a": "b"}', '{"a": 1, "a": 2}', "{a: 1}", '{"name": "x", "age": 1}', '{"name": 1}',
    '{"$int": "0x1f"}', '{"$int": 1}', '{"$x": "1"}', '{"$$x": 1}', '{"$addr": "alice"}', '{"$addr": "nobody"}',
    '{"$addr": "alice", "b": 1}', '{"$bytes": "0x0"}', '{"$bytes": "00"}', f'"{_ADDRESS}"', f'["{_ADDRESS}"]',
    '["0x12"]', '["0x123"]', f'{{"a": "{_ADDRESS}"}}', "[1] 2", " [1]\n", "[" * 100 + "]" * 100,
    "[" * 102 + "]" * 102, '{"__proto__": 1}', "[null]", "[true]",
]  # fmt: skip
#: Types of a schema, and texts for fields of them.
ARGUMENTS: list[tuple[Any, list[str]]] = [
    ("int", ["1", "-1", "0x1f", "-0x1f", "1_000", "1.0", "", "x", "9" * 4300, "9" * 4301, "0x" + "f" * 5000]),
    ("address", ["alice", "nobody", _ADDRESS, _ADDRESS[:-1], _ADDRESS + "0", "0X12", *_SPELT]),
    ("bytes", ["", "0x", "00", "0x0", "0xzz", "0xAb"]),
    *(
        (of, _JSON)
        for of in (
            "any",
            "dict",
            "array",
            [{"$rep": "int"}],
            [{"$rep": "string"}],
            [{"$rep": "address"}],
            [{"$rep": "bytes"}],
            [{"$rep": "any"}],
            ["int", "string"],
            {"$dict": "int"},
            {"$dict": "address"},
            {"name": "string", "age": "int"},
            {"$or": ["string", "null"]},
            {"$or": ["address", "null"]},
            {"$or": ["int", [{"$rep": "int"}], {"$dict": "string"}]},
        )
    ),
]


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
        #: Bodies of what was sent.
        self.sent: list[str] = []
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
        page.on("request", lambda request: self.sent.append(request.post_data or ""))
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


def resolve(word: str) -> Address:
    return accounts.named()["alice"] if word == "alice" else values.address_from_text(word)


def the_servers(of: Any, text: str) -> Any:
    """The value of a field, by the rules of the commands. :raises BadValue: it does not fit."""
    words = {"int": "$int", "address": "$addr", "bytes": "$bytes"}
    text = json.dumps({words[of]: text}) if isinstance(of, str) and of in words else text
    value = values.apply_schema(values.parse_json(text, resolve=resolve), of)
    wrong = misfit("f", [value], {}, Signature([("x", of)]))
    if wrong:
        raise BadValue(wrong.text)
    return value


def deploy(page: Page, file: Path, *values: str) -> None:
    page.set_input_files("#deploy-file", file)
    fields = page.locator("#deploy-form form > .fields").nth(1).locator("textarea, input, select")
    for index, value in enumerate(values):
        fields.nth(index).fill(value)
    page.get_by_role("button", name="Deploy", exact=True).click()
    expect(page.locator("#transaction-status")).to_have_text("accepted")


def open_contract(page: Page) -> None:
    """The contract of the transaction that is shown."""
    link = page.locator("#transaction .facts a").first
    address = (link.get_attribute("href") or "").rpartition("/")[2]
    link.click()
    # Until it is read the one before may be there, which can have the same methods.
    expect(page.locator("#contract:not([inert]) #methods-title + span")).to_have_text(address)
    expect(page.locator("#contract:not([inert]) #state-title")).to_be_visible()


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


def test_what_does_not_fit_is_told_at_its_field_and_not_sent(watched: Watched) -> None:
    page = watched.open()
    page.set_input_files("#deploy-file", CONTRACTS / "token.py")
    page.get_by_role("button", name="Deploy", exact=True).click()
    supply = page.get_by_label("supply: int")
    expect(supply).to_be_focused()
    expect(supply).to_have_attribute("aria-invalid", "true")
    said = page.locator(f"#{supply.get_attribute('aria-describedby')}")
    expect(said).to_have_text("Fill this in: it has no default.")
    supply.fill("1.5")
    expect(said).to_be_hidden()
    supply.press("Enter")
    expect(said).to_contain_text('"1.5" is no integer')
    assert not [body for body in watched.sent if "genvm_deploy" in body]
    supply.fill("0x10")
    supply.press("Enter")
    expect(page.locator("#transaction-status")).to_have_text("accepted")
    expect(page.locator("#transaction .changed").first).to_contain_text("16")
    # Who has the focus of a form that is gone, and what came of it, is told.
    expect(page.locator("#transaction-title")).to_be_focused()
    expect(page.locator("#said [role=status]")).to_have_text("deploy token: accepted")


def test_parameters_with_defaults_may_be_left_out(watched: Watched) -> None:
    page = watched.open()
    code = f"""{HEADER}

class Named(gl.Contract):
    text: str

    def __init__(self, first: str = "a", count: u8 = u8(3), flag: bool = True, *, last: str = "z") -> None:
        self.text = f"{{first}} {{count}} {{flag}} {{last}}"
"""
    page.set_input_files("#deploy-file", {"name": "1.py", "mimeType": "text/plain", "buffer": code.encode()})
    expect(page.get_by_label("count: u8")).to_have_attribute("placeholder", "left out: u8(3)")
    page.get_by_label("flag: bool").select_option("false")
    page.get_by_role("button", name="Deploy", exact=True).click()
    expect(page.locator("#transaction-title")).to_have_text("deploy _1")
    expect(page.locator("#transaction .tree .changed .value")).to_have_text('"a 3 False z"')


def test_arguments_are_judged_as_the_server_does(watched: Watched) -> None:
    page = watched.open()
    cases = [(of, text) for of, texts in ARGUMENTS for text in texts]
    found = page.evaluate(
        """async (cases) => {
            const { argument, Misfit } = await import("/page/arguments.js");
            return cases.map(([type, text]) => {
                try { return argument(type, text, (name) => name === "alice"); }
                catch (error) { if (error instanceof Misfit) return null; throw error; }
            });
        }""",
        cases,
    )
    for (of, text), given in zip(cases, found, strict=True):
        try:
            expected = the_servers(of, text)
        except BadValue:
            assert given is None, (of, text, given)
        else:
            assert given is not None, (of, text)
            assert values.parse_json(given, resolve=resolve) == expected, (of, text, given)


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
    # The button has gone, and has left the focus where one was.
    expect(page.locator("#transaction :focus")).to_have_count(1)


def test_failures_are_explained(watched: Watched) -> None:
    page = watched.open()
    page.set_input_files("#deploy-file", {"name": "broken.py", "mimeType": "text/plain", "buffer": b"nothing"})
    expect(page.locator("#deploy-form .answer.bad")).to_contain_text("Start the file, at its very first byte")
    deploy(page, CONTRACTS / "counter.py")
    open_contract(page)
    page.evaluate("location.hash = '#contracts/0x0000000000000000000000000000000000000001'")
    expect(page.locator("#contract .answer.bad")).to_contain_text("no contract")


def test_time_snapshots_accounts_and_validators(watched: Watched, server: Server) -> None:
    page = watched.open("network")
    page.get_by_role("button", name="Keep this state").click()
    row = page.locator("#snapshots li").first
    expect(row).to_contain_text("Snapshot")
    made = datetime.fromisoformat(row.locator("time").get_attribute("datetime") or "")
    assert abs((datetime.now(UTC) - made).total_seconds()) < 120
    expect(row.locator("time")).to_have_text(re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"))
    page.get_by_role("button", name="Keep this state").click()
    expect(page.locator("#snapshots li")).to_have_count(2)
    page.get_by_role("button", name="Delete").first.click()
    expect(page.locator("#snapshots li")).to_have_count(1)
    page.locator("#time-seconds").fill("7200")
    page.locator("#time-form button").click()
    expect(page.locator("#time-offset")).to_have_text("2 h 00 min ahead of this machine")
    page.get_by_role("button", name="Back to this machine's time").click()
    expect(page.locator("#time-offset")).to_have_text("as on this machine")
    expect(page.locator("#finality-seconds")).to_have_value("300")
    page.goto(f"{server.url}/#accounts")
    page.locator("#fund-account").fill("bob")
    page.locator("#fund-amount").fill("123456789012345678901234567890")
    page.get_by_role("button", name="Fund").click()
    bob = page.locator("#accounts tr", has_text="bob")
    balance = bob.locator("td").nth(2).locator(".digits")
    expect(balance.nth(0)).to_have_text("123 457 789 012.345 678 901 234 567 89 GEN")
    expect(balance.nth(1)).to_have_text("123 457 789 012 345 678 901 234 567 890 wei")
    page.goto(f"{server.url}/#validators")
    expect(page.locator("#validators tr")).to_have_count(12)
    page.get_by_role("button", name="Add a validator").click()
    expect(page.locator("#validators tr")).to_have_count(13)
    page.get_by_role("button", name="Remove").last.click()
    expect(page.locator("#validators tr")).to_have_count(12)
    page.goto(f"{server.url}/#network")
    page.get_by_role("button", name="Go back").first.click()
    page.goto(f"{server.url}/#accounts")
    expect(balance.nth(0)).to_have_text("1 000 000 GEN")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["contracts", "transactions", "accounts", "validators", "network"])
def test_narrow_screens_do_not_scroll_sideways(watched: Watched, view: str, scheme: str) -> None:
    page = watched.open(view, viewport={"width": 400, "height": 800}, color_scheme=scheme)
    expect(page.locator(f"#view-{view}")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_large_amounts_on_a_narrow_screen_break_between_their_groups(watched: Watched) -> None:
    page = watched.open("accounts", viewport={"width": 400, "height": 800})
    page.locator("#fund-account").fill("carol")
    page.locator("#fund-amount").fill(str(2**254))
    page.get_by_role("button", name="Fund").click()
    digits = page.locator("#accounts tr", has_text="carol").locator(".digits")
    expect(digits.last).to_have_text(re.compile(r"^28\s948\s022"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert digits.evaluate_all("all => all.every((one) => one.scrollWidth <= one.clientWidth)")
    # The boxes of a group of digits are on one line.
    boxes = """one => {
        const text = one.firstChild, found = [];
        for (const match of text.data.matchAll(/\\d+/g)) {
            const range = document.createRange();
            range.setStart(text, match.index);
            range.setEnd(text, match.index + match[0].length);
            found.push(range.getClientRects().length);
        }
        return found;
    }"""
    assert set(digits.last.evaluate(boxes)) == {1}


def test_by_keyboard(watched: Watched) -> None:
    page = watched.open()
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#view-accounts")).to_be_visible()


def test_a_server_that_goes_away_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        watched = Watched(browser, server.url)
        page = watched.open()
        deploy(page, CONTRACTS / "storage.py", "kept")
        open_contract(page)
        page.locator("details.method", has_text="update_storage").locator("summary").click()
        page.get_by_label("new: str").fill("typed")
        server.end()
        expect(page.locator("#connection")).to_have_text("disconnected")
        expect(page.locator("#lost")).to_be_in_viewport()
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#said [role=alert]")).to_have_text("Sending update_storage failed: no server answers")
    with serving(tmp_path, port=int(server.url.rpartition(":")[2])):
        expect(page.locator("#connection")).to_have_text("live")
        expect(page.locator("#lost")).to_be_hidden()
        expect(page.get_by_label("new: str")).to_have_value("typed")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#transaction-status")).to_have_text("accepted")
        watched.close()


def test_tabs_that_nobody_looks_at_leave_their_connections_to_others(watched: Watched) -> None:
    page = watched.open("network")
    # A browser has six connections to a server.
    tabs = [page, *(page.context.new_page() for _ in range(6))]
    hide = "hidden => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });"
    hide += "document.dispatchEvent(new Event('visibilitychange')); }"
    for tab in tabs[1:]:
        tab.goto(page.url)
        expect(tab.locator("#connection")).to_have_text("live")
        tab.evaluate(hide, True)
    page.get_by_role("button", name="Keep this state").click()
    expect(page.locator("#snapshots li").first).to_be_visible()
    tabs[1].evaluate(hide, False)
    expect(tabs[1].locator("#connection")).to_have_text("live")
    lists = [tab.locator("#snapshots li") for tab in tabs[:2]]
    until(lambda: lists[0].count() == lists[1].count() > 0, "both show the same")


_SCROLLED_TO_THE_FOOT = """() => {
  scrollTo(0, document.body.scrollHeight);
  const [main, strip] = ["main", "#said"].map((name) => document.querySelector(name).getBoundingClientRect());
  return main.bottom <= strip.top + 1;
}"""


def test_what_was_said_stays_and_covers_nothing(watched: Watched) -> None:
    page = watched.open("accounts", viewport={"width": 400, "height": 600})
    # Regions that are not shown are not read out when something is said in them.
    expect(page.locator("#said")).to_be_visible()
    assert page.locator("#said").evaluate("one => [...one.children].map((part) => getComputedStyle(part).display)") == [
        "block",
        "block",
    ]
    page.locator("#fund-account").fill("nobody")
    page.get_by_role("button", name="Fund").click()
    expect(page.locator("#said [role=alert]")).to_contain_text("Funding failed: no account and no contract 'nobody'")
    # The list of accounts may be redrawn meanwhile, and grow.
    until(lambda: page.evaluate(_SCROLLED_TO_THE_FOOT), "the strip covers the foot of the page")


def test_texts_of_contracts_are_only_texts(watched: Watched) -> None:
    page = watched.open()
    evil = "<img src=x onerror=\"document.title='evil'\"> \u202e\u2066 \x1b[31m"
    seen = evil.replace("\u202e", "\\u202e").replace("\u2066", "\\u2066").replace("\x1b", "\\x1b")
    code = f"""{HEADER}
# {evil[:-5]}

class Evil(gl.Contract):
    text: str

    def __init__(self, text: str) -> None:
        self.text = text
        print(text)
        raise gl.vm.UserError(text)
"""
    page.set_input_files("#deploy-file", {"name": "evil.py", "mimeType": "text/plain", "buffer": code.encode()})
    page.get_by_label("text: str").fill(evil)
    page.get_by_role("button", name="Deploy", exact=True).click()
    expect(page.locator("#transaction-status")).to_have_text("accepted, failed")
    expect(page.locator("#transaction .answer.bad strong")).to_have_text(seen)
    expect(page.locator("#transaction [aria-label=Output]").last).to_contain_text(seen)
    assert page.locator("img, #transaction script").count() == 0
    assert "evil" not in page.title()
    # A call may name any method.
    page.get_by_role("link", name="Contracts").click()
    deploy(page, CONTRACTS / "counter.py")
    expect(page.locator("#transaction-title")).to_have_text("deploy counter")
    word = page.locator("#transaction .facts a").first.get_attribute("href") or ""
    asked = {"contract": word.partition("/")[2], "method": evil * 20}
    page.evaluate("async (asked) => (await import('/page/rpc.js')).call('genvm_write', asked)", asked)
    call = page.locator("#transactions a", has_text=f".{seen[:50]}")
    expect(call).to_be_visible()
    assert len(call.inner_text()) < 300
    # Not even a script that got into the page would run, nor ask anybody else.
    policy = page.evaluate("fetch('/').then((answer) => answer.headers.get('content-security-policy'))")
    assert "default-src 'none'; script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_large_states_and_texts_are_drawn_as_far_as_they_are_looked_at(watched: Watched) -> None:
    page = watched.open()
    code = f"""{HEADER}
import typing

class Large(gl.Contract):
    def __init__(self) -> None:
        print("y" * 50_000)

    @gl.public.view
    def rows(self) -> typing.Any:
        deep: typing.Any = "end"
        for i in range(60):
            deep = [deep]
        return {{"many": [2**60 + i for i in range(10_000)], "deep": deep, "long": "x" * 1_000_000}}
"""
    page.set_input_files("#deploy-file", {"name": "large.py", "mimeType": "text/plain", "buffer": code.encode()})
    page.get_by_role("button", name="Deploy", exact=True).click()
    expect(page.locator("#transaction-status")).to_have_text("accepted")
    output = page.locator("#transaction [aria-label=Output]").last
    assert len(output.inner_text()) == 20_000
    page.get_by_role("button", name=re.compile("all 5000. characters")).last.click()
    expect(output).to_have_text(re.compile("^y{50000}\\s*$"))
    open_contract(page)
    page.get_by_role("button", name="Read").click()
    answer = page.locator("#contract .answer:not([hidden])")
    expect(answer).to_contain_text("10000 entries")
    many = answer.locator("details", has_text="10000 entries").first
    many.locator("summary").first.click()
    rows = many.locator("ul.tree > li")
    expect(rows).to_have_count(101)
    expect(rows.nth(99)).to_have_text(f"99: {2**60 + 99}")
    rows.nth(100).get_by_role("button").click()
    expect(rows).to_have_count(201)
    expect(rows.nth(100)).to_be_focused()
    page.get_by_role("button", name="all 1000002 characters").click()
    assert max(map(len, answer.locator(".value").all_inner_texts())) == 1_000_002
    assert page.evaluate("document.querySelectorAll('*').length") < 3000


def test_contracts_without_a_schema(watched: Watched) -> None:
    page = watched.open()
    code = f"{HEADER}\nraise ValueError('no <b>')\n"
    page.set_input_files("#deploy-file", {"name": "none.py", "mimeType": "text/plain", "buffer": code.encode()})
    expect(page.locator("#deploy-form .answer.bad")).to_contain_text(
        "contract.py:6 in <module>: raise ValueError('no <b>')"
    )
    page.locator("#deploy-form summary").click()
    page.get_by_label("Arguments", exact=True).fill("{}")
    page.get_by_role("button", name="Deploy all the same").click()
    expect(page.locator("#deploy-form .field .failure").nth(1)).to_have_text("This is an object, and should be array.")
    page.get_by_label("Arguments", exact=True).fill("[1]")
    page.get_by_role("button", name="Deploy all the same").click()
    expect(page.locator("#transaction-status")).to_have_text("accepted, failed")


def test_a_contract_that_gets_other_code(watched: Watched) -> None:
    page = watched.open()
    deploy(page, CONTRACTS / "storage.py", "a")
    open_contract(page)
    expect(page.locator("details.method", has_text="update_storage")).to_be_visible()
    code = "0x" + (CONTRACTS / "journal.py").read_bytes().hex()
    asked = [page.url.rpartition("/")[2], code]
    page.evaluate("async (asked) => (await import('/page/rpc.js')).call('sim_upgradeContractCode', ...asked)", asked)
    expect(page.locator("details.method", has_text="seal")).to_be_visible()
    expect(page.locator("details.method", has_text="update_storage")).to_have_count(0)
    send(page, "seal")
    expect(page.locator("#transaction-title")).to_have_text("storage.seal()")
    expect(page.locator("#transactions")).to_contain_text("upgrade storage")
    # Sealed has one topic, and its length in the blob.
    expect(page.locator("#transaction .events .tree")).to_have_text(re.compile("length: [0-9]+"))


def test_long_answers_are_read_whole(watched: Watched) -> None:
    page = watched.open()
    found = page.evaluate(
        """async () => {
            const { call } = await import("/page/rpc.js");
            const plain = window.fetch;
            const long = JSON.stringify('x"\\\\'.repeat(4000000));
            window.fetch = async () => new Response(`{"result": [${long}, 12345678901234567890, -7, "12345678901"]}`);
            try {
                const [text, ...others] = await call("x");
                return [text.length, ...others];
            } finally {
                window.fetch = plain;
            }
        }"""
    )
    assert found == [12_000_000, {"$int": "12345678901234567890"}, -7, "12345678901"]
