"""Writing records while runs go on (:mod:`executor.record.format`)."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
from blake3 import blake3

from pygenvm.executor import limits
from pygenvm.executor.host_protocol.codec import Reply, Request, RequestDecoder
from pygenvm.executor.log import Remarks
from pygenvm.executor.observer import Observer
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod
from pygenvm.executor.record.format import FORMAT, VERSION, Header, Stream, pack_reply, pack_request, versions
from pygenvm.executor.stream import validated_block

if TYPE_CHECKING:
    from pygenvm.executor.arguments import RunArguments

_log = Remarks("executor.record")


class Recorder(Observer):
    """Writes a record. Every event is in the file before the run continues.

    It is told of requests and replies as an observer; what else a run gets from its surroundings is noted by wrappers
    of those who give it (:mod:`executor.record.wrappers`). If the file cannot be written, the record ends and the run
    goes on.
    """

    def __init__(self, path: Path) -> None:
        """:raises OSError: the file cannot be made."""
        self._file = path.open("wb", buffering=0)
        self._lock = threading.Lock()
        self._hash = blake3()
        self._events = 0
        self._bytes = 0
        self._streams: set[Stream] = set()
        self._open = True
        #: By thread, the request that the host has not answered yet.
        self._pending: dict[int, tuple[Stream, bytes]] = {}
        self.seed = os.urandom(32)

    # --- what happens --------------------------------------------------------------------------------

    def started(self, arguments: RunArguments) -> None:
        header = Header(
            *(*versions(), arguments.message, arguments.permissions, arguments.host_data, arguments.cookie),
            *(arguments.sync, arguments.debug_mode, self.seed),
        )
        fields = {name: getattr(header, name) for name in Header.__slots__}
        self._write({"format": FORMAT, "version": VERSION, **fields})

    def host_requested(self, method: HostMethod, request: bytes) -> None:
        self._pending[threading.get_ident()] = validated_block.get(), request

    def host_replied(
        self,
        method: HostMethod,
        request: bytes,
        error: HostErrorCode | None,
        value: bytes | int | None,
        begun: int,
        ended: int,
    ) -> None:
        stream, _ = self._pending.pop(threading.get_ident())
        if error is None:
            self._lose(stream, request)
        else:
            asked = _decoded(request)
            self._append(stream, "host", *pack_request(asked), *pack_reply(asked, Reply(error, value)))

    def module_answered(
        self, module: str, name: str, request: bytes, answer: bytes | None, failure: str | None, begun: int, ended: int
    ) -> None:
        self.note("module", module, request, answer, failure)

    def ended(self, how: str) -> None:
        for stream, request in list(self._pending.values()):
            self._lose(stream, request)
        with self._lock:
            self._write({"events": self._events, "ended": how, "blake3": self._hash.digest()})
            self._close()

    # --- the file ------------------------------------------------------------------------------------

    def note(self, kind: str, *rest: Any) -> None:
        """Append an event of the calling thread's stream."""
        self._append(validated_block.get(), kind, *rest)

    def _lose(self, stream: Stream, request: bytes) -> None:
        self._append(stream, "lost", *pack_request(_decoded(request)))

    def _append(self, stream: Stream, kind: str, *rest: Any) -> None:
        with self._lock:
            self._events += 1
            self._streams.add(stream)
            self._write([stream, kind, *rest])

    def _write(self, value: Any) -> None:
        if not self._open:
            return
        data = msgpack.packb(value)
        self._bytes += len(data)
        self._hash.update(data)
        try:
            for what, count, limit in (
                ("bytes", self._bytes, limits.RECORD_BYTES),
                ("events", self._events, limits.RECORD_EVENTS),
                ("streams", len(self._streams), limits.RECORD_STREAMS),
            ):
                if count > limit:
                    raise OSError(f"a record has at most {limit} {what}")
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            _log.warning("the record ends here: %s", error)
            self._close()

    def _close(self) -> None:
        self._open = False
        self._file.close()


def _decoded(request: bytes) -> Request:
    decoder = RequestDecoder()
    decoder.feed(request)
    decoded = decoder.next_request()
    assert decoded is not None
    return decoded
