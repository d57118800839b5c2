"""asyncio server of the host socket: the node's side of the protocol (spec executor/02)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from pygenvm.executor.host_protocol.answering import LEFT, answer
from pygenvm.executor.host_protocol.codec import ProtocolViolation, RequestDecoder
from pygenvm.executor.host_protocol.endpoint import Endpoint, TcpEndpoint, UnixEndpoint, parse_endpoint
from pygenvm.executor.host_protocol.host import Host
from pygenvm.executor.limits import HOST_READ_BYTES, HOST_REQUEST_BYTES
from pygenvm.executor.primitives.abi import HostMethod

logger = logging.getLogger("executor.host_protocol.server")

HostT = TypeVar("HostT", bound=Host)


async def serve(
    host: Host,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    request_limit: int = HOST_REQUEST_BYTES,
) -> str | None:
    """Serves one executor until its result has been consumed and acknowledged, or the connection ends.

    None: the result was consumed. Otherwise why not: the executor is gone or misbehaved, or ``host`` raised something
    else than :class:`HostErrorReply` (logged; the executor sees a dead host). A run without a consumed result counts
    as crashed and all its effects are discarded. The writer is closed in every case.
    """
    failure: str | None = "the host was stopped"
    try:
        failure = await _converse(host, reader, writer, request_limit)
    finally:
        if failure is not None:
            # Nobody waits for what is still in the buffer, and an executor that does not read must not hold us up.
            writer.transport.abort()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return failure


async def _converse(
    host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request_limit: int
) -> str | None:
    decoder = RequestDecoder(request_limit)
    try:
        while data := await reader.read(HOST_READ_BYTES):
            decoder.feed(data)
            while (request := decoder.next_request()) is not None:
                reply = await answer(host, request)
                if reply:
                    writer.write(reply)
                    await writer.drain()
                if request.method is HostMethod.CONSUME_RESULT:
                    return None
        if decoder.idle:
            return LEFT
        failure = "executor closed the connection in the middle of a request"
    except ProtocolViolation as violation:
        failure = f"executor violates the protocol: {violation}"
    except ConnectionError as error:
        failure = f"connection to executor lost: {error}"
    except Exception as error:
        logger.exception("host failed; the connection to the executor is closed")
        return f"host failed: {type(error).__name__}: {error}"
    logger.warning("%s", failure)
    return failure


class Session(NamedTuple, Generic[HostT]):
    """One executor that has been served."""

    host: HostT
    failure: str | None
    """What :func:`serve` gave."""

    @property
    def consumed(self) -> bool:
        """False means that the run crashed."""
        return self.failure is None


class Listener(Generic[HostT]):
    """An open listening socket, made by :func:`listen`."""

    def __init__(self, address: str, sessions: asyncio.Queue[Session[HostT]]) -> None:
        self.address = address
        """What to give to an executor as ``--host``; a TCP port 0 has been replaced by the real one."""
        self._sessions = sessions

    async def session(self) -> Session[HostT]:
        """Waits for the next executor to finish, in order of finishing."""
        return await self._sessions.get()


@contextlib.asynccontextmanager
async def listen(host_factory: Callable[[], HostT], address: str) -> AsyncIterator[Listener[HostT]]:
    """Listens on ``unix://PATH``, ``host:port`` or ``[ipv6]:port`` while the context lasts.

    Each connection is served with a host of its own from ``host_factory``. Leaving the context closes the socket,
    cancels sessions that still run and removes the path. Raises ``ValueError`` for a malformed address and
    ``OSError`` if it cannot listen there.
    """
    endpoint = parse_endpoint(address)
    sessions: asyncio.Queue[Session[HostT]] = asyncio.Queue()
    running: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = host_factory()
        sessions.put_nowait(Session(host, await serve(host, reader, writer)))

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(run(reader, writer))
        running.add(task)
        task.add_done_callback(running.discard)

    server = await _start(endpoint, accept)
    try:
        yield Listener(_bound_address(endpoint, server), sessions)
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()
        if isinstance(endpoint, UnixEndpoint):
            Path(endpoint.path).unlink(missing_ok=True)


async def _start(
    endpoint: Endpoint, accept: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]
) -> asyncio.Server:
    if isinstance(endpoint, UnixEndpoint):
        return await asyncio.start_unix_server(accept, endpoint.path)
    return await asyncio.start_server(accept, endpoint.host, endpoint.port)


def _bound_address(endpoint: Endpoint, server: asyncio.Server) -> str:
    if isinstance(endpoint, TcpEndpoint):
        endpoint = TcpEndpoint(endpoint.host, server.sockets[0].getsockname()[1])
    return str(endpoint)
