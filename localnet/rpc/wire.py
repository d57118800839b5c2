"""Receipts as JSON and back, without loss, between ``genvm local`` and a server.

A dataclass is ``{"$": its name, its members…}``; bytes, addresses, tuples, enums and outcomes have forms of their own.
"""

from __future__ import annotations

import base64
from enum import StrEnum
from typing import Any, Final

from pygenvm.executor.outcome import InternalError, Return, UserError, VMError
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.spawn.output import Captured
from pygenvm.localnet.chain.model import (
    BalanceChange,
    Event,
    Kind,
    Node,
    Posted,
    PostedKind,
    Receipt,
    Round,
    Status,
    Transaction,
    Verdict,
    Vote,
    outcome_from_bytes,
    outcome_to_bytes,
)

_CLASSES: Final[dict[str, Any]] = {
    kind.__name__: kind
    for kind in (BalanceChange, Captured, Event, Node, Posted, Receipt, Round, Transaction, Verdict, Vote)
}
_ENUMS: Final[dict[str, type[StrEnum]]] = {kind.__name__: kind for kind in (Kind, PostedKind, Status)}
#: What only the one who reads can find out, or what has a document of its own.
_LEFT_OUT: Final = ("cause", "source", "settlement")


def encode(value: Any) -> Any:
    """JSON of a receipt, or of a part of one."""
    if isinstance(value, StrEnum):
        return {"$enum": type(value).__name__, "value": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    if isinstance(value, Address):
        return {"$address": value.as_hex}
    if isinstance(value, tuple | list):
        return [encode(one) for one in value]
    if isinstance(value, Return | UserError | VMError | InternalError):
        return {"$outcome": base64.b64encode(outcome_to_bytes(value)).decode("ascii")}
    members = {name: encode(getattr(value, name)) for name in value.__match_args__ if name not in _LEFT_OUT}
    return {"$": type(value).__name__, **members}


def decode(document: Any) -> Any:
    """:raises ValueError: not what :func:`encode` makes."""
    try:
        return _decode(document)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"this is no receipt: {error!r:.100}") from error


def _decode(document: Any) -> Any:
    match document:
        case list():
            return tuple(_decode(one) for one in document)
        case {"$": name, **members}:
            return _CLASSES[name](**{str(key): _decode(one) for key, one in members.items()})
        case {"$enum": name, "value": value}:
            return _ENUMS[name](value)
        case {"$bytes": text}:
            return base64.b64decode(text)
        case {"$address": text}:
            return Address(text)
        case {"$outcome": text}:
            return outcome_from_bytes(base64.b64decode(text))
    return document
