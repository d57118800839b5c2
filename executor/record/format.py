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

A run that crashed has no last object. A record is written as the run goes on, and read as hostile input.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgpack
from blake3 import blake3

from pygenvm.executor import limits
from pygenvm.executor.host_protocol.codec import (
    Reply,
    ReplyDecoder,
    Request,
    RequestDecoder,
    encode_reply,
    encode_request,
)
from pygenvm.executor.host_protocol.methods import METHODS, FieldKind, ReplyKind
from pygenvm.executor.module_protocol.client import ModuleClient
from pygenvm.executor.module_protocol.codec import Hello, Ok, UserError, decode_answer, decode_request, encode_answer
from pygenvm.executor.module_protocol.codec import Request as ModuleRequest
from pygenvm.executor.module_protocol.codec import encode_request as encode_module_request
from pygenvm.executor.outcome import InternalErrorRaised
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod, StorageType
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.runner.registry import InstalledRunners
from pygenvm.executor.stream import validated_block
from pygenvm.executor.subvm.random import RandomSource

if TYPE_CHECKING:
    from pygenvm.executor.arguments import RunArguments
    from pygenvm.executor.module_protocol.codec import AnswerReader
    from pygenvm.executor.runner.archive import Archive

FORMAT = "pygenvm record"
VERSION = 1
ENDED_WITH_RESULT = "result"
ENDED_BY_SIGNAL = "signal"

_log = logging.getLogger("executor.record")

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
    streams: dict[Stream, list[Event]]
    runners: dict[str, str]
    ended: str | None
    intact: bool
    """The checksum is right; meaningless after a crash."""


# --- fields ---------------------------------------------------------------------------------------


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
            return StorageType(_typed(value, int))
        case FieldKind.U32 | FieldKind.U64:
            return _typed(value, int)
        case FieldKind.ADDR:
            return Address(_typed(value, bytes))
        case FieldKind.U256LE:
            if len(_typed(value, bytes)) != 32:
                raise ValueError("a number of 256 bits has 32 bytes")
            return int.from_bytes(value, "little")
        case FieldKind.TOPICS:
            return [_typed(topic, bytes) for topic in _typed(value, list)]
    return _typed(value, bytes)


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"a {type(value).__name__} instead of a {kind.__name__}")
    return value


def _pack_request(request: Request) -> list[Any]:
    layout = METHODS[request.method].request
    return [request.method.name.lower(), [_pack_field(part.kind, request.fields[part.name]) for part in layout]]


def _unpack_request(name: Any, values: Any) -> Request:
    method = HostMethod[_typed(name, str).upper()]
    layout = METHODS[method].request
    pairs = zip(layout, _typed(values, list), strict=True)
    fields = {part.name: _unpack_field(part.kind, value) for part, value in pairs}
    encode_request(method, *fields.values())  # Refuses what the layout cannot hold.
    return Request(method, fields)


def _pack_reply(request: Request, reply: Reply) -> list[Any]:
    value = reply.value
    for part in METHODS[request.method].reply:
        value = None if value is None else _pack_field(part.kind, value)
    return [reply.error.name.lower(), value]


def _unpack_reply(request: Request, name: Any, value: Any) -> Reply:
    layout = METHODS[request.method]
    error = HostErrorCode[_typed(name, str).upper()]
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


# --- writing --------------------------------------------------------------------------------------


class Recorder:
    """Writes a record while a run goes on. Every event is in the file before the run continues.

    If the file cannot be written, the record ends and the run goes on. May be used from several threads.
    """

    def __init__(self, path: Path, arguments: RunArguments) -> None:
        """:raises OSError: the file cannot be made."""
        self._file = path.open("wb", buffering=0)
        self._lock = threading.Lock()
        self._hash = blake3()
        self._events = 0
        self._bytes = 0
        self._open = True
        #: The request that the host has not answered yet, and the decoder of its answer.
        self._pending: tuple[Stream, Request, ReplyDecoder] | None = None
        self.seed = os.urandom(32)
        header = Header(
            *(*versions(), arguments.message, arguments.permissions, arguments.host_data, arguments.cookie),
            *(arguments.sync, arguments.debug_mode, self.seed),
        )
        fields = {name: getattr(header, name) for name in Header.__slots__}
        self._write({"format": FORMAT, "version": VERSION, **fields})

    def observe_host(self, direction: Literal["sent", "received"], data: bytes) -> None:
        """Observer of a :class:`executor.host_protocol.client.HostClient`."""
        if direction == "sent":
            self._lose_pending()
            decoder = RequestDecoder(limits.RECORD_BYTES)
            decoder.feed(data)
            request = decoder.next_request()
            assert request is not None
            if METHODS[request.method].reply_kind is ReplyKind.NONE:
                self.event("host", *_pack_request(request), *_pack_reply(request, Reply(HostErrorCode.OK)))
            else:
                replies = ReplyDecoder(request.method, request.fields.get("length", 0))
                self._pending = validated_block.get(), request, replies
        elif self._pending is not None:
            _, request, replies = self._pending
            replies.feed(data)
            reply = replies.next_reply()
            if reply is not None:
                self._pending = None
                self.event("host", *_pack_request(request), *_pack_reply(request, reply))

    def _lose_pending(self) -> None:
        if self._pending is not None:
            stream, request, _ = self._pending
            self._pending = None
            self._append(stream, "lost", *_pack_request(request))

    def event(self, kind: str, *rest: Any) -> None:
        """Append an event of the calling thread's stream."""
        self._append(validated_block.get(), kind, *rest)

    def _append(self, stream: Stream, kind: str, *rest: Any) -> None:
        with self._lock:
            self._events += 1
            self._write([stream, kind, *rest])

    def finish(self, ended: str) -> None:
        """Write the last object. Nothing is recorded afterwards."""
        self._lose_pending()
        with self._lock:
            self._write({"events": self._events, "ended": ended, "blake3": self._hash.digest()})
            self._close()

    def _write(self, value: Any) -> None:
        if not self._open:
            return
        data = msgpack.packb(value)
        self._bytes += len(data)
        self._hash.update(data)
        try:
            if self._bytes > limits.RECORD_BYTES or self._events > limits.RECORD_EVENTS:
                raise OSError(f"a record has at most {limits.RECORD_BYTES} bytes and {limits.RECORD_EVENTS} events")
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            _log.warning("the record ends here: %s", error)
            self._close()

    def _close(self) -> None:
        self._open = False
        self._file.close()


