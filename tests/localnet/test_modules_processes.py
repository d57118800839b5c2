"""Services in processes of their own: found, started once, private, ended when idle, started anew when killed."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from pygenvm.executor.module_protocol.codec import (
    Answer,
    Hello,
    Ok,
    Request,
    decode_answer,
    encode_hello,
    encode_request,
)
from pygenvm.localnet import limits
from pygenvm.localnet.errors import BadRequest
from pygenvm.localnet.modules.broker import Answering, Unavailable
from pygenvm.localnet.modules.places import idle_seconds, own_folder
from pygenvm.localnet.modules.processes import UNFINISHED, ModuleProcess
from pygenvm.localnet.modules.settings import NO_MODEL, read_settings
from tests.support.author_modules import is_alive, living, wait_for_end
from tests.support.hosts import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

HELLO = encode_hello(Hello("c", {"node_address": "0x", "tx_id": "0x1"}))


class Page(http.server.BaseHTTPRequestHandler):
    """Answers at once, or when it is let."""

    go_on = threading.Event()
    asked = threading.Event()

    def do_GET(self) -> None:
        self.asked.set()
        if self.path == "/slow":
            self.go_on.wait(PATIENCE_SECONDS)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"page")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def page() -> Iterator[str]:
    """The URL of a web server on this machine."""
    Page.go_on.clear()
    Page.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        Page.go_on.set()
        server.shutdown()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "web.yaml"
    path.write_text("always_allow_hosts: [127.0.0.1]\nvm_count: 1\n")
    return path


class Command:
    """What one ``genvm local`` has of the web service."""

    def __init__(self, folder: Path, config: Path | None, *, idle: float = 60.0) -> None:
        self.started: list[str] = []
        settings = partial(read_settings, "web", config)
        self.source = ModuleProcess("web", settings, folder=folder, idle=idle, on_start=self.started.append)

    async def get(self, url: str) -> Answer:
        session = await self.source.open(HELLO)
        try:
            return await ask(session, url)
        finally:
            await session.close()


async def ask(session: Answering, url: str) -> Answer:
    payload: dict[str, Any] = {"method": "GET", "url": url, "headers": {}, "body": None, "sign": False}
    return decode_answer(await session.ask(encode_request(Request("Request", payload))))


def body(answer: Answer) -> bytes:
    assert isinstance(answer, Ok), answer
    found: bytes = answer.value["response"]["body"]
    return found


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_one_is_started_and_serves_all_commands(author_modules: Path, config: Path, page: str) -> None:
    first, second = Command(author_modules, config), Command(author_modules, config)
    assert body(await first.get(page)) == b"page"
    pid = living(author_modules)["web"]
    assert body(await first.get(page)) == b"page"
    assert body(await second.get(page)) == b"page"
    assert living(author_modules) == {"web": pid}
    assert (first.started, second.started) == (["web"], [])


async def test_of_two_commands_at_once_one_starts_it(author_modules: Path, config: Path, page: str) -> None:
    commands = [Command(author_modules, config) for _ in range(4)]
    answers = await asyncio.gather(*(command.get(page) for command in commands for _ in range(2)))
    assert [body(answer) for answer in answers] == [b"page"] * 8
    assert [name for command in commands for name in command.started] == ["web"]
    assert len(list(author_modules.glob("web-*.json"))) == 1


async def test_it_is_nobody_elses(author_modules: Path, config: Path, page: str) -> None:
    await Command(author_modules, config).get(page)
    assert stat.S_IMODE(author_modules.stat().st_mode) == 0o700
    for path in author_modules.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    (note,) = author_modules.glob("*.json")
    address = json.loads(note.read_text())["address"]
    root, _, token = address.rpartition("/")
    assert root.startswith("ws://127.0.0.1:")
    assert len(token) >= 32
    for wrong in (root, f"{root}/{token[:-1]}"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(wrong, proxy=None)
        assert refused.value.response.status_code == 403
    pid = living(author_modules)["web"]
    for name in ("cmdline", "environ"):
        assert token.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
    assert token not in note.with_suffix(".log").read_text()


async def test_one_that_is_killed_is_started_anew(author_modules: Path, config: Path, page: str) -> None:
    command = Command(author_modules, config)
    await command.get(page)
    first = living(author_modules)["web"]
    os.kill(first, signal.SIGKILL)
    wait_for_end(first)
    assert body(await command.get(page)) == b"page"
    assert command.started == ["web", "web"]
    assert living(author_modules)["web"] != first


async def test_one_that_is_killed_during_a_request(author_modules: Path, config: Path, page: str) -> None:
    command = Command(author_modules, config)
    session = await command.source.open(HELLO)
    asking = asyncio.create_task(ask(session, f"{page}/slow"))
    await until(Page.asked.is_set)
    os.kill(living(author_modules)["web"], signal.SIGKILL)
    with pytest.raises(Unavailable, match="the web module has ended during the request"):
        await asking
    await session.close()
    assert body(await command.get(page)) == b"page"


async def test_one_that_hangs_is_replaced(
    author_modules: Path, config: Path, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = Command(author_modules, config)
    await command.get(page)
    first = living(author_modules)["web"]
    os.kill(first, signal.SIGSTOP)
    monkeypatch.setattr(limits, "MODULE_CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(limits, "MODULE_END_SECONDS", 0.5)
    opening = asyncio.create_task(command.source.open(HELLO))
    await until(lambda: not is_alive(first))
    # The new one takes as long as it takes.
    monkeypatch.undo()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(author_modules.parent))
    session = await opening
    assert body(await ask(session, page)) == b"page"
    await session.close()


async def test_it_ends_when_nobody_needs_it(author_modules: Path, config: Path, page: str) -> None:
    command = Command(author_modules, config, idle=1.0)
    session = await command.source.open(HELLO)
    pid = living(author_modules)["web"]
    asking = asyncio.create_task(ask(session, f"{page}/slow"))
    # Not while somebody has a session.
    await asyncio.sleep(2.0)
    assert living(author_modules) == {"web": pid}
    Page.go_on.set()
    assert body(await asking) == b"page"
    await session.close()
    await until(lambda: not is_alive(pid))
    assert list(author_modules.glob("*.json")) == []
    (log,) = author_modules.glob("*.log")
    assert '"message":"nobody needs it"' in log.read_text()
    # What is left of the last one is cleared away by the next.
    log.rename(log.with_name("web-0123.log"))
    assert body(await command.get(page)) == b"page"
    assert [path.name for path in author_modules.glob("web-0123*")] == []


async def test_what_those_left_who_were_killed_is_cleared_away(author_modules: Path, config: Path, page: str) -> None:
    author_modules.mkdir(mode=0o700)
    for name in ("web-01.json", "web-02.log", f"web-03.{UNFINISHED}0123"):
        (author_modules / name).touch()
    await Command(author_modules, config).get(page)
    assert [path for path in author_modules.iterdir() if path.name.startswith(("web-01", "web-02.", "web-03."))] == []


async def test_the_note_of_another_one_stays(author_modules: Path, config: Path, page: str) -> None:
    """A command that is killed while it starts one does not hinder the next; of two one is found."""
    await Command(author_modules, config).get(page)
    (note,) = author_modules.glob("*.json")
    pid = living(author_modules)["web"]
    others = note.with_name("other")
    others.write_text("{}")
    others.replace(note)
    os.kill(pid, signal.SIGTERM)
    wait_for_end(pid)
    assert note.read_text() == "{}"


async def test_the_log_does_not_grow_for_ever(author_modules: Path, config: Path, page: str) -> None:
    await Command(author_modules, config).get(page)
    (log,) = author_modules.glob("*.log")
    os.truncate(log, limits.MODULE_LOG_BYTES + 1)
    await until(lambda: log.stat().st_size == 0)
    os.kill(living(author_modules)["web"], signal.SIGTERM)
    # What comes afterwards begins at the beginning.
    await until(lambda: log.read_bytes().startswith(b"{"))


def test_variables_that_a_service_looks_at_are_part_of_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = read_settings("web", None).digest()
    assert read_settings("web", None).digest() == usual
    monkeypatch.setenv("GENVM_BROWSER", "/opt/another")
    assert read_settings("web", None).digest() != usual


async def test_another_configuration_is_another_service(author_modules: Path, config: Path, page: str) -> None:
    await Command(author_modules, config).get(page)
    first = living(author_modules)["web"]
    config.write_text("always_allow_hosts: [127.0.0.1]\nvm_count: 1\nfetch_seconds: 5\n")
    command = Command(author_modules, config)
    assert body(await command.get(page)) == b"page"
    assert command.started == ["web"]
    # The other one serves those who have begun with it, until it is idle.
    assert is_alive(first)
    assert len(list(author_modules.glob("web-*.json"))) == 2
    for note in author_modules.glob("web-*.json"):
        os.kill(json.loads(note.read_text())["pid"], signal.SIGTERM)


async def test_a_configuration_that_cannot_be_used(author_modules: Path, config: Path, page: str) -> None:
    config.write_text("always_allow_hosts: 5\n")
    with pytest.raises(Unavailable, match=r"^--web-config: .*web\.yaml:1: always_allow_hosts: must be a list"):
        await Command(author_modules, config).get(page)
    config.write_text("a: [\n")
    with pytest.raises(Unavailable, match=r"^--web-config: .*web\.yaml"):
        await Command(author_modules, config).get(page)
    with pytest.raises(Unavailable, match=r"^--web-config: .*nothing\.yaml: cannot be read"):
        await Command(author_modules, config.with_name("nothing.yaml")).get(page)
    assert living(author_modules) == {}


async def test_a_script_that_cannot_be_loaded(author_modules: Path, config: Path, page: str) -> None:
    script = config.with_name("own.lua")
    script.write_text("function Render(")
    config.write_text(f"lua_script_path: {script}\n")
    with pytest.raises(Unavailable, match=r"^the web module does not start: .*own\.lua:1:"):
        await Command(author_modules, config).get(page)


async def test_language_models_that_nobody_configured(author_modules: Path) -> None:
    started: list[str] = []
    source = ModuleProcess(
        "llm", partial(read_settings, "llm", None), folder=author_modules, idle=60.0, on_start=started.append
    )
    with pytest.raises(Unavailable, match=f"^{NO_MODEL}$"):
        await source.open(HELLO)
    assert started == []


async def test_others_who_could_write_there_are_a_reason_not_to(author_modules: Path, config: Path, page: str) -> None:
    author_modules.mkdir(mode=0o777)
    os.chmod(author_modules, 0o777)
    with pytest.raises(Unavailable, match="the web module cannot be started: "):
        await Command(author_modules, config).get(page)


def test_the_key_of_an_author_is_in_no_file_and_no_command_line(
    author_modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYKEY", "sk-very-secret-key-1")
    config = tmp_path / "llm.yaml"
    config.write_text(
        """
