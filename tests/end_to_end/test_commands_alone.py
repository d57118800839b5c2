"""Commands of `genvm local` without a pool: they fork their executor, and load little beside it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.executor.pool.pool_support import alive, children
from tests.support.execution import config_file
from tests.support.hosts import PATIENCE_SECONDS
from tests.support.running import until

pytestmark = [
    pytest.mark.usefixtures("built_runners"),
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked"),
]

CONTRACT = """# v0.2.16
# { "Depends": "py-genlayer:test" }
from genlayer import *


class Counter(gl.Contract):
    count: u32

    def __init__(self, count: int):
        self.count = u32(count)

    @gl.public.write
    def add(self, amount: int) -> int:
        self.count += amount
        return self.count

    @gl.public.write
    def ask(self) -> str:
        return gl.eq_principle.strict_eq(lambda: gl.nondet.exec_prompt("capital of France?"))

    @gl.public.view
    def get(self) -> int:
        return self.count

    @gl.public.view
    def loop(self) -> None:
        while True:
            pass
"""
#: Writes the names of all modules that are loaded when the command ends.
PROGRAM = """
import os, sys
from pygenvm.cli.main import main

leave = os._exit
command = os.getpid()

def told(status):
    if os.getpid() == command:
        with open(os.environ["TOLD"], "w") as file:
            print(*sys.modules, file=file)
    leave(status)

