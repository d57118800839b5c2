"""Contracts whose header names the SDK v0.1.0: its names are right there, and mean what they are called today."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pygenvm.lint import Level, lint, old_sdk
from pygenvm.localnet.lint_settings import settings
from tests.lint.lint_support import HEADER, OLD_HEADER, contract, each, found, places
from tests.support.paths import ROOT

OLD_CONTRACTS = ROOT / "tests" / "runners" / "old_contracts"
LAYER = ROOT / "runners" / "py-lib-genlayer-std-v0_1_0" / "src" / "_genlayer_v0_1_0.py"

#: A contract that breaks the rule in its fourteenth line, and one that does not.
OLD_SDK = {
    "GL604": (
        each("raise Rollback('x')", "gl.get_contract_at(self.address)"),
        each("raise Rollback('x')", "gl.ContractAt(self.address)"),
    ),
}


def old(body: str, before: str = "") -> str:
    return contract(body, before=before, header=OLD_HEADER)


def codes(folder: Path, text: str) -> list[tuple[int, str]]:
    """What is found, but for what every contract with this header is told."""
    findings = places(found(folder, text))
    assert (2, "GL112") in findings
    return [finding for finding in findings if finding[1] not in ("GL112", "GL205")]


@pytest.mark.parametrize("code", OLD_SDK)
def test_finds_it(tmp_path: Path, code: str) -> None:
    bad, good = OLD_SDK[code]
    assert codes(tmp_path, old(bad)) == [(14, code)]
    assert codes(tmp_path, old(good)) == []
    # With the current header it is the other way round.
    current = HEADER
    assert places(found(tmp_path, contract(bad, header=current))) == [(11, "GL601")]


@pytest.mark.parametrize("path", sorted(OLD_CONTRACTS.iterdir()), ids=lambda path: path.stem)
def test_contracts_of_that_time_have_no_mistakes(path: Path) -> None:
    findings = lint(path, settings())
    assert [finding.code for finding in findings if finding.level is Level.INFO] == ["GL112"]
    assert {finding.code for finding in findings if finding.level is not Level.INFO} <= {"GL417"}


def test_rules_know_what_the_names_mean(tmp_path: Path) -> None:
    """One that asks outside of a block, stores in one, begins one in another, and returns no bool."""
    text = old(
        "a: str\n"
        + each(
            "self.a = gl.exec_prompt('x')",
            "self.a = gl.get_webpage('x')",
            "gl.eq_principle_strict_eq(lambda: self.a)",
            "gl.eq_principle_strict_eq(lambda: gl.eq_principle_refl(lambda: 1))",
            "gl.advanced.run_nondet(lambda: 1, lambda r: 'yes')",
            "gl.sandbox(lambda: gl.exec_prompt('x'))",
        )
    )
    marks = [code for _, code in codes(tmp_path, text)]
    current = (
        text.replace("gl.exec_prompt", "gl.nondet.exec_prompt")
        .replace("gl.get_webpage", "gl.nondet.web.render")
        .replace("gl.eq_principle_strict_eq", "gl.eq_principle.strict_eq")
        .replace("gl.eq_principle_refl", "gl.eq_principle.strict_eq")
        .replace("gl.advanced.run_nondet", "gl.vm.run_nondet")
        .replace("gl.sandbox", "gl.vm.spawn_sandbox")
        .replace(OLD_HEADER, HEADER)
    )
    assert marks == [code for _, code in places(found(tmp_path, current)) if code != "GL205"]
    assert {"GL501", "GL502", "GL505", "GL506"} <= set(marks)


def test_a_decorated_class_is_the_contract(tmp_path: Path) -> None:
    text = OLD_HEADER + (
        "from genlayer import *\n\n\n@gl.contract\nclass C:\n    x: dict[str, int]\n\n    def __init__(self): ...\n"
    )
    assert codes(tmp_path, text) == [(9, "GL303")]
    assert [code for _, code in places(found(tmp_path, text.replace(OLD_HEADER, HEADER)))] == ["GL201", "GL601"]


def test_what_only_earlier_releases_had_is_not_there(tmp_path: Path) -> None:
    assert codes(tmp_path, old(each("gl.call_llm('x')", "gl.OtherContract(self.address)"))) == [
        (11, "GL601"),
        (14, "GL601"),
    ]
    assert codes(tmp_path, old(each("gl.no_such_name"))) == [(11, "GL602")]


def test_imports(tmp_path: Path) -> None:
    before = (
        "import genlayer.std as std\nfrom genlayer.std import advanced\nfrom genlayer.py.eth import MethodEncoder\n"
        "from genlayer.std import exec_prompt\n"
    )
    assert codes(tmp_path, old("a: str", before=before)) == []
    body = each("std.exec_prompt('x')", "advanced.no_such_name", "exec_prompt('x')")
    assert [code for _, code in codes(tmp_path, old(body, before=before))] == ["GL501", "GL602", "GL501"]


def test_names_are_those_of_the_layer() -> None:
    tree = ast.parse(LAYER.read_text())
    tables = {
        node.targets[0].id: ast.literal_eval(ast.Set(node.value.keys))  # type: ignore[arg-type]
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and isinstance(node.targets[0], ast.Name)
    }
    [message] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Message"]
    fields = {
        node.targets[0].id
        for node in message.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    } - {"__slots__"}
    assert set(old_sdk.NAMES) == (
        {f"gl.{name}" for name in tables["_OF_GL"]}
        | {f"gl.advanced.{name}" for name in tables["_OF_ADVANCED"]}
        | {f"gl.message.{name}" for name in fields}
        | tables["_MODULES"]
        | {"gl.storage.storage", "genlayer.py.storage.storage", "genlayer.Rollback"}
    )
