"""Failures of the local network itself. What a contract does wrong is an outcome, not an exception."""

from __future__ import annotations

from collections.abc import Sequence


class LocalNetError(Exception):
    """Base class; ``kind`` names the failure for programs (``error.kind`` of ``--json``)."""

    kind = "internal"


class BadRequest(LocalNetError):
    """The caller asked for something impossible. Nothing was run and nothing changed."""

    kind = "usage"


class BadValue(BadRequest):
    """Arguments or a value that cannot be converted.

    ``picture`` are lines that show where, ``fix`` says what to do about it.
    """

    kind = "bad_value"

    def __init__(self, text: str, *, picture: Sequence[str] = (), fix: str = "") -> None:
        super().__init__(text)
        self.picture = tuple(picture)
        self.fix = fix


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


class CannotListen(LocalNetError):
    """The address is taken, or not one of this machine."""

    kind = "listen"
