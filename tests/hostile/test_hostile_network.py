"""Whom an executor connects to, as the kernel is asked for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.hostile import shortage_start
from tests.hostile.kernel_calls import FailingCalls, numbers, possible
from tests.hostile.shortage_subjects import Subject, example_call
from tests.support.example_runs import answers
from tests.support.execution import command, config_file
from tests.support.hosts import InMemoryHost, serving
from tests.support.module_server import serving_module

pytestmark = pytest.mark.skipif(possible() is not None, reason=possible() or "")


def calls_of(kind: str, subject: Subject, config: Path) -> int:
    """How many calls of that kind a run makes."""
    host = subject.put_into(InMemoryHost())
    with FailingCalls(0, after=0, times=0) as calls, serving(host) as node:
        calls.begin()
        start = {"calls": [numbers(kind), calls.theirs.fileno()]}
        run = command(node.address, config=config, message=subject.message)
        with subprocess.Popen(
            shortage_start.command(start, *run),
            pass_fds=(calls.theirs.fileno(),),
            # Where somebody has kept a pool, runs would look for it.
            env={**os.environ, "PYGENVM_CACHE": str(config.parent / "nobody")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        ) as process:
            calls.listen()
            assert process.wait(60) == 0
    assert host.result is not None
    return calls.seen


@pytest.mark.parametrize(("example", "step", "connections"), [("counter.py", 0, 1), ("essay_judge.py", 0, 2)])
def test_a_run_connects_to_its_host_and_the_modules_that_it_asks(
    built_runners: object, tmp_path: Path, example: str, step: int, connections: int
) -> None:
    """(Compiling may ask the name service of the system whose group a folder in between is.)"""
    with serving_module(answers) as server:
        modules = {name: {"address": server.address} for name in ("llm", "web")}
        config = config_file(tmp_path, built=True, modules=modules)
        subject = example_call(example, step, server.address)
        assert calls_of("connections", subject, config) == connections
        assert calls_of("listeners", subject, config) == 0
