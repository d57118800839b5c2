"""Waiting for coroutines: from threads with and without a loop, interrupted, forked, from the loop itself."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import LocalNet, background
from tests.localnet.localnet_fakes import FakeExecutor, Run
from tests.localnet.test_localnet_chain import Counter
from tests.support.paths import ROOT

FAKE = [sys.executable, str(Path(__file__).with_name("fake_genvm.py"))]


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def fail(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


def test_results_and_failures() -> None:
    assert background.run(double(2)) == 4
    for error in (ValueError("x"), KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError()):
        with pytest.raises(type(error)) as raised:
            background.run(fail(error))
        assert raised.value is error
    assert background.run(double(3)) == 6


async def test_a_caller_with_a_loop_of_its_own() -> None:
    assert background.run(double(2)) == 4
    assert await double(3) == 6


def test_the_loop_does_not_wait_for_itself(tmp_path: Path) -> None:
    async def contract(run: Run) -> Any:
        return await run.host.eth_call(run.address, b"")

    def eth_call(address: Address, data: bytes) -> bytes:
        with pytest.raises(RuntimeError, match=r"coroutines use pygenvm\.localnet\.chain"):
            net.balance(address)
        return b"refused"

    net = LocalNet(tmp_path / "local.db", executor=FakeExecutor({b"contract": contract}), eth_call=eth_call)
    assert net.deploy(b"contract").receipt.value == b"refused"


def test_threads_share_a_network(tmp_path: Path) -> None:
    net = LocalNet(tmp_path / "local.db", executor=FakeExecutor({b"counter": Counter()}))
    net.deploy(b"counter")
    with ThreadPoolExecutor(8) as threads:
        counts = list(threads.map(lambda _: net.call(None, "add").receipt.value, range(24)))
    assert sorted(counts) == list(range(1, 25))
    assert net.view(None, "get").value == 24


def test_a_forked_process_has_a_loop_too(tmp_path: Path) -> None:
    script = f"""
        import os, sys
        sys.path.insert(0, {str(ROOT)!r})
        from pygenvm.localnet import LocalNet
        net = LocalNet({str(tmp_path / "local.db")!r})
        assert net.balance("alice") == 10**24
        child = os.fork()
        assert net.balance("bob") == 10**24
        if child:
            assert os.waitpid(child, 0)[1] == 0
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)


def test_an_interrupted_command(tmp_path: Path) -> None:
    """The run has ended and the database is free before the interrupt goes on."""
    pid_file, database = tmp_path / "pid", tmp_path / "local.db"
    script = f"""
        import os, sys
        sys.path.insert(0, {str(ROOT)!r})
        from pygenvm.localnet import LocalNet
        from pygenvm.localnet.executors.process import ExecutorProcess
        net = LocalNet({str(database)!r}, executor=ExecutorProcess({FAKE!r}))
        assert net.deploy(b"# fake").receipt.ok
        before = open({str(database)!r}, "rb").read()
        try:
            net.call(None, "hold", [{str(pid_file)!r}], value=5)
        except KeyboardInterrupt:
            assert not os.path.exists("/proc/" + open({str(pid_file)!r}).read())
            assert open({str(database)!r}, "rb").read() == before
            assert net.call(None, "options").receipt.ok
            sys.exit(7)
    """
    command = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    try:
        deadline = time.monotonic() + 60
        while not pid_file.exists() or not pid_file.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(command.pid, signal.SIGINT)
        assert command.wait(60) == 7
    finally:
        command.kill()
        command.wait()


def test_there_is_one_thread_however_many_networks(tmp_path: Path) -> None:
    for number in range(5):
        LocalNet(tmp_path / f"{number}.db").balance("alice")
    assert sum(thread.name == "local network" for thread in threading.enumerate()) == 1
