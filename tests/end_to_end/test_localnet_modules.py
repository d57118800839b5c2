"""``genvm local`` with contracts that ask the web and language models: real executors, both modules, validators."""

from __future__ import annotations

import http.server
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pygenvm.cli.main import main
from pygenvm.localnet.chain import consensus
from pygenvm.modules.webdriver.locate import BrowserMissing, find_browser
from tests.support.author_modules import living, wait_for_end
from tests.support.hosts import PATIENCE_SECONDS
from tests.support.paths import EXAMPLES
from tests.support.running import until

pytestmark = pytest.mark.usefixtures("built_runners", "author_modules")

NODES = ["leader", *(node.name for node in consensus.validators(4))]

#: Both services in one nondet block.
HEADLINE = """# v0.2.16
# { "Depends": "py-genlayer:test" }

from genlayer import *


class Headline(gl.Contract):
    title: str

    def __init__(self):
        self.title = ""

    @gl.public.write
    def update(self, url: str) -> str:
        def read() -> str:
            page = gl.nondet.web.get(url).body.decode()
            return gl.nondet.exec_prompt(f"A title for: {page}")

        self.title = gl.eq_principle.prompt_comparative(read, "the titles are about the same thing")
        return self.title

    @gl.public.write
    def render(self, url: str) -> str:
        self.title = gl.eq_principle.strict_eq(lambda: gl.nondet.web.render(url, mode="text"))
        return self.title

    @gl.public.view
    def get(self) -> str:
        return self.title
"""


class Site:
    """A web server on this machine; ``answer`` gives status and body of the request with this number."""

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.answer: Callable[[int], tuple[int, str]] = lambda _: (200, '{"price": 42.5}')
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = site.answer(next(site.numbers))
                self.send_response(status)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/price"

    @property
    def requests(self) -> int:
        """How many there were; asked once."""
        return next(self.numbers)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    threading.Thread(target=site.server.serve_forever, daemon=True).start()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with configurations of both modules."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "web.yaml").write_text("always_allow_hosts: [127.0.0.1]\nvm_count: 1\n")
    (folder / "llm.yaml").write_text(
        """
vm_count: 1
backends:
  written: {provider: mock, host: "", key: none, file: answers.yaml, models: {m: {supports_json: true}}}
"""
    )
    (folder / "headline.py").write_text(HEADLINE)
    return folder


Local = Callable[..., tuple[int, Any]]


@pytest.fixture
def local(project: Path, capsys: pytest.CaptureFixture[str]) -> Local:
    """Runs a command with ``--json``: exit code and document. What it says on stderr is in ``said``."""

    def run(*words: str) -> tuple[int, Any]:
        with_configs = ("--web-config", "web.yaml", "--llm-config", "llm.yaml") if words[0] in ("call", "view") else ()
        code = main(["local", *words, *with_configs, "--json"])
        out, err = capsys.readouterr()
        said.append(err)
        return code, json.loads(out)

    said: list[str] = []
    run.said = said  # type: ignore[attr-defined]
    return run


@pytest.fixture
def oracle(local: Local, site: Site) -> Local:
    """The same, with the price oracle deployed."""
    code, document = local("deploy", str(EXAMPLES / "price_oracle.py"), "--args", json.dumps([site.url]))
    assert code == 0, document
    return local


def votes(document: Any) -> list[str]:
    found = document["transaction"]["validators"]["votes"]
    assert [vote["node"] for vote in found] == NODES[: len(found)]
    return [vote["vote"] for vote in found]


# --- the example oracle, a leader and four validators ---------------------------------------------


def test_all_agree(oracle: Local, site: Site, author_modules: Path) -> None:
    code, document = oracle("call", "update", "--validators", "5")
    assert (code, document["ok"], document["result"]) == (0, True, 4250)
    found = document["transaction"]["validators"]
    seconds = [vote.pop("seconds") for vote in found["votes"]]
    assert all(0 < one < PATIENCE_SECONDS for one in seconds)
    addresses = ["0x", *(node.address for node in consensus.validators(4))]
    assert found == {
        "nodes": 5,
        "agreeing": 5,
        "accepted": True,
        "votes": [
            {"node": name, "address": address, "vote": "agree", "block": None, "reason": ""}
            for name, address in zip(NODES, addresses, strict=True)
        ],
    }
    # Every node asked for itself, and all of them one service.
    assert site.requests == 5
    assert oracle.said[-1] == "starting the web module\n"  # type: ignore[attr-defined]
    assert list(living(author_modules)) == ["web"]
    assert oracle("view", "get")[1]["result"]["cents"] == 4250


