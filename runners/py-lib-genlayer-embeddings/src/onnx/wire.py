"""Reading a model without protobuf classes: messages as dictionaries, large data as the place where it lies.

A model of 90 MB is read in milliseconds, because the numbers of its tensors are not looked at.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from .messages import MESSAGES, Field

Message = dict[str, Any]

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES_MAX = 10
_FORMATS = {"float": "<f", "double": "<d"}
_WIRE = {"float": _FIXED32, "double": _FIXED64, "string": _LENGTH, "bytes": _LENGTH}


class MalformedModel(ValueError):
    """The bytes are no ONNX model."""


class Span(NamedTuple):
    """Bytes of the file, from `offset` on."""

    offset: int
    size: int


def read_model(data: bytes) -> Message:
    """The ``ModelProto`` in `data`. Fields are by name, and only those that are there; `bytes` fields and packed
    floats are a :class:`Span`.

    :raises MalformedModel: truncated, or not of this format.
    """
    return _read("ModelProto", data, 0, len(data))


def _read(message: str, data: bytes, at: int, end: int) -> Message:
    fields = MESSAGES[message]
    result: Message = {}
    while at < end:
        key, at = _varint(data, at, end)
        wire = key & 7
        if wire == _LENGTH:
            size, at = _varint(data, at, end)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        elif wire == _VARINT:
            size = _varint(data, at, end)[1] - at
        else:
            raise MalformedModel(f"{message} has a field of unknown form {wire} at byte {at}")
        if size > end - at:
            raise MalformedModel(
                f"{message} is truncated: {size} bytes are announced at byte {at}, {end - at} are there"
            )
        field = fields.get(key >> 3)
        if field is not None:
            _put(result, message, field, wire, data, at, size)
        at += size
    return result


def _put(result: Message, message: str, field: Field, wire: int, data: bytes, at: int, size: int) -> None:
    """Adds one occurrence of a field."""
    if field.type in MESSAGES:
        _check_wire(message, field, wire, _LENGTH)
        value: Any = _read(field.type, data, at, at + size)
    elif wire == _LENGTH and field.repeated and field.type not in ("string", "bytes"):
        _put_packed(result, message, field, data, at, size)
        return
    else:
        _check_wire(message, field, wire, _WIRE.get(field.type, _VARINT))
        value = _scalar(message, field, data, at, size)
    if field.repeated:
        result.setdefault(field.name, []).append(value)
    else:
        result[field.name] = value


def _put_packed(result: Message, message: str, field: Field, data: bytes, at: int, size: int) -> None:
    if field.type in _FORMATS:
        if size % struct.calcsize(_FORMATS[field.type]):
            raise MalformedModel(f"{message}.{field.name} has {size} bytes, which is no whole number of values")
        result.setdefault(field.name, []).append(Span(at, size))
        return
    values = result.setdefault(field.name, [])
    end = at + size
    while at < end:
        value, at = _varint(data, at, end)
        values.append(_integer(field.type, value))


def _check_wire(message: str, field: Field, found: int, expected: int) -> None:
    if found != expected:
        raise MalformedModel(f"{message}.{field.name} has the form {found} instead of {expected}")


def _scalar(message: str, field: Field, data: bytes, at: int, size: int) -> Any:
    if field.type == "bytes":
        return Span(at, size)
    if field.type == "string":
        try:
            return data[at : at + size].decode()
        except UnicodeDecodeError:
            raise MalformedModel(f"{message}.{field.name} at byte {at} is not UTF-8") from None
    if field.type in _FORMATS:
        # In a list it stands for its bytes, as packed ones do.
        return Span(at, size) if field.repeated else struct.unpack_from(_FORMATS[field.type], data, at)[0]
    return _integer(field.type, _varint(data, at, at + size)[0])


def _integer(kind: str, value: int) -> int:
    return value if kind == "uint64" or value < 1 << 63 else value - (1 << 64)


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The number at `at` and the place after it."""
    if at < end and data[at] < 0x80:
        return data[at], at + 1
    value = 0
    for shift in range(0, 7 * _VARINT_BYTES_MAX, 7):
        if at >= end:
            raise MalformedModel(f"the model is truncated at byte {end}")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    raise MalformedModel(f"a number at byte {at} is too long")
