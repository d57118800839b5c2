"""A project in the style of public ones, written for the other tool: ten contracts, three test modules.

Run by hand with genlayer-test installed, all of its tests pass there as well.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pytest_plugin.running import OURS, run_pytest

PROJECT = Path(__file__).with_name("project")
#: What 200 registrations of the name service may take, on two cores with nothing else to do.
REGISTRATION_SECONDS = 10.0

pytestmark = pytest.mark.usefixtures("built_runners")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return shutil.copytree(PROJECT, tmp_path / "project")


@pytest.mark.parametrize(("module", "count"), [("value", 11), ("judgement", 21)])
def test_all_pass(project: Path, module: str, count: int) -> None:
    said = run_pytest(project, OURS, f"tests/test_{module}.py")
    assert f"{count} passed" in said, said
    assert "warning" not in said, said


def test_name_service_with_200_registrations(project: Path) -> None:
    load = os.getloadavg()[0]
    said = run_pytest(project, OURS, "-s", "tests/test_names.py")
    assert "10 passed" in said, said
    taken = re.search(r"200 registrations: ([0-9.]+) s", said)
    assert taken, said
    # Others at work on the same machine say nothing about us.
    if load < (os.cpu_count() or 1) / 2:
        assert float(taken[1]) < REGISTRATION_SECONDS


def test_several_processes_at_once(project: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:faulthandler", "-p", "no:cacheprovider", OURS]
    done = subprocess.run(
        [*command, "tests/test_names.py", "-k", "not 200"], cwd=project, capture_output=True, text=True, check=False
    )
    assert "9 passed" in done.stdout, done.stdout + done.stderr
