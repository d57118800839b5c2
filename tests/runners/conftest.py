"""Fixtures of the tests of runners."""

from tests.support.small_runners import cache, content

__all__ = ["cache", "content"]
