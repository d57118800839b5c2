"""Where things of the repository are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

#: The folder of the clone.
ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "contracts"
DOCS = ROOT / "docs"

_TEXT = (".c", ".h", ".json", ".md", ".py", ".pyi", ".toml", ".yaml")
_MADE = ("__pycache__", "build", "dist")


def text_files() -> Iterator[Path]:
    """Every text file of the clone under its real path; nothing that is built or installed there, nothing hidden."""
    for folder, folders, files in os.walk(ROOT):
        here = Path(folder)
        folders[:] = sorted(
            name for name in folders if name[0] != "." and name not in _MADE and not (here / name).is_symlink()
        )
        yield from (here / name for name in sorted(files) if name.endswith(_TEXT) or name == "Makefile")
