"""The errors of the build of the runners. Their text is for people: what failed, and what to do."""

from __future__ import annotations


class BuildError(Exception):
    """A runner cannot be built, or the registry is not as it must be."""


class SourceUnavailable(BuildError):
    """No place gave a pinned source."""


class ToolFailed(BuildError):
    """A compiler, `make` or another program ended with an error."""
