"""What `make quick` leaves out: tests that need the built runners, wherever they get them from. What begins first."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.longest_first import SECONDS
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


def test_workers_begin_with_what_took_longest_and_say_what_is_left_out(tmp_path: Path) -> None:
    first, second = FILES[2], "tests/executor/runner/test_runner_hashing.py"
    record = tmp_path / "v" / SECONDS
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"not runners": {first: 1000, second: 1}, "": {first: 1, second: 1000}}))
    workers = ("-n", "1", "--dist", "loadfile", "--no-loadscope-reorder", "-v", "-o", f"cache_dir={tmp_path}")
    said = without_runners(*workers, second, first)
    assert 0 < said.index(f"PASSED {first}") < said.index(f"PASSED {second}")
    assert "left out: tests, 3 that need the built runners; `make test` runs all\n" in said
    recorded = json.loads(record.read_text())
    assert recorded[""] == {first: 1, second: 1000}
    assert recorded["not runners"].keys() == {first, second}
    assert recorded["not runners"] != {first: 1000, second: 1}
