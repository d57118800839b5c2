"""What changes, told to pages as server-sent events: bounded per client, and whole again for one that was too slow."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from pygenvm import pages

if TYPE_CHECKING:
    from aiohttp import web

#: Clients of one stream.
WATCHERS: Final = 64
#: Changes that wait for one client; with more it is told everything again.
WATCHER_EVENTS: Final = 1_000
#: Between two writes: what changes often is sent once for all of its changes.
PAUSE_SECONDS: Final = 0.1
#: A client that reads nothing for so long is given up.
WRITE_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 10.0


class TooManyWatchers(Exception):
    """No further one is admitted."""


class Watcher:
    """One client, and what has changed since it was told last: of each thing only its latest state."""

    def __init__(self) -> None:
        self._events: dict[object, bytes] = {}
        self._wake = asyncio.Event()
        self._lost = False
        self.closed = False

    def put(self, key: object, event: bytes) -> None:
        """``event`` takes the place of one with the same key that was not told yet."""
        self._events.pop(key, None)
        if len(self._events) >= WATCHER_EVENTS:
            self._events.clear()
            self._lost = True
        self._events[key] = event
        self._wake.set()

    def forget(self) -> None:
        """What has come until now is known."""
        self._events.clear()
        self._lost = False

    def lose(self) -> None:
        """What it knows may be wrong: it is told everything again."""
        self._events.clear()
        self._lost = True
        self._wake.set()

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def next(self) -> tuple[bytes, bool]:
        """The events since the last call, nothing after a second without any; and whether there were too many."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return b"", False
        self._wake.clear()
        events, lost = b"".join(self._events.values()), self._lost
        self.forget()
        return events, lost


class Watchers:
    """All clients of a stream."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    def __len__(self) -> int:
        return len(self._watchers)

    def watch(self) -> Watcher:
        """:raises TooManyWatchers: there are as many as may be."""
        if len(self._watchers) >= WATCHERS:
            raise TooManyWatchers(f"{WATCHERS} clients watch already")
        watcher = Watcher()
        self._watchers.add(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    def tell(self, key: object, name: str, value: Any) -> None:
        """An event for all, in the place of one with the same key that was not told yet."""
        if self._watchers:
            told = event(name, value)
            for watcher in self._watchers:
                watcher.put(key, told)

    def lose(self) -> None:
        """All are told everything again."""
        for watcher in self._watchers:
            watcher.lose()

    def close(self) -> None:
        for watcher in self._watchers:
            watcher.close()


def event(name: str, value: Any) -> bytes:
    """A server-sent event."""
    return f"event: {name}\ndata: {json.dumps(value, ensure_ascii=False, default=str)}\n\n".encode("utf-8", "replace")


async def serve(
    request: web.Request,
    watcher: Watcher,
    state: Callable[[], Awaitable[Any]],
    beside: Callable[[], bytes] = lambda: b"",
) -> web.StreamResponse:
    """The stream for one client, until it goes or is closed: ``state`` first, then what the watcher is told.

    :param state: all that a page shows; told again to a client that does not keep up.
    :param beside: events that are looked for whenever something is written, and every second.
    """
    from aiohttp import web

    response = web.StreamResponse(headers={**pages.HEADERS, "Content-Type": "text/event-stream"})
    try:
        await response.prepare(request)
        written = 0.0
        lost = True
        changes = b""
        while not watcher.closed:
            if lost:
                watcher.forget()
                changes = event("state", await state())
            changes += beside()
            if not changes and time.monotonic() - written > HEARTBEAT_SECONDS:
                changes = b": still here\n\n"
            if changes:
                async with asyncio.timeout(WRITE_SECONDS):
                    await response.write(changes)
                written = time.monotonic()
                await asyncio.sleep(PAUSE_SECONDS)
            changes, lost = await watcher.next()
    except (ConnectionError, TimeoutError):
        # What was written is not waited for either.
        if request.transport is not None:
            request.transport.abort()
    return response
