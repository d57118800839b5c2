"""Browsers, drivers, pages and services that die, grow or are used up: the next page renders, and nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pygenvm.executor import interpreter
from pygenvm.modules.log import Logger
from pygenvm.modules.webdriver import processes
from pygenvm.modules.webdriver.browser import BrowserFailure, Chromium
from pygenvm.modules.webdriver.folder import PrivateFolder
from pygenvm.modules.webdriver.locate import BrowserMissing
from pygenvm.modules.webdriver.service import RenderingService
from tests.modules.webdriver.support import Client, Internet, Loop, Visitor, require_browser, service, url

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(loop: Loop, whole_internet: Internet) -> Iterator[RenderingService]:
    require_browser()
    made = service(loop, whole_internet, renders_per_browser=10, memory_bytes_max=900 << 20)
    yield made
    loop.run(made.stop(0))


@pytest.fixture
def fragile(made: RenderingService) -> Client:
    return Client(made.address)


def _chromium(made: RenderingService) -> Chromium:
    assert made._chromium is not None
    return made._chromium


def _eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class _Slow:
    """A page that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.release = threading.Event()
        self.times = 0

    async def __call__(self, visitor: Visitor) -> None:
        self.times += 1
        self.asked.set()
        while not self.release.is_set():
            await asyncio.sleep(0.02)
        await visitor.answer("slow")


def test_browser_killed_in_the_middle_of_a_render(fragile: Client, made: RenderingService, internet: Internet) -> None:
    internet.pages["/slow"] = slow = _Slow()
    internet.pages["/"] = "text"
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(fragile.render, url("/slow"))
        slow.asked.wait()
        os.kill(_chromium(made)._instances[-1].pid, signal.SIGKILL)
        _eventually(lambda: slow.times >= 2)
        slow.release.set()

        assert answer.result().summary == (200, 200, "", "slow"), "once more, in a new browser"
    assert fragile.render(url("/")).text == "text"


def test_browser_killed_again(fragile: Client, made: RenderingService, internet: Internet) -> None:
    internet.pages["/slow"] = slow = _Slow()
    internet.pages["/"] = "text"
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(fragile.render, url("/slow"))
        for times in (1, 2):
            _eventually(lambda times=times: slow.times >= times)  # type: ignore[misc]
            os.kill(_chromium(made)._instances[-1].pid, signal.SIGKILL)
        slow.release.set()

        assert answer.result().status == 500
        assert b"the browser has died twice on this page" in answer.result().body
    assert fragile.render(url("/")).text == "text"


def test_driver_killed(fragile: Client, made: RenderingService, internet: Internet) -> None:
    internet.pages["/slow"] = slow = _Slow()
    internet.pages["/"] = "text"
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(fragile.render, url("/slow"))
        slow.asked.wait()
        drivers = [pid for pid in processes.tree(os.getpid()) if b"run-driver" in _command(pid)]
        parent = _parent(_chromium(made)._instances[-1].pid)
        assert parent in drivers
        os.kill(parent, signal.SIGKILL)
        slow.release.set()

        assert answer.result().status in (200, 500)
    assert fragile.render(url("/")).text == "text"


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("const all = []; for (;;) all.push({a: [1, 2, 3], b: 'x' + all.length})", id="heap"),
        pytest.param(
            "const all = []; setInterval(() => { for (let i = 0; i < 8; i++)"
            " all.push(new Uint8Array(1 << 24).fill(i)) }, 5)",
            id="arrays",
        ),
    ],
)
def test_page_that_takes_all_memory(fragile: Client, internet: Internet, script: str) -> None:
    internet.pages["/bomb"] = f"<p>text<script>{script}</script>"
    internet.pages["/"] = "text"

    answer = fragile.render(url("/bomb"), waitAfterLoaded="6", loadTimeout="8000")

    assert answer.status == 200
    # A page that gets no more memory may also go on without.
    assert answer.summary == (200, 418, "crashed", "The page has crashed") or answer.text == "text"
    assert fragile.render(url("/")).text == "text"


def test_biggest_page_ends_when_all_have_too_much(fragile: Client, made: RenderingService, internet: Internet) -> None:
    internet.pages["/bomb"] = "<p>text<script>const all = new Uint8Array(300 << 20).fill(1)</script>"
    internet.pages["/"] = "text"
    chromium = _chromium(made)
    chromium._settings = dataclasses.replace(made.settings, memory_bytes_max=300 << 20)
    try:
        begun = time.monotonic()
        assert fragile.render(url("/bomb"), waitAfterLoaded="20").cause == "crashed"
        assert time.monotonic() - begun < 10
    finally:
        chromium._settings = made.settings
    assert fragile.render(url("/")).text == "text"


def test_renderer_killed(fragile: Client, made: RenderingService, internet: Internet) -> None:
    internet.pages["/"] = "text"
    internet.pages["/slow"] = slow = _Slow()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(fragile.render, url("/slow"))
        slow.asked.wait()
        time.sleep(0.2)
        tree = processes.tree(_chromium(made)._instances[-1].pid)
        processes.kill(list(filter(processes.is_renderer, tree)))

        assert answer.result(15).summary[1:3] == (418, "crashed")
    assert fragile.render(url("/")).text == "text"


