"""The two ways to wait for an executor (:mod:`executor.spawn.series`): in an event loop, and without one."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from pygenvm.executor import limits

if TYPE_CHECKING:
    import socket

#: How often who has no event loop looks for signals: one that comes just before a wait begins does not end it.
_LOOK_SECONDS = 0.1


class Timer(Protocol):
    """What is to be done later."""

    def cancel(self) -> None: ...


class Line(Protocol):
    """A connection to an executor, and a clock beside it."""

    async def receive(self) -> bytes:
        """What has come; empty at the end.

        :raises OSError: the connection broke.
        """
        ...

    async def send(self, data: bytes) -> None:
        """:raises OSError: the connection broke."""
        ...

    def call_later(self, seconds: float, action: Callable[[], object]) -> Timer:
        """Only done while somebody waits here."""
        ...


class LoopLine:
    """In the event loop that runs at the time."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    async def receive(self) -> bytes:
        import asyncio

        return await asyncio.get_running_loop().sock_recv(self._socket, limits.HOST_READ_BYTES)

    async def send(self, data: bytes) -> None:
        import asyncio

        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    def call_later(self, seconds: float, action: Callable[[], object]) -> Timer:
        import asyncio

        return asyncio.get_running_loop().call_later(seconds, action)


class BlockingLine:
    """In a thread that waits for nothing else, but for what is in ``watched``."""

    def __init__(self, connection: socket.socket, watched: Mapping[int, Callable[[], object]]) -> None:
        """:param watched: by descriptor what is done when there is something to be read; it does not stay there."""
        self._socket = connection
        self._watched = watched
        self._timers: list[_Timer] = []

    async def receive(self) -> bytes:
        self._wait(select.POLLIN)
        return self._socket.recv(limits.HOST_READ_BYTES)

    async def send(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            self._wait(select.POLLOUT)
            left = left[self._socket.send(left) :]

    def call_later(self, seconds: float, action: Callable[[], object]) -> Timer:
        timer = _Timer(time.monotonic() + seconds, action, self._timers)
        self._timers.append(timer)
        return timer

    def _wait(self, event: int) -> None:
        while not self._is_ready(event):
            for timer in [timer for timer in self._timers if timer.at <= time.monotonic()]:
                timer.cancel()
                timer.action()

    def _is_ready(self, event: int) -> bool:
        poll = select.poll()
        poll.register(self._socket, event)
        for descriptor in self._watched:
            poll.register(descriptor, select.POLLIN)
        seconds = min((timer.at - time.monotonic() for timer in self._timers), default=_LOOK_SECONDS)
        ready = dict(poll.poll(max(0.0, min(seconds, _LOOK_SECONDS)) * 1e3))
        for descriptor in ready.keys() & self._watched.keys():
            self._watched[descriptor]()
        return self._socket.fileno() in ready


class _Timer:
    """Of a :class:`BlockingLine`."""

    def __init__(self, at: float, action: Callable[[], object], timers: list[_Timer]) -> None:
        self.at = at
        self.action = action
        self._timers = timers

    def cancel(self) -> None:
        if self in self._timers:
            self._timers.remove(self)
