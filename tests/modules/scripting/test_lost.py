"""Processes of script VMs that are lost, and what they have."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pygenvm.modules import limits
from pygenvm.modules.scripting.pool import ScriptError, ScriptLoadError, SessionContext

from .conftest import Scripts, open_session

_SCRIPT = """
n = 0
function Next(ctx) n = n + 1 ctx.mine = (ctx.mine or 0) + 1 return {n, ctx.mine, ctx.cookie} end
function Wait(ctx) __dflt.sleep_seconds(60) end
function Loop(ctx) return string.find(('a'):rep(200), ('a-'):rep(20) .. 'b') end
"""


async def _until(condition: Any, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def _is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def test_kill_9_while_calls_wait_and_run(scripts: Scripts) -> None:
    pool = await scripts.pool(_SCRIPT)
    session = await open_session(pool, "one")
    assert await session.call("Next") == [1, 1, b"one"]
    assert await session.call("Next") == [2, 2, b"one"]
    (process,) = pool.pids
    calls = [asyncio.create_task(session.call("Wait")) for _ in range(3)]
    calls.append(asyncio.create_task(session.call("Loop")))
    await asyncio.sleep(0.05)
    os.kill(process, signal.SIGKILL)
    for call in calls:
        with pytest.raises(ScriptError, match="the script VM was lost"):
            await call
    # The next one has a new machine and a new ctx.
    assert await session.call("Next") == [1, 1, b"one"]
    assert pool.pids not in ([process], [])
    (record,) = [record for record in scripts.records() if record["message"] == "script VM was lost"]
    assert (record["level"], record["status"]) == ("warn", -9)


async def test_kill_9_again_and_again(scripts: Scripts) -> None:
    pool = await scripts.pool(_SCRIPT, vm_count=2)
    session = await open_session(pool)
    for _ in range(5):
        await session.call("Next")
        for process in pool.pids:
            os.kill(process, signal.SIGKILL)
        # Whether its end has been seen yet or not: never anything but a result or this error.
        (result,) = await asyncio.gather(session.call("Next"), return_exceptions=True)
        assert result == [1, 1, b"c1"] or "the script VM was lost" in str(result)
    await session.call("Next")
    await _until(lambda: len(pool.pids) == 2)


async def test_a_script_that_does_not_load_any_more(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SCRIPT_READY_SECONDS", 0.7)
    pool = await scripts.pool(_SCRIPT)
    session = await open_session(pool)
    script = scripts.folder / "script.lua"
    script.write_text("x = = 1")
    os.kill(pool.pids[0], signal.SIGKILL)
    with pytest.raises(ScriptError, match=r"the script VM was lost|there is no script VM"):
        await session.call("Next")
    with pytest.raises(ScriptError, match=r"there is no script VM: .*script\.lua:1: unexpected symbol"):
        await session.call("Next")
    script.write_text(_SCRIPT)
    await _until(lambda: pool.pids)
    assert (await session.call("Next"))[0] == 1


async def test_no_process_is_left(scripts: Scripts) -> None:
    pool = await scripts.pool(_SCRIPT, vm_count=3)
    session = await open_session(pool)
    waiting = asyncio.create_task(session.call("Loop"))
    await asyncio.sleep(0.05)
    processes = pool.pids
    await pool.stop()
    with pytest.raises(ScriptError, match="being stopped"):
        await waiting
    assert not any(map(_is_there, processes))
    with pytest.raises(ScriptError, match="being stopped"):
        await session.call("Next")
    await session.close()


async def test_a_load_that_takes_too_long(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SCRIPT_LOAD_SECONDS", 0.5)
    with pytest.raises(ScriptLoadError, match=r"script\.lua: not loaded after 0.5 s"):
        await scripts.pool("return string.find(('a'):rep(200), ('a-'):rep(20) .. 'b')", vm_count=3)


async def test_what_a_process_has(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUA_PATH", "/secret/?.lua")
    monkeypatch.setenv("OPENAIKEY", "secret")
    with open(scripts.folder / "log") as other:
        os.set_inheritable(other.fileno(), True)
        pool = await scripts.pool(_SCRIPT)
        process = Path(f"/proc/{pool.pids[0]}")
        assert (process / "environ").read_bytes() == b""
        assert os.readlink(process / "cwd") == "/"
        links = {name: os.readlink(process / "fd" / name) for name in os.listdir(process / "fd")}
        assert {links.pop(name) for name in ("0", "1", "2")} == {"/dev/null"}
        (connection,) = links.values()
        assert connection.startswith("socket:")
        status = (process / "status").read_text()
        assert "NoNewPrivs:\t1" in status
        table = (process / "limits").read_text()
        for name in ("Max core file size", "Max file size"):
            assert f"{name:<26}0" in table
        data = limits.SCRIPT_MEMORY_BYTES + limits.SCRIPT_PROCESS_EXTRA_BYTES
        assert f"{'Max data size':<26}{data}" in table


_SERVICE = """
import asyncio, sys
from pathlib import Path
from pygenvm.executor.module_protocol.codec import Hello
from pygenvm.modules.http import HttpClient
from pygenvm.modules.log import Logger
from pygenvm.modules.scripting.pool import ScriptPool, ScriptSettings

async def main():
    settings = ScriptSettings(Path(sys.argv[1]), "", 2)
    pool = ScriptPool(settings, globals_={}, functions={}, log=Logger(fd=2), http=HttpClient())
    await pool.start()
    session = await pool.session(Hello("c", {"node_address": "", "tx_id": ""}))
    asyncio.create_task(session.call("Loop"))
    await asyncio.sleep(0.1)
    print(*pool.pids, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_processes_end_with_the_service(tmp_path: Path) -> None:
    """Also while one of them does not come back from C."""
    script = tmp_path / "script.lua"
    script.write_text(_SCRIPT)
    with subprocess.Popen([sys.executable, "-c", _SERVICE, script], stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        processes = [int(pid) for pid in service.stdout.readline().split()]
        assert len(processes) == 2
        assert all(map(_is_there, processes))
        service.kill()
    deadline = time.monotonic() + 5
    while any(map(_is_there, processes)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_a_host_function_ends_with_the_machine(scripts: Scripts) -> None:
    ended = asyncio.Event()

    async def for_ever(_context: SessionContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    pool = await scripts.pool("function Wait(ctx) __test.for_ever() end", functions={"__test.for_ever": for_ever})
    call = asyncio.create_task((await open_session(pool)).call("Wait"))
    await asyncio.sleep(0.05)
    os.kill(pool.pids[0], signal.SIGKILL)
    with pytest.raises(ScriptError, match="the script VM was lost"):
        await call
    assert ended.is_set()
