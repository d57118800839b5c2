"""The local network with executors from a pool."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygenvm.executor.outcome import InternalError, VMError
from pygenvm.localnet import LocalNet
from pygenvm.localnet.errors import ExecutorError
from pygenvm.localnet.executors.base import Executor
from pygenvm.localnet.executors.commands import few_runs
from pygenvm.localnet.executors.pooled import PooledExecutor
from pygenvm.localnet.executors.process import ExecutorProcess
from tests.executor.pool.pool_support import children, gone
from tests.support.running import until

pytestmark = pytest.mark.usefixtures("built_runners")

CONTRACT = b"""# v0.2.16
# { "Depends": "py-genlayer:test" }
from genlayer import *

class Contract(gl.Contract):
    count: u32

    @gl.public.write
    def add(self, amount: int) -> int:
        print("adding", amount)
        self.count += amount
        return self.count

    @gl.public.view
    def loop(self) -> None:
        while True:
            pass
"""


@pytest.fixture(scope="module")
def executor(built_runners: object) -> Iterator[PooledExecutor]:
    with contextlib.closing(PooledExecutor()) as made:
        yield made


def make_net(folder: Path, executor: Executor, *, timeout: float = 60.0) -> LocalNet:
    net = LocalNet(folder / "local.db", executor=executor, timeout=timeout)
    assert net.deploy(CONTRACT).receipt.ok
    return net


def test_runs(executor: PooledExecutor, tmp_path: Path) -> None:
    net = make_net(tmp_path, executor)
    for expected in (2, 4, 6):
        receipt = net.call(None, "add", [2]).receipt
        assert receipt.value == expected
        assert receipt.stdout.text() == "adding 2\n"
    cold = LocalNet(tmp_path / "local.db", executor=ExecutorProcess()).call(None, "add", [1]).receipt
    assert (cold.value, cold.stdout.text()) == (7, "adding 1\n")


def test_the_first_run_of_a_few_is_a_process_of_its_own(tmp_path: Path) -> None:
    before = set(children(os.getpid()))
    with few_runs() as executor:
        net = make_net(tmp_path, executor)
        assert set(children(os.getpid())) == before
        executors = []
        for expected in (1, 2, 3):
            assert net.call(None, "add", [1]).receipt.value == expected
            (template,) = set(children(os.getpid())) - before
            executors.append(set(children(template)))
        assert executors[1] == executors[2], "the others have one executor"
    assert gone(template)


async def test_inside_an_event_loop(executor: PooledExecutor, tmp_path: Path) -> None:
    net = make_net(tmp_path, executor)
    assert net.call(None, "add", [1]).receipt.value == 1


def test_the_time_is_over(executor: PooledExecutor, tmp_path: Path) -> None:
    make_net(tmp_path, executor)
    net = LocalNet(tmp_path / "local.db", executor=executor, timeout=0.3)
    assert net.view(None, "loop").outcome == VMError("timeout")


def test_an_executor_that_is_killed(executor: PooledExecutor, tmp_path: Path) -> None:
    net = make_net(tmp_path, executor)
    template = executor.pid
    assert template is not None

    def kill() -> None:
        running = until(lambda: [pid for pid in children(template) if threads(pid) > 1], "nothing runs")
        os.kill(running[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcome = net.view(None, "loop").outcome
    killer.join()
    assert outcome == InternalError("the executor was ended by signal SIGKILL")
    assert net.call(None, "add", [1]).receipt.value == 1


def test_a_pool_that_is_killed(tmp_path: Path) -> None:
    with contextlib.closing(PooledExecutor()) as executor:
        net = make_net(tmp_path, executor)
        template = executor.pid
        assert template is not None

        def kill() -> None:
            until(lambda: [pid for pid in children(template) if threads(pid) > 1], "nothing runs")
            os.kill(template, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(ExecutorError, match="the pool of executors has ended with status -9"):
            net.view(None, "loop")
        killer.join()
        assert net.call(None, "add", [1]).receipt.value == 1


def threads(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/task"))
    return 0
