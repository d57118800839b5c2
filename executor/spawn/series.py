"""Executors that carry out runs one after the other (:mod:`executor.pool.series`), as their client has them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import IO, TYPE_CHECKING, Any, cast

from pygenvm.executor import limits
from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.host_protocol.answering import LEFT, answer
from pygenvm.executor.host_protocol.codec import ADDRESS_BYTES, ProtocolViolation, RequestDecoder
from pygenvm.executor.host_protocol.host import Host
from pygenvm.executor.host_protocol.lent import Lender, by_slot, listed
from pygenvm.executor.pool.errors import PoolError
from pygenvm.executor.pool.frames import FrameError, pack_arguments
from pygenvm.executor.pool.series_frames import SeriesDecoder, encode
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.spawn import SpawnError
from pygenvm.executor.spawn.known_runs import KnownRuns, key_of
from pygenvm.executor.spawn.lines import Line, LoopLine, Timer
from pygenvm.executor.spawn.output import Captured, Output

# What is behind the modules of these names: those take longer to load than to use.
if TYPE_CHECKING:
    import signal
    import socket

    from pygenvm.executor.pool.client import ExecutorPool, PooledRun
    from pygenvm.executor.pool.forked import ForkedExecutor
else:
    import _signal as signal
    import _socket as socket


class SeriesRun:
    """How a run has ended. The result is at the host."""

    def __init__(self, failure: str | None) -> None:
        self.status = 0
        """Exit code, or minus the number of the signal that ended the process."""
        self.failure = failure
        """Why the host did not get a result; None: it got one."""
        self.timed_out = False
        self.stdout = self.stderr = self.log = Captured()


class Gone(SpawnError):
    """The executor was gone before it did anything of the run, which another one may carry out."""


class SeriesExecutor:
    """One executor, for one run at a time. May be used from several event loops, one after the other."""

    def __init__(
        self,
        run: PooledRun | ForkedExecutor,
        connection: socket.socket,
        stderr: IO[bytes],
        modules: Mapping[str, str] = {},
        log_level: str | None = None,
        line: Callable[[socket.socket], Line] = LoopLine,
        *,
        may_be_gone: bool = True,
    ) -> None:
        """
        :param stderr: where it writes when it breaks.
        :param modules: address of ``llm`` or ``web`` where it is not that of the configuration of the executor.
        :param log_level: overrides that of the executor.
        :param line: how it is waited for.
        :param may_be_gone: it may have been killed while it waited for the run. Otherwise the run has killed it.
        """
        self._may_be_gone = may_be_gone
        self._run = run
        self._socket = connection
        self._line = line(connection)
        self._stderr = stderr
        self._modules = dict(modules)
        self._log_level = log_level
        self._decoder = SeriesDecoder()
        #: It can be given a run, unless the one before has left something behind: then it is gone.
        self.usable = True

    @classmethod
    async def start(
        cls,
        pool: ExecutorPool,
        modules: Mapping[str, str] = {},
        log_level: str | None = None,
        line: Callable[[socket.socket], Line] = LoopLine,
    ) -> SeriesExecutor:
        """One of a pool; other parameters as for this class.

        :raises SpawnError: there is none.
        """
        with contextlib.ExitStack() as made:
            try:
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
                made.callback(ours.close)
                with contextlib.closing(theirs):
                    ours.setblocking(False)
                    stderr = made.enter_context(open(os.memfd_create("stderr"), "w+b"))
                    run = await pool.run_series(theirs.fileno(), stderr.fileno())
            except (PoolError, OSError) as error:
                raise SpawnError(str(error)) from error
            made.pop_all()
        return cls(run, ours, stderr, modules, log_level, line)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._run.pid

    def call_soon(self, action: Callable[[], object]) -> None:
        """Do something when it is waited for and does not answer yet."""
        self._line.call_later(0.0, action)

    def end(self) -> None:
        """End it and everything that it has started, at once."""
        self.usable = False
        self._run.kill()
        self._socket.close()
        self._stderr.close()

    async def carry_out(
        self, host: Host, arguments: RunArguments, timeout: float, grace: float, known: KnownRuns | None = None
    ) -> SeriesRun:
        """One run. The executor is gone afterwards unless :attr:`usable` says something else.

        :param timeout: seconds until it is asked to end.
        :param grace: seconds until it is killed after that.
        :param known: runs of executors of this configuration; what is among them is not carried out.
        :raises Gone: nothing has happened.
        """
        assert self.usable
        self.usable = False
        conversation = _Conversation(host)
        timers: list[Timer] = []
        try:
            lent = None if conversation.lender is None else await conversation.lender.lend()
            key = None if known is None else key_of(arguments, lent)
            if known is not None and (heard := known.heard(key)) is not None:
                await conversation.hear_again(heard)
                self.usable = True
                return conversation.report()
            packed = None if lent is None else lent.packed()
            first = encode("run", self._log_level, self._modules, pack_arguments(arguments), packed)
            await self._until_ready()
            # Told to end before it has the run it would not take it.
            timers.append(self._line.call_later(timeout, partial(self._ask_to_end, conversation)))
            timers.append(self._line.call_later(timeout + grace, self._run.kill))
            again = await self._converse(conversation, first)
            for timer in timers:
                timer.cancel()
            if again is None and conversation.status is None:
                # Whatever it was: what it had started goes too.
                if conversation.result.failure:
                    self._run.kill()
                await self._learn_how_it_ended(conversation)
            # A signal may still be under way.
            self.usable = bool(again) and not conversation.result.timed_out
            if known is not None and key is not None and self.usable and conversation.would_be_the_same:
                known.keep(key, bytes(conversation.heard))
        finally:
            for timer in timers:
                timer.cancel()
            if not self.usable:
                self.end()
        return conversation.report()

    async def _until_ready(self) -> None:
        """:raises Gone: it does not become ready."""
        timer = self._line.call_later(limits.SERIES_READY_SECONDS, self._run.kill)
        try:
            while (frame := self._decoder.next_frame()) is None:
                data = await self._line.receive()
                if not data:
                    raise Gone("the executor is gone")
                self._decoder.feed(data)
        except (OSError, FrameError) as error:
            raise Gone(f"the executor is gone: {error}") from error
        finally:
            timer.cancel()
        if frame != ["ready"]:
            raise Gone("the executor does not wait for a run")

    def _ask_to_end(self, conversation: _Conversation) -> None:
        conversation.result.timed_out = True
        self._run.signal(signal.SIGTERM)

    async def _converse(self, conversation: _Conversation, first: bytes) -> bool | None:
        """Whether the executor takes another run; None: nothing more is to be heard from it."""
        try:
            await self._line.send(first)
            while True:
                while (frame := self._decoder.next_frame()) is not None:
                    conversation.keep(frame)
                    reply = await conversation.handle(*frame)
                    if reply:
                        await self._line.send(reply)
                    if conversation.again is not None:
                        return conversation.again
                data = await self._line.receive()
                if not data:
                    break
                conversation.begun = True
                self._decoder.feed(data)
        except OSError as error:
            if not conversation.begun and self._may_be_gone:
                raise Gone(f"the executor is gone: {error}") from error
        except (FrameError, ProtocolViolation, ValueError, TypeError) as error:
            conversation.fail(f"executor violates the protocol: {error!s:.200}")
            return None
        except _HostFailed as error:
            conversation.fail(str(error))
            return None
        if not conversation.begun and self._may_be_gone:
            raise Gone("the executor is gone")
        return None

    async def _learn_how_it_ended(self, conversation: _Conversation) -> None:
        try:
            conversation.status = await self._run.wait()
        except PoolError as error:
            raise SpawnError(str(error)) from error
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - limits.OUTPUT_TAIL_BYTES))
        conversation.stderr.feed(self._stderr.read())


class _HostFailed(Exception):
    """A host raised what it may not."""


def _host_failed(error: Exception) -> _HostFailed:
    import logging

    logging.getLogger("executor.spawn.series").exception("host failed; the executor is ended")
    return _HostFailed(f"host failed: {type(error).__name__}: {error}")


class _Conversation:
    """What is heard from an executor in one run."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.lender = cast(Lender, host) if hasattr(host, "lend") else None
        self.begun = False
        self.status: int | None = None
        self.again: bool | None = None
        self.result = SeriesRun(LEFT)
        #: All frames that have come, unless they are too many.
        self.heard = bytearray()
        self._is_certain = False
        self._has_asked = False
        self.stderr = Output()
        self._streams = {1: Output(), 2: self.stderr, 3: Output()}

    async def handle(self, kind: str, *fields: Any) -> bytes:
        """The answer to a frame, if there is one.

        :raises ProtocolViolation, ValueError, TypeError: no executor of ours sends that.
        :raises _HostFailed: the host has raised something else than it may.
        """
        try:
            return await self._handle(kind, fields)
        except (ProtocolViolation, FrameError, ValueError, TypeError, _HostFailed):
            raise
        except Exception as error:
            raise _host_failed(error) from error

    async def _handle(self, kind: str, fields: tuple[Any, ...]) -> bytes:
        lender = self.lender
        match kind, fields:
            case "print", (int(fd), bytes(data)) if fd in self._streams:
                self._streams[fd].feed(data)
            case "request", (bytes(data),):
                return await self._answer(data)
            case "storage", (bytes(address),) if lender and len(address) == ADDRESS_BYTES:
                self._has_asked = True
                pages, whole = await lender.storage_of(Address(address))
                return encode("storage", listed(pages), whole)
            case "pages", (bytes(address), bytes(slot), int(first), int(last)) if lender and (
                len(address) == ADDRESS_BYTES
            ):
                self._has_asked = True
                return encode("pages", dict(await lender.pages(Address(address), slot, first, last)))
            case "written", (list(written), int(count)) if lender:
                await lender.take_back(by_slot(written), count)
            case "ended", (int(status), bool(again), bool(is_certain)):
                self.status, self.again, self._is_certain = status, again, is_certain
            case _:
                raise TypeError(f"{kind} with {len(fields)} fields")
        return b""

    async def _answer(self, data: bytes) -> bytes:
        decoder = RequestDecoder()
        decoder.feed(data)
        request = decoder.next_request()
        if request is None or not decoder.idle:
            raise TypeError("not one request")
        if self.result.failure is None:
            raise TypeError("a request behind the result")
        try:
            reply = await answer(self._host, request)
        except Exception as error:
            raise _host_failed(error) from error
        if request.method is HostMethod.CONSUME_RESULT:
            self.result.failure = None
            return b""
        self._has_asked = True
        return encode("reply", reply) if reply else b""

    def keep(self, frame: list[Any]) -> None:
        """Remember what has come."""
        if len(self.heard) <= limits.KNOWN_RUN_BYTES:
            self.heard += encode(*frame)

    @property
    def would_be_the_same(self) -> bool:
        """Whether all that was :attr:`heard` follows from what the run was given."""
        is_whole = len(self.heard) <= limits.KNOWN_RUN_BYTES
        return is_whole and self._is_certain and not self._has_asked and self.result.failure is None

    async def hear_again(self, heard: bytes) -> None:
        """What came from the executor of another run, which was given the same."""
        decoder = SeriesDecoder()
        decoder.feed(heard)
        try:
            while self.again is None and (frame := decoder.next_frame()) is not None:
                await self.handle(*frame)
        except (ProtocolViolation, ValueError, TypeError, _HostFailed) as error:
            self.fail(str(error))

    def fail(self, why: str) -> None:
        """The run is of no use."""
        self.result.failure = why

    def report(self) -> SeriesRun:
        """How the run has ended."""
        result, streams = self.result, self._streams
        result.status = self.status or 0
        result.stdout, result.stderr, result.log = (streams[number].captured() for number in (1, 2, 3))
        return result
