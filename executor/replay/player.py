"""Running a recorded execution again, offline (see :mod:`executor.record.format`).

A replay has neither host nor modules: requests are compared with the recorded ones, and get the recorded
replies. The first that differs ends the replay. Streams are compared each for itself, so the interleaving
of threads does not matter. One kind of request belongs to no stream: balances are asked for once per
process, by whichever thread needs one first.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pygenvm.executor.host_protocol.client import HostClient
from pygenvm.executor.host_protocol.codec import Reply, Request, RequestDecoder, encode_error, encode_reply
from pygenvm.executor.message import Message
from pygenvm.executor.module_protocol.codec import Ok, UserError, decode_answer
from pygenvm.executor.module_protocol.codec import Request as ModuleRequest
from pygenvm.executor.module_protocol.codec import encode_request as encode_module_request
from pygenvm.executor.outcome import (
    Blame,
    HostFault,
    InternalError,
    InternalErrorRaised,
    ModuleFault,
    VMErrorRaised,
    blame_of,
)
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.record.format import (
    ENDED_BY_SIGNAL,
    ENDED_WITH_RESULT,
    Event,
    HostExchange,
    ModuleExchange,
    Record,
    RecordError,
    Runtime,
    Stream,
    ValidatorRun,
    versions,
)
from pygenvm.executor.record.seeded_random import seeded_random
from pygenvm.executor.replay.compare import module_requests_differ, requests_differ
from pygenvm.executor.replay.words import describe, place
from pygenvm.executor.runner.registry import InstalledRunners, RegistryError
from pygenvm.executor.stream import validated_block

if TYPE_CHECKING:
    from typing import Any

    from pygenvm.executor.config import Config
    from pygenvm.executor.log import Logger
    from pygenvm.executor.module_protocol.codec import AnswerReader
    from pygenvm.executor.runner.actions import RunnerSource
    from pygenvm.executor.runner.archive import Archive
    from pygenvm.executor.subvm.random import RandomSource

E = TypeVar("E", bound=Event)


class Deviation(HostFault):
    """The run did something else than the recorded one. It ends the run, as a host would that breaks off."""


class ReplayError(Exception):
    """This installation cannot replay anything; the text says why."""


class EndOfRecord(HostFault):
    """An interrupted run has been replayed up to its interruption."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a replay went: ``same``, what differs or why the end is not the end, and remarks on its circumstances."""

    same: bool
    text: str
    exchanges: int
    remarks: tuple[str, ...] = ()


# --- replay ---------------------------------------------------------------------------------------


def replay(player: Player, config: Config, log: Logger, artefacts_dir: str) -> Verdict:
    """Run the recorded execution again. On a thread with a big stack (:func:`executor.run.process.start_vm_thread`).

    :raises RecordError: the recorded options cannot be used.
    :raises ReplayError: something is missing here, which says nothing about the record.
    """
    record = player.record
    from pygenvm.executor.run.console import ProcessConsole
    from pygenvm.executor.run.ending import Ending
    from pygenvm.executor.run.supervisor import RunOptions
    from pygenvm.executor.run.world import Parts, assemble
    from pygenvm.executor.subvm.artefacts import ArtefactStore
    from pygenvm.executor.subvm.spec import Permissions

    header = record.header
    try:
        message = Message.parse(header.message)
        permissions = Permissions.parse(header.permissions)
    except ValueError as error:
        raise RecordError(f"the recorded run cannot have begun: {error}") from error
    ending = Ending()
    host = HostClient(_Connection(player), admission=ending)
    parts = Parts(
        host=host,
        ending=ending,
        web=_ReplayedService("web", player),
        llm=_ReplayedService("llm", player),
        artefacts=ArtefactStore(artefacts_dir, packaged=config.packaged_modules),
        open_runners=lambda: _ReplayedRunners(InstalledRunners.of(config, debug=header.debug_mode), record.runners),
        console=ProcessConsole(log),
        entropy=_ReplayedEntropy(player),
        gate=_ReplayedGate(player),
    )
    supervisor = assemble(message, RunOptions(permissions, header.sync, header.debug_mode), parts, log)
    lacking: ReplayError | None = None
    try:
        supervisor.start_up()
    except (VMErrorRaised, InternalErrorRaised, RegistryError) as error:
        player.not_started(str(error))
        if isinstance(error, RegistryError) or blame_of(error) is Blame.INSTALLATION:
            lacking = ReplayError(str(error))
            lacking.__cause__ = error
    else:
        with contextlib.closing(supervisor):
            result = supervisor.run()
        if isinstance(result.outcome, InternalError) and result.outcome.blame is Blame.INSTALLATION:
            lacking = ReplayError(result.outcome.message)
            lacking.__cause__ = result.outcome.cause
        if player.deviation is None and not player.at_end and ending.vm_delivers():
            try:
                host.consume_result(result.payload())
            except InternalErrorRaised as error:
                player.not_delivered(str(error))
    verdict = player.verdict()
    if lacking is not None and not verdict.same:
        raise lacking
    return verdict


