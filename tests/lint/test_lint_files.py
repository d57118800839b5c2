"""Reading of files and folders, contracts of several files, and the command."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pygenvm.cli.main import main
from pygenvm.executor.runner.contract_file import ContractFileError, ContractNotFound
from pygenvm.lint import Level, Settings, find_contracts, lint
from pygenvm.lint.check import SandboxAnswer
from pygenvm.lint.header import published
from pygenvm.runners import recipes
from tests.lint.lint_support import HEADER, RUNNER, SETTINGS, contract, found, places
from tests.support.paths import EXAMPLES

#: Rules of this file.
READING = ("GL001", "GL002", "GL003")
NEW_SYNTAX = contract("x: u8") + "\n\ndef first[T](items: list[T]) -> T:\n    return items[0]\n"

old_host_only = pytest.mark.skipif(sys.version_info >= (3, 13), reason="this Python reads everything")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A contract of two files."""
    root = tmp_path / "multi"
    (root / "contract").mkdir(parents=True)
    (root / "version").write_text("v0.2.16\n")
    (root / "runner.json").write_text(json.dumps({"Depends": RUNNER.replace("genlayer:", "genlayer-multi:")}))
    (root / "contract" / "__init__.py").write_text(
        "from genlayer import *\nfrom .ask import ask\nfrom .records import Item, Kind\n\n"
        "class C(gl.Contract):\n    items: DynArray[Item]\n    kind: Kind\n    def __init__(self) -> None: ...\n"
        "    @gl.public.write\n    def go(self) -> str:\n        return ask()\n"
    )
    (root / "contract" / "ask.py").write_text(
        "from genlayer import *\n\ndef ask() -> str:\n    return gl.nondet.exec_prompt('x')\n"
    )
    (root / "contract" / "records.py").write_text(
        "import enum\nfrom genlayer import *\n\n@allow_storage\nclass Item:\n    size: int\n\n"
        "class Kind(enum.IntEnum):\n    A = 1\n"
    )
    return root


@pytest.mark.parametrize("path", find_contracts(EXAMPLES), ids=lambda path: path.name)
def test_examples_are_clean(path: Path) -> None:
    settings = replace(SETTINGS, buildable=recipes.runner_ids())
    assert [finding for finding in lint(path, settings) if finding.level is not Level.INFO] == []


def test_follows_imports_within_a_folder(folder: Path) -> None:
    findings = [(finding.path.name, finding.place.line, finding.code) for finding in lint(folder, SETTINGS)]
    assert findings == [("__init__.py", 7, "GL305"), ("ask.py", 4, "GL501"), ("records.py", 6, "GL301")]


def test_star_imports_within_a_folder(folder: Path) -> None:
    init = folder / "contract" / "__init__.py"
    (folder / "contract" / "common.py").write_text("from genlayer import *\n")
    init.write_text(init.read_text().replace("from genlayer import", "from .common import"))
    assert [finding.code for finding in lint(folder, SETTINGS)] == ["GL305", "GL501", "GL301"]


def test_header_of_a_folder(folder: Path) -> None:
    (folder / "version").write_text("1.2.3.4")
    (folder / "runner.json").write_text(json.dumps({"Depends": RUNNER}))
    findings = [(finding.path.name, finding.code) for finding in lint(folder, SETTINGS)]
    assert ("version", "GL103") in findings
    assert ("runner.json", "GL107") in findings
    (folder / "runner.json").write_text("{")
    assert ("runner.json", "GL106") in [(finding.path.name, finding.code) for finding in lint(folder, SETTINGS)]


def test_a_folder_without_a_contract(folder: Path) -> None:
    for file in (folder / "contract").iterdir():
        file.unlink()
    assert [finding.code for finding in lint(folder, SETTINGS)] == ["GL201"]


def test_syntax_error(tmp_path: Path) -> None:
    text = contract("x: u8") + "\nif True\n"
    complaining = Settings({}, lambda _: SandboxAnswer(False, "expected ':'", "/contract.py", text.count("\n")))
    path = tmp_path / "c.py"
    path.write_text(text)
    [finding] = lint(path, complaining)
    assert finding.code == "GL001"
    assert finding.source == "if True"
    assert finding.message == "expected ':'"


