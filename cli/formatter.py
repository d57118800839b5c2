"""How help is laid out by commands whose start-up time counts."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys


def formatter(prog: str) -> argparse.HelpFormatter:
    """Texts stand as they are written, as wide as the terminal.

    For each argument that a parser is given argparse makes one, which would load `shutil` for the width.
    """
    return argparse.RawDescriptionHelpFormatter(prog, width=_columns() - 2)


def _columns() -> int:
    """As ``shutil.get_terminal_size``."""
    with contextlib.suppress(ValueError):
        asked_for = int(os.environ.get("COLUMNS", ""))
        if asked_for > 0:
            return asked_for
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or _FALLBACK  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):
        return _FALLBACK


_FALLBACK = 80
