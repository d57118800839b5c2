"""An executor of a pool that carries out runs one after the other, for tests and commands of authors.

Each run has a new store, a new thread and new objects for everything that a run has; what stays is what idle executors
have anyway, and what follows from its name (:mod:`executor.run.made`). So that no run can leave anything to the next
one, an executor takes another run only after one that has ended as contracts do by themselves: with a result, an error
of the contract, or an exit code, in every VM of the run. After anything else it says so and leaves; the client has
another one. It looks for more or less of anything than before (threads, descriptors, processes, memory) when the client
has heard of the end and goes on. It says that it is ready if there is nothing, and leaves otherwise; only who is ready
is given a run.

The client may lend the storage of the contract together with the run (:class:`executor.host_protocol.lent.Lent`). Then
storage and calldata are answered here, and what was written goes to the client in front of the result. Every other
request goes to the client's host, in order and as it is on the wire.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pygenvm.executor import limits
from pygenvm.executor.config import ConfigError
from pygenvm.executor.frozen import replaced
from pygenvm.executor.host_protocol import codec
from pygenvm.executor.host_protocol.client import HostClient
from pygenvm.executor.host_protocol.host import HostErrorReply
from pygenvm.executor.host_protocol.lent import Lent, by_slot, listed
from pygenvm.executor.host_protocol.methods import METHODS, ReplyKind
from pygenvm.executor.host_protocol.paged import PagedStorage
from pygenvm.executor.log import Logger
from pygenvm.executor.observer import Observer
from pygenvm.executor.outcome import Outcome, Return, UserError, VMError
from pygenvm.executor.pool.frames import FrameError, unpack_arguments
from pygenvm.executor.pool.series_frames import SeriesDecoder, encode
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod, StorageType, VmError
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.run import termination
from pygenvm.executor.run.made import MadeOnce
from pygenvm.executor.run.outside import Outside, Printing
from pygenvm.executor.run.process import StartError, run_process
from pygenvm.executor.subvm import linear
from pygenvm.executor.subvm.image import files_to_map
from pygenvm.executor.subvm.random import SystemEntropy

if TYPE_CHECKING:
    import socket

    from pygenvm.executor.pool.setup import Setup
    from pygenvm.executor.run.ending import Ending

_STORAGE_READ = codec.request_struct(HostMethod.STORAGE_READ)
_STATE = (StorageType.DEFAULT, StorageType.LATEST_NON_FINAL)
_STDERR, _LOG = 2, 3
_NOTHING_PRINTED = Printing()
#: Exit code, whether there may be another run, and whether the same run would do the same.
_Ended: TypeAlias = tuple[int, bool, bool]


def serve(connection: socket.socket, setup: Setup) -> int:
    """Carry out runs until the client is gone, or there has been one after which no other may follow: an exit code."""
    channel = _Channel(connection)
    # What this process holds from now on is of its runs.
    termination.open_wakings()
    series = _Series(channel, setup)
    ended = None
    while (frame := channel.next_run(ended, series.is_unchanged)) is not None:
        kind, *fields = frame
        if kind != "run":
            raise FrameError(f"a {kind} without a run")
        ended = series.carry_out(*fields)
        status, again, _ = ended
        if not again:
            channel.send("ended", *ended)
            return status
    return 0


class _Channel:
    """The connection to the client. Any thread may send; one at a time, which waits for an answer, receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._sending = threading.Lock()
        self._decoder = SeriesDecoder()
        self._late = bytearray()
        self.settimeout = connection.settimeout
        #: What may be late goes with what comes behind it: the contract has ended, and its result follows at once.
        self.at_the_end = False

    def send(self, kind: str, *fields: Any, late: bool = False) -> None:
        """:param late: the client need not have it before the next frame.

        :raises OSError: the client is gone.
        """
        data = encode(kind, *fields)
        with self._sending:
            if late and self.at_the_end and len(self._late) + len(data) <= limits.SERIES_LATE_BYTES:
                self._late += data
                return
            late_data, self._late = self._late, bytearray()
            self._socket.sendall(late_data + data)

    def receive(self) -> list[Any] | None:
        """The next frame; None if the client is gone.

        :raises FrameError: not a frame.
        """
        while (frame := self._decoder.next_frame()) is None:
            data = self._socket.recv(limits.HOST_READ_BYTES)
            if not data:
                return None
            self._decoder.feed(data)
        return frame

    def next_run(self, ended: _Ended | None, is_unchanged: Callable[[], bool]) -> list[Any] | None:
        """As :meth:`receive`, between two runs; None also if there may not be another one.

        :param ended: how the run before has; its client hears of it now.
        """
        with termination.without_run(self._socket.fileno()) as wait:
            if ended is not None:
                self.send("ended", *ended)
                if not is_unchanged():
                    return None
            self.send("ready")
            wait()
        return self.receive()

    def ask(self, kind: str, *fields: Any) -> list[Any]:
        """What the client answers.

        :raises OSError: it is gone.
        """
        self.send(kind, *fields)
        return self.answer(kind)

    def answer(self, kind: str) -> list[Any]:
        """The fields of the frame that comes next."""
        frame = self.receive()
        if frame is None:
            raise ConnectionError("the client is gone")
        if frame[0] != kind:
            raise ConnectionError(f"the client sent {frame[0]} instead of {kind}")
        return frame[1:]


