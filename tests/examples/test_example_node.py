"""``examples/node.py`` against a manager, and the part of it that the operators' page shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pygenvm.runners.registry import BuiltRunners
from tests.manager.process import manager_process
from tests.support.execution import config_file
from tests.support.paths import ROOT

NODE = ROOT / "examples" / "node.py"


def test_a_node_in_miniature(built_runners: BuiltRunners, tmp_path: Path) -> None:
    with manager_process(tmp_path, config={"executor_config": str(config_file(tmp_path, built=True))}) as manager:
        url = f"http://{manager.address}"
        done = subprocess.run([sys.executable, str(NODE), url], capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout == "deploy: None\nupdate_storage: None\nget_storage: 'world'\n", done.stderr
        manager.idle()
        assert manager.end() == 0


def test_the_page_shows_what_it_does() -> None:
    text = NODE.read_text()
    shown = text[text.index("async def carry_out(") : text.index("async def main(")].strip()
    assert f"```python\n{shown}\n```" in (ROOT / "docs" / "operating.md").read_text()
