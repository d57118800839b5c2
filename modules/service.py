"""The WebSocket server of the services: connections, sessions, requests and answers (spec modules/01 §2).

:class:`Listener` is the transport. It takes connections, bounds how long and how many they are, and hands the frames
of each to a conversation, strictly one after the other. :class:`Service` is the protocol: hello, requests, envelopes.

A client can send what it likes. A bad hello is dropped without a reply, and every later frame gets one answer, so
that what went wrong is told to whoever asked. What the client left unfinished when it went away is cancelled: it
costs money.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import socket
import time
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeAlias
from urllib.parse import urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response as HttpResponse
from websockets.protocol import State as ConnectionState

from pygenvm.executor.limits import MODULE_MESSAGE_BYTES
from pygenvm.executor.module_protocol.codec import (
    GET_STATS,
    Answer,
    FatalError,
    Hello,
    MalformedFrame,
    Ok,
    Request,
    UserError,
    decode_hello,
    decode_request,
    encode_answer,
)
from pygenvm.modules import limits
from pygenvm.modules.config import CommonSettings, ConfigError, host_and_port
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.log import Logger, Secrets

if TYPE_CHECKING:
    # Test runners use the listener alone.
    from pygenvm.modules.metrics import Metrics, Outcome, Refusal

LOG_TARGET = "genvm_modules::service"

#: ``stopping``: takes no connections, sessions that are open go on.
State = Literal["stopped", "running", "stopping"]

#: Codes of close frames (RFC 6455 §7.4.1, and 1013 of the IANA registry).
_GOING_AWAY = 1001
_INTERNAL_ERROR = 1011
_TRY_AGAIN_LATER = 1013


# --- transport ------------------------------------------------------------------------------------


class Conversation(Protocol):
    """What is behind one connection whose hello has been read."""

    async def reply(self, frame: bytes) -> bytes | str | None:
        """Data of the frame that answers ``frame``, binary or text; None: nothing is sent.

        Cancelled when the client goes away or the service stops. What it raises breaks the connection.
        """
        ...

    async def end(self, close_code: int | None) -> None:
        """The connection is gone: 1000 after a farewell, 1006 without one."""
        ...


class HelloRefused(Exception):
    """The first frame is no hello; the text is for the log."""


#: Opens a conversation from a connection and its first frame; raises :class:`HelloRefused`.
Converse: TypeAlias = Callable[[ServerConnection, bytes], Awaitable[Conversation]]
#: Content type and body of a page that is served beside the WebSocket.
Page: TypeAlias = Callable[[], tuple[str, bytes]]


@dataclass(frozen=True)
class Bounds:
    """What a listener lets its clients do; None: as long as they like."""

    sessions: int = limits.SESSIONS
    hello_seconds: float | None = limits.HELLO_SECONDS
    idle_seconds: float | None = limits.SESSION_IDLE_SECONDS


class Listener:
    """A WebSocket server. ``address`` is its URL and ``state`` what it does; it can be started again after a stop."""

    def __init__(
        self,
        bind_address: str,
        converse: Converse,
        *,
        log: Logger,
        bounds: Bounds = Bounds(),
        path_token: str = "",
        pages: Mapping[str, Page] | None = None,
        on_refusal: Callable[[Refusal], None] = lambda _reason: None,
    ) -> None:
        """:raises ValueError: ``bind_address`` is no HOST:PORT."""
        self._host, self._port = host_and_port(bind_address)
        self._converse = converse
        self._log = log
        self._bounds = bounds
        self._path = f"/{path_token}" if path_token else ""
        self._pages = pages or {}
        self._on_refusal = on_refusal
        self._server: Server | None = None
        self._connections: dict[ServerConnection, asyncio.Task[Any]] = {}
        self._in_session: set[ServerConnection] = set()
        self._all_gone = asyncio.Event()
        self._breaking_off = False
        self.address = ""
        self.state: State = "stopped"

    @property
    def sessions(self) -> int:
        """How many sessions are open."""
        return len(self._in_session)

    async def start(self, listening: socket.socket | None = None) -> None:
        """Listens, or goes on with a socket that ``listening`` is already, whatever ``bind_address`` says.

        :raises OSError: the address cannot be listened on.
        """
        if self.state != "stopped":
            raise RuntimeError(f"the service is {self.state}")
        self._breaking_off = False
        self._server = await serve(
            self._serve,
            None if listening else self._host,
            None if listening else self._port,
            sock=listening,
            process_request=self._admit,
            compression=None,
            server_header=None,
            open_timeout=limits.HANDSHAKE_SECONDS,
            close_timeout=limits.FAREWELL_SECONDS,
            # A client need not answer pings while it computes.
            ping_interval=None,
            max_size=MODULE_MESSAGE_BYTES,
            # One request at a time: further ones wait in the client.
            max_queue=1,
            logger=_library_logger(self._log),
        )
        port = next(iter(self._server.sockets)).getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.address = f"ws://{host}:{port}{self._path}"
        self.state = "running"

    async def stop(self, grace: float) -> None:
        """Take no more connections, give the sessions ``grace`` seconds to finish, then break them off.

        A second call, while the first one waits, can be of less patience.
        """
        server = self._server
        if server is None:
            return
        if self.state == "running":
            self.state = "stopping"
            server.close(close_connections=False)
            for connection in list(server.handlers):
                if connection.protocol.state is ConnectionState.CONNECTING:
                    connection.transport.abort()
            for connection, handler in list(self._connections.items()):
                if connection not in self._in_session:
                    handler.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._wait_until_gone()
        if not self._breaking_off:
            self._breaking_off = True
            for handler in self._connections.values():
                handler.cancel()
        await self._wait_until_gone()
        await server.wait_closed()
        if self._server is server:
            self._server, self.state = None, "stopped"

    async def _wait_until_gone(self) -> None:
        while self._connections:
            self._all_gone.clear()
            await self._all_gone.wait()

    def _admit(self, connection: ServerConnection, request: HttpRequest) -> HttpResponse | None:
        """Answer to an HTTP request; None for a handshake that may go on."""
        if "Origin" in request.headers:
            # Only browsers send it: a page that somebody looks at must not reach services of his machine.
            self._refuse("origin", path=request.path[:100], origin=request.headers.get_all("Origin")[0][:100])
            return connection.respond(HTTPStatus.FORBIDDEN, "Web pages cannot use this service.\n")
        if "Upgrade" not in request.headers:
            page = self._page(request)
            if page is None:
                known = "".join(f" There is GET {path}." for path in self._pages)
                return connection.respond(HTTPStatus.NOT_FOUND, f"This is a WebSocket service.{known}\n")
            return _http_response(*page())
        if self._path and not hmac.compare_digest(request.path.encode(), self._path.encode()):
            self._refuse("token")
            return connection.respond(HTTPStatus.FORBIDDEN, "This path is not served.\n")
        if len(self._connections) >= self._bounds.sessions:
            self._refuse("busy", sessions=len(self._connections))
            text = f"All {self._bounds.sessions} sessions of this service are in use (sessions_max).\n"
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, text)
        return None

    def _page(self, request: HttpRequest) -> Page | None:
        """Pages are below the token, as all else."""
        path = request.path.partition("?")[0]
        below, name = path[: len(self._path)], path[len(self._path) :]
        if not hmac.compare_digest(below.encode(), self._path.encode()) or not self._is_meant(request):
            return None
        return self._pages.get(name)

    def _is_meant(self, request: HttpRequest) -> bool:
        """Whether a request was made for this address: a web page can give a name of its own to a loopback address,
        and then needs no ``Origin`` to read what is there.
        """
        if not _is_loopback(self._host):
            return True
        try:
            return all(_is_loopback(urlsplit(f"//{host}").hostname or "") for host in request.headers.get_all("Host"))
        except ValueError:
            return False

    def _refuse(self, reason: Refusal, **extras: object) -> None:
        self._on_refusal(reason)
        self._log.warn("connection refused", reason=reason, **extras)

    async def _serve(self, connection: ServerConnection) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        if len(self._connections) >= self._bounds.sessions or self.state != "running":
            await connection.close(_TRY_AGAIN_LATER, "no session is free")
            return
        self._connections[connection] = handler
        try:
            await self._hear(connection)
        except ConnectionClosed:
            pass
        except asyncio.CancelledError:
            if not self._breaking_off:
                connection.transport.abort()
                raise
            handler.uncancel()
            await connection.close(_GOING_AWAY, "the service is stopping")
        finally:
            del self._connections[connection]
            self._all_gone.set()

    async def _hear(self, connection: ServerConnection) -> None:
        """Hello, then the frames, until somebody has enough."""
        try:
            async with asyncio.timeout(self._bounds.hello_seconds):
                hello = await connection.recv(decode=False)
            conversation = await self._converse(connection, hello)
        except (TimeoutError, HelloRefused) as error:
            why = str(error) or f"none came within {self._bounds.hello_seconds:g} s"
            self._refuse("hello", why=why[: limits.LOGGED_ERROR_CHARS])
            connection.transport.abort()
            return
        self._in_session.add(connection)
        gone = asyncio.create_task(connection.wait_closed())
        try:
            await _unless(gone, self._talk(connection, conversation))
        finally:
            gone.cancel()
            self._in_session.discard(connection)
            await conversation.end(connection.close_code)

    async def _talk(self, connection: ServerConnection, conversation: Conversation) -> None:
        """Frames and their replies. One task for all of them: a task for each costs more than a small reply."""
        patience = Patience()
        try:
            while True:
                try:
                    with patience.of(self._bounds.idle_seconds):
                        frame = await connection.recv(decode=False)
                except TimeoutError:
                    await connection.close(_GOING_AWAY, "idle for too long")
                    return
                reply = await conversation.reply(frame)
                del frame
                if reply is not None:
                    try:
                        with patience.of(limits.SEND_SECONDS):
                            await connection.send(reply)
                    except TimeoutError:
                        self._log.warn("the client does not take its answer", seconds=limits.SEND_SECONDS)
                        connection.transport.abort()
                        return
        finally:
            patience.close()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class Patience:
    """Ends waits of one task that take too long, as :func:`asyncio.timeout` does, one after the other.

    Most waits end in time, so its timer stays where it is when they do, and looks when it fires whether there is
    anything to end.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._until: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        #: Whether the last wait has taken too long.
        self.expired = False

    def of(self, seconds: float | None) -> Self:
        """For one ``with`` block, which raises TimeoutError after so long; None: it may take as long as it likes."""
        self.expired = False
        self._until = None
        if seconds is not None:
            self._until = until = self._loop.time() + seconds
            if self._timer is None or self._timer.when() > until:
                self.close()
                self._timer = self._loop.call_at(until, self._look)
        return self

    def close(self) -> None:
        """No further waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> None:
        self._task = task = asyncio.current_task()
        assert task is not None
        self._cancelling = task.cancelling()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._until = None
        task, self._task = self._task, None
        if self.expired and task is not None and task.uncancel() <= self._cancelling and kind is CancelledError:
            raise TimeoutError from error

    def _look(self) -> None:
        self._timer = None
        if self._until is None or self._task is None:
            return
        if self._until > self._loop.time():
            self._timer = self._loop.call_at(self._until, self._look)
            return
        self._until = None
        self.expired = True
        self._task.cancel()


async def _unless(gone: asyncio.Task[None], talk: Coroutine[Any, Any, None]) -> None:
    """The whole of ``talk``; if the client is gone first it has been cancelled."""
    task = asyncio.create_task(talk)
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            task.cancel()
            # Whatever it has to clean up is done before the session ends.
            await asyncio.wait((task,), timeout=limits.SESSION_CLOSE_SECONDS)
        if task.done() and not task.cancelled():
            # Whoever cancels this one has no use for how it ended; asyncio would complain that nobody has looked.
            task.exception()
    if not (gone.done() and (task.cancelled() or not task.done())):
        task.result()


def _http_response(content_type: str, body: bytes) -> HttpResponse:
    headers = Headers()
    headers["Content-Type"] = content_type
    headers["Content-Length"] = str(len(body))
    headers["Cache-Control"] = "no-store"
    headers["Connection"] = "close"
    return HttpResponse(HTTPStatus.OK, "OK", headers, body)


def _library_logger(log: Logger) -> logging.Logger:
    """Takes what the library remarks to our log. What clients can cause is for debugging only."""

    class Remarks(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if record.exc_info else None
            if record.msg == "connection handler failed":
                log.error(record.getMessage(), error=error)
            elif error is not None:
                log.debug(record.getMessage(), why=f"{type(error).__name__}: {error}"[: limits.LOGGED_ERROR_CHARS])

    logger = logging.Logger("websockets.server", logging.INFO)
    logger.addHandler(Remarks())
    return logger


# --- protocol -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Statistics:
    """What a session has asked of others over HTTP, and how long that took in microseconds."""

    requests_count: int = 0
    requests_time_us: int = 0


class Session(Protocol):
    """What one connection is to a service."""

    async def ask(self, request: Request) -> Any:
        """Value inside the Ok. A :class:`ModuleError` is answered as it says; anything else ends the run."""
        ...

    def statistics(self) -> Statistics:
        """Answer to GetStats."""
        ...

    async def close(self) -> None:
        """The client has gone."""
        ...


OpenSession: TypeAlias = Callable[[Hello], Awaitable[Session]]


class Service:
    """An LLM or web service: sessions that ``open_session`` makes, behind a listener."""

    def __init__(
        self,
        name: str,
        settings: CommonSettings,
        open_session: OpenSession,
        *,
        log: Logger,
        metrics: Metrics,
    ) -> None:
        self.name = name
        #: Result of the check at start, for ``GET /health``.
        self.check: dict[str, Any] = {}
        self._settings = settings
        #: Looked up for each connection.
        self.open_session = open_session
        self._log = log
        self._metrics = metrics
        metrics.count_open(lambda: self.sessions)
        self._listener = Listener(
            settings.bind_address,
            self._converse,
            log=log,
            bounds=Bounds(settings.sessions_max, limits.HELLO_SECONDS, settings.session_idle_seconds),
            path_token=settings.path_token,
            pages={"/health": self._health, "/metrics": lambda: (metrics.content_type, metrics.text())},
            on_refusal=metrics.refused,
        )

    @property
    def state(self) -> State:
        """``stopping`` until the last session has ended (spec modules/04 §3)."""
        return self._listener.state

    @property
    def address(self) -> str:
        """``ws://host:port``, with the path if there is a token; known once it is started."""
        return self._listener.address

    @property
    def sessions(self) -> int:
        """How many are open."""
        return self._listener.sessions

    async def start(self) -> None:
        """:raises ConfigError: the address cannot be listened on."""
        try:
            await self._listener.start()
        except OSError as error:
            why = error.strerror or str(error)
            raise ConfigError(
                f"cannot listen on {self._settings.bind_address}: {why}",
                key=("bind_address",),
                remedy="end what listens there, or choose another address (port 0: any that is free)",
            ) from error

    async def stop(self, grace: float) -> None:
        """Take no more connections, give the sessions ``grace`` seconds to finish, then break them off."""
        await self._listener.stop(grace)

    def _health(self) -> tuple[str, bytes]:
        state = {"name": self.name, "state": self.state, "sessions": self.sessions, "check": self.check}
        return "application/json", json.dumps(self._log.secrets.mask(state)).encode() + b"\n"

    async def _converse(self, _connection: ServerConnection, frame: bytes) -> Conversation:
        try:
            hello = await _in_thread_if_big(decode_hello, frame)
        except MalformedFrame as error:
            raise HelloRefused(str(error)) from error
        log = self._log.of_session(hello.cookie)
        try:
            async with asyncio.timeout(limits.SESSION_OPEN_SECONDS):
                session = await self.open_session(hello)
        except Exception as error:
            log.error("no session", error=error)
            raise HelloRefused(f"no session: {chain(error)}") from error
        self._metrics.session_opened()
        log.debug("session opened")
        return _SessionConversation(session, log, self._metrics, self._settings.request_seconds)