class _Series:
    """The runs of this process."""

    def __init__(self, channel: _Channel, setup: Setup) -> None:
        self._channel = channel
        self._setup = setup
        self._runs = 0
        self._ours = _folders(setup)
        self._before = self._belongings()
        self._growth_max = _memory() + limits.SERIES_GROWTH_BYTES
        _SeriesLogger.channel = channel

    def carry_out(self, log_level: str | None, modules: dict[str, str], arguments: Any, lent: Any) -> _Ended:
        """One run."""
        outside = _ToClient(self._channel, None if lent is None else Lent.unpacked(lent))
        prepared, watch = self._setup.prepared, _Watch(self._channel)
        self._channel.at_the_end = False
        made, given = MadeOnce.made, SystemEntropy.given
        if prepared is not None:
            prepared.artefacts.count_anew()
        try:
            addresses = {f"{name}_address": address for name, address in modules.items()}
            config = replaced(self._setup.configure(), **addresses)
            log = _SeriesLogger.from_config(config, fd=_LOG, level=log_level or self._setup.log_level)
            observers = (*self._setup.observers, watch)
            status = run_process(unpack_arguments(arguments), config, log, prepared, observers, outside)
        except (ConfigError, StartError) as error:
            outside.write(_STDERR, f"Error: {error}\n".encode("utf-8", "backslashreplace"))
            return 1, False, False
        self._runs += 1
        # Whoever makes an image or bytecode runs the contract too, in a VM that nobody tells of.
        usual = watch.usual and not status and MadeOnce.made == made and not termination.requested()
        return status, usual and self._runs < limits.SERIES_RUNS, SystemEntropy.given == given

    def is_unchanged(self) -> bool:
        """Whether the last run has left nothing behind but memories, which are ready for the next one then."""
        linear.restore()
        deadline = time.monotonic() + limits.SERIES_SETTLE_SECONDS
        had = time.process_time() + limits.SERIES_SETTLE_CPU_SECONDS
        while (now := self._belongings()) != self._before:
            if time.monotonic() > deadline and time.process_time() > had:
                return False
            if now[0] != self._before[0]:
                # What nobody can reach any more may hold a descriptor.
                gc.collect()
            # A thread may have told of its end before it has ended.
            time.sleep(limits.SERIES_SETTLE_POLL_SECONDS)
        return _memory() < self._growth_max

    def _belongings(self) -> tuple[list[str], int, bool]:
        """What a run could leave behind: open files, threads and processes."""
        return [*self._open_files()], len(os.listdir("/proc/self/task")), _has_children()

    def _open_files(self) -> Iterator[str]:
        """But for those that stay mapped: runners, compiled modules, images, and what is made once."""
        for descriptor in os.listdir("/proc/self/fd"):
            if int(descriptor) in files_to_map:
                continue
            with contextlib.suppress(FileNotFoundError):  # the one by which the folder is read
                file = os.readlink(f"/proc/self/fd/{descriptor}")
                if not file.startswith(self._ours):
                    yield f"{descriptor} {file}"


def _folders(setup: Setup) -> tuple[str, ...]:
    """Where files are that stay mapped."""
    try:
        config = setup.configure()
    except ConfigError:
        return ()  # Each run reports it.
    folders = (config.cache_dir, config.runners_dir, *config.packaged_runners)
    return tuple(os.path.realpath(folder) + os.sep for folder in folders)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _memory() -> int:
    """Bytes that this process has had in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


class _Watch(Observer):
    """Whether all VMs of a run have ended as contracts do by themselves."""

    usual = True

    def __init__(self, channel: _Channel) -> None:
        self._channel = channel

    def vm_ended(self, outcome: Outcome | None, depth: int, begun: int, ended: int) -> None:
        self._look_at(outcome)
        if not depth:
            self._channel.at_the_end = True

    def result_known(self, outcome: Outcome, disagreement: int | None) -> None:
        self._look_at(outcome)

    def _look_at(self, outcome: Outcome | None) -> None:
        match outcome:
            case Return() | UserError():
                pass
            case VMError(message=message) if message.startswith(f"{VmError.EXIT_CODE} "):
                pass
            case _:
                self.usual = False


class _SeriesLogger(Logger):
    """Writes records to the client of the series."""

    channel: ClassVar[_Channel]

    def _put(self, line: bytes) -> None:
        try:
            self.channel.send("print", self._fd, line, late=True)
        except OSError:
            return


class _ToClient(Outside):
    """Host and streams of a run are the client's."""

    def __init__(self, channel: _Channel, lent: Lent | None) -> None:
        self._channel = channel
        self._lent = lent
        self.wants_fingerprint = lent is None or lent.wants_fingerprint

    def connect(self, address: str, observer: Observer, ending: Ending) -> HostClient:
        host = _Host(self._channel) if self._lent is None else _LentHost(self._channel, self._lent)
        return HostClient(host, observer, ending)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        piece = bytes(data[: limits.OUTPUT_CHUNK_BYTES])
        self._channel.send("print", fd, piece, late=True)
        return len(piece)

    def print_aside(self, write: Callable[[], None]) -> Printing:
        # The client reads what comes as long as it waits for the run.
        write()
        return _NOTHING_PRINTED


