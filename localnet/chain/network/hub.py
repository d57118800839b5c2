"""Events of a network, for any number of listeners."""

from __future__ import annotations

import asyncio
import collections
import itertools
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits
from pygenvm.localnet.chain.network.errors import SlowListener
from pygenvm.localnet.chain.network.types import EventKind, NetworkEvent, TxStatus


class Listener:
    """An async iterator of events, from the moment when it was made."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._events: collections.deque[NetworkEvent] = collections.deque()
        self._ready = asyncio.Event()
        self._slow = False
        self._over = False

    def hear(self, event: NetworkEvent) -> None:
        if len(self._events) >= limits.EVENTS_BEHIND:
            # Whoever has missed something must look at everything anew.
            self._events.clear()
            self._slow = True
            self._hub.leave(self)
        else:
            self._events.append(event)
        self._ready.set()

    def end(self) -> None:
        """There will be no more."""
        self._over = True
        self._ready.set()

    def close(self) -> None:
        """Hears no more."""
        self._hub.leave(self)
        self.end()

    async def aclose(self) -> None:
        """The same, as for generators."""
        self.close()

    def __aiter__(self) -> Listener:
        return self

    async def __anext__(self) -> NetworkEvent:
        """:raises SlowListener: too many events are waiting."""
        while not self._events:
            if self._slow:
                self._slow, self._over = False, True
                raise SlowListener("too many events were waiting for this listener")
            if self._over:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return self._events.popleft()


class Hub:
    """Passes events on."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._listeners: set[Listener] = set()

    def listen(self) -> Listener:
        listener = Listener(self)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    def publish(
        self,
        kind: EventKind,
        at: datetime,
        *,
        id: bytes | None = None,
        address: Address | None = None,
        status: TxStatus | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        number = next(self._numbers)
        if self._listeners:
            event = NetworkEvent(number, kind, at, id, address, status, data or {})
            for listener in tuple(self._listeners):
                listener.hear(event)

    def close(self) -> None:
        """All listeners come to their end."""
        for listener in tuple(self._listeners):
            listener.close()
