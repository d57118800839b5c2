"""Each rule of the linter finds what it should, where it should, and lets pass what only looks like it."""

from __future__ import annotations

import ast
import cProfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pygenvm.lint import Finding, Level, rules, source
from tests.lint.lint_cases import CASES, DOUBTFUL, FOUND, PASSES
from tests.lint.lint_support import contract, each, expected, found, places
from tests.support.paths import DOCS
from tests.support.quick import few

RULES = {rule.code: rule for _, rule in rules()}


@pytest.mark.parametrize("code", CASES)
def test_finds_it(tmp_path: Path, code: str) -> None:
    text = CASES[code][0]
    findings = found(tmp_path, text)
    assert any(finding.code == code and finding.level is RULES[code].level for finding in findings)
    marks = expected(text)
    assert places(findings) == marks or (not marks and {finding.code for finding in findings} == {code})


@pytest.mark.parametrize("code", CASES)
def test_lets_pass_what_is_right(tmp_path: Path, code: str) -> None:
    findings = found(tmp_path, CASES[code][1])
    assert [finding for finding in findings if finding.level is not Level.INFO] == []
    assert code not in {finding.code for finding in findings}


@pytest.mark.parametrize("name", PASSES)
def test_lets_pass_what_only_looks_wrong(tmp_path: Path, name: str) -> None:
    assert [finding for finding in found(tmp_path, PASSES[name]) if finding.code != "GL205"] == []


@pytest.mark.parametrize("name", FOUND)
def test_finds_more(tmp_path: Path, name: str) -> None:
    findings = found(tmp_path, FOUND[name])
    assert places(findings) == expected(FOUND[name])
    assert {finding.level for finding in findings} == {RULES[findings[0].code].level}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_doubts_what_may_not_happen(tmp_path: Path, name: str) -> None:
    findings = found(tmp_path, DOUBTFUL[name])
    assert places(findings) == expected(DOUBTFUL[name])
    assert {finding.level for finding in findings} == {Level.WARNING}


@pytest.mark.parametrize(
    ("annotation", "stored"),
    [
        ("dict[Address, list[Todo]]", "TreeMap[Address, DynArray[Todo]]"),
        ("list[dict[str, int]]", "DynArray[TreeMap[str, bigint]]"),
        ("TreeMap[Address, list[Todo]]", "DynArray[Todo]"),
        ("set[int]", "TreeMap[bigint, None]"),
        ("dict[str, set[str]]", "TreeMap[str, TreeMap[str, None]]"),
        ("tuple[int, ...]", "DynArray[bigint]"),
        ("dict[str, tuple[u8, str]]", "TreeMap[str, R]"),
        ("'dict[str, typing.List[int]]'", "TreeMap[str, DynArray[bigint]]"),
    ],
)
def test_what_a_fix_of_a_container_says_can_be_stored(tmp_path: Path, annotation: str, stored: str) -> None:
    before = "import typing\nfrom dataclasses import dataclass\n"
    before += "".join(f"\n@allow_storage\n@dataclass\nclass {name}:\n    a: u8\n" for name in ("Todo", "R"))
    [finding] = found(tmp_path, contract(f"x: {annotation}", before=before))
    assert (finding.code, finding.fix.split("`")[1]) == ("GL303", stored)
    mended = finding.source.strip().replace(finding.source[finding.place.column : finding.place.end], stored)
    assert found(tmp_path, contract(mended, before=before)) == []


@pytest.mark.parametrize(
    "event",
    [
        "def __init__(self, b: u8, a: str, d: u8, c: u8, e: bytes): ...",
        "def __init__(self, b: u8, /, a: str): ...",
        "def __init__(self, *, b: u8, a): ...",
        "def __init__(self, b: u8, *rest: u8, c: str): ...",
        "b: u8\n    a: str\n    d: u8\n    c: u8",
    ],
)
def test_what_a_fix_of_an_event_says_is_an_event(tmp_path: Path, event: str) -> None:
    def findings(body: str) -> list[Finding]:
        return found(tmp_path, contract(each("E"), before=f"TYPE = u8\n\nclass E(gl.Event):\n    {body}"))

    first = findings(event)[0]
    assert first.code == "GL703"
    assert findings(first.fix.split("`")[1]) == []


def _lines(times: int, *lines: str) -> str:
    return "@gl.public.write\ndef f(self, a: Address) -> None:\n" + "".join(
        f"    {line.replace('#', str(number))}\n" for number in range(times) for line in lines
    )


