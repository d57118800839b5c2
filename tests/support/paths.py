"""Where things of the repository are."""

from __future__ import annotations

from pathlib import Path

#: The folder of the clone.
ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "contracts"
DOCS = ROOT / "docs"
