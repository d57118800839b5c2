"""The example of `docs/settlement.md` runs."""

from __future__ import annotations

import re

import pytest

from tests.support.paths import DOCS


@pytest.mark.slow
def test_the_example_runs() -> None:
    page = (DOCS / "settlement.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(example, "docs/settlement.md", "exec"), {})