@old_host_only
def test_syntax_that_only_the_sandbox_reads(tmp_path: Path) -> None:
    path = tmp_path / "c.py"
    path.write_text(NEW_SYNTAX)
    [finding] = lint(path, Settings({}, lambda _: SandboxAnswer(True)))
    assert (finding.code, finding.level, finding.source) == (
        "GL002",
        Level.WARNING,
        "def first[T](items: list[T]) -> T:",
    )
    assert "3.13 of the sandbox can" in finding.message
    [finding] = lint(path, Settings({}))
    assert "not known" in finding.message


def test_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / "c.py"
    path.write_bytes(HEADER.encode() + b"# \xff\n")
    [finding] = lint(path, SETTINGS)
    assert (finding.code, finding.place.line) == ("GL003", 4)


@pytest.mark.parametrize("text", [HEADER + "x = " + "(" * 5000, HEADER + "x = " + "-" * 20000 + "1", HEADER + "\0"])
def test_what_the_parser_refuses(tmp_path: Path, text: str) -> None:
    assert {finding.code for finding in found(tmp_path, text)} & {"GL001", "GL002"}


def test_deep_expressions(tmp_path: Path) -> None:
    text = contract("def f(self) -> None:\n    x = " + " + ".join(["1"] * 2000) + "\ny: int") + "\n"
    assert {finding.code for finding in found(tmp_path, text)} & {"GL001", "GL301"}


def test_endless_integers(tmp_path: Path) -> None:
    text = contract("def f(self) -> None:\n    gl.vm.run_nondet(lambda: 1, lambda r: 0x" + "f" * 9000 + ")")
    assert "GL506" in {finding.code for finding in found(tmp_path, text)}


def test_findings_can_be_allowed(tmp_path: Path) -> None:
    text = contract("x: int  # lint: allow[GL999, GL301]\ny: int  # lint: allow[GL302]")
    assert places(found(tmp_path, text)) == [(10, "GL301")]


def test_what_is_no_python_contract(tmp_path: Path) -> None:
    for name, content in (("a.wasm", b"\0asm\1\0\0\0"), ("a.zip", b"PK\x03\x04")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ContractFileError, match=r"WebAssembly|zip"):
            lint(tmp_path / name, SETTINGS)
    with pytest.raises(ContractNotFound):
        lint(tmp_path / "none.py", SETTINGS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ContractNotFound, match="no contracts"):
        find_contracts(tmp_path / "empty")


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "wallet.py").write_text(contract("x: u8"))
    os.mkfifo(tmp_path / "pipe.py")
    assert find_contracts(tmp_path) == [tmp_path / "wallet.py"]
    with pytest.raises(ContractFileError, match="neither a file nor a folder"):
        lint(tmp_path / "pipe.py", SETTINGS)


