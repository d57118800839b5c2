"""Reading records: every byte may be hostile (:mod:`executor.record.format`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
from blake3 import blake3

from pygenvm.executor import limits
from pygenvm.executor.module_protocol.codec import decode_answer, decode_request
from pygenvm.executor.record.format import (
    FORMAT,
    VERSION,
    Event,
    Header,
    HostExchange,
    ModuleExchange,
    Record,
    RecordError,
    Runtime,
    Stream,
    ValidatorRun,
    typed,
    unpack_reply,
    unpack_request,
)


def read_record(path: Path) -> Record:
    """Read a record.

    :raises RecordError: it cannot be read, is not a record, or is malformed; the text names the object.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limits.RECORD_BYTES + 1)
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}") from error
    if len(data) > limits.RECORD_BYTES:
        raise RecordError(f"{path}: a record has at most {limits.RECORD_BYTES} bytes")
    try:
        return _read(data)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error


@dataclass
class _Reading:
    streams: dict[Stream, list[Event]] = field(default_factory=dict)
    runners: dict[str, str] = field(default_factory=dict)
    events: int = 0

    def add(self, value: list[Any]) -> None:
        """:raises ValueError, KeyError: not an event."""
        self.events += 1
        if self.events > limits.RECORD_EVENTS:
            raise RecordError(f"a record has at most {limits.RECORD_EVENTS} events")
        stream, kind, *rest = value
        if stream is not None and not 0 <= typed(stream, int) < 1 << 32:
            raise ValueError(f"{stream} is not a call number")
        if kind == "runner":
            reference, resolved = (typed(text, str) for text in rest)
            self.runners[reference] = resolved
        else:
            self.streams.setdefault(stream, []).append(_event(kind, rest))


def _event(kind: Any, rest: list[Any]) -> Event:
    match kind, rest:
        case "host", [method, fields, error, value]:
            request = unpack_request(method, fields)
            return HostExchange(request, unpack_reply(request, error, value))
        case "lost", [method, fields]:
            return HostExchange(unpack_request(method, fields), None)
        case "module", ["llm" | "web" as module, bytes(request), bytes(answer), None]:
            decode_request(request)
            decode_answer(answer)
            return ModuleExchange(module, request, answer, None)
        case "module", ["llm" | "web" as module, bytes(request), None, str(failure)]:
            decode_request(request)
            return ModuleExchange(module, request, None, failure)
        case "runtime", [microseconds]:
            return Runtime(typed(microseconds, int))
        case "validator", []:
            return ValidatorRun()
    raise ValueError(f"an event of the unknown kind {kind!r:.40} or with the wrong parts")


def _read(data: bytes) -> Record:
    unpacker = msgpack.Unpacker(
        max_buffer_size=len(data) or 1,
        max_array_len=limits.RECORD_ELEMENTS,
        max_map_len=limits.RECORD_ELEMENTS,
        max_ext_len=0,
    )
    unpacker.feed(data)
    header: Header | None = None
    reading = _Reading()
    number = 0
    while True:
        begin = unpacker.tell()
        try:
            value = unpacker.unpack()
        except msgpack.OutOfData:
            break
        except (ValueError, RecursionError, msgpack.UnpackException) as error:
            raise RecordError(f"object {number} at byte {begin} is not msgpack: {error!r:.200}") from error
        try:
            if header is None:
                header = _read_header(value)
            elif type(value) is list:
                reading.add(value)
            else:
                return _read_end(header, reading, value, blake3(data[:begin]).digest(), len(data) - unpacker.tell())
        except RecordError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(f"object {number} at byte {begin}: {error}") from error
        number += 1
    if header is None:
        raise RecordError("not a record of an execution: the file is empty or cut off")
    return Record(header, reading.streams, reading.runners, None, False)


def _read_header(value: Any) -> Header:
    if type(value) is not dict or value.get("format") != FORMAT:
        raise RecordError("not a record of an execution")
    if value.get("version") != VERSION:
        raise RecordError(f"a record of version {value.get('version')!r:.20}; this executor reads version {VERSION}")
    if set(value) != {"format", "version", *Header.__slots__}:
        raise ValueError("the header has other members than a record has")
    kinds = {"sync": bool, "debug_mode": bool, "seed": bytes}
    header = Header(**{name: typed(value[name], kinds.get(name, str)) for name in Header.__slots__})
    if len(header.seed) != 32:
        raise ValueError("the seed has not 32 bytes")
    return header


def _read_end(header: Header, reading: _Reading, value: Any, digest: bytes, surplus: int) -> Record:
    if type(value) is not dict or set(value) != {"events", "ended", "blake3"}:
        raise ValueError("neither an event nor the end of a record")
    if surplus:
        raise ValueError(f"{surplus} bytes behind the end of the record")
    intact = value["blake3"] == digest and value["events"] == reading.events
    return Record(header, reading.streams, reading.runners, typed(value["ended"], str), intact)
