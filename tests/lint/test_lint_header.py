"""GL1xx: the header of one file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pygenvm.executor.runner.version import version_limit
from pygenvm.lint import header
from pygenvm.lint.model import Level
from tests.lint.lint_support import OLD_RUNNER, RUNNER, contract, found, places

EMBEDDINGS = header.published()["py-lib-genlayer-embeddings"][0]
JSON = f'{{ "Depends": "{RUNNER}" }}'
OK = ("# v0.2.16", f"# {JSON}", "", "# a comment of its own")

# Header lines that break the rule, the number of the line where it is found, and header lines that are right.
HEADERS: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "GL101": (('"""No comment."""', "", f"# {JSON}"), 1, OK),
    "GL102": (("// v0.2.16", f"// {JSON}"), 1, OK),
    "GL103": (("# very nice", f"# {JSON}"), 1, (f"# {JSON}",)),
    "GL104": (("# v999.0.0", f"# {JSON}"), 1, ("# v0.1.0", f"# {JSON}")),
    "GL105": (("# v0.2.16", f"# {JSON}", "# My contract"), 3, OK),
    "GL106": (("# v0.2.16", '# { "Dependz": "x:y" }'), 2, ("# v0.2.16", "# {", f'# "Depends": "{RUNNER}"', "# }")),
    "GL107": (("# v0.2.16", '# { "SetArgs": ["x"] }'), 2, ("# v0.2.16", f'# {{ "Seq": [{JSON}] }}')),
    "GL108": (("# v0.2.16", '# { "Depends": "py-genlayer:nonsense" }'), 2, OK),
    "GL109": (("# v0.2.16", '# { "Depends": "py-genlayer:test" }'), 2, OK),
    "GL111": (
        ("# v0.2.16", f'# {{ "Seq": [{JSON}, {{ "Depends": "py-lib-genlayer-embeddings:{EMBEDDINGS}" }}] }}'),
        2,
        OK,
    ),
    "GL112": (("# v0.2.16", f'# {{ "Depends": "{OLD_RUNNER}" }}'), 2, OK),
    "GL110": (("# v0.2.16", f'# {{ "Seq": [{JSON}, {{ "Depends": "softfloat:test" }}] }}'), 2, OK),
}


def with_header(*lines: str) -> str:
    return contract("x: u8", header="\n".join(lines) + "\n\n")


@pytest.mark.parametrize("code", HEADERS)
def test_finds_it(tmp_path: Path, code: str) -> None:
    lines, number, _ = HEADERS[code]
    findings = [finding for finding in found(tmp_path, with_header(*lines)) if finding.code.startswith("GL1")]
    assert places(findings) == [(number, code)]
    assert findings[0].fix


@pytest.mark.parametrize("code", HEADERS)
def test_lets_pass_what_is_right(tmp_path: Path, code: str) -> None:
    assert found(tmp_path, with_header(*HEADERS[code][2])) == []


@pytest.mark.parametrize(
    ("lines", "code", "says"),
    [
        (("", f"# {JSON}"), "GL101", "first line is empty"),
        ((" # v0.2.16", f"# {JSON}"), "GL101", "spaces"),
        (("\ufeff# v0.2.16", f"# {JSON}"), "GL101", "byte order mark"),
        (("# v0.0.0", f"# {JSON}"), "GL103", "does not exist"),
        (("# v1.2", f"# {JSON}"), "GL103", "`v1.2` begins with `v`"),
        (("# v0.2.16",), "GL106", "ends before it names a runner"),
        (("# My contract", f"# {JSON}"), "GL105", "stands above the JSON"),
        ((f"# {JSON}", "# v0.2.16"), "GL105", "a version line below the JSON"),
        (("# v0.2.16", '# { "Depends": "py-genlayer" }'), "GL108", "no reference to a runner"),
        (("# v0.2.16", '# { "Depends": "py-genlayr:abc" }'), "GL108", "no runner `py-genlayr`"),
        (("# v0.2.16", '# { "Depends": "py-genlayer-multi:test" }'), "GL107", "this is a single file"),
        (("# v0.2.16", '# { "Depends": 1 }'), "GL106", "not a string"),
    ],
)
def test_says_what_is_wrong(tmp_path: Path, lines: tuple[str, ...], code: str, says: str) -> None:
    findings = found(tmp_path, with_header(*lines))
    assert any(finding.code == code and says in finding.message for finding in findings)


def test_runners_of_other_kinds_are_let_pass() -> None:
    assert header.check_text('# { "StartWasm": "x" }\n', header.Runners({})).faults == []
    warnings = header.check_text('# { "Depends": "cpython:test" }\n', header.Runners({})).faults
    assert [rule.level for rule, *_ in warnings] == [Level.WARNING]


def test_without_built_runners_hashes_are_not_judged() -> None:
    assert header.check_text('# { "Depends": "py-genlayer:nonsense" }\n', header.Runners({})).faults == []


def test_a_runner_that_was_installed_by_hand_is_known() -> None:
    text = f'# {{ "Seq": [{JSON}, {{ "Depends": "py-lib-genlayer-embeddings:{EMBEDDINGS}" }}] }}\n'
    known = header.Runners({"py-lib-genlayer-embeddings": [EMBEDDINGS], "py-genlayer": []}, ["py-genlayer"])
    assert header.check_text(text, known).faults == []
    [(rule, *_)] = header.check_text(text, header.Runners({"py-genlayer": []}, ["py-genlayer"])).faults
    assert (rule.code, rule.level) == ("GL111", Level.ERROR)


@pytest.mark.parametrize("more", [0, 1])
def test_versions_are_those_that_the_executor_takes(more: int) -> None:
    highest = version_limit(-1).version
    text = f"# v{highest.major}.{highest.minor}.{highest.patch}\n# {JSON}\n"
    if more:
        text = f"# v{highest.major}.{highest.minor + 1}.0\n# {JSON}\n"
    codes = [rule.code for rule, *_ in header.check_text(text, header.Runners({})).faults]
    assert codes == ["GL104"] * more


def test_what_a_header_brings() -> None:
    def runners(text: str) -> frozenset[str] | None:
        return header.check_text(f"# {text}\n", header.Runners({})).runners

    assert runners(JSON) == frozenset({"py-genlayer"})
    assert runners(f'{{ "Seq": [{{ "AddEnv": {{ "name": "A", "val": "b" }} }}, {JSON}] }}') is None
    assert runners(f'{{ "Seq": [{{ "Depends": "my-own:hash" }}, {JSON}] }}') is None


def test_the_place_is_that_of_the_reference(tmp_path: Path) -> None:
    [finding] = found(tmp_path, with_header('# { "Depends": "py-genlayer:test" }'))
    assert finding.source[finding.place.column : finding.place.end] == "py-genlayer:test"
