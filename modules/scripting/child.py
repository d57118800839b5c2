"""The process of a script VM: it runs Lua, talks to the service over one socket (:mod:`modules.scripting.frames`), and
has nothing else.

Started by :mod:`modules.scripting.vm` with the number of the socket and the process id of the service as arguments. One
thread, blocking; it ends with the service, and when the socket closes.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
from importlib import import_module
from typing import Any, BinaryIO, Final

from pygenvm.modules import limits
from pygenvm.modules.scripting import surface
from pygenvm.modules.scripting.frames import ScriptError, Setup, frame_size, pack_frame, unpack_frame
from pygenvm.modules.scripting.machine import OUT_OF_MEMORY, Machine

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38


def main(argv: list[str]) -> int:
    number, parent = map(int, argv)
    _harden(parent)
    with socket.socket(fileno=number) as connection, connection.makefile("rb") as stream:
        try:
            return _serve(connection, stream)
        except (BrokenPipeError, ConnectionResetError):
            return 0


def _serve(connection: socket.socket, stream: BinaryIO) -> int:
    def send(*frame: Any) -> None:
        connection.sendall(pack_frame(*frame))

    first = _receive(stream)
    if first is None:
        return 0
    setup = Setup(**first[1])
    _limit(resource.RLIMIT_DATA, setup.memory_bytes + limits.SCRIPT_PROCESS_EXTRA_BYTES)
    try:
        functions = {**surface.FUNCTIONS, **{name: _imported(place) for name, place in setup.pure.items()}}
        machine = Machine(setup, functions, lambda call, value: send("log", call, value))
    except ScriptError as error:
        send("broken", str(error))
        return 1
    send("ready")
    while (frame := _receive(stream)) is not None:
        kind, arguments = frame[0], frame[1:]
        match kind:
            case "call":
                outcome = machine.start(*arguments)
            case "resume":
                outcome = machine.resume(*arguments)
            case "open":
                machine.open(*arguments)
                continue
            case "close":
                machine.close(*arguments)
                continue
            case _:
                machine.cancel(*arguments)
                continue
        if outcome[0] == "failed" and OUT_OF_MEMORY in outcome[2] and machine.is_full():
            # First, so that nothing comes here any more when the answer is seen.
            send("broken", "the script VM was ended because the script keeps too much memory")
            send(*outcome)
            return 1
        send(*outcome)
    return 0


def _receive(stream: BinaryIO) -> list[Any] | None:
    head = stream.read(4)
    if len(head) < 4:
        return None
    size = frame_size(head)
    body = stream.read(size)
    return unpack_frame(body) if len(body) == size else None


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _harden(parent: int) -> None:
    """End with the service even while Lua does not come back. (Nothing was inherited but the socket.)"""
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        _limit(kind, 0)


def _limit(kind: int, most: int) -> None:
    """Where the machine allows less, that is the limit."""
    allowed = resource.getrlimit(kind)[1]
    most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
    resource.setrlimit(kind, (most, most))
