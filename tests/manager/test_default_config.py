"""The configuration that ``--print-config`` shows."""

from __future__ import annotations

import re
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from pygenvm.manager.settings import Settings, read_settings
from tests.support.paths import ROOT

TEXT = (files("pygenvm.manager") / "default.yaml").read_text(encoding="utf-8")


def test_its_values_are_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # No manifest beside the program.
    monkeypatch.setattr("sys.argv", [str(tmp_path / "bin" / "genvm-modules")])
    path = tmp_path / "manager.yaml"
    path.write_text(TEXT)
    assert read_settings(path) == Settings()


def test_it_has_every_key() -> None:
    assert set(yaml.safe_load(TEXT)) == {field.name for field in fields(Settings)} | {"threads", "blocking_threads"}


def test_operators_are_told_of_every_metric_by_its_name() -> None:
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    source = (ROOT / "manager" / "metrics.py").read_text(encoding="utf-8")
    names = set(re.findall(r'"(genvm_manager_\w+)"', source))
    assert len(names) > 10
    assert [name for name in sorted(names) if name not in text] == []
