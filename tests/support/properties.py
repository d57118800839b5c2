"""How many examples a property of Hypothesis is tried with."""

from __future__ import annotations

from typing import Any

from hypothesis import settings


def examples(count: int, **others: Any) -> settings:
    """So many, however long one takes; of them the share that the loaded profile has of Hypothesis' usual hundred."""
    return settings(max_examples=max(count * settings().max_examples // 100, 1), deadline=None, **others)
