"""When tests start."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

#: pytest shows the line of the test, not those in here.
__tracebackhide__ = True

#: The time of every test unless it, or the configuration, says otherwise.
START_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)
_PRESENT: Final = "now"

#: What the configuration says, as for :func:`time_of`.
configured: str = ""


def time_of(text: str) -> datetime:
    """ISO 8601 text, ``now``, or nothing for :data:`START_TIME`; without a zone UTC is meant.

    :raises ValueError: something else.
    """
    if text == _PRESENT:
        return datetime.now(UTC)
    when = datetime.fromisoformat(text) if text else START_TIME
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def start_time() -> datetime:
    """The time of a test that says nothing of it."""
    return time_of(configured)
