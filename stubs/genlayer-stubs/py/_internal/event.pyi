# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Event classes and their encoding (spec sdk/04 §9)."""
__all__ = ('Event',)
import types
import typing
from .. import calldata
from ..keccak import Keccak256
from ..public_abi import EVENT_MAX_TOPICS
from .reflect import type_name

class Event:
    """Base of event classes: positional-only parameters of ``__init__`` are the indexed fields.

    Positional values are matched to the *sorted* names. Without ``gl`` an event can be encoded, not emitted.
    """
    name: typing.ClassVar[str]
    indexed: typing.ClassVar[tuple[str, ...]]
    signature: typing.ClassVar[str]
    fields: dict[str, calldata.Encodable]

    def __init_subclass__(cls, *, abstract: bool=...) -> None:
        ...

    def __init__(self, /, *args: calldata.Encodable, **blob: calldata.Encodable) -> None:
        ...

    def topics(self) -> list[bytes]:
        """Keccak-256 of the signature, then one topic of 32 bytes per indexed field in sorted order."""
