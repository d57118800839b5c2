# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Calldata: the canonical, self-delimiting binary format of values (spec executor/01, sdk/01 §5).

A value is an unsigned LEB128 header ``n << 3 | kind`` and, for some kinds, a tail:

======  =========================  ==========================================================
kind    meaning of n               tail
======  =========================  ==========================================================
0       0 null, 1 false, 2 true,   20 bytes for an address, otherwise nothing
        3 address
1       the integer                nothing
2       ``-integer - 1``           nothing
3, 4    length in bytes            bytes, UTF-8 text
5       element count              the elements
6       pair count                 pairs (LEB128 key length, UTF-8 key, value), keys increasing
======  =========================  ==========================================================

Encoder and decoder keep a stack of their own, so :data:`MAX_DEPTH` limits nesting and never the
interpreter. Ships inside the sandbox too, so only the standard library is used.
"""
from __future__ import annotations
import abc
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar
from .address import Address
from .uleb import NotMinimal, read_uleb, write_uleb
__all__ = ('MAX_DEPTH', 'MAX_ITEMS', 'MAX_LENGTH', 'CalldataEncodable', 'Decoded', 'DecodingError', 'Encodable', 'EncodableWithDefault', 'decode', 'encode', 'to_str')
MAX_DEPTH: Final = 10000
MAX_ITEMS: Final = 1 << 22
MAX_LENGTH: Final = (1 << 32) - 1

class DecodingError(ValueError):
    """The bytes are not the encoding of a value, or a value has no text form."""

class CalldataEncodable(metaclass=abc.ABCMeta):
    """Objects that say themselves how they are encoded; other classes can be registered with ``register``."""

    @abc.abstractmethod
    def __to_calldata__(self) -> Encodable:
        """The value to encode instead; it is not replaced a second time."""
Buffer: TypeAlias = bytes | bytearray | memoryview
Decoded: TypeAlias = bool | int | str | bytes | Address | list['Decoded'] | dict[str, 'Decoded'] | None
Encodable: TypeAlias = int | str | Buffer | Address | CalldataEncodable | Sequence['Encodable'] | Mapping[str, 'Encodable'] | None
_T = TypeVar('_T')
EncodableWithDefault: TypeAlias = _T | int | str | Buffer | Address | CalldataEncodable | Sequence['EncodableWithDefault[_T]'] | Mapping[str, 'EncodableWithDefault[_T]'] | None

def encode(x: Any, *, default: Callable[[Any], Any]=...) -> bytes:
    """Canonical encoding of ``x``.

    ``default`` is applied to ``x`` and everything inside it first; the standard one turns dataclass instances into
    maps. Accepted are None, bool, int, :class:`Address`, byte strings, str, sequences, mappings with str keys, and
    :class:`CalldataEncodable` (:data:`Encodable`).

    Raises ``TypeError`` for other objects and other keys, ``ValueError`` for more than :data:`MAX_DEPTH` levels
    (cycles too), :data:`MAX_ITEMS` items or :data:`MAX_LENGTH` bytes, ``UnicodeEncodeError`` for text with lone
    surrogates. The keys that lead to the fault are attached as notes, innermost first.
    """

def decode(buf: Buffer, *, memview2bytes: Callable[[memoryview], Any]=...) -> Any:
    """The value (:data:`Decoded`) whose encoding is ``buf``: None, bool, int, str, bytes, Address, list, dict.

    ``memview2bytes`` makes the result for a byte string out of a view of the input. Raises :class:`DecodingError` for
    anything that is not the canonical encoding of one value, or is beyond :data:`MAX_DEPTH` or :data:`MAX_ITEMS`, and
    ``UnicodeDecodeError`` (both are ``ValueError``) for text that is not strict UTF-8.
    """

def to_str(x: Any) -> str:
    """``x`` as compact text: JSON with ``b#<hex>`` and ``addr#<hex>``; map entries stay in their order.

    Raises :class:`DecodingError` for what is not calldata (dataclasses are not converted), other keys than str and more
    than :data:`MAX_DEPTH` levels; ``ValueError`` for integers that Python refuses to write in decimal.
    """
