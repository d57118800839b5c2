"""One script VM as the service sees it: a child process, its socket, and the calls that it has.

Frames are answered in the order in which they were sent, so the service always knows which call's slice is running and
since when; a slice that takes too long ends with the process.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import os
import socket
import subprocess
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from pygenvm.executor import interpreter
from pygenvm.modules import limits
from pygenvm.modules.log import Logger
from pygenvm.modules.scripting.frames import FrameError, ScriptError, Setup, frame_size, pack_frame, unpack_frame

_CHILD: Final = "pygenvm.modules.scripting.child"

#: Numbers of calls, which no two VMs have in common.
_CALLS: Final = itertools.count(1)

#: Writes a record of a script, encoded.
LogRecord = Callable[[Logger, bytes], None]


#: Gets name and arguments of a host function; gives kind and value with which the script goes on.
CarryOut = Callable[[str, bytes], Awaitable[tuple[str, bytes]]]


class ScriptLoadError(Exception):
    """The script cannot be loaded; the text has file, line and reason."""


@dataclass
class _Call:
    carry_out: CarryOut
    log: Logger
    ended: asyncio.Future[list[Any]]
    #: Of whoever called, for the host functions.
    context: contextvars.Context
    host_function: asyncio.Task[None] | None = None

    def fail(self, text: str) -> None:
        if not self.ended.done():
            self.ended.set_exception(ScriptError(text))


class ScriptVm(asyncio.Protocol):
    """A process with a loaded script; once lost it stays lost. Made by :meth:`start`."""

    def __init__(self, slice_seconds: float, log: Logger, record: LogRecord, lost: Callable[[ScriptVm], None]) -> None:
        self._slice_seconds = slice_seconds
        self._log = log
        self._record = record
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._received = bytearray()
        self._calls: dict[int, _Call] = {}
        #: Calls whose slice the child has not answered, in its order. The first one runs since `_slice_began`.
        self._slices: deque[int] = deque()
        self._slice_began = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._reason = ""
        self._sessions: set[int] = set()
        self._transport: asyncio.WriteTransport
        self._process: subprocess.Popen[bytes] | None = None
        self.alive = False

    @classmethod
    async def start(
        cls, setup: Setup, *, slice_seconds: float, log: Logger, record: LogRecord, lost: Callable[[ScriptVm], None]
    ) -> ScriptVm:
        """
        :param log: for records that the script makes while it loads.
        :param lost: called once when the process of a VM that was ready has ended.
        :raises ScriptLoadError: the script cannot be loaded, or not in time.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            vm = cls(slice_seconds, log, record, lost)
            await vm._loop.create_unix_connection(lambda: vm, sock=ours)
            try:
                # Not in a thread: the child ends with the thread that has started it.
                vm._process = subprocess.Popen(
                    interpreter.command(_CHILD, str(theirs.fileno()), str(os.getpid())),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env={},
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                vm._transport.abort()
                raise ScriptLoadError(f"the process of the script VM cannot be started: {error}") from error
        vm._transport.write(pack_frame("setup", vars(setup)))
        try:
            async with asyncio.timeout(limits.SCRIPT_LOAD_SECONDS):
                await vm._ready
        except TimeoutError:
            raise ScriptLoadError(f"{setup.script}: not loaded after {limits.SCRIPT_LOAD_SECONDS:g} s") from None
        finally:
            if not vm.alive:
                await vm.stop()
        return vm

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    @property
    def reason(self) -> str:
        """Why it is lost."""
        return self._reason

    @property
    def status(self) -> int | None:
        """The exit status of the process, negative for a signal; None while it is there."""
        return None if self._process is None else self._process.returncode

    async def stop(self) -> None:
        """End the process, and its calls with an error."""
        self._kill("the module is being stopped")
        self._transport.abort()
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)

    # --- calls ------------------------------------------------------------------------------------

    def open(self, session: int, value: bytes) -> None:
        """Begin a session, unless it has begun."""
        if session not in self._sessions:
            self._sessions.add(session)
            self._transport.write(pack_frame("open", session, value))

    def close(self, session: int) -> None:
        if session in self._sessions:
            self._sessions.remove(session)
            if self.alive:
                self._transport.write(pack_frame("close", session))

    async def call(self, session: int, function: str, arguments: bytes, carry_out: CarryOut, log: Logger) -> list[Any]:
        """Run a function of the script in a session that is open; the frame with which it ends.

        :param log: where its records go.
        :raises ScriptError: the process was lost, or has too many calls.
        """
        if len(self._calls) >= limits.SCRIPT_CALLS_MAX:
            raise ScriptError(f"the script VM has {limits.SCRIPT_CALLS_MAX} calls already")
        number = next(_CALLS)
        call = _Call(carry_out, log, self._loop.create_future(), contextvars.copy_context())
        self._calls[number] = call
        try:
            self._run(number, pack_frame("call", number, session, function, arguments))
            return await call.ended
        finally:
            if self._calls.pop(number, None) is not None and self.alive:
                self._transport.write(pack_frame("cancel", number))
            if call.host_function is not None and not call.host_function.done():
                call.host_function.cancel()
                await asyncio.wait([call.host_function])

    def _run(self, number: int, frame: bytes) -> None:
        """Send a frame that the child answers."""
        if not self.alive:
            raise ScriptError(self._reason)
        if not self._slices:
            self._slice_began = self._loop.time()
        self._slices.append(number)
        if self._watch is None:
            self._watch = self._loop.call_later(self._slice_seconds, self._check)
        self._transport.write(frame)

    async def _host_function(self, number: int, call: _Call, name: str, arguments: bytes) -> None:
        kind, value = await call.carry_out(name, arguments)
        if self.alive and self._calls.get(number) is call:
            self._run(number, pack_frame("resume", number, kind, value))

    def _check(self) -> None:
        self._watch = None
        if not self._slices:
            return
        left = self._slice_began + self._slice_seconds - self._loop.time()
        if left > 0:
            self._watch = self._loop.call_later(left, self._check)
            return
        guilty = self._slices[0]
        if guilty in self._calls:
            self._calls.pop(guilty).fail(
                f"the script ran for more than {self._slice_seconds:g} s without a pause and was ended"
            )
        self._kill(f"the script VM was ended because another call took more than {self._slice_seconds:g} s")

    def _kill(self, reason: str) -> None:
        self._reason = self._reason or reason
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    # --- asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        begin = 0
        try:
            while len(received) >= begin + 4:
                end = begin + 4 + frame_size(memoryview(received)[begin : begin + 4])
                if len(received) < end:
                    break
                with memoryview(received)[begin + 4 : end] as body:
                    frame = unpack_frame(body)
                begin = end
                self._handle(frame)
        except FrameError as error:
            self._kill(f"the script VM sent nonsense: {error}")
            self._transport.abort()
            return
        del received[:begin]

    def connection_lost(self, error: Exception | None) -> None:
        self.alive = False
        if self._watch is not None:
            self._watch.cancel()
        self._kill("the script VM was lost")
        was_ready = self._ready.done() and not self._ready.cancelled() and self._ready.exception() is None
        if not self._ready.done():
            self._ready.set_exception(ScriptLoadError(f"the process of the script VM ended: {self._reason}"))
        for call in self._calls.values():
            call.fail(self._reason)
        self._calls.clear()
        if was_ready:
            self._lost(self)

    def _handle(self, frame: list[Any]) -> None:
        kind, *arguments = frame
        match kind:
            case "ready":
                self.alive = True
                if not self._ready.done():
                    self._ready.set_result(None)
            case "broken":
                self.alive = False
                self._reason = self._reason or arguments[0]
                if not self._ready.done():
                    self._ready.set_exception(ScriptLoadError(arguments[0]))
            case "log":
                call = self._calls.get(arguments[0])
                self._record(self._log if call is None else call.log, arguments[1])
            case _:
                self._slices.popleft()
                self._slice_began = self._loop.time()
                number = arguments[0]
                call = self._calls.get(number)
                if call is None:
                    return
                if kind == "io":
                    work = self._host_function(number, call, *arguments[1:])
                    call.host_function = self._loop.create_task(work, context=call.context)
                else:
                    del self._calls[number]
                    if not call.ended.done():
                        call.ended.set_result(frame)