def test_nothing_is_left_of_50_renders(fragile: Client, made: RenderingService, internet: Internet, loop: Loop) -> None:
    internet.pages["/"] = "<p>text<script>new Worker(URL.createObjectURL(new Blob([''])))</script>"
    chromium = _chromium(made)
    fragile.render(url("/"))

    def quiet() -> bool:
        return len(chromium._instances) == 1 and not chromium._endings and made._active == 0

    _eventually(quiet)
    before = _counted(chromium, loop)
    restarts = chromium.restarts
    with ThreadPoolExecutor(4) as pool:
        texts = list(pool.map(lambda _: fragile.render(url("/")).text, range(50)))
    _eventually(quiet)

    assert texts == ["text"] * 50
    assert 4 <= chromium.restarts - restarts <= 6, "a new browser after ten pages each"
    _eventually(lambda: all(now <= then + 3 for now, then in zip(_counted(chromium, loop), before, strict=True)))
    assert not any(instance.browser.contexts for instance in chromium._instances)


def _counted(chromium: Chromium, loop: Loop) -> tuple[int, int, int, int]:
    """Processes, descriptors, files and tasks. Listeners that wait for a page of theirs are no leak."""
    gc.collect()
    living = [pid for pid in processes.tree(os.getpid()) if processes.is_alive(pid)]
    waiting = sum(len(instance.listeners or ()) for instance in chromium._instances)
    tasks = asyncio.all_tasks(loop.loop)
    return len(living), len(os.listdir("/proc/self/fd")) - waiting, len(os.listdir(chromium._folder)), len(tasks)


# --- the whole service ---


@contextlib.contextmanager
def _command_process(folder: Path, namespace: str) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """``genvm-modules webdriver`` with its temporary files in ``folder``, and all processes below it."""
    configuration = folder / "webdriver.yaml"
    configuration.write_text(f"bind_address: 127.0.0.1:0\nconcurrency: 1\nnamespace: {namespace}\nlog_level: error\n")
    ready, theirs = os.pipe()
    command = interpreter.command("pygenvm.modules.cli", "webdriver", "--config", str(configuration))
    with subprocess.Popen(
        [*command, "--ready-fd", str(theirs)], pass_fds=[theirs], env={**os.environ, "TMPDIR": str(folder)}
    ) as process:
        os.close(theirs)
        try:
            with open(ready) as told:
                address = json.loads(told.readline())["listening"]
            assert Client(address).get("/health").status == 200
            yield process, processes.tree(process.pid)
        finally:
            process.kill()


@pytest.mark.parametrize("namespace", ["auto", "off"])
def test_command_that_is_killed_leaves_no_browser(namespace: str, tmp_path: Path) -> None:
    require_browser()
    with _command_process(tmp_path, namespace) as (process, below):
        assert len(below) > 3
        process.kill()
        process.wait()
        _eventually(lambda: not any(map(processes.is_alive, below)))
    # The next one takes the rest away, with what an earlier one has left.
    (tmp_path / "genvm-webdriver-old").mkdir()
    (tmp_path / "genvm-webdriver-old" / "lock").touch()
    folder = PrivateFolder(tmp_path)
    assert [path.name for path in tmp_path.glob("genvm-webdriver-*")] == [folder.path.name]
    folder.close()


def test_command_that_ends_leaves_nothing(tmp_path: Path) -> None:
    require_browser()
    with _command_process(tmp_path, "auto") as (process, below):
        process.terminate()
        assert process.wait(15) == 0
        assert not any(map(processes.is_alive, below))
        assert [path.name for path in tmp_path.iterdir()] == ["webdriver.yaml"]


def test_stopping_lets_pages_finish(loop: Loop, internet: Internet) -> None:
    require_browser()
    made = service(loop, internet)
    internet.pages["/slow"] = slow = _Slow()
    client = Client(made.address)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(client.render, url("/slow"))
        slow.asked.wait()
        stopping = pool.submit(loop.run, made.stop(10))
        _eventually(lambda: made._runner is not None and not made._runner.sites)
        assert not stopping.done()
        slow.release.set()
        stopping.result()

        assert answer.result().text == "slow"
    with pytest.raises(OSError, match="refused"):
        client.get("/health")


def test_no_browser(loop: Loop, internet: Internet, tmp_path: Path) -> None:
    with pytest.raises(BrowserMissing, match="executable names /nowhere/chromium, which is no program"):
        service(loop, internet, executable="/nowhere/chromium")


def test_program_that_is_no_browser(loop: Loop, internet: Internet, tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)

    with pytest.raises(BrowserFailure, match=f"{program} does not start"):
        service(loop, internet, executable=str(program))


def test_address_that_is_taken(loop: Loop, made: RenderingService, internet: Internet) -> None:
    async def start_there() -> None:
        again = RenderingService(host="127.0.0.1", port=int(made.address.rpartition(":")[2]), log=Logger(level="error"))
        await again.start()

    with pytest.raises(OSError, match="address already in use"):
        loop.run(start_there())