backends:
  own: {host: "http://127.0.0.1:9", provider: ollama, key: "${ENV[MYKEY]}", models: {m: {}}}
vm_count: 1
"""
    )
    source = ModuleProcess(
        "llm", partial(read_settings, "llm", config), folder=author_modules, idle=60.0, on_start=lambda _: None
    )

    async def open_one() -> None:
        await (await source.open(HELLO)).close()

    asyncio.run(open_one())
    pid = living(author_modules)["llm"]
    assert b"sk-very" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    for path in author_modules.iterdir():
        assert b"sk-very" not in path.read_bytes()
        assert "sk-very" not in path.name


def test_where_it_is_and_for_how_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert own_folder() == tmp_path / "pygenvm-modules"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "relative")
    monkeypatch.setenv("PYGENVM_CACHE", str(tmp_path / "cache"))
    assert own_folder() == tmp_path / "cache" / "modules"
    monkeypatch.delenv("PYGENVM_MODULES_IDLE", raising=False)
    assert idle_seconds() == limits.MODULE_IDLE_SECONDS
    monkeypatch.setenv("PYGENVM_MODULES_IDLE", "1.5")
    assert idle_seconds() == 1.5
    for wrong in ("0", "-1", "x", "nan", "1e9"):
        monkeypatch.setenv("PYGENVM_MODULES_IDLE", wrong)
        with pytest.raises(BadRequest, match="PYGENVM_MODULES_IDLE"):
            idle_seconds()


def test_it_outlives_the_command_that_has_started_it(author_modules: Path, config: Path, page: str) -> None:
    program = f"""
import asyncio
from pathlib import Path
from tests.localnet.test_modules_processes import Command
asyncio.run(Command(Path({str(author_modules)!r}), Path({str(config)!r})).get({page!r}))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE_SECONDS)
    pid = living(author_modules)["web"]
    # A session of its own: no terminal tells it to end.
    assert os.getsid(pid) not in (os.getsid(0), 0)