def test_most_disagree(oracle: Local, site: Site) -> None:
    assert oracle("call", "update", "--validators", "5")[0] == 0
    site.answer = lambda number: (200, json.dumps({"price": number}))
    code, document = oracle("call", "update", "--validators", "5")
    assert (code, document["ok"]) == (1, False)
    assert votes(document) == ["agree", *["disagree"] * 4]
    error = document["error"]
    assert (error["kind"], error["message"]) == ("undetermined", "1 of 5 nodes agree")
    leaders_result = document["transaction"]["outcome"]["value"]
    for vote in document["transaction"]["validators"]["votes"][1:]:
        assert vote["block"] == 0
        assert vote["reason"] == f"nondet block 0: it does not accept the leader's result, {leaders_result}"
    assert (document["transaction"]["number"], document["transaction"]["status"]) == (None, "undetermined")
    # Nothing was changed, and the next call is as good as any.
    assert oracle("view", "get")[1]["result"]["cents"] == 4250
    site.answer = lambda number: (200, '{"price": 1}')
    assert oracle("call", "update", "--validators", "5")[1]["result"] == 100
    statuses = [one["status"] for one in oracle("log")[1]["transactions"]]
    assert statuses == ["ok", "ok", "undetermined", "ok"]


def test_a_page_that_fails_for_all(oracle: Local, site: Site) -> None:
    site.answer = lambda _: (500, "no price today")
    code, document = oracle("call", "update", "--validators", "5")
    assert (code, document["error"]["kind"]) == (1, "user_error")
    assert document["error"]["message"] == "the API answers 500"
    assert votes(document) == ["agree"] * 5


def test_a_page_that_fails_for_the_leader(oracle: Local, site: Site) -> None:
    site.answer = lambda number: (200, '{"price": 42.5}') if number else (500, "")
    code, document = oracle("call", "update", "--validators", "5")
    assert (code, document["error"]["kind"]) == (1, "undetermined")
    assert votes(document) == ["agree", *["disagree"] * 4]
    claim = "nondet block 0: it does not accept the leader's result, User error: the API answers 500"
    assert document["transaction"]["validators"]["votes"][1]["reason"] == claim


# --- both modules ---------------------------------------------------------------------------------


@pytest.fixture
def headline(local: Local, site: Site) -> Local:
    site.answer = lambda _: (200, "about bees")
    code, document = local("deploy", "headline.py")
    assert code == 0, document
    return local


def update(headline: Local, site: Site, *words: str) -> tuple[int, Any]:
    return headline("call", "update", "--args", json.dumps([site.url]), *words)


AGREE = """
llm:
  "A title for: about bees": Bees
  "EqComparative": true
"""


def test_both_modules(headline: Local, site: Site, project: Path, author_modules: Path) -> None:
    (project / "answers.yaml").write_text(AGREE)
    code, document = update(headline, site, "--validators", "5")
    assert (code, document.get("result")) == (0, "Bees"), document
    assert votes(document) == ["agree"] * 5
    assert sorted(headline.said[-1].splitlines()) == [  # type: ignore[attr-defined]
        "starting the llm module",
        "starting the web module",
    ]
    assert sorted(living(author_modules)) == ["llm", "web"]


def test_a_model_that_one_validator_does_not_agree_with(headline: Local, site: Site, project: Path) -> None:
    (project / "answers.yaml").write_text(
        """
llm:
  - {prompt: "EqComparative", node: [validator 2], answer: false}
  - {prompt: "EqComparative", answer: true}
  - {prompt: "A title for: about bees", node: validator 2, answer: Hornets}
  - {prompt: "A title for: about bees", answer: Bees}
"""
    )
    code, document = update(headline, site, "--validators", "5")
    assert (code, document.get("result")) == (0, "Bees"), document
    assert votes(document) == ["agree", "agree", "disagree", "agree", "agree"]
    assert document["transaction"]["validators"]["agreeing"] == 4


