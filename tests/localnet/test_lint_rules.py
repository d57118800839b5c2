"""Each rule of the linter finds what it should, where it should, and lets pass what only looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest
from lint_cases import CASES
from lint_support import expected, found, places

from localnet.lint import Level, rules


@pytest.mark.parametrize("code", CASES)
def test_finds_it(tmp_path: Path, code: str) -> None:
    text = CASES[code][0]
    findings = found(tmp_path, text)
    assert any(finding.code == code for finding in findings)
    marks = expected(text)
    assert places(findings) == marks or (not marks and {finding.code for finding in findings} == {code})


@pytest.mark.parametrize("code", CASES)
def test_lets_pass_what_is_right(tmp_path: Path, code: str) -> None:
    findings = found(tmp_path, CASES[code][1])
    assert [finding for finding in findings if finding.level is not Level.INFO] == []
    assert code not in {finding.code for finding in findings}


def test_every_finding_says_how_to_fix_it(tmp_path: Path) -> None:
    for bad, _ in CASES.values():
        for finding in found(tmp_path, bad):
            assert finding.message
            assert finding.fix


def test_every_rule_is_tested_and_documented() -> None:
    from test_lint_files import READING
    from test_lint_header import HEADERS

    codes = [rule.code for _, rule in rules()]
    assert codes == sorted({*CASES, *HEADERS, *READING})
    document = (Path(__file__).parents[2] / "docs" / "lint.md").read_text(encoding="utf-8")
    for _, rule in rules():
        assert f"| {rule.code} | {rule.level} | {rule.title} | {rule.advice} |\n" in document
