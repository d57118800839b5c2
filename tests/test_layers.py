"""The order of the folders, and the tool that shows it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import layers
from tests.layers import Kind, imports_of
from tests.support.paths import ROOT


def test_no_folders_import_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert layers.main() == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert "executor/subvm" in said
    assert said.endswith("no circles\n")


def test_primitives_import_only_the_standard_library() -> None:
    """They ship into the sandbox, where nothing else of ours is but modules in C of its interpreter."""
    module = "pygenvm.executor.primitives.x"
    outside = {*sys.stdlib_module_names, "_genlayer_keccak", "_genlayer_calldata"}
    for path in (ROOT / "executor" / "primitives").glob("*.py"):
        for one in imports_of(path.read_text(encoding="utf-8"), module, path.name):
            within = one.module.startswith("pygenvm.executor.primitives.")
            assert within or one.module.split(".")[0] in outside, one


SOURCE = """\
import pygenvm.executor.log, os
from pygenvm.executor import limits, run
from .sibling import a
from .. import subvm
if TYPE_CHECKING:
    from pygenvm import cli
    def function():
        import pygenvm.lint
else:
    import pygenvm.schemas
def function():
    if typing.TYPE_CHECKING:
        import pygenvm.runners
    with x:
        from pygenvm.executor.pool.client import ExecutorPool
"""


def test_every_import_is_found_with_its_kind() -> None:
    found = list(imports_of(SOURCE, "pygenvm.executor.record.format", "f.py"))
    assert found == [
        (Kind.RUN_TIME, "pygenvm.executor.log", "f.py:1"),
        (Kind.RUN_TIME, "os", "f.py:1"),
        (Kind.RUN_TIME, "pygenvm.executor.limits", "f.py:2"),
        (Kind.RUN_TIME, "pygenvm.executor.run", "f.py:2"),
        (Kind.RUN_TIME, "pygenvm.executor.record.sibling.a", "f.py:3"),
        (Kind.RUN_TIME, "pygenvm.executor.subvm", "f.py:4"),
        (Kind.TYPE_CHECKING, "pygenvm.cli", "f.py:6"),
        (Kind.TYPE_CHECKING, "pygenvm.lint", "f.py:8"),
        (Kind.RUN_TIME, "pygenvm.schemas", "f.py:10"),
        (Kind.TYPE_CHECKING, "pygenvm.runners", "f.py:13"),
        (Kind.LAZY, "pygenvm.executor.pool.client.ExecutorPool", "f.py:15"),
    ]
    folders = [layers.folder_of(one.module, ROOT) for one in found]
    assert folders == [
        *("executor", None, "executor", "executor/run", "executor/record", "executor/subvm"),
        *("cli", "lint", "schemas", "runners", "executor/pool"),
    ]


def test_circles_of_any_kind_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in {
        "executor/low.py": "import os\n",
        "executor/run/a.py": "def f():\n    from pygenvm.executor.record import b\n",
        "executor/record/b.py": "if TYPE_CHECKING:\n    from pygenvm.lint import c\n",
        "lint/c.py": "from pygenvm.executor.run.a import f\nfrom pygenvm.executor import low\n",
        "tests/sandboxed/d.py": "this is not Python\n",
        "benchmarks/e.py": "import tests, pygenvm.lint\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for part in ("executor", "lint"):
        (tmp_path / "pygenvm" / part).mkdir(parents=True)
    monkeypatch.setattr(layers, "ROOT", tmp_path)
    assert layers.main() == 1
    said = capsys.readouterr().out
    assert "circle: executor/record → lint → executor/run → executor/record\n" in said
    assert "  executor/run/a.py:2 ⇢ pygenvm.executor.record.b\n" in said
    assert said.endswith("1 circle\n")