def test_a_model_that_fails_for_validators(headline: Local, site: Site, project: Path) -> None:
    (project / "answers.yaml").write_text(
        """
llm:
  - {prompt: "A title for", node: leader, answer: Bees}
  - {prompt: "A title for", fail: {cause: STATUS_NOT_OK, status: 500, fatal: true}}
"""
    )
    code, document = update(headline, site, "--validators", "3")
    assert (code, document["error"]["kind"]) == (1, "undetermined")
    assert votes(document) == ["agree", "none", "none"]
    assert "NO_PROVIDER_FOR_PROMPT" in document["transaction"]["validators"]["votes"][1]["reason"]


def test_a_model_that_fails_for_the_leader(headline: Local, site: Site, project: Path) -> None:
    (project / "answers.yaml").write_text('llm: {"A title": {fail: {cause: STATUS_NOT_OK, status: 500, fatal: true}}}')
    code, document = update(headline, site, "--validators", "3")
    assert (code, document["error"]["kind"]) == (3, "internal_error")
    assert "NO_PROVIDER_FOR_PROMPT" in document["error"]["message"]
    assert document["error"]["meaning"] == "None of the language models that could be asked gave an answer."
    # A leader without a result has nothing to judge.
    assert "validators" not in document["transaction"]


def test_a_page_is_rendered(headline: Local, site: Site) -> None:
    try:
        find_browser()
    except BrowserMissing as error:
        pytest.skip(str(error))
    site.answer = lambda _: (200, "<p>about <b>bees</b></p><script>document.title = 'x'</script>")
    code, document = headline("call", "render", "--args", json.dumps([site.url]), "--validators", "3")
    assert (code, document.get("result")) == (0, "about bees"), document
    assert votes(document) == ["agree"] * 3


