"""An LLM or web service in a thread of this process, whose answers its user scripts (spec modules/01).

async def script(call):
    return Ok({"text": "page"})

with serving_module(script) as server:
    ...  # an executor asks server.address
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from pygenvm.executor.limits import MODULE_MESSAGE_BYTES
from pygenvm.executor.module_protocol.codec import (
    GET_STATS,
    Answer,
    FatalError,
    Ok,
    Request,
    UserError,
    decode_request,
    encode_answer,
)

#: What starting and stopping the server may take.
PATIENCE_SECONDS = 60.0
#: How long a server that is being stopped waits for clients to part.
FAREWELL_SECONDS = 5.0


@dataclass
class Session:
    """What arrived on one connection. ``close_code`` is 1000 after a farewell, 1006 without one."""

    hello: bytes = b""
    frames: list[bytes] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    close_code: int | None = None


@dataclass(frozen=True)
class Call:
    """One request being served; a script may also use the connection itself."""

    request: Request
    session: Session
    connection: ServerConnection


#: An answer, the data of a binary frame (bytes) or of a text frame (str), or None: nothing is sent.
Reply = Answer | bytes | str | None
Script = Callable[[Call], Awaitable[Reply]]


class ModuleServer:
    """Made by :func:`serving_module`. ``sessions`` is in the order of the hellos."""

    def __init__(self, script: Script) -> None:
        self.address = ""
        self.sessions: list[Session] = []
        self._script = script
        self._scripting: set[asyncio.Task[None]] = set()
        self._listening: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """End all sessions: scripts that still run at once, the others when the client has gone."""
        for handler in self._scripting:
            handler.cancel()
        if self._listening:
            await asyncio.wait(self._listening, timeout=FAREWELL_SECONDS)

    @property
    def requests(self) -> list[Request]:
        """Requests of all sessions without statistics, in the order of the sessions."""
        return [request for session in self.sessions for request in session.requests if request.name != GET_STATS]

    async def handle(self, connection: ServerConnection) -> None:
        session = Session()
        handler = asyncio.current_task()
        assert handler is not None
        self._listening.add(handler)
        try:
            session.hello = _data(await connection.recv())
            self.sessions.append(session)
            while True:
                frame = _data(await connection.recv())
                session.frames.append(frame)
                session.requests.append(decode_request(frame))
                self._listening.remove(handler)
                self._scripting.add(handler)
                reply = await self._script(Call(session.requests[-1], session, connection))
                self._scripting.remove(handler)
                self._listening.add(handler)
                if isinstance(reply, Ok | UserError | FatalError):
                    reply = encode_answer(reply)
                if reply is not None:
                    await connection.send(reply)
        except ConnectionClosed:
            session.close_code = connection.close_code
        finally:
            self._listening.discard(handler)
            self._scripting.discard(handler)


def _data(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


@contextlib.contextmanager
def serving_module(script: Script) -> Iterator[ModuleServer]:
    """Serves on loopback while the context lasts; a script's exception is raised when it is left."""
    failures: list[BaseException] = []

    async def watched(call: Call) -> Reply:
        try:
            return await script(call)
        except ConnectionClosed:
            raise
        except Exception as error:
            failures.append(error)
            raise

    server = ModuleServer(watched)
    started: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event] | BaseException] = queue.Queue()

    async def run() -> None:
        stop = asyncio.Event()
        async with serve(
            server.handle, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=MODULE_MESSAGE_BYTES
        ) as listener:
            port = next(iter(listener.sockets)).getsockname()[1]
            server.address = f"ws://127.0.0.1:{port}"
            started.put((asyncio.get_running_loop(), stop))
            await stop.wait()
            await server.stop()

    def main() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            started.put(error)
            raise

    thread = threading.Thread(target=main, name="module server", daemon=True)
    thread.start()
    outcome = started.get(timeout=PATIENCE_SECONDS)
    if isinstance(outcome, BaseException):
        raise outcome
    loop, stop = outcome
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_SECONDS)
    if thread.is_alive():
        raise RuntimeError("the module server does not stop")
    if failures:
        raise failures[0]
