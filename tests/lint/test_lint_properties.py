"""Whatever is done to a contract, the linter reports and never fails; and it knows the names of the SDK."""

from __future__ import annotations

import ast
import copy
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.lint import lint, names
from tests.lint.lint_cases import CASES, DOUBTFUL, FOUND, PASSES
from tests.lint.lint_support import SETTINGS
from tests.support.paths import ROOT
from tests.support.properties import examples

SOURCES = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples" / "contracts").glob("*.py"))]
SOURCES += [text for pair in CASES.values() for text in pair]
SOURCES += [*PASSES.values(), *FOUND.values(), *DOUBTFUL.values()]
LINES = sorted({line for text in SOURCES for line in text.splitlines()})
STUBS = ROOT / "stubs" / "genlayer-stubs"
_FOLDER = tempfile.TemporaryDirectory(prefix="genvm-lint-")


@examples(150)
@given(st.sampled_from(SOURCES), st.randoms(use_true_random=False), st.integers(1, 12))
def test_changed_sources(source: str, chance: random.Random, changes: int) -> None:
    lines = source.splitlines()
    for _ in range(changes):
        at = chance.randrange(len(lines) + 1)
        match chance.randrange(4):
            case 0:
                del lines[at : at + chance.randrange(3)]
            case 1:
                lines.insert(at, chance.choice(LINES))
            case 2 if at < len(lines):
                indent = " " * chance.choice((0, 4, 8))
                lines[at] = indent + lines[at].strip()
            case _ if at < len(lines) and lines[at]:
                column = chance.randrange(len(lines[at]))
                lines[at] = lines[at][:column] + chance.choice("()[]:.,'@é\t\x00") + lines[at][column + 1 :]
    check("\n".join(lines))


def check(text: str) -> None:
    path = Path(_FOLDER.name) / "contract.py"
    path.write_bytes(text.encode())
    for finding in lint(path, SETTINGS):
        assert finding.place.line >= 1
        assert 0 <= finding.place.column <= finding.place.end
        assert finding.message
        assert finding.fix


