"""Solidity ABI encoding by Python types (spec sdk/04 §8.1, §8.2)."""

__all__ = (
    "InplaceTuple",
    "MethodEncoder",
    "bytes1",
    "bytes2",
    "bytes3",
    "bytes4",
    "bytes5",
    "bytes6",
    "bytes7",
    "bytes8",
    "bytes9",
    "bytes10",
    "bytes11",
    "bytes12",
    "bytes13",
    "bytes14",
    "bytes15",
    "bytes16",
    "bytes17",
    "bytes18",
    "bytes19",
    "bytes20",
    "bytes21",
    "bytes22",
    "bytes23",
    "bytes24",
    "bytes25",
    "bytes26",
    "bytes27",
    "bytes28",
    "bytes29",
    "bytes30",
    "bytes31",
    "bytes32",
    "decode",
    "encode",
    "selector_of",
    "signature_of",
    "type_name_of",
)

import abc
import collections.abc
import types
import typing
from collections.abc import Buffer, Sequence

from .. import types as sdk_types
from ..keccak import Keccak256
from ..storage import Array
from ..types import Address, SizedArray

_WORD = 32

# Array elements and tuple members that one `decode` returns, nested ones included: offsets may point anywhere, so a
# short input can describe a large value.
MAX_ITEMS = 1 << 20

bytes1 = typing.NewType("bytes1", bytes)
bytes2 = typing.NewType("bytes2", bytes)
bytes3 = typing.NewType("bytes3", bytes)
bytes4 = typing.NewType("bytes4", bytes)
bytes5 = typing.NewType("bytes5", bytes)
bytes6 = typing.NewType("bytes6", bytes)
bytes7 = typing.NewType("bytes7", bytes)
bytes8 = typing.NewType("bytes8", bytes)
bytes9 = typing.NewType("bytes9", bytes)
bytes10 = typing.NewType("bytes10", bytes)
bytes11 = typing.NewType("bytes11", bytes)
bytes12 = typing.NewType("bytes12", bytes)
bytes13 = typing.NewType("bytes13", bytes)
bytes14 = typing.NewType("bytes14", bytes)
bytes15 = typing.NewType("bytes15", bytes)
bytes16 = typing.NewType("bytes16", bytes)
bytes17 = typing.NewType("bytes17", bytes)
bytes18 = typing.NewType("bytes18", bytes)
bytes19 = typing.NewType("bytes19", bytes)
bytes20 = typing.NewType("bytes20", bytes)
bytes21 = typing.NewType("bytes21", bytes)
bytes22 = typing.NewType("bytes22", bytes)
bytes23 = typing.NewType("bytes23", bytes)
bytes24 = typing.NewType("bytes24", bytes)
bytes25 = typing.NewType("bytes25", bytes)
bytes26 = typing.NewType("bytes26", bytes)
bytes27 = typing.NewType("bytes27", bytes)
bytes28 = typing.NewType("bytes28", bytes)
bytes29 = typing.NewType("bytes29", bytes)
bytes30 = typing.NewType("bytes30", bytes)
bytes31 = typing.NewType("bytes31", bytes)
bytes32 = typing.NewType("bytes32", bytes)


class InplaceTuple:
    """First member of ``tuple[InplaceTuple, A, B]``: the tuple is the whole encoding, without an offset before it."""


class _Reader:
    """Input of one ``decode``, checked on every access."""

    __slots__ = ("_buf", "_items_left")

    def __init__(self, buf: Buffer) -> None:
        self._buf = memoryview(buf).cast("B")
        self._items_left = MAX_ITEMS

    def bytes_at(self, at: int, length: int) -> memoryview:
        if at + length > len(self._buf):
            raise ValueError("unexpected end of ABI data")
        return self._buf[at : at + length]

    def uint_at(self, at: int) -> int:
        return int.from_bytes(self.bytes_at(at, _WORD), "big")

    def count(self, items: int) -> None:
        if items > self._items_left:
            raise ValueError(f"more than {MAX_ITEMS} items in ABI data")
        self._items_left -= items


class _Codec(abc.ABC):
    """One ABI type. ``size`` is its length in a head; dynamic types have an offset there and are kept behind."""

    name: str
    dynamic: bool = False
    size: int = _WORD

    @abc.abstractmethod
    def encode(self, value: typing.Any) -> bytes: ...

    @abc.abstractmethod
    def decode(self, reader: _Reader, at: int) -> typing.Any: ...


