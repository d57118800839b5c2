"""Where the executors of a command find both services, before there is any service.

A listening socket of its own for each service, on loopback, behind a path that nobody else knows. The first connection
makes it a WebSocket server (the import alone takes longer than all else that a short command does). Its sessions are
passed on, frame by frame, to what :class:`Source` opens for them; what goes wrong there is told to the executor as a
``FatalError``, in words for the author of the contract.
"""

from __future__ import annotations

import _socket
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import cache
from typing import TYPE_CHECKING, Protocol

from pygenvm.localnet import limits

# All else is loaded with the first connection.
if TYPE_CHECKING:
    import asyncio
    import socket
    from types import TracebackType

    from pygenvm.executor.module_protocol.modules import ModuleName


class Unavailable(Exception):
    """There is nobody to answer; the text is for the author of a contract."""


class Answering(Protocol):
    """One session with whoever answers."""

    async def ask(self, frame: bytes) -> bytes:
        """The answer to a request, both as frames (:mod:`executor.module_protocol.codec`).

        :raises Unavailable: it cannot answer any more.
        """
        ...

    async def close(self) -> None: ...


class Source(Protocol):
    """Opens sessions of one service, several at the same time."""

    async def open(self, hello: bytes) -> Answering:
        """:raises Unavailable: it is not possible."""
        ...


class Broker:
    """Listens from the moment it is made. :meth:`start` and :meth:`close` belong to one event loop."""

    def __init__(self, sources: Mapping[ModuleName, Source]) -> None:
        """:raises OSError: there is no port left."""
        self._doors = {name: _Door(source) for name, source in sources.items()}

    @property
    def descriptors(self) -> list[int]:
        """The listening sockets, for those who watch them until :meth:`start`."""
        return [door.fileno() for door in self._doors.values()]

    @property
    def addresses(self) -> dict[ModuleName, str]:
        """``ws://…`` of each service. The path is a secret."""
        return {name: door.address for name, door in self._doors.items()}

    async def start(self) -> None:
        """Connections that came before are served too."""
        for door in self._doors.values():
            door.watch()

    async def close(self) -> None:
        """Breaks off the sessions that there are."""
        for door in self._doors.values():
            await door.close()

    async def __aenter__(self) -> Broker:
        await self.start()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()


class _Door:
    """The listening socket of one service."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._token = os.urandom(limits.TOKEN_BYTES).hex()
        self._socket: _socket.socket = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(limits.MODULE_BACKLOG)
        self.address = f"ws://127.0.0.1:{self._socket.getsockname()[1]}/{self._token}"
        self._opening: asyncio.Task[None] | None = None
        self._is_watched = False
        self._close = AsyncExitStack()

    def fileno(self) -> int:
        return self._socket.fileno()

    def watch(self) -> None:
        import asyncio
        import socket

        listening = self._socket = socket.socket(fileno=self._socket.detach())
        listening.setblocking(False)
        loop = asyncio.get_running_loop()

        def come() -> None:
            loop.remove_reader(listening)
            self._opening = loop.create_task(self._open(listening))

        loop.add_reader(listening, come)
        self._is_watched = True

    async def _open(self, listening: socket.socket) -> None:
        from websockets.asyncio.server import ServerConnection

        from pygenvm.modules.log import Logger
        from pygenvm.modules.service import Conversation, Listener

        async def converse(_: ServerConnection, hello: bytes) -> Conversation:
            return _PassedOn(self._source, hello)

        # Nobody reads a log of a command; what matters is told to the executor.
        silent = Logger(fd=-1, level="error", disabled=("*",))
        listener = Listener("127.0.0.1:0", converse, log=silent, path_token=self._token)
        await listener.start(listening)
        self._close.push_async_callback(listener.stop, 0.0)

    async def close(self) -> None:
        if self._is_watched:
            import asyncio

            asyncio.get_running_loop().remove_reader(self._socket)
            if self._opening is not None:
                await asyncio.wait((self._opening,))
            await self._close.aclose()
        self._socket.close()


class _PassedOn:
    """A conversation whose other side is opened by its first request."""

    def __init__(self, source: Source, hello: bytes) -> None:
        self._source = source
        self._hello = hello
        self._answering: Answering | None = None
        self._broken = ""

    async def reply(self, frame: bytes) -> bytes:
        from pygenvm.executor.module_protocol.codec import FatalError, encode_answer

        if self._broken:
            # Whatever the service knew of this session is gone.
            return encode_answer(FatalError(self._broken))
        if self._answering is None and frame == _request_for_statistics():
            return _no_statistics()
        try:
            if self._answering is None:
                self._answering = await self._source.open(self._hello)
            return await self._answering.ask(frame)
        except Unavailable as error:
            self._broken = str(error)
        except Exception as error:
            # A bug of ours. A broken connection would tell nobody.
            self._broken = f"{type(error).__name__}: {error}"
        return encode_answer(FatalError(self._broken))

    async def end(self, close_code: int | None) -> None:
        if self._answering is not None:
            await self._answering.close()


@cache
def _request_for_statistics() -> bytes:
    from pygenvm.executor.module_protocol.codec import GET_STATS, Request, encode_request

    return encode_request(Request(GET_STATS))


@cache
def _no_statistics() -> bytes:
    from pygenvm.executor.module_protocol.codec import Ok, encode_answer

    return encode_answer(Ok({"scripting": {"requests_count": 0, "requests_time": 0}}))