@dataclass
class _SessionConversation:
    """Requests of one session, and their answers."""

    session: Session
    log: Logger
    metrics: Metrics
    request_seconds: float
    requests: int = field(default=0, init=False)
    patience: Patience = field(default_factory=Patience, init=False)

    async def reply(self, frame: bytes) -> bytes:
        begun = time.perf_counter()
        self.requests += 1
        name = ""
        outcome: Outcome = "abandoned"
        try:
            try:
                request = await _in_thread_if_big(decode_request, frame)
            except MalformedFrame as error:
                answer: Answer = FatalError(f"handling request: {error}")
            else:
                name = request.name
                answer = await self._answer(request)
            data, answer = encoded(name, answer, self.log.secrets)
            outcome = _OUTCOMES[type(answer)]
        finally:
            seconds = time.perf_counter() - begun
            self.metrics.answered(name, outcome, seconds)
            extras = {"request": name[:64], "seconds": round(seconds, 6)}
            if outcome == "abandoned":
                self.log.info("request abandoned", **extras)
        match answer:
            case Ok():
                self.log.debug("request answered", bytes=len(data), **extras)
            case UserError():
                self.log.info("request failed", error=_short(answer.value), **extras)
            case FatalError():
                self.log.warn("request failed", error=_short(answer.text), fatal=True, **extras)
        return data

    async def _answer(self, request: Request) -> Answer:
        if request.name == GET_STATS and request.payload is None:
            told = self.session.statistics()
            return Ok({"scripting": {"requests_count": told.requests_count, "requests_time": told.requests_time_us}})
        try:
            with self.patience.of(self.request_seconds):
                return Ok(await self.session.ask(request))
        except ModuleError as error:
            return self.log.secrets.mask_error(error).answer()
        except Exception as error:
            if self.patience.expired:
                return ModuleError("TIMEOUT", fatal=False, ctx={"seconds": self.request_seconds}).answer()
            self.log.debug("request raised", error=error)
            return FatalError(f"handling {request.name[:64]}: {chain(error)}")

    async def end(self, close_code: int | None) -> None:
        self.patience.close()
        try:
            async with asyncio.timeout(limits.SESSION_CLOSE_SECONDS):
                await self.session.close()
        except Exception as error:
            self.log.error("the session could not be closed", error=error)
        self.log.debug("session closed", requests=self.requests, close_code=close_code)


