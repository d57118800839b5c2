"""What has happened, for whoever listens (server-sent events)."""

from __future__ import annotations

import asyncio
import json
from collections import deque

from pygenvm.settlement.service import limits


class TooManyWatchers(Exception):
    """No further one is admitted."""


class Watcher:
    """One client, and what it has not been told yet."""

    def __init__(self) -> None:
        self._events: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self.closed = False

    def put(self, event: bytes) -> None:
        """With too many events they are gone, and the client is told so: it has to ask anew."""
        if len(self._events) >= limits.WATCHER_EVENTS:
            self._events.clear()
            event = encoded("lost", {})
        self._events.append(event)
        self._wake.set()

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def next(self) -> bytes:
        """The events since the last call; a comment after some time without any."""
        try:
            async with asyncio.timeout(limits.HEARTBEAT_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return b": nothing new\n\n"
        self._wake.clear()
        events = b"".join(self._events)
        self._events.clear()
        return events


class Feed:
    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    def watch(self) -> Watcher:
        """:raises TooManyWatchers: there are as many as may be."""
        if len(self._watchers) >= limits.WATCHERS:
            raise TooManyWatchers(f"{limits.WATCHERS} clients watch already")
        watcher = Watcher()
        self._watchers.add(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    def tell(self, name: str, value: dict[str, object]) -> None:
        if self._watchers:
            event = encoded(name, value)
            for watcher in self._watchers:
                watcher.put(event)

    def close(self) -> None:
        for watcher in self._watchers:
            watcher.close()


def encoded(name: str, value: dict[str, object]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n".encode()
