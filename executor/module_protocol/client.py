"""The executor's side of the LLM and web services (spec executor/04 "Modules", modules/01).

A connection is a session and carries one request at a time. Nondet VMs run on several threads and must not wait for
each other's pages and prompts, so there is a small pool of connections per module, each with a hello of its own. The
most recently used free connection is taken, so requests that follow each other stay in one session; a further one is
opened only while all others wait for answers. A connection that broke is not opened again: what the service knew of
its session is gone.
"""

from __future__ import annotations

import struct
import threading
import time
from typing import Any

from pygenvm.executor import limits
from pygenvm.executor.log import Remarks
from pygenvm.executor.module_protocol.codec import (
    GET_STATS,
    AnswerReader,
    FatalError,
    Hello,
    Ok,
    Request,
    UserError,
    decode_answer,
    encode_hello,
    encode_request,
)
from pygenvm.executor.observer import NOBODY, Observer
from pygenvm.executor.outcome import GuestFault, InternalErrorRaised, ModuleFault

_log = Remarks("executor.module_client")


class ModuleClient:
    """One service: its connections, and how often and how long it was asked."""

    def __init__(self, name: str, address: str, hello: Hello, observer: Observer = NOBODY) -> None:
        """``address`` is a ``ws://`` or ``wss://`` URL; nothing is opened yet."""
        self._name = name
        self._address = address
        self._hello = hello
        self._observer = observer
        self._slots = threading.BoundedSemaphore(limits.MODULE_CONNECTIONS)
        self._lock = threading.Lock()
        self._sessions: list[_Session] = []
        self._idle: list[_Session] = []
        self._closed = False
        self.calls = 0
        #: Time from taking a connection to the answer, summed over all calls.
        self.time_ns = 0

    def ask(self, request: Request, read: AnswerReader) -> Ok | UserError:
        """Send a request and wait for its answer; ``read`` checks and converts the inside of an Ok.

        :raises ModuleFault: the service cannot be reached, is lost or too slow, answers FatalError or something
            malformed.
        :raises GuestFault: the request is too long.
        """
        frame = encode_request(request)
        received: bytes | None = None
        failure: InternalErrorRaised | None = None
        with self._slots:
            begun = time.perf_counter_ns()
            try:
                received, answer = self._ask(frame, read)
            except (_ModuleFailure, _RequestTooLong, ValueError) as error:
                fault = GuestFault if isinstance(error, _RequestTooLong) else ModuleFault
                failure = fault(f"{self._name} module at {_shown(self._address)}: {request.name}: {error}")
                failure.__cause__ = error
            finally:
                ended = time.perf_counter_ns()
                with self._lock:
                    self.calls += 1
                    self.time_ns += ended - begun
        why = None if failure is None else str(failure)
        self._observer.module_answered(self._name, request.name, frame, received, why, begun, ended)
        if failure is not None:
            raise failure
        return answer

    def _ask(self, frame: bytes, read: AnswerReader) -> tuple[bytes, Ok | UserError]:
        """The answer's frame, and what is in it."""
        if len(frame) > limits.MODULE_MESSAGE_BYTES:
            raise _RequestTooLong(f"request of {len(frame)} bytes, at most {limits.MODULE_MESSAGE_BYTES} are sent")
        session = self._take()
        received = session.exchange(frame, limits.MODULE_ANSWER_SECONDS)
        answer = decode_answer(received)
        with self._lock:
            self._idle.append(session)
        match answer:
            case Ok(value):
                return received, Ok(read(value))
            case FatalError(text):
                raise _ModuleFailure(f"module error: {text[: limits.MODULE_FATAL_TEXT_CHARS]}")
        return received, answer

    def _take(self) -> _Session:
        """A session that nobody else uses."""
        with self._lock:
            if self._closed:
                raise _ModuleFailure("the run is ending")
            if self._idle:
                return self._idle.pop()
        session = _Session(self._address, encode_hello(self._hello))
        with self._lock:
            if not self._closed:
                self._sessions.append(session)
                return session
        session.abort()
        raise _ModuleFailure("the run is ending")

    def statistics(self) -> Any:
        """What the service answers to GetStats: per session, so an array if there were several.

        None if it was never asked anything or does not answer in time; never raises. Only for the end of a run.
        """
        deadline = time.monotonic() + limits.MODULE_STATS_SECONDS
        frame = encode_request(Request(GET_STATS))
        with self._lock:
            sessions = [session for session in self._sessions if session in self._idle]
        answers: list[Any] = []
        for session in sessions:
            try:
                answer = decode_answer(session.exchange(frame, max(0.0, deadline - time.monotonic())))
            except (_ModuleFailure, ValueError) as error:
                _log.warning("no statistics from the %s module: %s", self._name, error)
                continue
            if isinstance(answer, Ok):
                answers.append(answer.value)
            else:
                _log.warning("no statistics from the %s module: %s", self._name, answer)
        return answers if len(answers) > 1 else answers[0] if answers else None

    def close(self) -> None:
        """Send a farewell on free connections and break the others; from now on every request fails."""
        with self._lock:
            self._closed = True
            sessions, idle = self._sessions, self._idle
            self._sessions, self._idle = [], []
        for session in sessions:
            if session in idle:
                session.close()
            else:
                session.abort()