class _Integer(_Codec):
    def __init__(self, bits: int, signed: bool) -> None:
        self.name = f"{'int' if signed else 'uint'}{bits}"
        self._signed = signed
        self._low, self._high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)

    def _checked(self, value: int) -> int:
        if not self._low <= value <= self._high:
            raise ValueError(f"{value} is out of range of {self.name}")
        return value

    def encode(self, value: int) -> bytes:
        return int.to_bytes(self._checked(value), _WORD, "big", signed=self._signed)

    def decode(self, reader: _Reader, at: int) -> int:
        return self._checked(int.from_bytes(reader.bytes_at(at, _WORD), "big", signed=self._signed))


class _Bool(_Codec):
    name = "bool"

    def encode(self, value: bool) -> bytes:
        return bool(value).to_bytes(_WORD, "big")

    def decode(self, reader: _Reader, at: int) -> bool:
        value = reader.uint_at(at)
        if value > 1:
            raise ValueError(f"{value} is out of range of bool")
        return value == 1


class _Address(_Codec):
    name = "address"

    def encode(self, value: Address) -> bytes:
        return value.as_bytes.rjust(_WORD, b"\0")

    def decode(self, reader: _Reader, at: int) -> Address:
        if any(reader.bytes_at(at, _WORD - Address.SIZE)):
            raise ValueError("value is out of range of address")
        return Address(reader.bytes_at(at + _WORD - Address.SIZE, Address.SIZE))


class _FixedBytes(_Codec):
    def __init__(self, length: int) -> None:
        self.name = f"bytes{length}"
        self._length = length

    def encode(self, value: Sequence[int]) -> bytes:
        assert len(value) == self._length, f"{self.name} needs {self._length} bytes, got {len(value)}"
        return bytes(value).ljust(_WORD, b"\0")

    def decode(self, reader: _Reader, at: int) -> memoryview:
        if any(reader.bytes_at(at, _WORD)[self._length :]):
            raise ValueError(f"value is out of range of {self.name}")
        return reader.bytes_at(at, self._length)


class _Blob(_Codec):
    dynamic = True

    def __init__(self, *, text: bool) -> None:
        self.name = "string" if text else "bytes"
        self._text = text

    def encode(self, value: typing.Any) -> bytes:
        data = value.encode("utf-8") if self._text else bytes(memoryview(value))
        return len(data).to_bytes(_WORD, "big") + data + bytes(-len(data) % _WORD)

    def decode(self, reader: _Reader, at: int) -> str | bytes:
        data = bytes(reader.bytes_at(at + _WORD, reader.uint_at(at)))
        return data.decode("utf-8") if self._text else data


def _encode_members(members: Sequence[_Codec], values: Sequence[typing.Any]) -> bytes:
    assert len(members) == len(values), f"{len(members)} values are expected, got {len(values)}"
    heads: list[bytes] = []
    tails: list[bytes] = []
    tail_at = sum(member.size for member in members)
    for member, value in zip(members, values, strict=True):
        encoded = member.encode(value)
        if member.dynamic:
            heads.append(tail_at.to_bytes(_WORD, "big"))
            tails.append(encoded)
            tail_at += len(encoded)
        else:
            heads.append(encoded)
    return b"".join(heads + tails)


def _decode_members(members: Sequence[_Codec], reader: _Reader, at: int) -> list[typing.Any]:
    reader.count(len(members))
    values = []
    head = at
    for member in members:
        values.append(member.decode(reader, at + reader.uint_at(head) if member.dynamic else head))
        head += member.size
    return values


class _Tuple(_Codec):
    def __init__(self, members: Sequence[_Codec]) -> None:
        self.name = f"({','.join(member.name for member in members)})"
        self.members = members
        self.dynamic = any(member.dynamic for member in members)
        self.size = _WORD if self.dynamic else sum(member.size for member in members)

    def encode(self, value: Sequence[typing.Any]) -> bytes:
        return _encode_members(self.members, value)

    def decode(self, reader: _Reader, at: int) -> tuple[typing.Any, ...]:
        return tuple(_decode_members(self.members, reader, at))


class _FixedArray(_Codec):
    def __init__(self, item: _Codec, length: int) -> None:
        self.name = f"{item.name}[{length}]"
        self._item = item
        self._length = length
        self.dynamic = item.dynamic
        self.size = _WORD if self.dynamic else item.size * length

    def encode(self, value: Sequence[typing.Any]) -> bytes:
        return _encode_members([self._item] * self._length, value)

    def decode(self, reader: _Reader, at: int) -> list[typing.Any]:
        return _decode_members([self._item] * self._length, reader, at)


