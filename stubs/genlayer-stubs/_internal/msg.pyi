# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""The start-up message: one calldata map on file descriptor 0 (spec sdk/01 §3.2, §7)."""
__all__ = ('MessageRawType', 'MessageType', 'message', 'message_raw')
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

def load() -> None:
    """Read the message; the descriptor stays open."""

def take(encoded: bytes) -> None:
    """Make this the message."""
