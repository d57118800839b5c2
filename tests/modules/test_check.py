"""``genvm modules check`` as its user sees it: real services on loopback, written answers, a real browser."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

KEY = "sk-0123456789-abcdef"
COMMON = """\
bind_address: 127.0.0.1:0
lua_script_path: x
lua_path: x
vm_count: 1
signer_url: ""
signer_headers: {}
threads: 1
blocking_threads: 1
log_disable: ""
"""
LLM = (
    COMMON
    + """\
backends:
  written: {provider: mock, file: %(mocks)s, models: {m: {supports_json: true}}}
  away: {provider: openai-compatible, host: "http://127.0.0.1:9", key: %(key)s, models: {gpt: {}}}
  rude: {provider: openai-compatible, host: "%(host)s", key: %(key)s, models: {gpt: {price: {input: 2, output: 8}}}}
  keyless: {provider: openai-compatible, host: "http://127.0.0.1:9", key: "${ENV[NO_SUCH_KEY]}", models: {gpt: {}}}
prompt_templates:
  eq_comparative: {system: "a", user: "#{leader_answer} #{validator_answer} #{principle}"}
  eq_non_comparative_leader: {system: "a", user: "#{task} #{criteria} #{input}"}
  eq_non_comparative_validator: {system: "a", user: "#{task} #{criteria} #{input} #{output}"}
"""
)


@contextlib.contextmanager
def answering(status: int, headers: dict[str, str], echo: bool) -> Iterator[tuple[str, list[str]]]:
    """An HTTP server with one answer, and the paths that it was asked for; ``echo``: the body is the caller's key."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = f"\x1b[31m {self.headers.get('Authorization')}".encode() if echo else b"it works"
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", paths
        finally:
            server.shutdown()
            thread.join()


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pygenvm.cli.main", "modules", "check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture
def mocks(tmp_path: Path) -> Path:
    path = tmp_path / "mocks.yaml"
    path.write_text('llm: {".*JSON.*": {result: true}, ".*": OK}\n')
    return path


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_each_model_is_asked_and_what_to_do_is_told(tmp_path: Path, mocks: Path) -> None:
    with answering(401, {}, echo=True) as (host, paths):
        config = write(tmp_path / "llm.yaml", LLM % {"mocks": mocks, "host": host, "key": KEY})
        shown = check("--config", config, "--only", "llm", "--json")
        table = check("--config", config, "--only", "llm")
    assert paths
    assert (shown.returncode, shown.stderr) == (1, "")
    rows = {row["name"]: row for row in json.loads(shown.stdout)}
    assert [(row["name"], row["state"]) for row in rows.values()] == [
        ("written/m", "ok"),
        ("away/gpt", "failed"),
        ("rude/gpt", "failed"),
        ("keyless", "skipped"),
    ]
    assert rows["written/m"]["json"] is True
    assert rows["written/m"]["image"] is None
    assert "127.0.0.1:9" in rows["away/gpt"]["error"]
    assert "401" in rows["rude/gpt"]["error"]
    assert "8" in rows["rude/gpt"]["price"]
    assert all(row["remedy"] for row in rows.values() if row["state"] != "ok")
    assert table.returncode == 1
    for row in rows.values():
        assert row["name"] in table.stdout
    assert KEY not in shown.stdout + table.stdout + table.stderr
    assert "\x1b" not in table.stdout


def test_all_that_is_tried_works(tmp_path: Path, mocks: Path) -> None:
    text = LLM % {"mocks": mocks, "host": "", "key": KEY}
    lines = [line for line in text.splitlines() if not line.startswith(("  away", "  rude", "  keyless"))]
    shown = check("--config", write(tmp_path / "llm.yaml", "\n".join(lines)), "--only", "llm")
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[1].split()[:2] == ["ok", "written/m"]


def test_a_rendering_service_that_the_configuration_names(tmp_path: Path) -> None:
    def row(host: str) -> tuple[int, dict[str, Any]]:
        config = write(
            tmp_path / "web.yaml", COMMON + f"webdriver_host: {host}\nextra_tld: []\nalways_allow_hosts: []\n"
        )
        shown = check("--config", config, "--only", "browser", "--json")
        (found,) = json.loads(shown.stdout)
        return shown.returncode, found

    with answering(200, {"Resulting-Status": "200"}, echo=False) as (host, paths):
        status, good = row(host)
        assert (status, good["state"], good["name"]) == (0, "ok", host)
        assert paths[0].startswith("/render?url=data%3A")
    with answering(404, {}, echo=False) as (host, _):
        status, other = row(host)
        assert (status, other["state"]) == (1, "failed")
        assert other["error"] == "status 404: it works"
    status, absent = row("http://127.0.0.1:9")
    assert (status, absent["state"]) == (1, "failed")
    assert "genvm-modules webdriver" in absent["remedy"]


def test_the_own_browser() -> None:
    from pygenvm.modules.webdriver.locate import BrowserMissing, find_browser

    try:
        find_browser()
    except BrowserMissing as missing:
        pytest.skip(str(missing))
    shown = check("--only", "browser", "--json")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    (row,) = json.loads(shown.stdout)
    assert (row["kind"], row["state"], row["error"]) == ("browser", "ok", "")
    assert row["latency_seconds"] > 0


def test_a_browser_that_is_not_there(tmp_path: Path) -> None:
    web = COMMON + "webdriver_host: ''\nextra_tld: []\nalways_allow_hosts: []\nwebdriver: {executable: /no/browser}\n"
    shown = check("--config", write(tmp_path / "web.yaml", web), "--only", "browser", "--json")
    assert shown.returncode == 1
    (row,) = json.loads(shown.stdout)
    assert row["state"] == "failed"
    assert row["remedy"]


def test_configurations_that_will_not_do(tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.yaml", COMMON + "backends: {a: {provider: nobody, key: k, host: h, models: {m: {}}}}\n")
    shown = check("--config", bad, "--only", "llm")
    assert shown.returncode == 2
    assert shown.stderr.startswith(f"Error: {bad}:")
    twice = check("--config", bad, "--config", bad)
    assert (twice.returncode, twice.stderr) == (2, f"Error: {bad}: a second configuration of the llm service\n")
    assert check("--config", str(tmp_path / "none.yaml")).stderr.startswith("Error: ")
    assert check("--seconds", "0").returncode == 2
