"""Whose fixtures they are, and the plugin's options: pytest runs of projects of their own."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.pytest_plugin.contracts import ASKING, CALLER, ECHO
from tests.pytest_plugin.running import OURS, run_pytest

pytestmark = pytest.mark.usefixtures("built_runners")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose tests show whose fixtures and modules they have."""
    project = tmp_path / "project"
    (project / "contracts").mkdir(parents=True)
    (project / "contracts" / "echo.py").write_text(ECHO)
    (project / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    (project / "conftest.py").write_text("from gltest.direct import create_address\n")
    (project / "test_it.py").write_text(
        """
import pytest
from gltest.direct import VMContext, create_address

def test_vm(direct_vm, direct_alice):
    print("VM of", type(direct_vm).__module__, VMContext.__module__, create_address.__module__)

@pytest.mark.direct
def test_marked():
    pass

def test_deploy(direct_deploy, direct_alice):
    assert direct_deploy("echo.py", direct_alice).who == direct_alice
"""
    )
    return project


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Another package with the fixtures of the same names, as pytest finds it when it is installed."""
    folder = tmp_path / "installed"
    (folder / "gltest" / "direct").mkdir(parents=True)
    (folder / "gltest" / "__init__.py").write_text("theirs = True\n")
    (folder / "gltest" / "direct" / "__init__.py").write_text(
        "class VMContext: pass\ndef create_address(seed): return seed.encode()\n"
    )
    (folder / "gltest" / "direct" / "pytest_plugin.py").write_text(
        """
import pytest
from . import VMContext
@pytest.fixture
def direct_vm():
    return VMContext()
@pytest.fixture
def direct_alice():
    return b"alice"
@pytest.fixture
def direct_deploy(direct_vm):
    pytest.skip("theirs")
"""
    )
    information = folder / "genlayer_test-0.29.2.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: genlayer-test\nVersion: 0.29.2\n")
    (information / "entry_points.txt").write_text("[pytest11]\ngltest_direct = gltest.direct.pytest_plugin\n")
    return folder


OUR_MODULES = "VM of pygenvm.pytest_plugin.direct pygenvm.pytest_plugin.direct pygenvm.pytest_plugin.addresses"
THEIR_MODULES = "VM of gltest.direct gltest.direct gltest.direct"


def test_alone_nothing_is_to_be_configured(project: Path) -> None:
    said = run_pytest(project, "-s")
    assert "3 passed" in said, said
    assert OUR_MODULES in said
    assert "genlayer-test" not in said


def test_with_p_it_is_the_same(project: Path) -> None:
    assert "3 passed" in run_pytest(project, OURS)
    assert "3 passed" in run_pytest(project, OURS, "-pno:genvm")


def test_a_conftest_may_name_the_plugin_of_the_other(project: Path) -> None:
    (project / "conftest.py").write_text('pytest_plugins = ["gltest.direct.pytest_plugin"]\n')
    (project / "test_more.py").write_text("from gltest.direct.pytest_plugin import *\ndef test(direct_vm): pass\n")
    said = run_pytest(project, "-s")
    assert "4 passed" in said, said
    assert OUR_MODULES in said
    assert "warning" not in said


def test_beside_the_other_ours_stay_away(project: Path, installed: Path) -> None:
    said = run_pytest(project, "-s", path=installed)
    assert "2 passed, 1 skipped" in said, said
    assert THEIR_MODULES in said
    assert f"the direct_* fixtures are those of genlayer-test; for ours add {OURS[:2]} {OURS[2:]}" in said


@pytest.mark.parametrize("how", ["option", "entry", "ini"])
def test_beside_the_other_ours_come_when_asked_for(project: Path, installed: Path, how: str) -> None:
    arguments = {"option": [OURS], "entry": ["-pgenvm"], "ini": []}[how]
    if how == "ini":
        (project / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\ngenvm_direct = true\n")
    said = run_pytest(project, "-s", *arguments, path=installed)
    assert "3 passed" in said, said
    assert OUR_MODULES in said


def test_the_rest_of_the_other_stays(project: Path, installed: Path) -> None:
    (project / "test_it.py").write_text(
        "import gltest\nfrom gltest.direct import VMContext\n"
        "def test(direct_vm): assert gltest.theirs and isinstance(direct_vm, VMContext)\n"
    )
    assert "1 passed" in run_pytest(project, OURS, path=installed)


def test_markers(project: Path) -> None:
    said = run_pytest(project, "--markers")
    assert "@pytest.mark.direct: uses a contract" in said
    assert "@pytest.mark.genvm_time(when)" in said
    assert "test_vm" in (selected := run_pytest(project, "-m", "direct", "--collect-only"))
    assert "3 tests collected" in selected
    assert "no tests collected" in run_pytest(project, "-m", "not direct", "--collect-only")


def test_time_at_which_tests_start(project: Path) -> None:
    (project / "test_it.py").write_text(
        """
import pytest
from gltest.direct import VMContext

def test_vm(direct_vm):
    print("NOW", direct_vm.now.isoformat(), VMContext().now.isoformat())

@pytest.mark.genvm_time("2028-01-01")
def test_marked(direct_vm):
    print("MARKED", direct_vm.now.year)
"""
    )
    assert "NOW 2026-01-01T00:00:00+00:00 2026-01-01T00:00:00+00:00" in run_pytest(project, "-s")
    said = run_pytest(project, "-s", "--genvm-time", "2027-01-01T00:00:00Z")
    assert "NOW 2027-01-01T00:00:00+00:00 2027-01-01T00:00:00+00:00" in said
    assert "MARKED 2028" in said
    (project / "pytest.ini").write_text("[pytest]\ngenvm_time = now\n")
    assert f"NOW {datetime.now(UTC).year}-" in run_pytest(project, "-s")
    assert "ERROR: genvm_time: Invalid isoformat string: 'noon'" in run_pytest(project, "--genvm-time", "noon")


def test_strict_views(project: Path) -> None:
    (project / "contracts" / "caller.py").write_text(CALLER)
    (project / "test_it.py").write_text(
        """
def test_vm(direct_vm, direct_deploy):
    thief, caller = direct_deploy("caller.py"), direct_deploy("caller.py")
    direct_vm.transfer(thief, 7)
    direct_vm.value = 7
    caller.ask(thief)
    assert thief.balance == 14
"""
    )
    assert "1 passed" in run_pytest(project)
    assert "SystemError: 6: forbidden" in run_pytest(project, "-o", "genvm_strict_views=true")


def test_strict_mocks_warn_at_the_end(project: Path) -> None:
    (project / "test_it.py").write_text(
        "def test(direct_vm):\n    direct_vm.strict_mocks = True\n    direct_vm.mock_web('nobody asks', 'x')\n"
    )
    said = run_pytest(project)
    assert "1 passed, 1 warning" in said
    assert "UnusedMockWarning: Web mock never matched: nobody asks" in said
    assert "1 error" in run_pytest(project, "-W", "error::pygenvm.pytest_plugin.UnusedMockWarning")


def test_a_failure_shows_what_the_contract_said(project: Path) -> None:
    (project / "test_it.py").write_text("def test(direct_deploy):\n    direct_deploy('echo.py', 5)\n")
    said = run_pytest(project)
    assert "ContractAttributeError: 'int' object has no attribute 'as_bytes'" in said, said
    assert re.search(r"^E +contracts/echo\.py:13, in __init__$", said, re.MULTILINE)
    assert len(re.findall("cause: `who` of `__init__` wants `address`, and was given the integer 5", said)) == 1
    assert "/py/libs" not in said
    assert "/py/libs" in run_pytest(project, "--full-trace")


def test_failures_are_shown_at_the_line_of_the_test(project: Path) -> None:
    (project / "test_it.py").write_text(
        """
import pytest

@pytest.fixture(scope="module")
def broken():
    from pygenvm.pytest_plugin import DirectVM
    vm = DirectVM()
    vm.deploy("echo.py", 5)

def test_refused_by_the_network(direct_vm, direct_deploy, direct_bob):
    echo = direct_deploy("echo.py", direct_bob)
    direct_vm.value = 1 << 300
    echo.pay()

def test_another_text(direct_vm, direct_deploy):
    with direct_vm.expect_revert("no such"):
        direct_deploy("echo.py", 5)

def test_none_at_all(direct_vm):
    with direct_vm.expect_revert():
        pass

def test_twice_1(broken):
    pass

def test_twice_2(broken):
    pass
"""
    )
    said = run_pytest(project)
    assert "3 failed, 2 errors" in said, said
    for inner in ("pytest_plugin/", "localnet/", "contextlib.py", "/py/libs"):
        assert inner not in said
    assert "test_it.py:13: BadValue" in said
    assert "test_it.py:20: AssertionError" in said
    # Once for each of the three tests, also where they share the exception.
    assert said.count("fix: ") == 3


def test_warnings_name_the_line_of_the_test(project: Path) -> None:
    (project / "contracts" / "asking.py").write_text(ASKING)
    (project / "test_it.py").write_text(
        "def test(direct_deploy):\n    asking = direct_deploy('asking.py')\n    asking.careful('http://x')\n"
    )
    said = run_pytest(project)
    assert re.search(r"test_it\.py:3: UnansweredRequestWarning", said), said
