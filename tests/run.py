"""The test command: style, types, imports, tests, and the coverage that the project promises.

``python -m tests.run [pytest arguments]``; with arguments only those tests run, without the other checks.
``python -m tests.run --check`` is what can be said without running anything: style, types, generated files, imports.
``python -m tests.run --quick`` is that and the tests that need no built runners and are not slow.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.browser import ensure_browser
from tests.support.covering import COVERED, PERCENT, SOURCES

#: Three tests at a time, as many of them wait, those of a file in one process: what is slow to set up there is set up
#: once. In the order of tests/support/longest_first.py; pytest-xdist's own has most tests first.
PARALLEL = ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")


def _run(title: str, *command: str) -> bool:
    return _run_program(title, sys.executable, "-m", *command)


def _run_program(title: str, *command: str) -> bool:
    print(f"\n== {title}", flush=True)
    return subprocess.run(command, check=False).returncode == 0


def _checks_but_types() -> bool:
    passed = _run("ruff check", "ruff", "check", ".")
    passed &= _run("ruff format", "ruff", "format", "--check", ".")
    passed &= _run("schemas", "pygenvm.schemas.generate", "--check")
    lint_imports = Path(sysconfig.get_path("scripts"), "lint-imports")
    passed &= _run_program("import contracts", str(lint_imports), "--no-logo", "--no-cache")
    return passed


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        return 0 if _checks_but_types() & _run("mypy", "mypy") else 1
    # Else each of thousands of processes, and pytest itself, would compile what they import anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    quick = arguments == ["--quick"]
    if arguments and not quick:
        return 0 if _run("tests", "pytest", *arguments) else 1
    without_browser = None if quick else ensure_browser()
    # Types take one process half a minute where mypy has no cache: beside the others, and told when those are done.
    types = subprocess.Popen([sys.executable, "-m", "mypy"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with types:
        passed = _checks_but_types()
        if quick:
            chosen = ("-m", "not runners and not slow", "--hypothesis-profile=quick")
            tests = _run("quick tests", "pytest", *PARALLEL, *chosen)
        else:
            tests = _run("tests", "pytest", *PARALLEL, *(f"--cov={source}" for source in SOURCES), "--cov-report=")
        print(f"\n== mypy\n{types.communicate()[0].decode()}", end="", flush=True)
    passed &= types.returncode == 0
    if not quick:
        passed &= _covered()
    if without_browser is not None:
        print(f"\n{without_browser}", flush=True)
    # What has failed may be far above.
    print("\nall checks passed" if passed and tests else "\nFAILED: see above", flush=True)
    return 0 if passed and tests else 1


def _covered() -> bool:
    passed = True
    for name, (files, _) in COVERED.items():
        passed &= _run(
            f"coverage of {name} (at least {PERCENT} %)",
            *("coverage", "report", f"--include={files}", f"--fail-under={PERCENT}"),
        )
    return passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
