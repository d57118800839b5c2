"""Where the example contracts are."""

from __future__ import annotations

from pathlib import Path

CONTRACTS = Path(__file__).parents[2] / "examples" / "contracts"
