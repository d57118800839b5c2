"""What a request can be refused with."""

from __future__ import annotations


class RequestError(Exception):
    """Answered with status 500 and ``{"error": text}`` (spec modules/04 §2)."""