def test_contracts_of_a_folder(tmp_path: Path, folder: Path) -> None:
    texts = {
        "wallet.py": contract("x: u8"),
        "no_header.py": contract("x: u8", header=""),
        "no_class.py": HEADER,
        "broken.py": "class C(gl.Contract:\n",
        "deep/er/token.py": contract("x: u8"),
        "conftest.py": "import pytest\n",
        "tests/test_wallet.py": f"TEXT = {contract('x: u8', header='')!r}\n",
        ".venv/lib/wallet.py": contract("x: u8"),
        "deep/__pycache__/wallet.py": contract("x: u8"),
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    names = [*list(texts)[:5], folder.name]
    assert find_contracts(tmp_path) == sorted(tmp_path / name for name in names)


def test_names_of_a_star_import_within_a_folder(folder: Path) -> None:
    (folder / "contract" / "ask.py").write_text("def ask() -> str: return 'x'\n")
    (folder / "contract" / "errors.py").write_text("class Rollback(Exception): ...\n")
    (folder / "contract" / "records.py").write_text(
        "from genlayer import *\nfrom .errors import *\n\nKind = u8\n\n@allow_storage\nclass Item:\n    size: u8\n"
        "    def check(self) -> None:\n        raise Rollback('x')\n"
    )
    assert lint(folder, SETTINGS) == []


def test_columns_count_characters(tmp_path: Path) -> None:
    [finding] = found(tmp_path, contract("x: u8; é: int"))
    assert finding.source[finding.place.column : finding.place.end] == "int"


# --- the command --------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = main(["local", "lint", *arguments])
    except SystemExit as end:
        code = int(str(end.code))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.py"
    path.write_text(contract("x: list[int]"))
    code, out, _ = run(capsys, str(path))
    assert code == 1
    head, source, mark, fix, count = out.splitlines()
    assert head.endswith("bad.py:9:8: error GL303 a `list` cannot be stored")
    assert source[mark.index("^") :][: mark.count("^")] == "list[int]"
    assert fix == "  fix: Write `DynArray[bigint]`."
    assert count == "1 error in 1 contract"
    path.write_text(contract("x: u8"))
    assert run(capsys, str(path)) == (0, "nothing to say in 1 contract\n", "")


def test_command_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.py"
    path.write_text(contract("x: list[int]"))
    code, out, err = run(capsys, str(path), str(EXAMPLES / "voting.py"), "--json")
    document: Any = json.loads(out)
    assert (code, err, document["ok"]) == (1, "", False)
    assert document["checked"] == [str(path), str(EXAMPLES / "voting.py")]
    assert document["findings"][0] == {
        "file": str(path),
        "line": 9,
        "column": 8,
        "end_column": 17,
        "level": "error",
        "code": "GL303",
        "message": "a `list` cannot be stored",
        "fix": "Write `DynArray[bigint]`.",
    }
    assert [finding["level"] for finding in document["findings"]] == ["error"]
    code, out, _ = run(capsys, str(path), str(path), str(tmp_path), "--json")
    assert json.loads(out)["checked"] == [str(path)]
    code, out, _ = run(capsys, "--rules", "--json")
    assert ("GL303", "error") in [(rule["code"], rule["level"]) for rule in json.loads(out)["rules"]]
    code, out, _ = run(capsys, "--json")
    assert (code, json.loads(out)["error"]["kind"]) == (2, "usage")
    code, out, _ = run(capsys, str(tmp_path / "none.py"), "--json")
    assert (code, json.loads(out)["error"]["kind"]) == (2, "not_found")


def test_command_knows_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Runners that are not built, modules that are left out."""
    library = f"py-lib-genlayer-embeddings:{published()['py-lib-genlayer-embeddings'][-1]}"
    header = f'# {{ "Seq": [{{ "Depends": "{library}" }}, {{ "Depends": "{RUNNER}" }}] }}\n\n'
    path = tmp_path / "bad.py"
    path.write_text(contract("x: u8", before="import tkinter", header=header))
    code, out, _ = run(capsys, str(path), "--json")
    assert code == 1
    codes = [finding["code"] for finding in json.loads(out)["findings"]]
    # The first only where that runner was not built yet.
    assert codes in (["GL110", "GL801"], ["GL801"])


def test_command_lists_rules(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--rules")
    assert code == 0
    assert "  GL301 error   `int` has no size in storage" in out.splitlines()


def test_nothing_of_a_contract_drives_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.py"
    path.write_text(contract("x: list[int]  # \x1b[31m\u202e [bold]\x07") + '\n"\x1b]0;x\x07" | gl.vm.Foo\n')
    code, out, _ = run(capsys, str(path))
    assert code == 1
    assert not {"\x1b", "\x07", "\u202e"} & set(out)
    assert "[bold]" in out


def test_long_lines_are_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.py"
    path.write_text(contract("x: u8; " + "y: u8; " * 500 + "z: int"))
    code, out, _ = run(capsys, str(path))
    _, source, mark, *_ = out.splitlines()
    assert code == 1
    assert source[mark.index("^") :] == "int"
    assert len(source) < 200
