"""Failures of the local network itself. What a contract does wrong is an outcome, not an exception."""

from __future__ import annotations


class LocalNetError(Exception):
    """Base class; ``kind`` names the failure for programs (``error.kind`` of ``--json``)."""

    kind = "internal"


class BadRequest(LocalNetError):
    """The caller asked for something impossible. Nothing was run and nothing changed."""

    kind = "usage"


class BadValue(BadRequest):
    """Arguments or a value that cannot be converted."""

    kind = "bad_value"


class NotFound(BadRequest):
    """No contract, account or file of that name."""

    kind = "not_found"


class InsufficientBalance(BadRequest):
    """The sender has less than the value."""

    kind = "insufficient_balance"


class DatabaseError(LocalNetError):
    """The database cannot be read, written or locked."""

    kind = "database"


class ExecutorError(LocalNetError):
    """The executor could not be started, crashed or broke the protocol."""

    kind = "executor"