def exported(file: str) -> set[str]:
    """`__all__` of a stub."""
    for node in ast.parse((STUBS / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    raise AssertionError(file)


def test_names_are_those_of_the_sdk() -> None:
    types = exported("py/types.pyi")
    assert exported("__init__.pyi") == names.EXPORTED
    modules = {"annotations", "events", "genvm_contracts"}
    assert names.MEMBERS["gl"] == exported("gl/__init__.pyi") | types | modules
    assert names.MEMBERS["gl.vm"] == exported("gl/vm.pyi")
    assert names.MEMBERS["gl.nondet"] == exported("gl/nondet/__init__.pyi") | {"NondetException"}
    assert names.MEMBERS["gl.nondet.web"] == exported("gl/nondet/web.pyi")
    assert names.MEMBERS["gl.eq_principle"] == exported("gl/eq_principle.pyi")
    assert names.MEMBERS["gl.advanced"] == exported("gl/advanced.pyi")
    fields = fields_of("_internal/msg.pyi")
    assert names.MEMBERS["gl.message"] == fields["MessageType"]
    assert fields["MessageRawType"] == names.MESSAGE_RAW


@pytest.mark.parametrize("file", ["gl/vm", "gl/nondet/__init__", "gl/nondet/web", "gl/eq_principle", "gl/advanced"])
def test_what_modules_of_the_sdk_have_is_let_pass(file: str) -> None:
    bound = set()
    for node in ast.parse((STUBS / f"{file}.pyi").read_text(encoding="utf-8")).body:
        match node:
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                bound |= {alias.asname or alias.name.split(".")[0] for alias in aliases}
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
    known = names.MEMBERS[file.removesuffix("/__init__").replace("/", ".")] | names.UNLISTED
    bound.discard("typing_extensions")  # only the stubs import it
    assert [name for name in bound - known if not name.startswith("_")] == []


def test_parameters_of_prompts_are_those_of_the_sdk() -> None:
    calls = [
        node
        for node in ast.walk(ast.parse((STUBS / "gl/nondet/__init__.pyi").read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name in ("__call__", "lazy")
    ]
    assert calls
    for call in calls:
        given = [parameter.arg for parameter in (*call.args.args, *call.args.kwonlyargs)]
        assert tuple(given) == ("self", *names.PROMPT_PARAMETERS)


def signatures(file: str, namespace: str) -> dict[str, str]:
    """What each function of a stub takes, without types; ``f: _F`` stands for what ``_F`` is when it is called."""
    body = ast.parse((STUBS / file).read_text(encoding="utf-8")).body
    classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
    found = {}
    for node in body:
        function: ast.AST | None = node
        if isinstance(node, ast.AnnAssign) and isinstance(node.annotation, ast.Name):
            members = classes[node.annotation.id].body if node.annotation.id in classes else []
            function = next((one for one in members if getattr(one, "name", "") == "__call__"), None)
        if isinstance(function, ast.FunctionDef):
            name = ast.unparse(node.target) if isinstance(node, ast.AnnAssign) else function.name
            found[f"{namespace}.{name}"] = parameters_of(function)
    return found


def parameters_of(function: ast.FunctionDef) -> str:
    given = copy.deepcopy(function.args)
    for part in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
        if part:
            part.annotation = None
    for every in (given.posonlyargs, given.args):
        every[:] = [part for part in every if part.arg != "self"]
    return ast.unparse(given)


def test_functions_take_what_those_of_the_sdk_do() -> None:
    known: dict[str, str] = {}
    for file, namespace in {
        "gl/__init__.pyi": "gl",
        "gl/genvm_contracts.pyi": "gl",
        "gl/vm.pyi": "gl.vm",
        "gl/eq_principle.pyi": "gl.eq_principle",
        "gl/nondet/__init__.pyi": "gl.nondet",
        "gl/nondet/web.pyi": "gl.nondet.web",
        "gl/advanced.pyi": "gl.advanced",
    }.items():
        known |= signatures(file, namespace)
    known["gl.vm.UserError"] = ", ".join(fields_in_order("gl/vm.pyi", "UserError"))
    del known["gl.contract_interface"]
    assert {name: text for name, text in known.items() if "._" not in name} == names.SIGNATURES


@pytest.mark.parametrize(
    ("file", "methods"),
    [("gl/genvm_contracts.pyi", names.PROXY_METHODS), ("py/evm/generate.pyi", names.EVM_PROXY_METHODS)],
)
def test_proxies_take_what_those_of_the_sdk_do(file: str, methods: dict[str, str]) -> None:
    body = ast.parse((STUBS / file).read_text(encoding="utf-8")).body
    [proxy] = [node for node in body if isinstance(node, ast.ClassDef) and node.name == "ContractProxy"]
    found = {item.name: item for item in proxy.body if isinstance(item, ast.FunctionDef)}
    fields = {ast.unparse(item.target) for item in proxy.body if isinstance(item, ast.AnnAssign)}
    assert {*found, *fields} - {"__init__"} == names.PROXY_MEMBERS
    assert {name: parameters_of(found[name]) for name in methods} == methods


def fields_in_order(file: str, name: str) -> list[str]:
    body = ast.parse((STUBS / file).read_text(encoding="utf-8")).body
    [found] = [node for node in body if isinstance(node, ast.ClassDef) and node.name == name]
    return [ast.unparse(item.target) for item in found.body if isinstance(item, ast.AnnAssign)]


def fields_of(file: str) -> dict[str, set[str]]:
    """Annotated names of each class of a stub."""
    return {
        node.name: {ast.unparse(item.target) for item in node.body if isinstance(item, ast.AnnAssign)}
        for node in ast.parse((STUBS / file).read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
