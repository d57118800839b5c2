"""The start-up message: one calldata map on file descriptor 0 (spec sdk/01 §3.2, §7)."""

__all__ = ("MessageRawType", "MessageType", "message", "message_raw")

import os
import typing

from ..py import calldata
from ..py.types import Address, u256


class MessageType(typing.NamedTuple):
    """What a contract may rely on about its call."""

    contract_address: Address
    sender_address: Address
    origin_address: Address
    value: u256
    chain_id: u256


class MessageRawType(typing.TypedDict):
    """The message as it arrived. ``entry_data`` is calldata of its own when ``entry_kind`` is MAIN."""

    contract_address: Address
    sender_address: Address
    origin_address: Address
    stack: list[Address]
    value: int
    datetime: str
    is_init: bool
    chain_id: int
    entry_kind: int
    entry_data: bytes
    entry_stage_data: calldata.Decoded


message_raw: MessageRawType
message: MessageType

_PIECE_BYTES = 1 << 16


def load() -> None:
    """Read the message; the descriptor stays open."""
    pieces = []
    while piece := os.read(0, _PIECE_BYTES):
        pieces.append(piece)
    take(b"".join(pieces))


def take(encoded: bytes) -> None:
    """Make this the message."""
    global message, message_raw
    raw = message_raw = calldata.decode(encoded)
    # a third of the price of MessageType(…)
    message = tuple.__new__(
        MessageType,
        (
            raw["contract_address"],
            raw["sender_address"],
            raw["origin_address"],
            typing.cast(u256, raw["value"]),
            typing.cast(u256, raw["chain_id"]),
        ),
    )


def __getattr__(name: str) -> typing.Any:
    """Before the message is read there are no names of it; asking for one reads it."""
    if name not in ("message", "message_raw"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    load()
    return globals()[name]


if os.environ.get("GENERATING_DOCS") == "true":
    message_raw = typing.cast(MessageRawType, ...)
    message = typing.cast(MessageType, ...)
else:
    load()