class _List(_Codec):
    dynamic = True

    def __init__(self, item: _Codec) -> None:
        self.name = f"{item.name}[]"
        self._item = item

    def encode(self, value: Sequence[typing.Any]) -> bytes:
        length = len(value)
        return length.to_bytes(_WORD, "big") + _encode_members([self._item] * length, value)

    def decode(self, reader: _Reader, at: int) -> list[typing.Any]:
        length = reader.uint_at(at)
        if length > MAX_ITEMS:
            raise ValueError(f"more than {MAX_ITEMS} items in ABI data")
        return _decode_members([self._item] * length, reader, at + _WORD)


_KNOWN: dict[typing.Any, _Codec] = {
    bool: _Bool(),
    Address: _Address(),
    bytes: _Blob(text=False),
    str: _Blob(text=True),
}
for _bits in range(8, 257, 8):
    _KNOWN[getattr(sdk_types, f"u{_bits}")] = _Integer(_bits, signed=False)
    _KNOWN[getattr(sdk_types, f"i{_bits}")] = _Integer(_bits, signed=True)
for _length in range(1, 33):
    _KNOWN[globals()[f"bytes{_length}"]] = _FixedBytes(_length)


def _codec_of(t: typing.Any) -> _Codec:
    origin = typing.get_origin(t)
    if origin is None:
        known = _KNOWN.get(t)
        if known is None:
            raise TypeError(f"unsupported type `{t}`")
        return known
    args = typing.get_args(t)
    if origin is tuple and ... not in args:
        return _Tuple([_codec_of(arg) for arg in args if arg is not InplaceTuple])
    if origin is Array or origin is SizedArray:
        (length,) = typing.get_args(args[1])
        if length <= 0:
            raise TypeError("array size must be strictly positive")
        return _FixedArray(_codec_of(args[0]), length)
    if isinstance(origin, type) and issubclass(origin, collections.abc.Sequence) and len(args) == 1:
        return _List(_codec_of(args[0]))
    raise TypeError(f"unknown type `{t}`")


def _outer_codec_of(t: typing.Any) -> tuple[_Tuple, bool]:
    """Tuple that makes the whole encoding, and whether the value is its only member."""
    codec = _codec_of(t)
    if isinstance(codec, _Tuple) and InplaceTuple in typing.get_args(t)[:1]:
        return codec, False
    return _Tuple([codec]), True


def type_name_of(t: typing.Any) -> str:
    """ABI name of a type. TypeError for what the ABI does not have."""
    return _codec_of(t).name


def signature_of(name: str, params: typing.Any) -> str:
    """``name(A,B)`` of a method with parameters ``tuple[A, B]``."""
    return name + type_name_of(params)


def selector_of(name: str, params: typing.Any) -> bytes:
    """First 4 bytes of Keccak-256 of the signature."""
    return Keccak256(signature_of(name, params).encode("utf-8")).digest()[:4]


def encode(t: typing.Any, value: typing.Any) -> bytes:
    """Standard encoding. ValueError for numbers out of range, AssertionError for wrong lengths."""
    codec, single = _outer_codec_of(t)
    return codec.encode((value,) if single else value)


def decode(t: typing.Any, buf: Buffer) -> typing.Any:
    """Value of type ``t``; arrays as lists, ``bytesN`` as memoryview.

    ValueError for short input and values out of range.
    """
    codec, single = _outer_codec_of(t)
    value = codec.decode(_Reader(buf), 0)
    return value[0] if single else value


class MethodEncoder:
    """Calls of one method: ``encode_call`` gives selector and arguments, ``decode_ret`` reads the answer."""

    __slots__ = ("_params", "name", "ret", "selector")

    name: str
    selector: bytes
    ret: typing.Any

    def __init__(self, name: str, params: tuple[typing.Any, ...], ret: typing.Any) -> None:
        self._params = types.GenericAlias(tuple, (InplaceTuple, *params))
        self.name = name
        self.ret = ret
        self.selector = selector_of(name, self._params)

    def encode_call(self, args: Sequence[typing.Any]) -> bytes:
        return self.selector + encode(self._params, args)

    def decode_ret(self, buf: Buffer) -> typing.Any:
        if self.ret is None or self.ret is type(None):
            return None
        return decode(self.ret, buf)