def versions() -> tuple[str, str, str]:
    """Version of the executor, version of the engine and kind of machine."""
    from importlib.metadata import version

    return version("pygenvm"), version("wasmtime"), platform.machine()


def seeded_random(seed: bytes) -> Callable[[], RandomSource]:
    """Random sources for nondet VMs, one after the other in each stream, that give the same bytes again."""
    counters: dict[Stream, Iterator[int]] = {}

    def source() -> RandomSource:
        stream = validated_block.get()
        number = next(counters.setdefault(stream, count()))
        return partial(_fill, blake3(f"{stream} {number}".encode(), key=seed), count(step=limits.RANDOM_CHUNK_BYTES))

    return source


def _fill(source: Any, positions: Iterator[int], target: memoryview) -> None:
    for start in range(0, len(target), limits.RANDOM_CHUNK_BYTES):
        piece = target[start : start + limits.RANDOM_CHUNK_BYTES]
        piece[:] = source.digest(length=len(piece), seek=next(positions))


class RecordingEntropy:
    """The real thing, noted."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._sources = seeded_random(recorder.seed)

    def random(self) -> RandomSource:
        return self._sources()

    def runtime(self, microseconds: int) -> int:
        self._recorder.event("runtime", microseconds)
        return microseconds


class RecordingGate:
    """A gate; the validators that it lets through are noted."""

    def __init__(self, recorder: Recorder, validates: Callable[[int, int | None], bool]) -> None:
        self._recorder = recorder
        self._validates = validates

    def validates(self, call_no: int, lowest: int | None) -> bool:
        runs = self._validates(call_no, lowest)
        if runs:
            self._recorder.event("validator")
        return runs


class RecordingModule(ModuleClient):
    """One service, noted."""

    def __init__(self, name: str, address: str, hello: Hello, recorder: Recorder) -> None:
        super().__init__(name, address, hello)
        self._recorder = recorder

    def ask(self, request: ModuleRequest, read: AnswerReader) -> Ok | UserError:
        received: list[Any] = []

        def keep(value: Any) -> Any:
            received.append(value)
            return read(value)

        frame = encode_module_request(request)
        try:
            answer = super().ask(request, keep)
        except InternalErrorRaised as error:
            self._recorder.event("module", self._name, frame, None, str(error))
            raise
        original = Ok(received[0]) if isinstance(answer, Ok) else answer
        self._recorder.event("module", self._name, frame, encode_answer(original), None)
        return answer


class RecordingRegistry(InstalledRunners):
    """The installed runners; what references mean is noted."""

    def __init__(
        self,
        recorder: Recorder,
        runners_dir: Path,
        registry_dir: Path,
        debug: bool,
        known: Mapping[str, Archive] | None = None,
    ) -> None:
        super().__init__(runners_dir, registry_dir, debug, known)
        self._recorder = recorder

    def resolve(self, reference: str) -> str:
        resolved = super().resolve(reference)
        self._recorder.event("runner", reference, resolved)
        return resolved


# --- reading --------------------------------------------------------------------------------------


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
        if stream is not None and not 0 <= _typed(stream, int) < 1 << 32:
            raise ValueError(f"{stream} is not a call number")
        if kind == "runner":
            reference, resolved = (_typed(text, str) for text in rest)
            self.runners[reference] = resolved
        else:
            self.streams.setdefault(stream, []).append(_event(kind, rest))


def _event(kind: Any, rest: list[Any]) -> Event:
    match kind, rest:
        case "host", [method, fields, error, value]:
            request = _unpack_request(method, fields)
            return HostExchange(request, _unpack_reply(request, error, value))
        case "lost", [method, fields]:
            return HostExchange(_unpack_request(method, fields), None)
        case "module", ["llm" | "web" as module, bytes(request), bytes(answer), None]:
            decode_request(request)
            decode_answer(answer)
            return ModuleExchange(module, request, answer, None)
        case "module", ["llm" | "web" as module, bytes(request), None, str(failure)]:
            decode_request(request)
            return ModuleExchange(module, request, None, failure)
        case "runtime", [microseconds]:
            return Runtime(_typed(microseconds, int))
        case "validator", []:
            return ValidatorRun()
    raise ValueError(f"an event of the unknown kind {kind!r:.40} or with the wrong parts")


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
    header = Header(**{name: _typed(value[name], kinds.get(name, str)) for name in Header.__slots__})
    if len(header.seed) != 32:
        raise ValueError("the seed has not 32 bytes")
    return header


def _read_end(header: Header, reading: _Reading, value: Any, digest: bytes, surplus: int) -> Record:
    if type(value) is not dict or set(value) != {"events", "ended", "blake3"}:
        raise ValueError("neither an event nor the end of a record")
    if surplus:
        raise ValueError(f"{surplus} bytes behind the end of the record")
    intact = value["blake3"] == digest and value["events"] == reading.events
    return Record(header, reading.streams, reading.runners, _typed(value["ended"], str), intact)
