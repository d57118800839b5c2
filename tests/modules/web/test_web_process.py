"""The web service as operators run it: a process (spec modules/01 §3)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor import interpreter
from pygenvm.executor.module_protocol.codec import Ok
from tests.modules.web.lab import Lab
from tests.modules.web.test_service import connected, document
from tests.modules.webdriver.support import require_browser
from tests.support.hosts import PATIENCE_SECONDS


@dataclass
class Process:
    pid: int
    address: str
    process: asyncio.subprocess.Process


@contextlib.asynccontextmanager
async def _running(folder: Path, **changes: Any) -> AsyncIterator[Process]:
    ready, theirs = os.pipe()
    command = interpreter.command("pygenvm.modules.cli", "web", "--config", "-", "--ready-fd", str(theirs))
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log, pass_fds=(theirs,)
        )
    os.close(theirs)
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(document(**changes)).encode())
        process.stdin.close()
        with os.fdopen(ready) as word:
            told = json.loads(await asyncio.to_thread(word.readline))
        yield Process(process.pid, told["listening"], process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _memory(pid: int) -> int:
    """Resident, in kilobytes, of the process and what descends from it; what they share is counted once."""
    total = 0
    for one in _descendants(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


@pytest.mark.slow
async def test_memory_is_flat_over_five_thousand_requests(tmp_path: Path) -> None:
    async with Lab() as lab, _running(tmp_path, always_allow_hosts=["127.0.0.50"], vm_count=2) as service:

        async def ask(times: int) -> None:
            async with connected(service.address) as client:
                for _ in range(times):
                    assert isinstance(await client.fetch(f"http://127.0.0.50:{lab.port}/"), Ok)
                    lab.requests.clear()

        await asyncio.gather(*(ask(100) for _ in range(10)))
        before = _memory(service.pid)
        files = len(os.listdir(f"/proc/{service.pid}/fd"))
        # Many sessions too: there is one for each execution.
        for _ in range(20):
            await asyncio.gather(*(ask(25) for _ in range(10)))
        grown = _memory(service.pid) - before
        assert grown < 4096, f"{before} kB have become {before + grown}"
        # It may still be parting with the last of them.
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(os.listdir(f"/proc/{service.pid}/fd")) > files + 2:
                await asyncio.sleep(0.05)


async def test_the_browser_ends_with_the_service(tmp_path: Path) -> None:
    require_browser()
    async with Lab() as lab, _running(tmp_path, always_allow_hosts=["127.0.0.50"]) as service:
        async with connected(service.address) as client:
            assert await client.render(f"http://127.0.0.50:{lab.port}/") == Ok({"text": "public"})
        pids = _descendants(service.pid)
        assert any("chrom" in name for name in pids.values())
        os.kill(service.pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            while any(_is_alive(pid) for pid in pids):
                await asyncio.sleep(0.05)


def _descendants(pid: int) -> dict[int, str]:
    pids, names = [pid], dict[int, str]()
    for one in pids:
        with contextlib.suppress(OSError):
            names[one] = Path(f"/proc/{one}/comm").read_text().strip()
            for task in Path(f"/proc/{one}/task").iterdir():
                with contextlib.suppress(OSError):  # A thread may end meanwhile.
                    pids += map(int, (task / "children").read_text().split())
    return names


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
