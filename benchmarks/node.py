"""A node in a process of its own, as small and fast as it can be: its time is not what is measured.

    python -m benchmarks.node          the set-up comes as JSON on standard input; stops when that closes

It serves one executor after the other, each with a fresh copy of the same storage, and writes one line of JSON to
standard output after each result. Its clock is the one of :func:`time.perf_counter` everywhere on this machine.
:class:`benchmarks.support.Node` is the other end of the pipes.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import sys
import threading
import time
from typing import Any

from benchmarks.memory_of import memory_of
from pygenvm.executor.host_protocol.codec import Request, RequestDecoder, encode_error, encode_reply
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod

_READ_BYTES = 256 << 10
_PEER = struct.Struct("3i")


class _Session:
    """One executor. ``samples_memory``: how big it is after its last storage write."""

    def __init__(self, setup: dict[str, Any], connection: socket.socket) -> None:
        self._calldata = bytes.fromhex(setup["calldata"])
        self._storage = {bytes.fromhex(slot): bytearray.fromhex(content) for slot, content in setup["storage"].items()}
        self._samples_memory: bool = setup["samples_memory"]
        self._connection = connection
        self.memory: dict[str, int] | None = None
        self.result: bytes | None = None
        self.result_at = 0.0

    def answer(self, request: Request) -> bytes:
        fields = request.fields
        match request.method:
            case HostMethod.GET_CALLDATA:
                return encode_reply(request, self._calldata)
            case HostMethod.STORAGE_READ:
                start, length = fields["index"], fields["length"]
                content = self._storage.get(fields["slot"], b"")[start : start + length]
                return encode_reply(request, bytes(content).ljust(length, b"\0"))
            case HostMethod.STORAGE_WRITE:
                content = self._storage.setdefault(fields["slot"], bytearray())
                end = fields["index"] + len(fields["data"])
                content.extend(bytes(max(0, end - len(content))))
                content[fields["index"] : end] = fields["data"]
                if self._samples_memory:
                    peer = self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
                    self.memory = memory_of(_PEER.unpack(peer)[0])
            case HostMethod.GET_LEADER_NONDET_RESULT:
                return encode_error(request.method, HostErrorCode.I_AM_LEADER)
            case HostMethod.CONSUME_RESULT:
                self.result, self.result_at = fields["result"], time.perf_counter()
            case HostMethod.POST_EVENT | HostMethod.POST_NONDET_RESULT:
                pass
            case method:
                raise NotImplementedError(method.name)
        return encode_reply(request)


def _serve(setup: dict[str, Any], connection: socket.socket) -> _Session:
    session = _Session(setup, connection)
    decoder = RequestDecoder()
    # Reads of this slot are answered like the pings of the yardstick: without a look at what is asked.
    hot_slot = bytes.fromhex(setup["hot_slot"])
    hot_reply = bytes(1 + setup["hot_length"])
    while data := connection.recv(_READ_BYTES):
        if hot_slot and data[22:54] == hot_slot and data[0] == HostMethod.STORAGE_READ:
            connection.sendall(hot_reply)
            continue
        decoder.feed(data)
        while (request := decoder.next_request()) is not None:
            connection.sendall(session.answer(request))
    return session


def _echo(length: int, connection: socket.socket) -> None:
    reply = bytes(length)
    while connection.recv(_READ_BYTES):
        connection.sendall(reply)


def main() -> None:
    setup = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(setup["path"])
        listening.listen()
        print(flush=True)
        while True:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(ConnectionError):
                if setup["echo_length"]:
                    _echo(setup["echo_length"], connection)
                    continue
                session = _serve(setup, connection)
                result = session.result.hex() if session.result is not None else None
                report = {"at": session.result_at, "result": result, "memory": session.memory}
                print(json.dumps(report), flush=True)


def _end_with_parent() -> None:
    # Not through sys.stdin: its lock would be held for ever.
    os.read(0, 1)
    os._exit(0)


if __name__ == "__main__":
    main()
