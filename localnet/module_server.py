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
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

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
from pygenvm.modules.log import Logger
from pygenvm.modules.service import Bounds, Conversation, Listener

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
        self.sessions: list[Session] = []
        self._script = script
        self._scripting: set[asyncio.Task[Any]] = set()
        self._listener = Listener("127.0.0.1:0", self._open, log=Logger(fd=-1), bounds=_BOUNDS)

    @property
    def address(self) -> str:
        """The URL for executors."""
        return self._listener.address

    async def start(self) -> None:
        """Listens when this returns."""
        await self._listener.start()

    async def stop(self) -> None:
        """End all sessions: scripts that still run at once, the others when the client has gone."""
        for script in self._scripting:
            script.cancel()
        await self._listener.stop(FAREWELL_SECONDS)

    @property
    def requests(self) -> list[Request]:
        """Requests of all sessions without statistics, in the order of the sessions."""
        return [request for session in self.sessions for request in session.requests if request.name != GET_STATS]

    async def _open(self, connection: ServerConnection, hello: bytes) -> Conversation:
        session = Session(hello)
        self.sessions.append(session)
        return _Scripted(self._script, self._scripting, session, connection)


#: No hello is wrong here and no client too slow: what a script wants to see is its own affair.
_BOUNDS = Bounds(hello_seconds=None, idle_seconds=None)


@dataclass(frozen=True)
class _Scripted:
    """One session, answered by the script."""

    script: Script
    scripting: set[asyncio.Task[Any]]
    session: Session
    connection: ServerConnection

    async def reply(self, frame: bytes) -> bytes | str | None:
        request = decode_request(frame)
        self.session.frames.append(frame)
        self.session.requests.append(request)
        task = asyncio.current_task()
        assert task is not None
        self.scripting.add(task)
        try:
            reply = await self.script(Call(request, self.session, self.connection))
        finally:
            self.scripting.discard(task)
        return encode_answer(reply) if isinstance(reply, Ok | UserError | FatalError) else reply

    async def end(self, close_code: int | None) -> None:
        self.session.close_code = close_code


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
        await server.start()
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
