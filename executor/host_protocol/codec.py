"""The host socket protocol without a socket: bytes in, messages out, for both sides (spec executor/02).

How it works. ``methods.METHODS`` is the only place that knows what a message looks like. For each kind of field
there is one writer (value to bytes) and one reader. A reader is a generator that yields the number of bytes it
needs next and is sent exactly those, so it never sees a partial field; :class:`_ReceiveBuffer` holds the bytes,
runs the reader and enforces the one limit of a message. Nothing is allocated because a length was announced: the
buffer only ever holds bytes that have arrived, and a message that announces more than its limit is refused when the
announcement is read.

What is sent is checked (lengths, ranges, 32-byte slots) and refused with ``ValueError``. What is received is either
accepted or :class:`ProtocolViolation`; after that the stream has no known boundary any more, so a decoder that
raised must not be used again.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, Generic, TypeAlias, TypeVar

from pygenvm.executor.frozen import Frozen
from pygenvm.executor.host_protocol.methods import METHODS, FieldKind, MethodLayout, ReplyKind
from pygenvm.executor.limits import HOST_REPLY_SLICE_BYTES, HOST_REQUEST_BYTES
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod, StorageType
from pygenvm.executor.primitives.address import Address

FieldValue: TypeAlias = StorageType | int | bytes | memoryview | Address | list[bytes]
T = TypeVar("T")
Reader: TypeAlias = Generator[int, bytes, T]

ADDRESS_BYTES: Final = 20
SLOT_BYTES: Final = 32
U256_BYTES: Final = 32


class ProtocolViolation(Exception):
    """The other side sent something that the protocol does not allow. The stream cannot be read further."""


class Request(metaclass=Frozen):
    """One request of an executor."""

    method: HostMethod
    fields: dict[str, Any]
    """Field name to value (:data:`FieldValue`), in the order and with the types of the ``Host`` method."""


class Reply(metaclass=Frozen):
    """One reply of a host."""

    error: HostErrorCode
    value: Any = None
    """``bytes`` or ``int`` if the method has a reply field and ``error`` is ``OK``, otherwise None."""


# --- fields ---------------------------------------------------------------------------------------


def _write_int(size: int) -> Callable[[Any], bytes]:
    def write(value: int) -> bytes:
        try:
            return value.to_bytes(size, "little")
        except OverflowError:
            raise ValueError(f"{value} does not fit {size} unsigned bytes") from None

    return write


def _write_exactly(size: int) -> Callable[[Any], bytes]:
    def write(value: bytes | memoryview) -> bytes:
        if len(value) != size:
            raise ValueError(f"expected {size} bytes, got {len(value)}")
        return bytes(value)

    return write


_write_u32 = _write_int(4)
_write_slot = _write_exactly(SLOT_BYTES)


def _write_storage_type(value: StorageType) -> bytes:
    return bytes([StorageType(value)])


def _write_address(value: Address) -> bytes:
    return value.as_bytes


def _write_slice(value: bytes | memoryview) -> bytes:
    return b"".join((_write_u32(len(value)), value))


def _write_topics(value: list[bytes]) -> bytes:
    if len(value) > 0xFF:
        raise ValueError(f"{len(value)} topics, the format holds 255")
    return bytes([len(value)]) + b"".join(map(_write_slot, value))


def _read_int(size: int) -> Callable[[], Reader[int]]:
    def read() -> Reader[int]:
        return int.from_bytes((yield size), "little")

    return read


def _read_exactly(size: int) -> Callable[[], Reader[bytes]]:
    def read() -> Reader[bytes]:
        return (yield size)

    return read


_read_u8 = _read_int(1)
_read_u32 = _read_int(4)


def _read_storage_type() -> Reader[StorageType]:
    value = yield from _read_u8()
    try:
        return StorageType(value)
    except ValueError:
        raise ProtocolViolation(f"unknown storage type {value}") from None


def _read_address() -> Reader[Address]:
    return Address((yield ADDRESS_BYTES))


def _read_slice() -> Reader[bytes]:
    return (yield (yield from _read_u32()))


def _read_topics() -> Reader[list[bytes]]:
    packed = yield (yield from _read_u8()) * SLOT_BYTES
    return [packed[at : at + SLOT_BYTES] for at in range(0, len(packed), SLOT_BYTES)]


#: RAW has no entry: its length is not on the wire but in the request, see ReplyDecoder and encode_reply.
_WRITERS: Final[Mapping[FieldKind, Callable[[Any], bytes]]] = {
    FieldKind.STORAGE_TYPE: _write_storage_type,
    FieldKind.U32: _write_u32,
    FieldKind.U64: _write_int(8),
    FieldKind.ADDR: _write_address,
    FieldKind.SLOT: _write_slot,
    FieldKind.U256LE: _write_int(U256_BYTES),
    FieldKind.SLICE: _write_slice,
    FieldKind.JSON_SLICE: _write_slice,
    FieldKind.TOPICS: _write_topics,
}
_READERS: Final[Mapping[FieldKind, Callable[[], Reader[Any]]]] = {
    FieldKind.STORAGE_TYPE: _read_storage_type,
    FieldKind.U32: _read_u32,
    FieldKind.U64: _read_int(8),
    FieldKind.ADDR: _read_address,
    FieldKind.SLOT: _read_exactly(SLOT_BYTES),
    FieldKind.U256LE: _read_int(U256_BYTES),
    FieldKind.SLICE: _read_slice,
    FieldKind.JSON_SLICE: _read_slice,
    FieldKind.TOPICS: _read_topics,
}
_STRUCT_CODES: Final[Mapping[FieldKind, str]] = {
    FieldKind.STORAGE_TYPE: "B",
    FieldKind.U32: "I",
    FieldKind.U64: "Q",
    FieldKind.ADDR: f"{ADDRESS_BYTES}s",
    FieldKind.SLOT: f"{SLOT_BYTES}s",
}


# --- receive buffer -------------------------------------------------------------------------------


class _ReceiveBuffer(Generic[T]):
    """Receive buffer that runs one reader at a time; a message may take at most ``limit`` bytes."""

    def __init__(self, reader: Callable[[], Reader[T]], limit: int) -> None:
        self._start = reader
        self._limit = limit
        self._buffer = bytearray()
        self._restart()

    def _restart(self) -> None:
        self._reader = self._start()
        self._begun = False
        self._left = self._limit
        self._announce(next(self._reader))

    def _announce(self, needed: int) -> None:
        if needed > self._left:
            raise ProtocolViolation(f"message of more than {self._limit} bytes")
        self._left -= needed
        self._needed = needed

    @property
    def idle(self) -> bool:
        """No byte of an unfinished message has arrived: the other side may stop here."""
        return not self._begun and not self._buffer

    @property
    def surplus(self) -> int:
        """Bytes that arrived and are not part of a message yet."""
        return len(self._buffer)

    def feed(self, data: bytes | memoryview) -> None:
        """Appends what arrived. Take the finished messages out before feeding more, the buffer keeps everything."""
        self._buffer += data

    def take(self) -> T | None:
        """The next complete message, or None until more bytes have been fed. Raises :class:`ProtocolViolation`."""
        buffer = self._buffer
        while len(buffer) >= self._needed:
            with memoryview(buffer) as view:
                field = bytes(view[: self._needed])
            del buffer[: self._needed]
            self._begun = True
            try:
                self._announce(self._reader.send(field))
            except StopIteration as finished:
                self._restart()
                message: T = finished.value
                return message
        return None


# --- requests -------------------------------------------------------------------------------------


def encode_request(method: HostMethod, *values: FieldValue) -> bytes:
    """Method byte and the fields in wire order. ``ValueError`` for a value that the layout cannot hold."""
    parts = [bytes([method])]
    for field, value in zip(METHODS[method].request, values, strict=True):
        parts.append(_WRITERS[field.kind](value))
    return b"".join(parts)


def request_struct(method: HostMethod) -> struct.Struct:
    """The whole request of a method without variable-length fields, method byte included, as one struct.

    For the hot path. A struct pads and truncates bytes silently: the caller checks their lengths.
    """
    return struct.Struct("<B" + "".join(_STRUCT_CODES[field.kind] for field in METHODS[method].request))


def _read_request() -> Reader[Request]:
    number = yield from _read_u8()
    try:
        layout = METHODS[HostMethod(number)]
    except ValueError:
        raise ProtocolViolation(f"unknown method {number}") from None
    fields = {}
    for field in layout.request:
        fields[field.name] = yield from _READERS[field.kind]()
    return Request(layout.method, fields)


class RequestDecoder:
    """Node side: turns the byte stream of one executor into :class:`Request` values.

    Feed what arrived, then call :meth:`next_request` until it gives None. Memory is bounded by ``limit`` (bytes of
    one request) plus one feed.
    """

    def __init__(self, limit: int = HOST_REQUEST_BYTES) -> None:
        self._received = _ReceiveBuffer(_read_request, limit)

    def feed(self, data: bytes | memoryview) -> None:
        """Appends bytes in any chunking."""
        self._received.feed(data)

    def next_request(self) -> Request | None:
        """The next complete request, or None if more bytes are needed. Raises :class:`ProtocolViolation`."""
        return self._received.take()

    @property
    def idle(self) -> bool:
        """True between two requests: an end of the stream here cuts nothing off."""
        return self._received.idle


# --- replies --------------------------------------------------------------------------------------


def encode_reply(request: Request, value: FieldValue | None = None) -> bytes:
    """The bytes that answer ``request`` with success; empty for a request without reply.

    ``ValueError`` if the value does not fit the layout, in particular if it has not exactly the length asked for.
    """
    layout = METHODS[request.method]
    if layout.reply_kind is ReplyKind.NONE:
        return b""
    if layout.reply_kind is ReplyKind.ACK:
        return bytes(1)
    parts = [bytes([HostErrorCode.OK])]
    for field in layout.reply:
        if field.length_field is not None:
            parts.append(_write_exactly(request.fields[field.length_field])(value))
        else:
            parts.append(_WRITERS[field.kind](value))
    return b"".join(parts)


def encode_error(method: HostMethod, error: HostErrorCode) -> bytes:
    """The reply that refuses a request. ``ValueError`` if replies of the method have no error byte."""
    if METHODS[method].reply_kind is not ReplyKind.STATUS:
        raise ValueError(f"{method.name.lower()} cannot be answered with an error")
    return bytes([error])


def _read_reply(layout: MethodLayout, length: int) -> Reader[Reply]:
    status = yield from _read_u8()
    if layout.reply_kind is ReplyKind.ACK:
        return Reply(HostErrorCode.OK)
    try:
        error = HostErrorCode(status)
    except ValueError:
        raise ProtocolViolation(f"unknown error byte {status}") from None
    value = None
    if error is HostErrorCode.OK:
        for field in layout.reply:
            value = yield from (_READERS[field.kind]() if field.length_field is None else _read_exactly(length)())
    return Reply(error, value)


class ReplyDecoder:
    """Executor side: one reply to one request.

    ``length`` is the byte count asked for (only used by methods with a raw reply, which is then not subject to the
    limit: we asked for it). ``limit`` bounds the slices that a host may send.
    """

    def __init__(self, method: HostMethod, length: int = 0, limit: int = HOST_REPLY_SLICE_BYTES) -> None:
        layout = METHODS[method]
        if layout.reply_kind is ReplyKind.NONE:
            raise ValueError(f"{method.name.lower()} has no reply")
        # Error byte, and the length or the number in front of or instead of a slice.
        overhead = 1 + U256_BYTES
        self._received = _ReceiveBuffer(lambda: _read_reply(layout, length), max(limit, length) + overhead)
        self._acknowledgement = layout.reply_kind is ReplyKind.ACK

    def feed(self, data: bytes | memoryview) -> None:
        """Appends bytes in any chunking."""
        self._received.feed(data)

    def next_reply(self) -> Reply | None:
        """The reply, or None if more bytes are needed.

        Raises :class:`ProtocolViolation`, also for bytes behind the reply: a host may only speak when asked. Behind
        the acknowledgement of the result, which ends the conversation, they are ignored.
        """
        reply = self._received.take()
        if reply is not None and self._received.surplus and not self._acknowledgement:
            raise ProtocolViolation(f"{self._received.surplus} bytes behind the reply")
        return reply


# --- JSON texts -----------------------------------------------------------------------------------


def _amount(value: int) -> str:
    if value < 0:
        raise ValueError(f"negative amount {value}")
    return hex(value)


def _json_text(**members: str) -> bytes:
    return json.dumps(members, sort_keys=True, separators=(",", ":")).encode()


def post_message_data(on: str, value: int) -> bytes:
    """``data`` of post_message; ``on`` is ``finalized`` or ``accepted``."""
    return _json_text(on=on, value=_amount(value))


def deploy_contract_data(on: str, salt_nonce: int, value: int) -> bytes:
    """``data`` of deploy_contract."""
    return _json_text(on=on, salt_nonce=_amount(salt_nonce), value=_amount(value))


def eth_send_data(value: int) -> bytes:
    """``data`` of eth_send."""
    return _json_text(value=_amount(value))
