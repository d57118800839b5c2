"""When the first executor of a run of tests is started: pytest runs of projects of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pytest_plugin.contracts import ECHO
from tests.pytest_plugin.running import run_pytest

pytestmark = pytest.mark.usefixtures("built_runners")

CONFTEST = """
import atexit, contextlib, sys
from pathlib import Path

def children():
    found = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # A thread may end meanwhile.
            found += (task / "children").read_text().split()
    return found

@atexit.register
def tell():
    loaded = "pygenvm.pytest_plugin.workbench" in sys.modules
    print("a workbench" if loaded else "no workbench", len(children()), "children")
"""
PLAIN = """
def test_plain():
    pass
"""
STARTED = """
from conftest import children

def test_started():
    assert len(children()) == 1
"""
USES = """
def test_uses(direct_deploy, direct_vm):
    assert direct_deploy("echo.py", direct_vm.sender).who == direct_vm.sender
"""
FORKS = """
import os

def test_fork(direct_deploy, direct_vm):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            vm = type(direct_vm)()
            assert vm.deploy("echo.py", vm.sender).who == vm.sender
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert direct_deploy("echo.py", direct_vm.sender).who == direct_vm.sender
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "echo.py").write_text(ECHO)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    return tmp_path


def test_the_first_executor_is_started_before_the_first_test_that_needs_it(project: Path) -> None:
    (project / "test_1.py").write_text(STARTED)
    (project / "test_2.py").write_text(USES)
    said = run_pytest(project)
    assert "2 passed" in said
    assert "a workbench 0 children" in said


def test_it_ends_with_a_run_in_which_nobody_needs_it(project: Path) -> None:
    (project / "test_it.py").write_text(PLAIN + USES)
    said = run_pytest(project, "-k", "plain")
    assert "1 passed" in said
    assert "a workbench 0 children" in said


@pytest.mark.parametrize(("tests", "arguments"), [(PLAIN, []), (PLAIN + USES, ["--collect-only"])])
def test_without_tests_of_contracts_there_is_none(project: Path, tests: str, arguments: list[str]) -> None:
    (project / "test_it.py").write_text(tests)
    assert "no workbench 0 children" in run_pytest(project, *arguments)


def test_a_fork_has_its_own(project: Path) -> None:
    (project / "test_it.py").write_text(FORKS)
    assert "1 passed" in run_pytest(project)
