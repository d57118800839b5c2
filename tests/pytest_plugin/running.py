"""Runs of pytest in projects of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

OURS = "-ppygenvm.pytest_plugin.plugin"


def run_pytest(project: Path, *arguments: str, path: Path | None = None) -> str:
    """What pytest says in a project; ``path`` is one more place where packages are installed."""
    environment = {**os.environ, "PYTHONPATH": str(path or ""), "PY_COLORS": "0"}
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:faulthandler", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout + done.stderr
