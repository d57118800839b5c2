"""Wheels and source distributions of this tree, made as pip makes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def build_wheel(source: Path, folder: Path) -> Path:
    """A wheel of the project in ``source``."""
    return folder / _build("build_wheel", source, folder)


def build_sdist(source: Path, folder: Path) -> Path:
    """A source distribution of the project in ``source``."""
    return folder / _build("build_sdist", source, folder)


def _build(hook: str, source: Path, folder: Path) -> str:
    """One hook of PEP 517, which works in the current directory and gives the name of what it has made."""
    program = f"import sys; from hatchling.build import {hook}; print({hook}(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
