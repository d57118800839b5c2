"""One script VM as the service sees it: a child process, its socket, and the calls that it has.

Frames are answered in the order in which they were sent, so the service always knows which call's slice is running and
since when; a slice that takes too long ends with the process.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from pygenvm.executor import interpreter
from pygenvm.modules import limits
from pygenvm.modules.scripting.frames import FrameError, ScriptError, Setup, frame_size, pack_frame, unpack_frame

_CHILD: Final = "pygenvm.modules.scripting.child"

#: Gets the number of the call (0 while the script loads) and the record, encoded.
LogRecord = Callable[[int, bytes], None]


class ScriptLoadError(Exception):
    """The script cannot be loaded; the text has file, line and reason."""


class ScriptVm(asyncio.Protocol):
    """A process with a loaded script; once lost it stays lost. Made by :meth:`start`."""

    def __init__(self, slice_seconds: float, log: LogRecord, lost: Callable[[ScriptVm], None]) -> None:
        self._slice_seconds = slice_seconds
        self._log = log
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._received = bytearray()
        self._calls: dict[int, asyncio.Future[list[Any]]] = {}
        #: Calls whose slice the child has not answered, in its order. The first one runs since `_slice_began`.
        self._slices: deque[int] = deque()
        self._slice_began = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._reason = ""
        self._last_call = 0
        self._sessions: set[int] = set()
        self._transport: asyncio.WriteTransport
        self._process: subprocess.Popen[bytes]
        self.alive = False

    @classmethod
    async def start(
        cls, setup: Setup, *, slice_seconds: float, log: LogRecord, lost: Callable[[ScriptVm], None]
    ) -> ScriptVm:
        """
        :param lost: called once when the process of a VM that was ready has ended.
        :raises ScriptLoadError: the script cannot be loaded, or not in time.
        """
        vm = cls(slice_seconds, log, lost)
        ours, theirs = socket.socketpair()
        with theirs:
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
        await vm._loop.create_unix_connection(lambda: vm, sock=ours)
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
        return self._process.pid

    @property
    def reason(self) -> str:
        """Why it is lost."""
        return self._reason

    @property
    def status(self) -> int | None:
        """The exit status of the process, negative for a signal; None while it is there."""
        return self._process.returncode

    async def stop(self) -> None:
        """End the process, and its calls with an error."""
        self._kill("the module is being stopped")
        self._transport.abort()
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

    def new_call(self) -> int:
        """:raises ScriptError: there are too many."""
        if len(self._calls) >= limits.SCRIPT_CALLS_MAX:
            raise ScriptError(f"the script VM has {limits.SCRIPT_CALLS_MAX} calls already")
        self._last_call += 1
        return self._last_call

    async def run(self, call: int, frame: bytes) -> list[Any]:
        """Send a frame ``call`` or ``resume``; what the child answers.

        :raises ScriptError: the process was lost.
        """
        if not self.alive:
            raise ScriptError(self._reason)
        answer: asyncio.Future[list[Any]] = self._loop.create_future()
        self._calls[call] = answer
        if not self._slices:
            self._slice_began = self._loop.time()
        self._slices.append(call)
        if self._watch is None:
            self._watch = self._loop.call_later(self._slice_seconds, self._check)
        self._transport.write(frame)
        return await answer

    def forget(self, call: int, *, ended: bool) -> None:
        """Nobody waits for the call any more; ``ended``: the child knows."""
        self._calls.pop(call, None)
        if not ended and self.alive:
            self._transport.write(pack_frame("cancel", call))

    def _check(self) -> None:
        self._watch = None
        if not self._slices:
            return
        left = self._slice_began + self._slice_seconds - self._loop.time()
        if left > 0:
            self._watch = self._loop.call_later(left, self._check)
            return
        guilty = self._slices[0]
        answer = self._calls.get(guilty)
        if answer is not None and not answer.done():
            answer.set_exception(
                ScriptError(f"the script ran for more than {self._slice_seconds:g} s without a pause and was ended")
            )
        self._kill(f"the script VM was ended because another call took more than {self._slice_seconds:g} s")

    def _kill(self, reason: str) -> None:
        self._reason = self._reason or reason
        if self._process.returncode is None:
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
        was_alive, self.alive = self.alive, False
        if self._watch is not None:
            self._watch.cancel()
        self._kill("the script VM was lost")
        if not self._ready.done():
            self._ready.set_exception(ScriptLoadError(f"the process of the script VM ended: {self._reason}"))
            self._ready.exception()  # retrieved, should nobody wait
        for answer in self._calls.values():
            if not answer.done():
                answer.set_exception(ScriptError(self._reason))
        self._calls.clear()
        if was_alive:
            self._lost(self)

    def _handle(self, frame: list[Any]) -> None:
        kind, *arguments = frame
        match kind:
            case "ready":
                self.alive = True
                if not self._ready.done():
                    self._ready.set_result(None)
            case "broken":
                if not self._ready.done():
                    self._ready.set_exception(ScriptLoadError(arguments[0]))
            case "log":
                self._log(*arguments)
            case _:
                if self._slices:
                    self._slices.popleft()
                    self._slice_began = self._loop.time()
                answer = self._calls.get(arguments[0])
                if answer is not None and not answer.done():
                    answer.set_result(frame)
