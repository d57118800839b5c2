"""What goes wrong with pools."""

from __future__ import annotations


class PoolError(Exception):
    """A job could not be started, or nobody knows how it ended."""