os._exit = told
status = main()
told(status)
"""
#: What takes long to load: an event loop, tables and colours, the parser of command lines, the looks of classes.
HEAVY = {"asyncio", "concurrent.futures", "rich", "argparse", "dataclasses", "inspect", "logging", "subprocess", "ssl"}


class Project:
    """A folder with a network, and commands in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / ".pygenvm" / "local.db"
        self.told = folder / "told"
        self.program = PROGRAM
        self._config = config_file(folder, built=True, modules={})
        self.environment = {**os.environ, "PYGENVM_CACHE": str(folder / "cache"), "TOLD": str(self.told)}
        (folder / "counter.py").write_text(CONTRACT)
        (folder / "mocks.yaml").write_text("llm: {capital: Paris}\n")

    def start(self, *words: str, **others: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-c", self.program, f"--config={self._config}", "local", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True, **{**pipes, **others})

    def run(self, *words: str) -> tuple[int, str, str]:
        with self.start(*words) as process:
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, out, err

    def loaded(self) -> set[str]:
        """By the last command."""
        return set(self.told.read_text().split())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    assert made.run("deploy", "counter.py", "--args", "[4]")[0] == 0
    return made


@pytest.mark.parametrize("words", [("view", "get"), ("view", "counter", "get", "--json"), ("view", "--args=[]", "get")])
def test_a_view_loads_little(project: Project, words: tuple[str, ...]) -> None:
    status, out, err = project.run(*words)
    assert (status, err) == (0, "")
    if "--json" in words:
        assert json.loads(out)["result"] == 4
        return
    assert out == "4\n"
    assert HEAVY & project.loaded() == set()


@pytest.mark.parametrize("command", ["deploy", "call"])
def test_transactions_need_no_event_loop(project: Project, command: str) -> None:
    words = {"deploy": ("counter.py", "--args", "[1]"), "call": ("add", "--args", "[2]")}
    assert project.run(command, *words[command])[0] == 0
    assert {"asyncio", "argparse", "ssl"} & project.loaded() == set()


def test_one_executor_has_several_runs(project: Project) -> None:
    """What the arguments mean is asked first."""
    status, _, err = project.run("call", "add", "--args", '["0x10"]')
    assert (status, "Write 0x10 without quotes" in err) == (2, False), err
    assert "asyncio" not in project.loaded()


def test_nothing_takes_the_place_of_the_library(project: Project, tmp_path: Path) -> None:
    """In the executor; the command itself does not load it."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "ctypes.py").write_text("print('mine')")
    project.environment["PYTHONPATH"] = str(tmp_path / "mine")
    assert project.run("view", "get") == (0, "4\n", "")
    assert {"ctypes", "asyncio"} & project.loaded() == set()


def test_modules_are_there_when_a_contract_asks(project: Project) -> None:
    status, out, err = project.run("call", "ask", "--mocks", "mocks.yaml")
    assert (status, err) == (0, "")
    assert '"Paris"' in out
    assert "asyncio" in project.loaded()


def test_validators_run_at_the_same_time(project: Project) -> None:
    status, out, err = project.run("call", "add", "--args", "[2]", "--validators", "3", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["transaction"]["validators"]["agreeing"] == 3


def test_the_time_of_a_run(project: Project) -> None:
    status, out, err = project.run("view", "loop", "--timeout", "0.5")
    assert (status, out) == (1, "")
    assert "VM error: timeout\n" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_interrupted(project: Project, number: signal.Signals) -> None:
    before = project.database.read_bytes()
    with project.start("call", "loop", "--timeout", "900") as command:
        (executor,) = until(lambda: [pid for pid in children(command.pid) if _is_busy(pid)], "nothing runs")
        command.send_signal(number)
        if number is not signal.SIGINT:
            # Whoever starts a group of processes may tell all of it and its members.
            command.send_signal(number)
        _, err = command.communicate(timeout=PATIENCE_SECONDS)
    assert command.returncode == 130
    assert err.startswith("genvm local: interrupted: the running transaction was dropped")
    until(lambda: not alive(executor), "the executor lives on")
    assert project.database.read_bytes() == before


#: An interrupt comes when the transaction has been stored, and nobody has been told.
INTERRUPTED_LATE = """
import os, signal
from pygenvm.localnet.chain.store import Store

commit = Store.commit

def late(store, changes):
    receipts = commit(store, changes)
    os.kill(os.getpid(), signal.SIGINT)
    return receipts

Store.commit = late
"""


@pytest.mark.parametrize("options", [(), ("--validators", "2")], ids=["without a loop", "in a loop"])
def test_interrupted_when_it_is_stored(project: Project, options: tuple[str, ...]) -> None:
    """Whoever is told that it was dropped does it again."""
    project.program = INTERRUPTED_LATE + PROGRAM
    stored = "interrupted: transaction #2 is stored; "
    status, out, err = project.run("call", "add", "--args", "[3]", *options)
    assert (status, out) == (130, "")
    assert err.startswith(f"genvm local: {stored}")
    status, out, _ = project.run("call", "add", "--args", "[3]", "--json", *options)
    assert status == 130
    assert json.loads(out)["error"]["message"].startswith(stored.replace("2", "3"))
    project.program = PROGRAM
    assert project.run("view", "get") == (0, "10\n", "")


#: What a transaction has led to cannot be delivered.
FAILING_LATE = """
from pygenvm.localnet.chain.chain import Chain
from pygenvm.localnet.errors import ExecutorError

deliver = Chain._deliver

async def late(chain, session):
    if chain.stored is not None:
        raise ExecutorError("there is no executor")
    return await deliver(chain, session)

Chain._deliver = late
"""


def test_a_failure_when_it_is_stored(project: Project) -> None:
    project.program = FAILING_LATE + PROGRAM
    status, out, err = project.run("call", "add", "--args", "[3]")
    assert (status, out) == (3, "")
    assert err.startswith("genvm local: there is no executor; transaction #2 is stored; messages of it")
    project.program = PROGRAM
    assert project.run("view", "get") == (0, "7\n", "")


def test_a_killed_command_takes_its_executor_along(project: Project) -> None:
    with project.start("view", "loop", "--timeout", "900") as command:
        (executor,) = until(lambda: [pid for pid in children(command.pid) if _is_busy(pid)], "nothing runs")
        command.kill()
    until(lambda: not alive(executor), "the executor lives on")


def test_an_executor_that_is_killed(project: Project) -> None:
    with project.start("view", "loop", "--timeout", "900", "--json") as command:
        (executor,) = until(lambda: [pid for pid in children(command.pid) if _is_busy(pid)], "nothing runs")
        os.kill(executor, signal.SIGKILL)
        out, _ = command.communicate(timeout=PATIENCE_SECONDS)
    assert command.returncode == 3
    assert json.loads(out)["error"]["message"] == "the executor was ended by signal SIGKILL"


@pytest.mark.parametrize(
    ("words", "status"),
    [(("view", "get", "--nonsense"), 2), (("view", "nobody", "get"), 2), (("schema", "nothing.py"), 2)],
)
def test_nothing_is_left_of_an_executor_that_nobody_needs(
    project: Project, words: tuple[str, ...], status: int
) -> None:
    assert project.run(*words)[0] == status
    until(lambda: not _living_in(project.folder), "the executor lives on")


def test_nothing_is_left_of_an_executor_that_had_a_run(project: Project) -> None:
    assert project.run("view", "get")[0] == 0
    until(lambda: not _living_in(project.folder), "the executor lives on")


def _living_in(folder: Path) -> list[str]:
    """Processes with this working directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink() == folder.resolve():
                found.append(process.name)
    return found


def _is_busy(pid: int) -> bool:
    """Whether a contract runs there: it has used more of a processor than what is needed to load everything."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) > 1.5 * os.sysconf("SC_CLK_TCK")
