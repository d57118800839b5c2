# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Descriptors of scalars (spec sdk/02 §2)."""
__all__ = ('AddrDesc', 'BigIntDesc', 'BoolDesc', 'BytesDesc', 'FloatDesc', 'IntDesc', 'NoneDesc', 'StrDesc', 'number', 'u32_at')
import abc
import struct
import typing
from collections.abc import Callable
from typing_extensions import Buffer
from ...types import Address
from .core import Slot, TypeDesc
number: Callable[[bytes, bool], int]

def u32_at(slot: Slot, off: int) -> int:
    ...

class _FixedDesc(TypeDesc):
    """Scalar that is wholly in place."""
    scalar = True

    def __init__(self, size: int, key: tuple[typing.Any, ...]=...) -> None:
        ...

    def get(self, slot: Slot, off: int, /) -> typing.Any:
        ...

class IntDesc(_FixedDesc):
    """Little-endian, two's complement where signed. Writing a value out of range raises OverflowError."""
    signed: bool

    def __init__(self, size: int, signed: bool) -> None:
        ...

    def get(self, slot: Slot, off: int, /) -> int:
        ...

    def from_place(self, raw: bytes, _slot: Slot, _off: int, /) -> int:
        ...

    def set(self, slot: Slot, off: int, val: int, /) -> None:
        ...

class BoolDesc(_FixedDesc):

    def __init__(self) -> None:
        ...

    def from_place(self, raw: bytes, _slot: Slot, _off: int, /) -> bool:
        ...

    def set(self, slot: Slot, off: int, val: bool, /) -> None:
        ...

class AddrDesc(_FixedDesc):

    def __init__(self) -> None:
        ...

    def from_place(self, raw: bytes, _slot: Slot, _off: int, /) -> Address:
        ...

    def set(self, slot: Slot, off: int, val: Address, /) -> None:
        ...

class FloatDesc(_FixedDesc):
    """IEEE 754 binary64."""

    def __init__(self) -> None:
        ...

    def from_place(self, raw: bytes, _slot: Slot, _off: int, /) -> float:
        ...

    def set(self, slot: Slot, off: int, val: float, /) -> None:
        ...

class NoneDesc(_FixedDesc):
    """No bytes, no requests."""

    def __init__(self) -> None:
        ...

    def get(self, _slot: Slot, _off: int, /) -> None:
        ...

    def from_place(self, _raw: bytes, _slot: Slot, _off: int, /) -> None:
        ...

    def set(self, _slot: Slot, _off: int, val: None, /) -> None:
        ...

class _BlobDesc(TypeDesc):
    """u32 length in place, content at offset 0 of the indirect slot. The length is written first."""
    scalar = True
    below = (0,)

    def __init__(self) -> None:
        ...

    def get(self, slot: Slot, off: int, /) -> typing.Any:
        ...

    def from_place(self, raw: bytes, slot: Slot, off: int, /) -> typing.Any:
        ...

    def set(self, slot: Slot, off: int, val: typing.Any, /) -> None:
        ...

    def copy(self, frm: Slot, frm_off: int, to: Slot, to_off: int, /) -> int:
        ...

class StrDesc(_BlobDesc):
    ...

class BytesDesc(_BlobDesc):
    ...

class BigIntDesc(_BlobDesc):
    """Two's complement little-endian, two bytes more than the magnitude has."""
