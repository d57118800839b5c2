"""Hostile contracts through reused executors: none leaves anything to the next.

``GENVM_HOSTILE_REUSED=1000`` is how many; the usual suite has 200.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygenvm.executor.outcome import VMError
from pygenvm.executor.primitives import calldata
from pygenvm.localnet.executors.process import ExecutorProcess
from pygenvm.localnet.executors.series import ReusedExecutors
from tests.hostile.reused_programs import PIECES, SOURCE, program
from tests.support.execution import config_file
from tests.support.hosts import InMemoryHost
from tests.support.reused import LendingHost, Seen, run

pytestmark = [pytest.mark.usefixtures("built_runners"), pytest.mark.slow]

COUNT = int(os.environ.get("GENVM_HOSTILE_REUSED", "200"))


def host_of(method: str, *args: object) -> LendingHost:
    host = LendingHost(calldata=calldata.encode({"method": method, "args": list(args)}))
    host.put_code(SOURCE)
    return host


@pytest.fixture(scope="module")
def config(built_runners: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return config_file(tmp_path_factory.mktemp("reused"), built=True)


@pytest.fixture(scope="module")
def reused(config: Path) -> Iterator[ReusedExecutors]:
    with contextlib.closing(ReusedExecutors(options=[f"--config={config}"], grace=2.0)) as executors:
        yield executors


def look(executor: ReusedExecutors | ExecutorProcess) -> tuple[Seen, InMemoryHost]:
    host = host_of("look")
    return run(executor, host)[0], host


@pytest.fixture(scope="module")
def expected(config: Path) -> Seen:
    """What one sees that is alone in its process: everything in memory, by the fingerprint."""
    fresh = ExecutorProcess(options=[f"--config={config}"])
    look(fresh)
    seen, host = look(fresh)
    assert (host.outcome, "'kept': []" in seen.stdout, host.fingerprint is None) == (
        VMError("exit_code 1"),
        True,
        False,
    )
    return seen


def test_none_leaves_anything_to_the_next(reused: ReusedExecutors, expected: Seen) -> None:
    look(reused)
    processes: set[int] = set()
    kept = 0
    for number in range(COUNT):
        text = PIECES[number] if number < len(PIECES) else program(number)
        before = set(reused.waiting)
        run(reused, host_of("do", text), timeout=5.0)
        kept += before == set(reused.waiting)
        seen, _ = look(reused)
        assert seen == expected, text
        processes.update(reused.waiting)
    # Most end as contracts do, and others do not: both is tried.
    assert COUNT * 0.2 < kept < COUNT * 0.95, (kept, len(processes))
    assert len(reused.waiting) == 1


def test_one_that_does_not_end(reused: ReusedExecutors, expected: Seen) -> None:
    look(reused)
    host = host_of("do", "while True: pass")
    assert run(reused, host, timeout=0.5)[1].timed_out
    assert (host.outcome, look(reused)[0]) == (VMError("timeout"), expected)
