"""Console script ``genvm-modules``, the name by which nodes start manager and services (spec modules/04 §1)."""

from __future__ import annotations

import sys

from pygenvm.modules import cli

MANAGER = {"manager": ("pygenvm.manager.command", "serve the operator's API: runs, permits, versions, modules")}


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    return cli.main(argv, MANAGER)


if __name__ == "__main__":
    sys.exit(main())
