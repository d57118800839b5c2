"""What happens, as it happens: ``/ws`` as web front ends of the ecosystem know it, ``/events`` for pages.

``/ws`` speaks JSON, ``{event, data}`` both ways (spec localnet-rpc/01 §1). A client sends ``subscribe`` and
``unsubscribe`` with a channel or a list of them, and ``ping``. A channel is the hash of a transaction, the address of
a contract or account, or ``*`` for everything.

``/events`` is a stream of server-sent events (``event: transaction`` and so on, :class:`EventKind`). It begins with
``hello``; after ``lost`` a client was too slow, and asks again for what it shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from pygenvm.executor.json_text import parse_json
from pygenvm.localnet import limits
from pygenvm.localnet.chain.network.errors import SlowListener
from pygenvm.localnet.chain.network.hub import Listener
from pygenvm.localnet.chain.network.network import Network
from pygenvm.localnet.chain.network.types import EventKind, NetworkEvent
from pygenvm.localnet.rpc import objects
from pygenvm.localnet.rpc.envelope import write_json

_EVERYTHING: Final = "*"


class TooManyListeners(Exception):
    """No further one is admitted."""


class Streams:
    """All listeners of one server."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._listeners: set[asyncio.Task[Any]] = set()

    @contextlib.contextmanager
    def _admitted(self) -> Iterator[None]:
        if len(self._listeners) >= limits.RPC_LISTENERS:
            raise TooManyListeners(f"{limits.RPC_LISTENERS} clients listen already")
        task = asyncio.current_task()
        assert task is not None
        self._listeners.add(task)
        try:
            yield
        finally:
            self._listeners.discard(task)

    def close(self) -> None:
        """Ends all of them."""
        for task in list(self._listeners):
            task.cancel()

    # --- server-sent events ---

    async def events(self, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        with self._admitted():
            response = web.StreamResponse(headers={**headers, "Content-Type": "text/event-stream"})
            await response.prepare(request)
            try:
                await _write(response, _sent("hello", {"now": time.time()}))
                while True:
                    try:
                        await self._tell(response)
                    except SlowListener:
                        await _write(response, _sent("lost", {"now": time.time()}))
            except (ConnectionError, TimeoutError):
                # What was written is not waited for either.
                if request.transport is not None:
                    request.transport.abort()
            return response

    async def _tell(self, response: web.StreamResponse) -> None:
        async with _listening(self._network) as events:
            while True:
                event = await events.next(limits.RPC_HEARTBEAT_SECONDS)
                told = b": still here\n\n" if event is None else _sent(str(event.kind), event_document(event))
                await _write(response, told)

    # --- WebSocket ---

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        with self._admitted():
            socket = web.WebSocketResponse(
                heartbeat=limits.RPC_HEARTBEAT_SECONDS, max_msg_size=limits.RPC_MESSAGE_BYTES, compress=False
            )
            await socket.prepare(request)
            client = _WebClient(socket)
            telling = asyncio.create_task(client.tell(self._network))
            try:
                await client.send("connect", {"status": "connected"})
                await client.listen()
            except (ConnectionError, TimeoutError):
                pass
            finally:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)
                await socket.close(code=WSCloseCode.GOING_AWAY)
            return socket


