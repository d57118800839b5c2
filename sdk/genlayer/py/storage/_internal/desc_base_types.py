"""Descriptors of scalars (spec sdk/02 §2)."""

__all__ = (
    "AddrDesc",
    "BigIntDesc",
    "BoolDesc",
    "BytesDesc",
    "FloatDesc",
    "IntDesc",
    "NoneDesc",
    "StrDesc",
    "number",
    "u32_at",
)

import abc
import struct
import typing
from collections.abc import Buffer, Callable

from ...types import Address
from .core import Slot, TypeDesc

_DOUBLE = struct.Struct("<d")


def _number(raw: bytes, signed: bool, /) -> int:
    """A little-endian integer, in two's complement if ``signed``."""
    return int.from_bytes(raw, "little", signed=signed)


number: Callable[[bytes, bool], int]
try:
    # the interpreter of the sandbox has it in C
    import _genlayer_storage  # type: ignore[import-not-found]

    number = _genlayer_storage.number
except ImportError:
    number = _number


def u32_at(slot: Slot, off: int) -> int:
    return number(slot.read(off, 4), False)


class _FixedDesc(TypeDesc):
    """Scalar that is wholly in place."""

    __slots__ = ()

    scalar = True

    def __init__(self, size: int, key: tuple[typing.Any, ...] = ()) -> None:
        TypeDesc.__init__(self, size, [size] if size else [], key)

    def get(self, slot: Slot, off: int, /) -> typing.Any:
        return self.from_place(slot.read(off, self.size), slot, off)


class IntDesc(_FixedDesc):
    """Little-endian, two's complement where signed. Writing a value out of range raises OverflowError."""

    __slots__ = ("signed",)

    signed: bool

    def __init__(self, size: int, signed: bool) -> None:
        _FixedDesc.__init__(self, size, (size, signed))
        self.signed = signed

    def get(self, slot: Slot, off: int, /) -> int:
        return number(slot.read(off, self.size), self.signed)

    def from_place(self, raw: bytes, _slot: Slot, _off: int, /) -> int:
        return number(raw, self.signed)

    def set(self, slot: Slot, off: int, val: int, /) -> None:
        # a keyword costs half as much as the conversion
        raw = val.to_bytes(self.size, "little", signed=True) if self.signed else val.to_bytes(self.size, "little")
        slot.write(off, raw)


class BoolDesc(_FixedDesc):
    __slots__ = ()

    def __init__(self) -> None:
        _FixedDesc.__init__(self, 1)

    def from_place(self, raw: bytes, _slot: Slot, _off: int, /) -> bool:
        return raw != b"\0"

    def set(self, slot: Slot, off: int, val: bool, /) -> None:
        slot.write(off, b"\1" if val else b"\0")


class AddrDesc(_FixedDesc):
    __slots__ = ()

    def __init__(self) -> None:
        _FixedDesc.__init__(self, Address.SIZE)

    def from_place(self, raw: bytes, _slot: Slot, _off: int, /) -> Address:
        return Address(raw)

    def set(self, slot: Slot, off: int, val: Address, /) -> None:
        slot.write(off, val.as_bytes)


class FloatDesc(_FixedDesc):
    """IEEE 754 binary64."""

    __slots__ = ()

    def __init__(self) -> None:
        _FixedDesc.__init__(self, 8)

    def from_place(self, raw: bytes, _slot: Slot, _off: int, /) -> float:
        value: float = _DOUBLE.unpack(raw)[0]
        return value

    def set(self, slot: Slot, off: int, val: float, /) -> None:
        slot.write(off, _DOUBLE.pack(val))


class NoneDesc(_FixedDesc):
    """No bytes, no requests."""

    __slots__ = ()

    def __init__(self) -> None:
        _FixedDesc.__init__(self, 0)

    def get(self, _slot: Slot, _off: int, /) -> None:
        return None

    def from_place(self, _raw: bytes, _slot: Slot, _off: int, /) -> None:
        return None

    def set(self, _slot: Slot, _off: int, val: None, /) -> None:
        if val is not None:
            raise TypeError(f"only None can be stored here, got `{type(val).__name__}`")


class _BlobDesc(TypeDesc):
    """u32 length in place, content at offset 0 of the indirect slot. The length is written first."""

    __slots__ = ()

    scalar = True
    below = (0,)

    def __init__(self) -> None:
        TypeDesc.__init__(self, 4, [self])

    @abc.abstractmethod
    def _decode(self, data: bytes, /) -> typing.Any: ...

    @abc.abstractmethod
    def _encode(self, val: typing.Any, /) -> bytes | bytearray | memoryview: ...

    def get(self, slot: Slot, off: int, /) -> typing.Any:
        return self.from_place(slot.read(off, 4), slot, off)

    def from_place(self, raw: bytes, slot: Slot, off: int, /) -> typing.Any:
        length = number(raw, False)
        return self._decode(slot.indirect(off).read(0, length) if length else b"")

    def set(self, slot: Slot, off: int, val: typing.Any, /) -> None:
        data = self._encode(val)
        slot.write(off, len(data).to_bytes(4, "little"))
        slot.indirect(off).write(0, data)

    def copy(self, frm: Slot, frm_off: int, to: Slot, to_off: int, /) -> int:
        raw = frm.read(frm_off, 4)
        length = number(raw, False)
        data = frm.indirect(frm_off).read(0, length) if length else b""
        to.write(to_off, raw)
        to.indirect(to_off).write(0, data)
        return 4


class StrDesc(_BlobDesc):
    __slots__ = ()

    def _decode(self, data: bytes, /) -> str:
        return data.decode("utf-8")

    def _encode(self, val: str, /) -> bytes:
        return val.encode("utf-8")


class BytesDesc(_BlobDesc):
    __slots__ = ()

    def _decode(self, data: bytes, /) -> bytes:
        return data

    def _encode(self, val: Buffer, /) -> bytes | bytearray | memoryview:
        if isinstance(val, bytes | bytearray):
            return val
        if not isinstance(val, Buffer):
            # the length comes first, so whatever has none is told so
            len(val)
            raise TypeError(f"a bytes-like object is required, not '{type(val).__name__}'")
        return memoryview(val).cast("B")


class BigIntDesc(_BlobDesc):
    """Two's complement little-endian, two bytes more than the magnitude has."""

    __slots__ = ()

    def _decode(self, data: bytes, /) -> int:
        return number(data, True)

    def _encode(self, val: int, /) -> bytes:
        return val.to_bytes(2 + (val.bit_length() + 7) // 8, "little", signed=True)
