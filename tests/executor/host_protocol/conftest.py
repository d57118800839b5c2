from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

PATIENCE_SECONDS = 120


@pytest.fixture(autouse=True)
def _patience() -> Iterator[None]:
    """A conversation in which both sides wait fails instead of hanging."""

    def give_up(_number: int, _frame: object) -> None:
        raise TimeoutError(f"test still waits after {PATIENCE_SECONDS} s")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)
