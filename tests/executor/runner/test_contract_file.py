"""Contract code from the disk."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pygenvm.executor.runner.contract_file import ContractFileError, packed_file, read_contract
from pygenvm.lint import Settings, lint
from tests.support.paths import EXAMPLES

QUIZ = EXAMPLES / "quiz"


@pytest.fixture
def side_by_side(tmp_path: Path) -> Path:
    """The example quiz/ with everything in one folder."""
    folder = tmp_path / "quiz"
    shutil.copytree(QUIZ / "contract", folder)
    for name in ("runner.json", "version"):
        shutil.copy(QUIZ / name, folder)
    (folder / "zoo").mkdir()
    (folder / "zoo" / "__init__.py").write_text("")
    return folder


def names(code: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(code)) as archive:
        return archive.namelist()


def test_files_side_by_side_are_the_package(side_by_side: Path) -> None:
    (side_by_side / ".git").write_text("")
    (side_by_side / "__pycache__").mkdir()
    (side_by_side / "__pycache__" / "questions.pyc").write_text("")
    code = read_contract(side_by_side)
    assert names(code) == [
        "contract/__init__.py",
        "contract/questions.py",
        "contract/questions.txt",
        "contract/zoo/__init__.py",
        "runner.json",
        "version",
    ]
    assert packed_file(side_by_side, "contract/zoo/__init__.py") == side_by_side / "zoo" / "__init__.py"
    assert packed_file(side_by_side, "runner.json") == side_by_side / "runner.json"


def test_both_forms_are_the_same_code(side_by_side: Path) -> None:
    shutil.rmtree(side_by_side / "zoo")
    assert read_contract(side_by_side) == read_contract(QUIZ)
    assert packed_file(QUIZ, "contract/__init__.py") == QUIZ / "contract" / "__init__.py"


def test_a_folder_that_holds_the_package_is_packed_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "quiz"
    shutil.copytree(QUIZ, folder)
    (folder / "__init__.py").write_text("")
    assert {"__init__.py", "contract/__init__.py"} < set(names(read_contract(folder)))


def test_a_folder_without_a_runner_json_is_none(side_by_side: Path) -> None:
    (side_by_side / "runner.json").unlink()
    with pytest.raises(ContractFileError, match=r"a folder needs a runner\.json"):
        read_contract(side_by_side)


def test_lint_names_the_files_as_they_lie(side_by_side: Path) -> None:
    (side_by_side / "zoo" / "__init__.py").write_text("def broken(:\n")
    settings = Settings({"py-genlayer-multi": {"06zyvrlivjga0d5jlpdbprksc0pa6jmllxvp8s20hq1l512vh5yk"}})
    assert [finding.path for finding in lint(side_by_side, settings)] == [side_by_side / "zoo" / "__init__.py"]


def test_commands_take_it(built_runners: object, side_by_side: Path) -> None:
    def genvm(*arguments: str) -> dict[str, object]:
        command = [sys.executable, "-P", "-m", "pygenvm.cli.main", "local", "--db", "local.db", *arguments, "--json"]
        done = subprocess.run(
            command, cwd=side_by_side.parent, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        document: dict[str, object] = json.loads(done.stdout)
        return document

    assert genvm("lint", "quiz")["checked"] == ["quiz"]
    schema = genvm("schema", "quiz")["schema"]
    assert isinstance(schema, dict)
    assert sorted(schema["methods"]) == ["answer", "question", "score"]
    assert genvm("deploy", "quiz")["ok"] is True
    assert genvm("view", "quiz", "question", "--args", '[{"$addr": "alice"}]')["result"] == "What is 6 times 7?"
