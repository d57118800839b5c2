"""Fixtures of the whole suite."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from pygenvm.runners.registry import BuiltRunners, ensure_built


@pytest.fixture(scope="session")
def built_runners() -> BuiltRunners:
    """Every built-in runner, built below the cache folder if it is not there yet (minutes)."""
    return ensure_built(progress=False)


@pytest.fixture(autouse=True)
def _library_log() -> Iterator[None]:
    """A test that sends the executor's log somewhere leaves it as it was for the next one."""
    library = logging.getLogger("executor")
    before = list(library.handlers), library.level, library.propagate
    yield
    library.handlers, library.level, library.propagate = before
