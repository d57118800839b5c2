"""A damaged configuration file: no command passes over it, whether it needs one or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pygenvm.cli.main import main

DAMAGED = "threads: 2\nlog_disable: [\n  : : x"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("runners", "list"), 1),
        (("runners", "verify"), 1),
        (("local", "accounts"), 2),
        (("local", "lint", "--rules"), 2),
        (("local", "deploy", "contract.py"), 2),
        (("replay", "--diff", "a", "b"), 3),
        (("replay", "a"), 3),
        (("precompile", "--info"), 1),
        (("parse-version-pattern",), 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_damaged_file(
    words: tuple[str, ...],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("damaged.yaml").write_text(DAMAGED)
    assert main(["--config", "damaged.yaml", *words]) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert "damaged.yaml: not YAML" in line
    assert "line 3" in line


def test_for_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--config", "missing.yaml", "local", "accounts", "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {
        "ok": False,
        "error": {"kind": "usage", "message": "--config: missing.yaml: No such file or directory"},
    }
