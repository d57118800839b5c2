"""The examples in the package's docstring do what they say."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path

import pytest

import pygenvm.localnet
from tests.support.paths import EXAMPLES

pytestmark = pytest.mark.usefixtures("built_runners")


def examples() -> list[str]:
    text = pygenvm.localnet.__doc__ or ""
    blocks = re.findall(r"::\n\n((?:    .*\n|\n)+)", text)
    return [textwrap.dedent(block) for block in blocks]


@pytest.mark.parametrize("example", examples(), ids=["program", "coroutines"])
def test_example(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(EXAMPLES / "storage.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert "assert" in example
    exec(compile(example, "example", "exec"), {"__name__": "example"})
    assert (tmp_path / "local.db").exists()