_OUTCOMES: Mapping[type, Outcome] = {Ok: "ok", UserError: "user_error", FatalError: "fatal_error"}


def encoded(name: str, answer: Answer, secrets: Secrets) -> tuple[bytes, Answer]:
    """The frame of an answer, and the answer that it holds: what cannot be sent is an error that says so."""
    try:
        if isinstance(answer, FatalError):
            answer = _sendable(answer.text, secrets)
        data = encode_answer(answer)
        if isinstance(answer, Ok | UserError) and secrets.found_in(data):
            answer = type(answer)(secrets.mask(answer.value))
            data = encode_answer(answer)
    except Exception as error:
        # The value comes from scripts and models; what it may have in it, no type tells.
        answer = _sendable(f"handling {name[:64]}: the answer cannot be sent: {chain(error)}", secrets)
        data = encode_answer(answer)
    if len(data) > MODULE_MESSAGE_BYTES:
        sizes = {"bytes": len(data), "limit": MODULE_MESSAGE_BYTES}
        answer = ModuleError("ANSWER_TOO_LARGE", fatal=False, ctx=sizes).answer()
        data = encode_answer(answer)
    return data, answer


def _sendable(text: str, secrets: Secrets) -> FatalError:
    """A FatalError with whatever text; the codec has no form for halves of surrogate pairs."""
    text = secrets.mask(text)
    if len(text) > limits.FATAL_TEXT_CHARS:
        text = text[: limits.FATAL_TEXT_CHARS] + "…"
    return FatalError(text.encode("utf-8", "backslashreplace").decode())


def chain(error: BaseException) -> str:
    """The messages of an exception and its causes, outermost first, joined as the specification says (01 §2.5)."""
    texts: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(texts) < limits.CAUSES:
        text = str(cause) or type(cause).__name__
        # An exception that repeats its cause's text tells nothing new.
        if not texts or text not in texts[-1]:
            texts.append(text)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return ": ".join(texts)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text[: limits.LOGGED_ERROR_CHARS]


async def _in_thread_if_big(decode: Callable[[bytes], Any], frame: bytes) -> Any:
    """Decoding takes a second for some megabytes of small values, and the other sessions do not wait for it."""
    return decode(frame) if len(frame) < limits.FRAME_INLINE_BYTES else await asyncio.to_thread(decode, frame)
