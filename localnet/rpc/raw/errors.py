"""The one error of this package."""

from __future__ import annotations


class RawError(ValueError):
    """Bytes that are no transaction; the text says what is wrong with them."""
