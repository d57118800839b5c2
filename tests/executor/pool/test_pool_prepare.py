"""What a template has loaded before it forks."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator

from tests.support.paths import ROOT

#: The parts of the executor that take part in a run.
PARTS = ("host_protocol", "module_protocol", "record", "run", "runner", "subvm")


def late_imports() -> Iterator[str]:
    """Modules of ours that a function of those parts imports when it is called."""
    for part in PARTS:
        for path in (ROOT / "executor" / part).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef):
                    for inner in ast.walk(node):
                        if isinstance(inner, ast.ImportFrom) and (inner.module or "").startswith("pygenvm."):
                            assert inner.module is not None
                            yield inner.module


def test_executors_import_nothing_of_ours() -> None:
    """Each would do it anew, and that takes longer than all the rest of a run."""
    program = "import sys, pygenvm.executor.pool.template; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    wanted = set(late_imports())
    assert "pygenvm.executor.run.supervisor" in wanted
    assert wanted - set(done.stdout.split()) == set()