class _Host:
    """The host of one run, as a connection to it: here, all requests go to the client."""

    def __init__(self, channel: _Channel) -> None:
        self._channel = channel
        self._decoder = codec.RequestDecoder()
        self._request = b""
        self._reply: memoryview | None = None
        self.settimeout = channel.settimeout

    def sendall(self, data: bytes | memoryview, /) -> None:
        self._request += data
        self._decoder.feed(data)
        request = self._decoder.next_request()
        if request is None:
            return
        whole, self._request = self._request, b""
        self._carry_out(request, whole)

    def _carry_out(self, request: codec.Request, whole: bytes) -> None:
        self._channel.send("request", whole)
        if request.method is HostMethod.CONSUME_RESULT:
            # What the host does with it changes nothing here, and the client has it before it hears of the end.
            self._reply = memoryview(codec.encode_reply(request))
        elif METHODS[request.method].reply_kind is not ReplyKind.NONE:
            self._reply = None

    def recv_into(self, buffer: memoryview, /) -> int:
        if not self._reply:
            (reply,) = self._channel.answer("reply")
            self._reply = memoryview(reply)
        piece, self._reply = self._reply[: len(buffer)], self._reply[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """The connection to the client stays."""


class _LentHost(_Host):
    """A host whose storage and calldata are here."""

    def __init__(self, channel: _Channel, lent: Lent) -> None:
        super().__init__(channel)
        self._calldata = lent.calldata
        self._read_only = lent.read_only
        self._contract = Address(lent.contract)
        self._known: dict[bytes, _Known] = {lent.contract: _Known(dict(lent.pages), lent.whole)}
        self._storage = PagedStorage(self._below, read_bytes_max=lent.read_bytes_max, pages_max=lent.pages_max)
        self._storage.adopt(self._contract, lent.written, lent.bytes_written)

    def sendall(self, data: bytes | memoryview, /) -> None:
        if not self._request and data[0] == HostMethod.STORAGE_READ:
            # Hot path: the client sends these whole, and there are many.
            _, kind, address, slot, index, length = _STORAGE_READ.unpack(data)
            if kind in _STATE:
                self._answer(HostMethod.STORAGE_READ, lambda: self._read(address, slot, index, length))
                return
        super().sendall(data)

    def _carry_out(self, request: codec.Request, whole: bytes) -> None:
        fields = request.fields
        if request.method is HostMethod.STORAGE_WRITE:
            self._answer(request.method, lambda: self._write(**fields))
        elif request.method is HostMethod.GET_CALLDATA:
            self._reply = memoryview(codec.encode_reply(request, self._calldata))
        else:
            if request.method is HostMethod.CONSUME_RESULT:
                pages = {key[1:]: data for key, data in self._storage.written_pages().items()}
                self._channel.send("written", listed(pages), self._storage.bytes_written, late=True)
            super()._carry_out(request, whole)

    def _answer(self, method: HostMethod, question: Callable[[], bytes]) -> None:
        try:
            self._reply = memoryview(b"\0" + question())
        except HostErrorReply as refusal:
            self._reply = memoryview(codec.encode_error(method, refusal.code))

    def _read(self, address: bytes, slot: bytes, index: int, length: int) -> bytes:
        return self._storage.read(Address(address), slot, index, length)

    def _write(self, slot: bytes, index: int, data: bytes) -> bytes:
        if self._read_only:
            raise HostErrorReply(HostErrorCode.FORBIDDEN)
        self._storage.write(self._contract, slot, index, data)
        return b""

    # --- what was there before ------------------------------------------------------------------------

    def _below(self, address: Address, slot: bytes, first: int, last: int) -> Mapping[int, bytes]:
        known = self._known.get(address.as_bytes)
        if known is None:
            pages, whole = self._channel.ask("storage", address.as_bytes)
            known = self._known[address.as_bytes] = _Known(by_slot(pages), whole)
        if not known.whole and any((slot, page) not in known.pages for page in range(first, last + 1)):
            (found,) = self._channel.ask("pages", address.as_bytes, slot, first, last)
            asked: dict[int, bytes] = found
            if len(known.pages) + last - first < limits.SERIES_PAGES_KEPT:
                known.pages.update({(slot, page): asked.get(page, b"") for page in range(first, last + 1)})
            return asked
        pages = known.pages
        return {page: pages[slot, page] for page in range(first, last + 1) if (slot, page) in pages}


class _Known:
    """Pages of one address. If they are not the whole, those that are not here have to be asked for."""

    def __init__(self, pages: dict[tuple[bytes, int], bytes], whole: bool) -> None:
        self.pages = pages
        self.whole = whole
