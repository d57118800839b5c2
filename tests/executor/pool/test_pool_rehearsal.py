"""Executors that have rehearsed a call: nobody can tell, and nobody waits for it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.cache_folder import CacheFolder
from pygenvm.executor.config import Config, load_config
from pygenvm.executor.outcome import ExecutorFault, HostFault, Return
from pygenvm.executor.pool import rehearsal
from pygenvm.executor.pool.client import ExecutorPool
from pygenvm.executor.pool.prepare import prepare
from pygenvm.executor.pool.rehearsal import Rehearsal
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.run.prepared import Prepared
from tests.executor.pool.pool_support import Job, children, job, template_of
from tests.runners.python.python_contracts import contract
from tests.support.execution import config_file
from tests.support.paths import ROOT
from tests.support.running import WatchedHost, until

pytestmark = pytest.mark.usefixtures("built_runners")

#: ``genvm``; first it is told how long its executors are idle before they rehearse, and whether others want to run.
_PROGRAM = """
import sys
from pygenvm.executor import limits
from pygenvm.executor.pool import rehearsal
limits.POOL_REHEARSE_SECONDS = float(sys.argv.pop(1))
saturated = sys.argv.pop(1) == "saturated"
rehearsal.is_saturated = lambda: saturated
from pygenvm.cli.main import main
sys.exit(main())
"""

_HEAD = "import os, random, sys, time\nfrom genlayer import *\nAT_IMPORT = random.random()\n"
_CONTRACT = contract(
    _HEAD
    + """
class C(gl.Contract):
    text: str
    numbers: TreeMap[str, u256]

    @gl.public.write
    def write(self, text: str) -> str:
        self.text = text
        self.numbers[text] = u256(7)
        print("printed", AT_IMPORT, random.random(), time.time(), os.listdir("/"), sys.argv, id(self))
        return self.text

    @gl.public.write
    def fail(self, text: str) -> str:
        self.write(text)
        raise gl.vm.UserError(f"{random.random()} {id(object())}")

    @gl.public.write
    def nondet(self, text: str) -> str:
        def work():
            print(sorted(os.environ), gl.message.contract_address)
            return text * 2

        gl.trace(text)
        return gl.vm.run_nondet_unsafe(work, lambda _: True)
"""
)


@contextlib.contextmanager
def _pool(seconds: float, *, idle: int = 1, saturated: bool = False) -> Iterator[ExecutorPool]:
    with tempfile.TemporaryDirectory(prefix="pool-") as folder:
        config = config_file(Path(folder), built=True)
        words = [str(seconds), "saturated" if saturated else "quiet", f"--config={config}"]
        command = [sys.executable, "-P", "-c", _PROGRAM, *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with contextlib.closing(ExecutorPool(command, environment=environment, idle=idle)) as executors:
            executors.start()
            yield executors


@pytest.fixture(scope="module")
def rehearsing() -> Iterator[ExecutorPool]:
    with _pool(0) as made:
        yield made


@pytest.fixture(scope="module")
def resting() -> Iterator[ExecutorPool]:
    with _pool(3600) as made:
        yield made


def _page_faults(pid: int) -> int:
    """Of its own so far; a call has more than a thousand, waiting for one some hundred."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[7])


def _has_rehearsed(executors: ExecutorPool) -> bool:
    idle = children(template_of(executors))
    return bool(idle) and all(_page_faults(pid) > 1_000 for pid in idle)


def _warm_up(executors: ExecutorPool) -> None:
    """The template is ready once it has given out a job."""
    with job(executors, code=_CONTRACT, host=_host("write")) as run:
        assert run.ended() == 0


def _host(method: str, **others: Any) -> WatchedHost:
    return WatchedHost(calldata=calldata.encode({"method": method, "args": ["a text"]}), **others)


def _log(run: Job) -> list[dict[str, Any]]:
    """Without what differs between any two runs: times."""
    records = [json.loads(line) for line in run.streams["log"].splitlines()]
    for record in records:
        del record["ts"]
        for name in ("elapsed_us", "since_last_us"):
            record.pop(name, None)
        if record["message"] == "metrics":
            record["metrics"]["gvm"]["host"]["time"] = 0
    return records


