"""What `make quick` leaves out: tests that need the built runners, wherever they get them from. What begins first."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import LONG_FILES
from tests.support.paths import ROOT

#: Of each file, the runners come from another fixture: `built_runners`, the plugin's, one of a single runner.
FILES = (
    "tests/runners/test_runners_stubs.py",
    "tests/pytest_plugin/test_direct_vm.py",
    "tests/executor/subvm/wasm/test_softfloat_rewrite.py",
)


def without_runners(*arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-m", "not runners", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_users_of_fixtures_with_runners_are_left_out() -> None:
    said = without_runners("--collect-only", "-q", *FILES)
    for there in ("::test_sources_of_the_sdk_are_preferred[", "::test_document_names_every", "::test_padded_numbers"):
        assert there in said
    for left_out in ("::test_stubs_are_up_to_date", "::test_who_calls", "::test_same_values"):
        assert left_out not in said
    assert "that need the built runners; `make test` runs all\n" in said


def test_what_is_left_out_is_said_by_workers_too() -> None:
    said = without_runners("-n", "2", FILES[2])
    assert "left out: tests, 3 that need the built runners; `make test` runs all\n" in said


def test_long_files_are_there() -> None:
    """One that is renamed would begin late again, and nobody would see why all takes longer."""
    assert [name for name in LONG_FILES if not (ROOT / name).is_file()] == []