#: Contracts of a size, by what there is much of.
LONG: dict[str, Callable[[int], str]] = {
    "blocks": lambda times: _long(times // 2),
    "changes of defaults": lambda times: contract(
        "m: TreeMap[str, DynArray[u8]]\n"
        + _lines(times, "x# = self.m.get('#', [])", "x#.append(u8(1))", "self.m.setdefault('#', []).append(u8(1))")
    ),
    "changes of filled maps": lambda times: contract(
        "m: TreeMap[str, DynArray[u8]]\n" + each(*["self.m['k'] = []", "self.m.get('k', []).append(u8(1))"] * times)
    ),
    "names of names": lambda times: contract(
        "i: u8\n" + _lines(times, "x# = 0.5 + x# + 1", "y = x#", "self.i = x# + x#", "self.i /= x#", "self.i = 0.5")
    ),
    "fields of records": lambda times: contract(
        "r: R\n" + _lines(times, "self.r.a# = 0.5", "R(0.5, a#='x')"),
        before="from dataclasses import dataclass\n\n@allow_storage\n@dataclass\nclass R:\n"
        + "".join(f"    a{number}: u8\n" for number in range(times)),
    ),
    "records in records": lambda times: contract(
        "r: R0", before="".join(f"class R{number}:\n    a: R{number + 1}\n    b: int\n" for number in range(times))
    ),
    "mix-ins": lambda times: contract(
        "x: u8",
        before="class M0: ...\n"
        + "".join(f"class M{n}(M{n - 1}):\n    a{n}: u8 = u8(5)\n    def b{n}(self): ...\n" for n in range(1, times)),
    ).replace("C(gl.", f"C(M{times - 1}, gl."),
    "calls of contracts": lambda times: contract(
        _lines(times, "p = gl.get_contract_at(a)", "p#(a)", "gl.get_contract_at(a).view().f()", "gl.vm.UserError()")
    ),
    "conditions": lambda times: contract(
        _lines(times, "try: gl.vm.Foo", "except Exception: gl.vm.Bar if a else gl.vm.Baz")
    ),
    "long sums": lambda times: contract(
        _lines(1, "gl.get_contract_at(a).view().f()", " + ".join(["gl.vm.Foo", "a"] * times))
    ),
}


@pytest.mark.parametrize("what", few(LONG, "fields of records", "mix-ins", "conditions", "long sums"))
def test_work_grows_with_the_length(tmp_path: Path, what: str) -> None:
    few, many = (_calls(tmp_path, LONG[what](times)) for times in (25, 100))
    assert many < 5 * few


def test_a_long_method_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "    x = g(x, 1) + x * len(str(x))\n" * 1000
    text = contract(f"@gl.public.view\ndef f(self, x: int) -> int:\n{lines}    return x")
    walk, seen = source.own_nodes, 0

    def counted(function: source.FunctionNode | ast.Module) -> Iterator[tuple[ast.AST, bool]]:
        nonlocal seen
        for node in walk(function):
            seen += 1
            yield node

    monkeypatch.setattr(source, "own_nodes", counted)
    assert found(tmp_path, text) == []
    assert 1000 < seen <= sum(1 for _ in ast.walk(ast.parse(text)))


def _long(times: int) -> str:
    """A contract of that many methods with a block each, and one method with that many lines for each of them."""
    blocks = "".join(
        f"@gl.public.write\ndef f{number}(self, url: str) -> None:\n    rows = self.rows\n    def leader() -> str:\n"
        f"        return ask(url) + str(rows)\n    gl.vm.run_nondet(leader, lambda r: self._same())\n"
        f"    self.h{number}(1)\ndef h{number}(self, x: int) -> None:\n    self._same()\n"
        for number in range(times)
    )
    lines = "    x = g(x, 1) + x * len(str(x))\n" * 9 * times
    return contract(
        "rows: DynArray[R]\ndef _same(self) -> bool: return bool(self.rows)\n"
        f"@gl.public.write\ndef i(self, x: int) -> None:\n{lines}{blocks}",
        before="def ask(x: str) -> str: return gl.nondet.exec_prompt(x)\n\ndef g(x: int, y: int) -> int: return x\n\n"
        "@allow_storage\nclass R:\n    a: u8\n",
    )


def _calls(folder: Path, text: str) -> int:
    """How many Python functions are called to check the contract."""
    found(folder, text)  # what is computed once is not counted
    with cProfile.Profile(builtins=False) as profile:
        assert len(found(folder, text)) > 20
    return sum(entry.callcount for entry in profile.getstats())


def test_every_finding_says_how_to_fix_it(tmp_path: Path) -> None:
    for bad, _ in CASES.values():
        for finding in found(tmp_path, bad):
            assert finding.message
            assert finding.fix


def test_every_rule_is_tested_and_documented() -> None:
    from tests.lint.test_lint_files import READING
    from tests.lint.test_lint_header import HEADERS
    from tests.lint.test_lint_old_sdk import OLD_SDK

    codes = [rule.code for _, rule in rules()]
    assert codes == sorted({*CASES, *HEADERS, *OLD_SDK, *READING})
    document = (DOCS / "lint.md").read_text(encoding="utf-8")
    for _, rule in rules():
        assert f"| {rule.code} | {rule.level} | {rule.title} | {rule.advice} |\n" in document