def _shown(address: str) -> str:
    """An address without user and path, which may be secrets: `genvm local` has one in the path."""
    scheme, mark, rest = address.partition("://")
    return scheme + mark + rest.partition("/")[0].rpartition("@")[2]


class _RequestTooLong(Exception):
    """What the contract asks does not fit a message."""


class _ModuleFailure(Exception):
    """The module did not do its part; the text tells how."""


class _Session:
    """One WebSocket connection whose hello has been sent."""

    def __init__(self, address: str, hello: bytes) -> None:
        """:raises _ModuleFailure: the connection does not stand in time."""
        # The import takes a quarter of what the executor's own imports take: only runs that ask a module pay for it.
        from websockets.exceptions import InvalidHandshake, WebSocketException
        from websockets.sync.client import connect

        try:
            self._connection = connect(
                address,
                compression=None,
                user_agent_header=None,
                # Services are found where the configuration says, whatever the environment has for other programs.
                proxy=None,
                open_timeout=limits.MODULE_CONNECT_SECONDS,
                close_timeout=limits.MODULE_CLOSE_SECONDS,
                # A service need not answer pings while it works on a request.
                ping_interval=None,
                max_size=limits.MODULE_MESSAGE_BYTES,
                logger=_log.logger,
            )
            _limit_sends(self._connection.socket)
            self._connection.send(hello)
        # The library fails an assertion of its own when a server speaks before it was spoken to.
        except (InvalidHandshake, AssertionError) as error:
            why = f"no WebSocket service answers: {str(error) or type(error).__name__}"
            raise _ModuleFailure(f"cannot connect: {why}") from error
        except (OSError, ValueError, WebSocketException) as error:
            raise _ModuleFailure(f"cannot connect: {str(error) or type(error).__name__}") from error

    def exchange(self, frame: bytes, seconds: float) -> bytes:
        """Send ``frame`` and return the data of the next frame, binary or text; ``seconds`` bounds the wait.

        :raises _ModuleFailure: the connection broke or the time is over; the session cannot be used any more.
        """
        from websockets.exceptions import WebSocketException

        try:
            self._connection.send(frame)
            return self._connection.recv(seconds, decode=False)
        except TimeoutError:
            self.abort()
            raise _ModuleFailure(f"no answer within {seconds:g} s") from None
        except (OSError, WebSocketException) as error:
            self.abort()
            raise _ModuleFailure(f"connection lost: {error}") from error

    def close(self) -> None:
        """Send the close frame and give the service a moment to hang up."""
        self._connection.close()

    def abort(self) -> None:
        """Break the connection from any thread; an exchange that waits fails at once."""
        self._connection.close_socket()


def _limit_sends(connection: Any) -> None:
    """Bound each send; the library waits for ever when the other side does not read."""
    import socket

    seconds, rest = divmod(limits.MODULE_SEND_SECONDS, 1)
    connection.setsockopt(
        socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(seconds), int(rest * 1_000_000))
    )
