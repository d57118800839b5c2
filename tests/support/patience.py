"""Fixtures for tests in which two sides wait for each other: whoever imports them has them for every test.

from tests.support.patience import patience, time_for_statistics  # noqa: F401
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from pygenvm.executor import limits

PATIENCE_SECONDS = 120


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """A conversation in which both sides wait fails instead of hanging."""

    def give_up(_number: int, _frame: object) -> None:
        raise TimeoutError(f"test still waits after {PATIENCE_SECONDS} s")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture(autouse=True)
def time_for_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not cost a test its statistics."""
    monkeypatch.setattr(limits, "MODULE_STATS_SECONDS", float(PATIENCE_SECONDS))
