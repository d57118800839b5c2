"""Records of executions: everything that came into a run and went out of it, as one file.

A record is a sequence of msgpack objects.

=========  ===========================================================================================
object     content
=========  ===========================================================================================
first      map ``format`` ("pygenvm record"), ``version`` (1), ``executor``, ``engine``, ``machine`` (texts),
           ``message``, ``permissions``, ``host_data``, ``cookie`` (texts), ``sync``, ``debug_mode`` (booleans),
           ``seed`` (32 bytes: nondet VMs of a recorded run draw their random bytes from it)
events     array ``[stream, kind, …]``; ``stream`` is nil for the VM thread and the call number of a nondet block
           for its validator, so the threads' interleaving does not matter
last       map ``events`` (their number), ``ended`` ("result", "signal" or what went wrong), ``blake3`` (of all
           bytes before it)
=========  ===========================================================================================

==========  ==================================================================================================
kind        rest of the event
==========  ==================================================================================================
host        method name, array of its fields in wire order, name of the error byte, value (nil without one).
            Numbers are integers but for 256-bit ones, which are 32 bytes little-endian; addresses are 20 bytes
lost        method name and fields of a request whose reply never came
module      "llm" or "web", request frame, answer frame (nil if there was none), text of the failure or nil
runtime     microseconds that a contract was told
runner      a reference, and the archive it meant
validator   nothing: the validator of this block was run
==========  ==================================================================================================

A run that crashed has no last object. :mod:`executor.record.recorder` writes a record as the run goes on;
:mod:`executor.record.reading` reads it as hostile input.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pygenvm.executor.host_protocol.codec import Reply, Request, encode_reply, encode_request
from pygenvm.executor.host_protocol.methods import METHODS, FieldKind, ReplyKind
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod, StorageType
from pygenvm.executor.primitives.address import Address

FORMAT = "pygenvm record"
VERSION = 1
ENDED_WITH_RESULT = "result"
ENDED_BY_SIGNAL = "signal"

#: Call number of the nondet block whose validator made an event; None: the VM thread.
Stream: TypeAlias = int | None


class RecordError(ValueError):
    """A file is not a record that can be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a run was given, and who ran it."""

    executor: str
    engine: str
    machine: str
    message: str
    permissions: str
    host_data: str
    cookie: str
    sync: bool
    debug_mode: bool
    seed: bytes


@dataclass(frozen=True, slots=True)
class HostExchange:
    """A request to the host. ``reply`` is None if it never came."""

    request: Request
    reply: Reply | None


@dataclass(frozen=True, slots=True)
class ModuleExchange:
    """A request to a module, and its answer frame or why there is none."""

    module: str
    request: bytes
    answer: bytes | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class Runtime:
    """Microseconds that a contract was told."""

    microseconds: int


@dataclass(frozen=True, slots=True)
class ValidatorRun:
    """The validator of a block was run."""


Event: TypeAlias = HostExchange | ModuleExchange | Runtime | ValidatorRun


@dataclass(frozen=True, slots=True)
class Record:
    """A record that was read. ``runners``: what references meant; ``ended`` is None after a crash."""

    header: Header
    streams: Mapping[Stream, Sequence[Event]]
    balances: Mapping[bytes, HostExchange]
    """The first exchange about the balance of each address, which is among the events of some stream too."""
    runners: Mapping[str, str]
    ended: str | None
    intact: bool
    """The checksum is right; meaningless after a crash."""


def versions() -> tuple[str, str, str]:
    """Version of the executor, version of the engine and kind of machine."""
    from importlib.metadata import version

    return version("pygenvm"), version("wasmtime"), platform.machine()


# --- requests and replies -------------------------------------------------------------------------


def _pack_field(kind: FieldKind, value: Any) -> Any:
    match kind:
        case FieldKind.ADDR:
            return value.as_bytes
        case FieldKind.U256LE:
            return value.to_bytes(32, "little")
        case FieldKind.STORAGE_TYPE:
            return int(value)
    return value


def _unpack_field(kind: FieldKind, value: Any) -> Any:
    match kind:
        case FieldKind.STORAGE_TYPE:
            return StorageType(typed(value, int))
        case FieldKind.U32 | FieldKind.U64:
            return typed(value, int)
        case FieldKind.ADDR:
            if len(typed(value, bytes)) != Address.SIZE:
                raise ValueError(f"an address of {len(value)} bytes")
            return Address(value)
        case FieldKind.U256LE:
            if len(typed(value, bytes)) != 32:
                raise ValueError("a number of 256 bits has 32 bytes")
            return int.from_bytes(value, "little")
        case FieldKind.TOPICS:
            return [typed(topic, bytes) for topic in typed(value, list)]
    return typed(value, bytes)


def typed(value: Any, kind: type) -> Any:
    """``value``, if that is its type.

    :raises ValueError: it is of another one.
    """
    if type(value) is not kind:
        raise ValueError(f"a {type(value).__name__} instead of a {kind.__name__}")
    return value


def pack_request(request: Request) -> list[Any]:
    """Method name and fields."""
    layout = METHODS[request.method].request
    return [request.method.name.lower(), [_pack_field(part.kind, request.fields[part.name]) for part in layout]]


def unpack_request(name: Any, values: Any) -> Request:
    """Inverse of :func:`pack_request`.

    :raises ValueError, KeyError: there is no such request.
    """
    method = HostMethod[typed(name, str).upper()]
    layout = METHODS[method].request
    pairs = zip(layout, typed(values, list), strict=True)
    fields = {part.name: _unpack_field(part.kind, value) for part, value in pairs}
    encode_request(method, *fields.values())  # Refuses what the layout cannot hold.
    return Request(method, fields)


def pack_reply(request: Request, reply: Reply) -> list[Any]:
    """Name of the error byte, and value."""
    value = reply.value
    for part in METHODS[request.method].reply:
        value = None if value is None else _pack_field(part.kind, value)
    return [reply.error.name.lower(), value]


def unpack_reply(request: Request, name: Any, value: Any) -> Reply:
    """Inverse of :func:`pack_reply`.

    :raises ValueError, KeyError: ``request`` cannot be answered like that.
    """
    layout = METHODS[request.method]
    error = HostErrorCode[typed(name, str).upper()]
    if error is not HostErrorCode.OK and layout.reply_kind is not ReplyKind.STATUS:
        raise ValueError(f"{request.method.name.lower()} cannot be answered with an error")
    if error is HostErrorCode.OK:
        for part in layout.reply:
            reply = Reply(error, _unpack_field(part.kind, value))
            encode_reply(request, reply.value)
            return reply
    if value is not None:
        raise ValueError("a value that the reply does not have")
    return Reply(error)
