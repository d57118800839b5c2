"""Fixtures of the whole suite."""

from __future__ import annotations

import pytest

from runners.registry import Registry, ensure_built


@pytest.fixture(scope="session")
def built_runners() -> Registry:
    """Every built-in runner, built below the cache folder if it is not there yet (minutes)."""
    return ensure_built(progress=False)