class _WebClient:
    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._channels: set[str] = set()

    async def send(self, event: str, data: Any) -> None:
        async with asyncio.timeout(limits.RPC_WRITE_SECONDS):
            await self._socket.send_str(write_json({"event": event, "data": data}).decode())

    async def listen(self) -> None:
        """Until the client leaves."""
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                await self.send("error", {"message": "messages are JSON texts"})
                continue
            try:
                document = parse_json(message.data, max_chars=limits.RPC_MESSAGE_BYTES, max_depth=limits.RPC_DEPTH)
            except (ValueError, RecursionError) as error:
                await self.send("error", {"message": f"the message is not JSON: {error}"})
                continue
            await self._received(document)

    async def _received(self, document: Any) -> None:
        event = document.get("event") if isinstance(document, dict) else None
        data = document.get("data") if isinstance(document, dict) else None
        channels = _channel_names(data)
        match event:
            case "ping":
                await self.send("pong", {})
            case "subscribe" | "unsubscribe" if channels is not None:
                wanted = [channel.lower() for channel in channels]
                if event == "unsubscribe":
                    self._channels.difference_update(wanted)
                elif len(self._channels.union(wanted)) > limits.RPC_CHANNELS:
                    await self.send("error", {"message": f"a client has at most {limits.RPC_CHANNELS} channels"})
                    return
                else:
                    self._channels.update(wanted)
                await self.send(f"{event}d", {"room": channels if len(channels) != 1 else channels[0]})
            case _:
                text = "an event is subscribe or unsubscribe, with a channel or a list of them as data, or ping"
                await self.send("error", {"message": text})

    async def tell(self, network: Network) -> None:
        """What happens on the channels of this client, until it is too slow."""
        try:
            async with _listening(network) as events:
                while True:
                    event = await events.next()
                    if event is not None and not self._channels.isdisjoint(_channels(event)):
                        await self.send(*_studio_event(event))
        except (SlowListener, ConnectionError, TimeoutError):
            await self._socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too slow")


def _channel_names(value: Any) -> list[str] | None:
    """Of a channel or a list of them; None if it is neither."""
    names = [value] if isinstance(value, str) else value
    return names if isinstance(names, list) and all(isinstance(one, str) for one in names) else None


def _channels(event: NetworkEvent) -> set[str]:
    found = {_EVERYTHING}
    if event.id is not None:
        found.add(objects.hex_of(event.id))
    if event.address is not None:
        found.add(event.address.as_hex.lower())
    return found


def _studio_event(event: NetworkEvent) -> tuple[str, dict[str, Any]]:
    """Name and data; a new status has the name that front ends wait for."""
    document = event_document(event)
    if event.kind is EventKind.TRANSACTION:
        return "transaction_status_updated", {
            "scope": "Consensus",
            "name": "transaction_status_updated",
            "type": "info",
            "message": f"{event.status} {document.get('id')}",
            "data": {"hash": document.get("id"), "new_status": document.get("status")},
            "transaction_hash": document.get("id"),
            "created_at": document["at"],
        }
    return str(event.kind), document


def event_document(event: NetworkEvent) -> dict[str, Any]:
    """An event as JSON."""
    return {
        "number": event.number,
        "kind": str(event.kind),
        "at": event.at.isoformat(),
        **({} if event.id is None else {"id": objects.hex_of(event.id)}),
        **({} if event.address is None else {"address": event.address.as_hex}),
        **({} if event.status is None else {"status": str(event.status)}),
        "data": _plain(event.data),
    }


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _sent(name: str, value: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: ".encode() + write_json(value) + b"\n\n"


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(limits.RPC_WRITE_SECONDS):
        await response.write(data)


class _Events:
    """Of a listener, one at a time; a wait that is given up does not lose an event."""

    def __init__(self, events: Listener) -> None:
        self._events = events
        self._next: asyncio.Task[NetworkEvent] | None = None

    async def next(self, timeout: float | None = None) -> NetworkEvent | None:
        """None: nothing has happened in so many seconds.

        :raises SlowListener: too much has happened since the last one.
        :raises ConnectionError: there is nothing more to come.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._one())
        done, _ = await asyncio.wait({self._next}, timeout=timeout)
        if not done:
            return None
        found, self._next = self._next, None
        return found.result()

    async def _one(self) -> NetworkEvent:
        try:
            return await anext(self._events)
        except StopAsyncIteration:
            raise ConnectionError("the network is closed") from None

    async def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
        self._events.close()


@contextlib.asynccontextmanager
async def _listening(network: Network) -> AsyncIterator[_Events]:
    events = _Events(network.events())
    try:
        yield events
    finally:
        await events.close()
