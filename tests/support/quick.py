"""Parameters of which `make quick` tries a few: each takes long, and tests the same in another place or form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def few(values: Iterable[Any], *quick: Any) -> list[Any]:
    """For :func:`pytest.mark.parametrize`: all are marked ``slow`` but those that are named."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]