def _open_files(pid: int) -> list[str]:
    """What they are; their numbers depend on what the template had open when it forked."""
    return sorted(os.readlink(path).split("[")[0].split("/#")[0] for path in Path(f"/proc/{pid}/fd").iterdir())


def _seen(executors: ExecutorPool, method: str) -> dict[str, Any]:
    """All that can be seen of a run."""
    host = _host(method, holding=HostMethod.STORAGE_WRITE)
    printed = frozenset(("result", "fingerprint", "stderr-full"))
    with job(executors, code=_CONTRACT, host=host, printed=printed, log_level="trace") as run:
        files: Any = None
        if method != "nondet":
            host.reached(HostMethod.STORAGE_WRITE)
            files = _open_files(run.run.pid)
        host.release.set()
        assert run.ended() == 0
        return {
            "requests": host.requests,
            "result": host.result,
            "printed": (run.streams["stdout"], run.streams["stderr"]),
            "log": _log(run),
            "files": files,
        }


@pytest.mark.parametrize("method", ["write", "fail", "nondet"])
def test_nobody_can_tell(rehearsing: ExecutorPool, resting: ExecutorPool, method: str) -> None:
    for executors in (rehearsing, resting):
        _warm_up(executors)
    until(lambda: _has_rehearsed(rehearsing), "no rehearsal")
    ours = _seen(rehearsing, method)
    assert not _has_rehearsed(resting)
    assert ours == _seen(resting, method)


def test_jobs_that_come_in_the_midst_of_it() -> None:
    with _pool(0) as executors:
        for _ in range(10):
            with job(executors, code=_CONTRACT, host=_host("write")) as run:
                assert run.ended() == 0
                assert run.host.outcome == Return(calldata.encode("a text"))


def test_none_on_a_saturated_machine() -> None:
    with _pool(0.001, saturated=True) as executors:
        _warm_up(executors)
        time.sleep(0.5)
        assert not _has_rehearsed(executors)
        _warm_up(executors)


# --- one in this process ---------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(str(config_file(tmp_path, built=True)))


@pytest.fixture
def prepared(config: Config) -> Prepared:
    return prepare(config)


@pytest.fixture
def one(config: Config, prepared: Prepared) -> Rehearsal:
    runner = next(runner for runner in prepared.archives if runner.startswith("py-genlayer:"))
    return Rehearsal(config, prepared, runner)


def _play(one: Rehearsal, unwanted: Any = lambda: False) -> None:
    rehearsal._on_vm_thread(lambda: one.play(unwanted))


def test_it_leaves_nothing(one: Rehearsal, prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the contract needs is made by the first; after that no file is looked at that others could fill."""
    _play(one)

    def used(*_: object) -> None:
        raise AssertionError("a file of the cache is used")

    monkeypatch.setattr(CacheFolder, "open", used)
    monkeypatch.setattr(CacheFolder, "write", used)
    depth, files = sys.getrecursionlimit(), len(os.listdir("/proc/self/fd"))
    _play(one)
    assert (sys.getrecursionlimit(), len(os.listdir("/proc/self/fd"))) == (depth, files)
    assert (prepared.artefacts.hits, prepared.artefacts.compiled) == (0, 0)


@pytest.mark.parametrize("after", [0, 2, 6])
def test_it_ends_when_it_is_not_wanted_any_more(one: Rehearsal, after: int) -> None:
    """It looks at every request of the run, and asks for nothing after that."""
    looks = 0

    def unwanted() -> bool:
        nonlocal looks
        looks += 1
        return looks > after

    with pytest.raises((HostFault, ExecutorFault)):
        _play(one, unwanted)
    assert looks == after + 1


def test_what_is_saturated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(100_000)))
    assert not rehearsal.is_saturated()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set())
    assert rehearsal.is_saturated()