def test_a_machine_without_a_browser(
    headline: Local, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PATH", "PLAYWRIGHT_BROWSERS_PATH"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("GENVM_BROWSER", raising=False)
    code, document = headline("call", "render", "--args", json.dumps([site.url]))
    assert (code, document["error"]["kind"]) == (3, "internal_error")
    assert document["error"]["meaning"] == "The contract renders a page, and there is no browser here to do it."
    # A shell line, whatever this machine has.
    assert re.fullmatch(r"Install one: \S+ .*(install).*", document["error"]["advice"])


def test_a_module_that_is_killed_between_two_calls(
    headline: Local, site: Site, project: Path, author_modules: Path
) -> None:
    (project / "answers.yaml").write_text(AGREE)
    assert update(headline, site)[0] == 0
    first = living(author_modules)
    for pid in first.values():
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
    code, document = update(headline, site)
    assert (code, document["result"]) == (0, "Bees")
    assert living(author_modules).keys() == first.keys()
    assert not set(living(author_modules).values()) & set(first.values())
    # And between those they stay.
    second = living(author_modules)
    assert update(headline, site)[0] == 0
    assert living(author_modules) == second


# --- without a configuration, and with mocks ------------------------------------------------------


@pytest.fixture
def text(project: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command: exit code, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["local", *words])
        return code, *capsys.readouterr()

    return run


def test_a_prompt_without_any_model(text: Callable[..., tuple[int, str, str]]) -> None:
    assert text("deploy", str(EXAMPLES / "essay_judge.py"), "--args", '["bees"]')[0] == 0
    code, out, err = text("call", "submit", "--args", '["Bees fly."]')
    assert (code, out) == (3, "")
    lines = re.sub(r":[0-9]+:", ":PORT:", err).splitlines()
    assert lines == [
        "Internal error: llm module at ws://127.0.0.1:PORT: Prompt: module error: no language model is configured",
        "Nothing was changed.",
        "cause: The contract asks a language model, and there is none.",
        "fix: Put the key of a provider into the environment (OPENAIKEY, ANTHROPICKEY, GEMINIKEY, XAIKEY, HEURISTKEY),"
        " answer from a file with --mocks FILE, or name a server or a local model in --llm-config FILE"
        " (docs/modules.md).",
    ]


def test_the_web_is_live_under_the_rules_of_nodes(text: Callable[..., tuple[int, str, str]], site: Site) -> None:
    assert text("deploy", str(EXAMPLES / "price_oracle.py"), "--args", json.dumps([site.url]))[0] == 0
    code, out, err = text("call", "update")
    assert (code, out) == (1, "")
    assert err.startswith("starting the web module\n")
    assert "PORT_FORBIDDEN" in err
    assert "cause: `response = gl.nondet.web.get(url)` asks for what the web module lets no contract reach: " in err
    assert "always_allow_hosts" in err.splitlines()[-1]
    assert site.requests == 0


def test_mocks_answer_for_both(
    headline: Local, text: Callable[..., tuple[int, str, str]], author_modules: Path, project: Path
) -> None:
    (project / "mocks.yaml").write_text(AGREE + 'web: {"example.com/page": about bees}\n')
    words = ("call", "update", "--args", '["https://example.com/page"]', "--mocks", "mocks.yaml")
    code, out, err = text(*words, "--validators", "3")
    assert (code, err) == (0, "")
    assert '  returned    "Bees"\n' in out
    table = "  validators  3 of 3 nodes agree\n    leader        agrees\n    validator 1   agrees\n"
    assert table in out
    assert living(author_modules) == {}
    code, out, err = text("call", "update", "--args", '["https://example.org/"]', "--mocks", "mocks.yaml")
    assert (code, out) == (3, "")
    assert "mocks.yaml: No web mock for GET https://example.org/" in err
    assert err.splitlines()[-1].startswith("fix: Add a pattern that is found in it to mocks.yaml.")
    assert text("view", "get", "--mocks", "mocks.yaml") == (0, "Bees\n", "")


def test_files_that_cannot_be_used(headline: Local, text: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = text("call", "get", "--mocks", "nothing.yaml")
    assert (code, out, err) == (2, "", "genvm local: --mocks: nothing.yaml: No such file or directory\n")
    for number in ("1", "0", "101", "x", "-3"):
        with pytest.raises(SystemExit):
            main(["local", "call", "get", "--validators", number])


def test_a_configuration_that_cannot_be_used_is_told_before_anything_runs(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether or not the contract asks anything; keys that nobody reads are told of and do not matter."""
    assert main(["local", "deploy", "headline.py"]) == 0
    capsys.readouterr()
    (project / "llm.yaml").write_text("\nvm_count: many\n")
    for option, name, told in [
        ("--llm-config", "llm.yaml", "llm.yaml:2: vm_count: must be a whole number, not 'many'"),
        ("--web-config", "none.yaml", "none.yaml: cannot be read: No such file or directory"),
    ]:
        assert main(["local", "view", "get", option, name]) == 2
        assert capsys.readouterr().err.startswith(f"genvm local: {option}: {told}\n")
    (project / "web.yaml").write_text("always_allow_host: []\n")
    assert main(["local", "view", "get", "--web-config", "web.yaml"]) == 0
    assert capsys.readouterr().err == (
        "genvm local: warning: --web-config: web.yaml:1: always_allow_host: there is no such key, it is ignored\n"
        "  did you mean always_allow_hosts?\n"
    )


def test_commands_at_the_same_time_share_one_module(
    oracle: Local, site: Site, project: Path, author_modules: Path
) -> None:
    """Views do not wait for each other; each is a process of its own."""
    for number in range(2):
        words = ["--db", f"{number}.db", "deploy", str(EXAMPLES / "price_oracle.py"), "--args", json.dumps([site.url])]
        assert main(["local", *words]) == 0
    command = [sys.executable, "-m", "pygenvm.cli.main", "local", "call", "update", "--web-config", "web.yaml"]
    running = [
        subprocess.Popen([*command, "--db", f"{number}.db"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(2)
    ]
    told = [process.communicate(timeout=PATIENCE_SECONDS) for process in running]
    assert [process.returncode for process in running] == [0, 0], told
    assert sorted(err for _, err in told) == ["", "starting the web module\n"]
    assert len(list(author_modules.glob("*.json"))) == 1


def test_an_interrupt_during_a_request(headline: Local, project: Path, short_folder: Path) -> None:
    """Neither the command nor its executor waits for an answer, and no folder is left."""
    (project / "mocks.yaml").write_text("web: [{url: example.com, never: true}]")
    words = ["call", "update", "--args", '["https://example.com/"]', "--mocks", "mocks.yaml"]
    with subprocess.Popen(
        [sys.executable, "-m", "pygenvm.cli.main", "local", *words],
        env={**os.environ, "TMPDIR": str(short_folder)},
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        # What answers for modules has a thread of its own as soon as a contract asks one.
        until(lambda: len(os.listdir(f"/proc/{command.pid}/task")) > 1, "a contract asks")
        time.sleep(0.5)
        command.send_signal(signal.SIGTERM)
        _, err = command.communicate(timeout=PATIENCE_SECONDS)
    assert command.returncode == 130
    assert err.startswith("genvm local: interrupted: ")
    assert list(short_folder.iterdir()) == []
