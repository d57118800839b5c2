"""What wakes the main thread of a run (executor.run.termination)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.hosts import PATIENCE_SECONDS
from tests.support.paths import ROOT


def python(program: str) -> str:
    """What a new process with ``program`` prints."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    return done.stdout


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_just_before_a_wait_ends_it(name: str) -> None:
    """The system's handler has been, Python's comes with the next instruction, and there is none in a wait."""
    program = f"""
import _thread, signal, threading, time
from pygenvm.executor.run import termination
termination.install()
termination.open_wakings()
def signal_unseen():
    time.sleep(0.2)  # So that the wait has begun; a signal that comes sooner is seen in any case.
    _thread.interrupt_main(signal.{name})
threading.Thread(target=signal_unseen).start()
while not termination.requested():
    termination.wait()
print("heard")
"""
    assert python(program) == "heard\n"


def test_wakings() -> None:
    """As many as there are: no waking is lost, and none makes whoever wakes wait."""
    program = """
import time
from pygenvm.executor.run import termination
termination.open_wakings()
termination.open_wakings()
for _ in range(100_000):
    termination.wake()
termination.wait()
while True:
    begun = time.monotonic()
    termination.wait(0.05)
    if time.monotonic() - begun >= 0.05:
        break
for seconds in (0.0, -1.0):
    termination.wait(seconds)
print("woken", termination.requested())
"""
    assert python(program) == "woken False\n"
