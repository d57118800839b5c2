"""What client, template and executors of a pool tell each other (sans-IO).

A frame is its length in 4 bytes, little-endian, and that many bytes of msgpack: an array of the kind and the fields.

=========  =====================  ============================================================================
kind       from, to               fields
=========  =====================  ============================================================================
job        client, template       number of the job, log level or nil, map of the arguments; with the
           template, executor     descriptors for stdout, stderr and log, in this order
series     client, template       number of the job; with the descriptors of a socket, over which runs come
           template, executor     (:mod:`executor.pool.series`), and for stderr
visit      template, executor     a request of ``genvm run`` (:mod:`executor.pool.handover`), with its descriptors
command    template, executor     the same of another command, with one more descriptor: there the template takes what
                                  it takes from clients, for the runs that the command starts
signal     client, template       number of the job, number of the signal
ready      template, client       version of this protocol
started    template, client       number of the job, process id
ended      template, client       number of the job, exit code or minus the number of the signal
refused    template, client       number of the job, why no executor could be started
=========  =====================  ============================================================================

A job or a series is answered with refused, or with started and later ended. Both sides are our own programs, perhaps of
different versions: whoever gets anything else stops.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import msgpack

from pygenvm.executor import limits
from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.config import LOG_LEVELS
from pygenvm.executor.frozen import Frozen
from pygenvm.executor.host_protocol.endpoint import UNIX_SCHEME

VERSION = 5

_LENGTH = struct.Struct("<I")
#: Texts of a command line may hold what is no Unicode.
_SURROGATES = "surrogatepass"


class FrameError(ValueError):
    """Bytes that are no frame, or something that does not fit into one."""


class Job(metaclass=Frozen):
    """One run."""

    descriptors: ClassVar = 3
    number: int
    log_level: str | None
    arguments: RunArguments


class Series(metaclass=Frozen):
    """Runs that come one after the other, for one executor."""

    descriptors: ClassVar = 2
    number: int


class Visit(metaclass=Frozen):
    """One run of a process that has connected by itself."""

    descriptors: ClassVar = 2
    request: bytes


class Command(metaclass=Frozen):
    """Another command of a process that has connected by itself, whose runs are jobs of their own."""

    descriptors: ClassVar = 3
    request: bytes


class Signal(metaclass=Frozen):
    """Send a signal to the executor of a job; SIGKILL also to everything that it has started."""

    descriptors: ClassVar = 0
    number: int
    signal: int


class Ready(metaclass=Frozen):
    """Everything is loaded."""

    descriptors: ClassVar = 0
    version: int


class Started(metaclass=Frozen):
    """An executor has the job."""

    descriptors: ClassVar = 0
    number: int
    pid: int


class Ended(metaclass=Frozen):
    """The executor of a job is gone, with everything that it had started."""

    descriptors: ClassVar = 0
    number: int
    status: int


class Refused(metaclass=Frozen):
    """A job could not be started; others can."""

    descriptors: ClassVar = 0
    number: int
    why: str


Frame: TypeAlias = Job | Series | Visit | Command | Signal | Ready | Started | Ended | Refused

_KINDS: dict[str, type[Frame]] = {
    "job": Job,
    "series": Series,
    "visit": Visit,
    "command": Command,
    "signal": Signal,
    "ready": Ready,
    "started": Started,
    "ended": Ended,
    "refused": Refused,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
#: Types of the members of RunArguments in a frame.
_ARGUMENTS = {
    "message": str,
    "host": str,
    "host_data": str,
    "cookie": str,
    "permissions": str,
    "sync": bool,
    "debug_mode": bool,
    "printed": list,
    "record": str | None,
    "trace": bool,
}


def encode_frame(frame: Frame) -> bytes:
    """:raises FrameError: it would be too long, or holds too large a number."""
    values = [getattr(frame, name) for name in type(frame).__match_args__]
    if isinstance(frame, Job):
        values[-1] = pack_arguments(frame.arguments)
    try:
        data: bytes = msgpack.packb([_NAMES[type(frame)], *values], unicode_errors=_SURROGATES)
    except OverflowError as error:
        raise FrameError(f"a number is too large for a frame: {error}") from error
    if len(data) > limits.POOL_FRAME_BYTES:
        raise FrameError(f"a frame of {len(data)} bytes, at most {limits.POOL_FRAME_BYTES} are sent")
    return _LENGTH.pack(len(data)) + data


class FrameDecoder:
    """Frames out of a stream of bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """The next frame, None as long as it is not complete.

        :raises FrameError: these bytes are none; the stream is of no use any more.
        """
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > limits.POOL_FRAME_BYTES:
            raise FrameError(f"a frame of {length} bytes, at most {limits.POOL_FRAME_BYTES} are accepted")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        data = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return _decode(data)


def _decode(data: bytes) -> Frame:
    try:
        kind, *values = msgpack.unpackb(data, unicode_errors=_SURROGATES)
        match _KINDS[kind], values:
            case kind, [number, level, arguments] if kind is Job:
                if level is not None and level not in LOG_LEVELS:
                    raise ValueError(f"no log level: {level!r}")
                return Job(_typed(number, int), level, unpack_arguments(arguments))
            case kind, [request] if kind in (Visit, Command):
                return kind(_typed(request, bytes))
            case kind, [number] if kind is Series:
                return Series(_typed(number, int))
            case kind, [version] if kind is Ready:
                return Ready(_typed(version, int))
            case kind, [number, why] if kind is Refused:
                return Refused(_typed(number, int), _typed(why, str))
            case kind, [number, value] if kind in (Signal, Started, Ended):
                return kind(_typed(number, int), _typed(value, int))
        raise ValueError(f"{len(values)} fields")
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
        raise FrameError(f"not a frame: {type(error).__name__}: {error!s:.200}") from error


def pack_arguments(arguments: RunArguments) -> dict[str, Any]:
    """Arguments as a field of a frame."""
    packed = {name: getattr(arguments, name) for name in _ARGUMENTS}
    packed["printed"] = sorted(arguments.printed)
    # The template has a working directory of its own.
    scheme, path = arguments.host[: len(UNIX_SCHEME)], arguments.host[len(UNIX_SCHEME) :]
    if scheme == UNIX_SCHEME and path:
        packed["host"] = UNIX_SCHEME + os.path.abspath(path)
    packed["record"] = None if arguments.record is None else str(arguments.record.absolute())
    return packed


def unpack_arguments(packed: Any) -> RunArguments:
    """The reverse.

    :raises ValueError: not that.
    """
    if _typed(packed, dict).keys() != _ARGUMENTS.keys():
        raise ValueError(f"arguments {sorted(map(str, packed))}")
    values = {name: _typed(packed[name], kind) for name, kind in _ARGUMENTS.items()}
    values["printed"] = frozenset(_typed(text, str) for text in values["printed"])
    values["record"] = None if values["record"] is None else Path(values["record"])
    return RunArguments(**values)


def _typed(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"a {type(value).__name__} instead of {kind}")
    return value
