"""Whether contracts that are called may act for those that call them: see ``genvm_strict_views`` in docs/testing.md."""

from __future__ import annotations

#: What the configuration says.
strict: bool = False
