"""Reading records: every byte may be hostile (:mod:`executor.record.format`).

A record is checked from its first to its last object when it is read, and what it takes in memory is in proportion to
its file: the bytes of the file, and where each event begins. An event is decoded anew whenever it is looked at.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, overload

import msgpack
from blake3 import blake3

from pygenvm.executor import limits
from pygenvm.executor.host_protocol.codec import ProtocolViolation
from pygenvm.executor.module_protocol.codec import decode_answer, decode_request
from pygenvm.executor.primitives.abi import HostMethod
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

Key = TypeVar("Key")

#: Characters of what is said about a malformed object; most of it may come from the file.
_WHY_CHARS = 200


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
        return _Reading(data).record()
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error


class _Objects:
    """The objects of a file, of which only the events are asked for any more."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        #: Where each object begins, and the last one ends.
        self.begins = array("I")

    def event(self, number: int) -> Event:
        begin, end = self.begins[number : number + 2]
        _, kind, *rest = msgpack.unpackb(memoryview(self._data)[begin:end])
        return _event(kind, rest)


class _Events(Sequence[Event]):
    """Events of one stream."""

    def __init__(self, objects: _Objects) -> None:
        self._objects = objects
        self.numbers = array("I")

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, at: int) -> Event: ...
    @overload
    def __getitem__(self, at: slice) -> list[Event]: ...
    def __getitem__(self, at: int | slice) -> Event | list[Event]:
        if isinstance(at, slice):
            return [self._objects.event(number) for number in self.numbers[at]]
        return self._objects.event(self.numbers[at])


class _Balances(Mapping[bytes, HostExchange]):
    """What was answered when the balance of an address was asked for."""

    def __init__(self, objects: _Objects) -> None:
        self._objects = objects
        self.numbers: dict[bytes, int] = {}

    def __getitem__(self, address: bytes) -> HostExchange:
        exchange = self._objects.event(self.numbers[address])
        assert isinstance(exchange, HostExchange)
        return exchange

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)


class _End(NamedTuple):
    ended: str
    intact: bool


class _Reading:
    """One pass over a file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._objects = _Objects(data)
        self._balances = _Balances(self._objects)
        self._streams: dict[Stream, _Events] = {}
        self._runners: dict[str, str] = {}
        #: Elements that the current object may still have.
        self._elements = 0
        self._unpacker = msgpack.Unpacker(
            io.BytesIO(data),
            max_buffer_size=max(len(data), 1),
            max_array_len=limits.RECORD_ELEMENTS,
            max_map_len=limits.RECORD_ELEMENTS,
            max_str_len=limits.RECORD_TEXT_BYTES,
            max_ext_len=0,
            list_hook=self._counted,
            object_hook=self._counted,
        )

    def record(self) -> Record:
        """:raises RecordError: it is none."""
        header: Header | None = None
        end: _End | None = None
        for number, value in enumerate(self._values()):
            try:
                if header is None:
                    header = _read_header(value)
                elif type(value) is list:
                    self._add(number, value)
                else:
                    end = self._read_end(number, value)
                    break
            except RecordError:
                raise
            except (ValueError, KeyError, TypeError, ProtocolViolation) as error:
                raise self._malformed(f": {error}") from error
        if header is None:
            raise RecordError("not a record of an execution: the file is empty or cut off")
        return Record(header, self._streams, self._balances, self._runners, *(end or (None, False)))

    def _values(self) -> Iterator[Any]:
        """All objects that are there whole."""
        begins = self._objects.begins
        while True:
            begins.append(self._unpacker.tell())
            self._elements = limits.RECORD_OBJECT_ELEMENTS
            try:
                value = self._unpacker.unpack()
            except msgpack.OutOfData:
                return
            except (ValueError, RecursionError, msgpack.UnpackException) as error:
                raise self._malformed(f" is not msgpack: {error!r}") from error
            yield value

    def _counted(self, found: Key) -> Key:
        """Called for each array and map: empty ones inside each other take 60 bytes for one of the file."""
        self._elements -= 1 + len(found)  # type: ignore[arg-type]
        if self._elements < 0:
            raise ValueError(f"more than {limits.RECORD_OBJECT_ELEMENTS} elements")
        return found

    def _malformed(self, why: str) -> RecordError:
        """What to say of the object that was read last."""
        begins = self._objects.begins
        if len(why) > _WHY_CHARS:
            why = why[:_WHY_CHARS] + "…"
        return RecordError(f"object {len(begins) - 1} at byte {begins[-1]}{why}")

    def _add(self, number: int, value: list[Any]) -> None:
        """:raises ValueError, KeyError: not an event."""
        if number > limits.RECORD_EVENTS:
            raise RecordError(f"a record has at most {limits.RECORD_EVENTS} events")
        stream, kind, *rest = value
        if stream is not None and not 0 <= typed(stream, int) < 1 << 32:
            raise ValueError(f"{stream} is not a call number")
        if kind == "runner":
            reference, resolved = (typed(text, str) for text in rest)
            self._runners[reference] = resolved
            if len(self._runners) > limits.RECORD_RUNNERS:
                raise RecordError(f"a record names at most {limits.RECORD_RUNNERS} runners")
            return
        event = _event(kind, rest)
        if isinstance(event, HostExchange) and event.request.method is HostMethod.GET_BALANCE:
            self._balances.numbers.setdefault(event.request.fields["address"].as_bytes, number)
        events = self._streams.get(stream)
        if events is None:
            if len(self._streams) >= limits.RECORD_STREAMS:
                raise RecordError(f"a record has at most {limits.RECORD_STREAMS} streams")
            events = self._streams[stream] = _Events(self._objects)
        events.numbers.append(number)

    def _read_end(self, number: int, value: Any) -> _End:
        """:raises ValueError: not the end."""
        if type(value) is not dict or set(value) != {"events", "ended", "blake3"}:
            raise ValueError("neither an event nor the end of a record")
        surplus = len(self._data) - self._unpacker.tell()
        if surplus:
            raise ValueError(f"{surplus} bytes behind the end of the record")
        ended = typed(value["ended"], str)
        digest = blake3(memoryview(self._data)[: self._objects.begins[-1]]).digest()
        return _End(ended, value["blake3"] == digest and value["events"] == number - 1)


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
