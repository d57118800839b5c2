"""Calls of a process into the kernel that fail, as they do when a machine runs short of something.

The process has asked to be watched (`tests/hostile/shortage_start.py`, seccomp); each of its calls with the chosen
numbers, and those of the processes that it starts, waits until :class:`FailingCalls` has decided about it. So the 17th
`mmap` of a program fails, and nothing else: no preloaded library could do that, the engine has system calls of its own.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import struct
import threading
from pathlib import Path

#: By machine. (aarch64 has no fork and vfork.)
_NUMBERS = {
    "x86_64": {
        **{"mmap": 9, "mprotect": 10, "brk": 12, "mremap": 25},
        **{"clone": 56, "fork": 57, "vfork": 58, "clone3": 435},
        **{"connect": 42, "bind": 49, "listen": 50},
    },
    "aarch64": {
        **{"mmap": 222, "mprotect": 226, "brk": 214, "mremap": 216},
        **{"clone": 220, "clone3": 435},
        **{"connect": 203, "bind": 200, "listen": 201},
    },
}
_CALLS = {
    "memory calls": ("mmap", "mprotect", "brk", "mremap"),
    "starts": ("clone", "fork", "vfork", "clone3"),
    "connections": ("connect",),
    "listeners": ("bind", "listen"),
}


def numbers(kind: str) -> list[int]:
    """Of the calls that take memory, start threads and processes, connect to somebody, or wait for somebody to."""
    known = _NUMBERS[os.uname().machine]
    return [known[name] for name in _CALLS[kind] if name in known]


def possible() -> str | None:
    """Why calls of this machine's processes cannot be watched; None if they can."""
    if os.uname().machine not in _NUMBERS:
        return f"the numbers of {os.uname().machine}'s calls are not known"
    actions = Path("/proc/sys/kernel/seccomp/actions_avail")
    if not actions.exists() or "user_notif" not in actions.read_text().split():
        return "the kernel has no seccomp notifications"
    return None


_RECEIVE, _SEND = 0xC0502100, 0xC0182101
#: Number of the request, task, flags, call, architecture, instruction, first of six arguments.
_REQUEST = "<QI4xI12xQ"
_REQUEST_BYTES = 80
#: Number of the request, value of the call, error, flags.
_ANSWER = "<QqiI"
_CONTINUE = 1
_POLL_MILLISECONDS = 200


class FailingCalls:
    """Decides about the calls of one process: all go on until :meth:`begin`.

    with FailingCalls(errno.ENOMEM, after=16, times=1) as calls:
        ...                                  # a process gets the descriptor calls.theirs, whose calls are watched
        calls.listen()
        calls.begin()                        # 16 calls go on, one fails, all others go on
    """

    def __init__(self, error: int, *, after: int, times: int) -> None:
        self._error = error
        self._after = after
        self._times = times
        self._begun = threading.Event()
        self._over = threading.Event()
        self._ours, self.theirs = socket.socketpair()
        self._thread: threading.Thread | None = None
        self.seen = 0
        """Calls since it has begun."""

    def __enter__(self) -> FailingCalls:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._ours.close()
        self.theirs.close()
        if self._thread is not None:
            self._thread.join()

    def begin(self) -> None:
        self._begun.set()

    def listen(self) -> None:
        """The process has been started: wait until it asks to be watched, if it comes to that."""
        self.theirs.close()
        listener = None
        for _ in range(2):
            data, descriptors, _, _ = socket.recv_fds(self._ours, 1, 1)
            if data == b"!":
                (listener,) = descriptors
            else:
                for descriptor in descriptors:
                    os.close(descriptor)
        if listener is not None:
            self._thread = threading.Thread(target=self._decide, args=(listener,), name="kernel calls", daemon=True)
            self._thread.start()

    def _decide(self, listener: int) -> None:
        try:
            poll = select.poll()
            poll.register(listener, select.POLLIN)
            while not self._over.is_set():
                events = poll.poll(_POLL_MILLISECONDS)
                if events and events[0][1] & select.POLLIN:
                    self._answer(listener)
                elif events:
                    return  # Nobody is left who could ask.
        finally:
            os.close(listener)

    def _answer(self, listener: int) -> None:
        request = bytearray(_REQUEST_BYTES)
        try:
            fcntl.ioctl(listener, _RECEIVE, request)
            number, task, call, argument = struct.unpack_from(_REQUEST, request)
            value, error, flags = 0, 0, _CONTINUE
            if self._fails():
                flags = 0
                if call == _NUMBERS[os.uname().machine]["brk"]:
                    value, flags = _refused_break(task, argument)
                else:
                    error = -self._error
            fcntl.ioctl(listener, _SEND, struct.pack(_ANSWER, number, value, error, flags))
        except OSError as problem:
            if problem.errno not in (errno.ENOENT, errno.EINPROGRESS):  # Whoever asked was killed meanwhile.
                raise

    def _fails(self) -> bool:
        if not self._begun.is_set():
            return False
        self.seen += 1
        return self._after < self.seen <= self._after + self._times


def _refused_break(task: int, wanted: int) -> tuple[int, int]:
    """Value and flags of a `brk` that gets nothing: it has no errors, but tells where the heap ends."""
    if wanted:
        for line in Path(f"/proc/{task}/maps").read_text().splitlines():
            if line.endswith("[heap]"):
                return int(line.split()[0].split("-")[1], 16), 0
    return 0, _CONTINUE