def _remarks(record: Record) -> Iterator[str]:
    header = record.header
    if record.ended is None:
        yield ("the record has no end: the recorded run crashed, or it was cut off")
    elif not record.intact:
        yield "the record was changed after it was written: its checksum is wrong"
    for name, there, here in zip(
        ("executor", "engine", "machine"), (header.executor, header.engine, header.machine), versions(), strict=True
    ):
        if there != here:
            yield f"recorded with {name} {there}, replayed with {here}"


class Player:
    """The recorded events, taken one after the other by all threads of a replay."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self._lock = threading.Lock()
        #: By stream, how many events are behind us, and how many of them were taken: all but balances.
        self._positions: dict[Stream, int] = {}
        self._taken: dict[Stream, int] = {}
        self._exchanges = 0
        #: The first one.
        self.deviation: Deviation | None = None
        #: The recorded run was interrupted, and this is how far it got.
        self.at_end = False
        #: The same for the VM thread, when it has got the last reply: what it does then is not known, maybe for ever.
        self.exhausted = threading.Event()
        self._note_exhaustion()

    def host(self, request: Request) -> bytes:
        """The recorded reply to ``request``.

        :raises Deviation, EndOfRecord: there is none.
        :raises ConnectionError: the recorded run did not get one either.
        """
        if request.method is HostMethod.GET_BALANCE:
            event = self.record.balances.get(request.fields["address"].as_bytes)
            if event is None:
                self._end_if_interrupted()
                raise self._deviates(f"now {describe(request)}, which the recorded run did not do")
        else:
            event = self._take(HostExchange, lambda: describe(request))
            # The text of an error that the host was not told of names the connection, which was another one.
            if event.reply is not None or request.method is not HostMethod.CONSUME_RESULT:
                difference = requests_differ(event.request, request, "recorded", "now")
                if difference is not None:
                    raise self._deviates(difference)
        if event.reply is None:
            raise ConnectionError("the recorded run got no reply")
        self._exchanges += 1
        return _encode(event.request, event.reply)

    def module(self, module: str, request: ModuleRequest) -> ModuleExchange:
        """The recorded answer to ``request``."""
        frame = encode_module_request(request)
        event = self._take(ModuleExchange, lambda: f"{module} module request {request.name}")
        difference = module_requests_differ(event, ModuleExchange(module, frame, None, None), "recorded", "now")
        if difference is not None:
            raise self._deviates(difference)
        self._exchanges += 1
        return event

    def runtime(self) -> int:
        """The recorded age of a VM."""
        return self._take(Runtime, lambda: "the age of a VM was asked for").microseconds

    def validates(self, call_no: int) -> bool:
        """Whether the recorded run ran the validator of a block."""
        if call_no not in self.record.streams:
            return False
        self._take(ValidatorRun, lambda: "a validator is run")
        return True

    def _take(self, kind: type[E], now: Callable[[], str]) -> E:
        stream = validated_block.get()
        with self._lock:
            event = self._next(stream)
            if event is None or _is_result(event):
                self._end_if_interrupted()
            self._positions[stream] = self._positions.get(stream, 0) + 1
            self._taken[stream] = self._taken.get(stream, 0) + 1
            self._note_exhaustion()
        if event is None:
            end = "ends here" if self.record.ended else "breaks off here"
            raise self._deviates(f"the recorded run {end}, now {now()}")
        if not isinstance(event, kind):
            raise self._deviates(f"recorded {describe(event)}, now {now()}")
        return event

    def _next(self, stream: Stream) -> Event | None:
        """The next event of a stream that is to be taken."""
        events = self.record.streams.get(stream, ())
        for position in range(self._positions.get(stream, 0), len(events)):
            event = events[position]
            if not _is_balance(event):
                self._positions[stream] = position
                return event
        return None

    def _end_if_interrupted(self) -> None:
        if self.record.ended == ENDED_BY_SIGNAL:
            self.at_end = True
            raise EndOfRecord("the recorded run was interrupted here")

    def _note_exhaustion(self) -> None:
        if self.record.ended == ENDED_BY_SIGNAL:
            event = self._next(None)
            if event is None or _is_result(event):
                self.exhausted.set()

    def _deviates(self, text: str) -> Deviation:
        stream = validated_block.get()
        deviation = Deviation(f"{place(stream, self._taken.get(stream, 0))}: {text}")
        with self._lock:
            self.deviation = self.deviation or deviation
        return deviation

    def not_started(self, why: str) -> None:
        """The run failed before the contract was loaded; the recorded one may have done so too."""
        if self.record.ended != why and not self.at_end:
            self._deviates(f"the run could not start: {why}")

    def not_delivered(self, why: str) -> None:
        if self.deviation is None and self.record.ended == ENDED_WITH_RESULT:
            self._deviates(why)

    def verdict(self) -> Verdict:
        """What to tell people in the end."""
        same, text = self._compared()
        return Verdict(same, text, self._exchanges, tuple(_remarks(self.record)))

    def _compared(self) -> tuple[bool, str]:
        if self.deviation is not None:
            return False, str(self.deviation)
        if self.at_end or self.exhausted.is_set():
            return self.record.intact, "the same up to the signal that ended the recorded run"
        for stream in self.record.streams:
            event = self._next(stream)
            if event is not None:
                number = self._taken.get(stream, 0) + 1
                return False, f"{place(stream, number)}: recorded {describe(event)}, now nothing"
        if self.record.ended is None:
            return False, "the same as far as the record goes"
        return self.record.intact, "requests, result and fingerprint are the same"


class _Connection:
    """What a :class:`HostClient` takes for a socket: each request gets the recorded reply."""

    def __init__(self, player: Player) -> None:
        self._player = player
        self._requests = RequestDecoder()
        self._reply = memoryview(b"")

    def sendall(self, data: bytes | memoryview) -> None:
        self._requests.feed(data)
        request = self._requests.next_request()
        if request is not None:
            self._reply = memoryview(self._player.host(request))

    def recv_into(self, buffer: memoryview) -> int:
        part = self._reply[: len(buffer)]
        buffer[: len(part)] = part
        self._reply = self._reply[len(part) :]
        return len(part)

    def settimeout(self, value: float | None) -> None:
        """Nothing is waited for."""

    def close(self) -> None:
        """There is nothing to close."""


class _ReplayedService:
    """What a module answered; there is nobody to be connected to."""

    calls = 0
    time_ns = 0

    def __init__(self, name: str, player: Player) -> None:
        self._name = name
        self._player = player

    def ask(self, request: ModuleRequest, read: AnswerReader) -> Ok | UserError:
        event = self._player.module(self._name, request)
        if event.answer is None:
            raise ModuleFault(event.failure or "")
        answer = decode_answer(event.answer)
        if isinstance(answer, UserError):
            return answer
        try:
            return Ok(read(getattr(answer, "value", None)))
        except ValueError as error:
            raise ModuleFault(f"the recorded answer of the {self._name} module: {error}") from error

    def statistics(self) -> Any:
        return None

    def close(self) -> None:
        """There is nothing to close."""


class _ReplayedEntropy:
    def __init__(self, player: Player) -> None:
        self._player = player
        self._sources = seeded_random(player.record.header.seed)

    def random(self) -> RandomSource:
        return self._sources()

    def runtime(self, microseconds: int) -> int:
        return self._player.runtime()


class _ReplayedGate:
    def __init__(self, player: Player) -> None:
        self._player = player

    def validates(self, call_no: int, lowest: int | None) -> bool:
        return self._player.validates(call_no)


class _ReplayedRunners:
    """Another source of runners; references mean what they meant when the run was recorded."""

    def __init__(self, real: RunnerSource, recorded: Mapping[str, str]) -> None:
        self._real = real
        self._recorded = recorded

    def resolve(self, reference: str) -> str:
        return self._recorded.get(reference) or self._real.resolve(reference)

    def load(self, resolved: str) -> Archive:
        return self._real.load(resolved)


def _encode(request: Request, reply: Reply) -> bytes:
    if reply.error:
        return encode_error(request.method, reply.error)
    return encode_reply(request, reply.value)


def _is_result(event: Event) -> bool:
    return isinstance(event, HostExchange) and event.request.method is HostMethod.CONSUME_RESULT


def _is_balance(event: Event) -> bool:
    return isinstance(event, HostExchange) and event.request.method is HostMethod.GET_BALANCE
