"""Running a recorded execution again, offline, and comparing records (see :mod:`executor.record.format`).

A replay has neither host nor modules: requests are compared with the recorded ones, and get the recorded
replies. The first that differs ends the replay. Streams are compared each for itself, so the interleaving
of threads does not matter. One kind of request belongs to no stream: balances are asked for once per
process, by whichever thread needs one first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pygenvm.executor.host_protocol.client import HostClient
from pygenvm.executor.host_protocol.codec import (
    ProtocolViolation,
    Reply,
    Request,
    RequestDecoder,
    encode_error,
    encode_reply,
)
from pygenvm.executor.host_protocol.result import decode_result
from pygenvm.executor.limits import RECORD_BYTES
from pygenvm.executor.message import Message
from pygenvm.executor.module_protocol.client import ModuleClient
from pygenvm.executor.module_protocol.codec import Hello, Ok, UserError, decode_answer, decode_request
from pygenvm.executor.module_protocol.codec import Request as ModuleRequest
from pygenvm.executor.module_protocol.codec import encode_request as encode_module_request
from pygenvm.executor.outcome import HostFault, InternalErrorRaised, ModuleFault, VMError, VMErrorRaised
from pygenvm.executor.outcome import UserError as ContractError
from pygenvm.executor.primitives.abi import HostMethod, StorageType
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.primitives.calldata import to_str
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
    seeded_random,
    versions,
)
from pygenvm.executor.run.printing import result_line
from pygenvm.executor.runner.registry import InstalledRunners, RegistryError
from pygenvm.executor.stream import validated_block
from pygenvm.executor.subvm.random import RandomSource

if TYPE_CHECKING:
    from pygenvm.executor.config import Config
    from pygenvm.executor.log import Logger
    from pygenvm.executor.module_protocol.codec import AnswerReader

_SHOWN_BYTES = 48

E = TypeVar("E", bound=Event)


class Deviation(HostFault):
    """The run did something else than the recorded one. It ends the run, as a host would that breaks off."""


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


def replay(player: Player, config: Config, log: Logger, artefacts_dir: Path) -> Verdict:
    """Run the recorded execution again. On a thread with a big stack (:func:`executor.run.process.start_vm_thread`).

    :raises RecordError: the recorded options cannot be used.
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
    folders = config.runners_dir, config.registry_dir
    parts = Parts(
        host=host,
        ending=ending,
        web=_ReplayModule("web", player),
        llm=_ReplayModule("llm", player),
        artefacts=ArtefactStore(artefacts_dir),
        open_runners=lambda: _ReplayRegistry(*folders, header.debug_mode, record.runners),
        console=ProcessConsole(log),
        entropy=_ReplayEntropy(player),
        gate=_ReplayGate(player),
    )
    supervisor = assemble(message, RunOptions(permissions, header.sync, header.debug_mode), parts, log)
    try:
        supervisor.start_up()
    except (VMErrorRaised, InternalErrorRaised, RegistryError) as error:
        player.not_started(str(error))
    else:
        payload = supervisor.run().payload()
        if player.deviation is None and not player.at_end and ending.vm_delivers():
            try:
                host.consume_result(payload)
            except InternalErrorRaised as error:
                player.not_delivered(str(error))
    return player.verdict()


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
        self._events: dict[Stream, list[Event]] = {}
        self._balances: dict[bytes, HostExchange] = {}
        for stream, events in record.streams.items():
            self._events[stream] = []
            for event in events:
                if isinstance(event, HostExchange) and event.request.method is HostMethod.GET_BALANCE:
                    self._balances.setdefault(event.request.fields["address"].as_bytes, event)
                else:
                    self._events[stream].append(event)
        self._positions: dict[Stream, int] = dict.fromkeys(self._events, 0)
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
            event = self._balances.get(request.fields["address"].as_bytes)
            if event is None:
                self._end_if_interrupted()
                raise self._deviates(f"now {describe(request)}, which the recorded run did not do")
        else:
            event = self._take(HostExchange, lambda: describe(request))
            # The text of an error that the host was not told of names the connection, which was another one.
            if event.reply is not None or request.method is not HostMethod.CONSUME_RESULT:
                difference = _requests_differ(event.request, request, "recorded", "now")
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
        difference = _module_requests_differ(event, ModuleExchange(module, frame, None, None), "recorded", "now")
        if difference is not None:
            raise self._deviates(difference)
        self._exchanges += 1
        return event

    def runtime(self) -> int:
        """The recorded age of a VM."""
        return self._take(Runtime, lambda: "the age of a VM was asked for").microseconds

    def validates(self, call_no: int) -> bool:
        """Whether the recorded run ran the validator of a block."""
        if call_no not in self._events:
            return False
        self._take(ValidatorRun, lambda: "a validator is run")
        return True

    def _take(self, kind: type[E], now: Callable[[], str]) -> E:
        stream = validated_block.get()
        with self._lock:
            position = self._positions.get(stream, 0)
            events = self._events.get(stream, [])
            event = events[position] if position < len(events) else None
            if event is None or _is_result(event):
                self._end_if_interrupted()
            self._positions[stream] = position + 1
            self._note_exhaustion()
        if event is None:
            end = "ends here" if self.record.ended else "breaks off here"
            raise self._deviates(f"the recorded run {end}, now {now()}")
        if not isinstance(event, kind):
            raise self._deviates(f"recorded {describe(event)}, now {now()}")
        return event

    def _end_if_interrupted(self) -> None:
        if self.record.ended == ENDED_BY_SIGNAL:
            self.at_end = True
            raise EndOfRecord("the recorded run was interrupted here")

    def _note_exhaustion(self) -> None:
        rest = self._events.get(None, [])[self._positions.get(None, 0) :][:1]
        if self.record.ended == ENDED_BY_SIGNAL and all(map(_is_result, rest)):
            self.exhausted.set()

    def _deviates(self, text: str) -> Deviation:
        stream = validated_block.get()
        deviation = Deviation(f"{place(stream, self._positions.get(stream, 0))}: {text}")
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
        for stream, events in self._events.items():
            position = self._positions[stream]
            if position < len(events):
                return False, f"{place(stream, position + 1)}: recorded {describe(events[position])}, now nothing"
        if self.record.ended is None:
            return False, "the same as far as the record goes"
        return self.record.intact, "requests, result and fingerprint are the same"


class _Connection:
    """What a :class:`HostClient` takes for a socket: each request gets the recorded reply."""

    def __init__(self, player: Player) -> None:
        self._player = player
        self._requests = RequestDecoder(RECORD_BYTES)
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


class _ReplayModule(ModuleClient):
    def __init__(self, name: str, player: Player) -> None:
        super().__init__(name, "", Hello("", {}))
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


class _ReplayEntropy:
    def __init__(self, player: Player) -> None:
        self._player = player
        self._sources = seeded_random(player.record.header.seed)

    def random(self) -> RandomSource:
        return self._sources()

    def runtime(self, microseconds: int) -> int:
        return self._player.runtime()


class _ReplayGate:
    def __init__(self, player: Player) -> None:
        self._player = player

    def validates(self, call_no: int, lowest: int | None) -> bool:
        return self._player.validates(call_no)


class _ReplayRegistry(InstalledRunners):
    """References mean what they meant when the run was recorded."""

    def __init__(self, runners_dir: Path, registry_dir: Path, debug: bool, recorded: dict[str, str]) -> None:
        super().__init__(runners_dir, registry_dir, debug)
        self._recorded = recorded

    def resolve(self, reference: str) -> str:
        return self._recorded.get(reference) or super().resolve(reference)


def _encode(request: Request, reply: Reply) -> bytes:
    if reply.error:
        return encode_error(request.method, reply.error)
    return encode_reply(request, reply.value)


def _is_result(event: Event) -> bool:
    return isinstance(event, HostExchange) and event.request.method is HostMethod.CONSUME_RESULT


# --- comparing two records ------------------------------------------------------------------------

#: Differ between two nodes that do the same.
_OWN = frozenset({"host_data", "cookie", "seed"})


def first_difference(a: Record, b: Record) -> str | None:
    """The first difference of two records in words; None if they are the same but for what is every node's own."""
    for part in fields(a.header):
        left, right = getattr(a.header, part.name), getattr(b.header, part.name)
        if part.name not in _OWN and left != right:
            return f"the runs were given different things: {part.name}: A has {show(left)}, B has {show(right)}"
    for reference in sorted(a.runners.keys() & b.runners.keys()):
        if a.runners[reference] != b.runners[reference]:
            return f"runner {reference} is {a.runners[reference]} in A, {b.runners[reference]} in B"
    for stream in sorted(a.streams.keys() | b.streams.keys(), key=lambda key: -1 if key is None else key):
        pairs = zip_longest(a.streams.get(stream, ()), b.streams.get(stream, ()))
        for number, (left, right) in enumerate(pairs, start=1):
            text = _events_differ(left, right)
            if text is not None:
                return f"{place(stream, number)}: {text}"
    if a.ended != b.ended:
        return f"A ended {_ended(a)}, B {_ended(b)}"
    return None


def _ended(record: Record) -> str:
    match record.ended:
        case None:
            return "by a crash"
        case "result" | "signal":
            return f"with a {record.ended}"
    return f"before it started ({record.ended})"


def _events_differ(a: Event | None, b: Event | None) -> str | None:
    if a == b:
        return None
    if a is None or b is None:
        (name, event) = ("B", b) if a is None else ("A", a)
        assert event is not None
        return f"only {name} goes on, with {describe(event)}"
    match a, b:
        case HostExchange(), HostExchange():
            told = "the host told them different things after the same requests"
            return _requests_differ(a.request, b.request, "A", "B") or f"{told}: {_replies_differ(a, b)}"
        case ModuleExchange(), ModuleExchange():
            told = f"the {a.module} module told them different things after the same requests"
            answers = f"A {_answer(a)}, B {_answer(b)}"
            return _module_requests_differ(a, b, "A", "B") or f"{told}: {answers}"
    return f"A {describe(a)}, B {describe(b)}"


def _requests_differ(a: Request, b: Request, left: str, right: str) -> str | None:
    if a.method is not b.method:
        return f"{left} {describe(a)}, {right} {describe(b)}"
    for name, value in a.fields.items():
        if value != b.fields[name]:
            method = a.method.name.lower()
            if a.method is HostMethod.CONSUME_RESULT:
                return f"the results differ: {_results_differ(value, b.fields[name], left, right)}"
            return f"{method}: {name} differs: {_values_differ(value, b.fields[name], left, right)}"
    return None


def _replies_differ(a: HostExchange, b: HostExchange) -> str:
    method = a.request.method.name.lower()
    if a.reply is None or b.reply is None:
        return f"{method}: only {'B' if a.reply is None else 'A'} got a reply"
    if a.reply.error != b.reply.error:
        return f"{method}: A {a.reply.error.name.lower()}, B {b.reply.error.name.lower()}"
    return f"{method}: {_values_differ(a.reply.value, b.reply.value, 'A', 'B')}"


def _module_requests_differ(a: ModuleExchange, b: ModuleExchange, left: str, right: str) -> str | None:
    if (a.module, a.request) == (b.module, b.request):
        return None
    first, second = decode_request(a.request), decode_request(b.request)
    if a.module != b.module or first.name != second.name:
        return f"{left} {a.module} module request {first.name}, {right} {b.module} module request {second.name}"
    texts = _values_differ(to_str(first.payload), to_str(second.payload), left, right)
    return f"{a.module} module request {first.name}: {texts}"


def _results_differ(a: bytes, b: bytes, left: str, right: str) -> str:
    try:
        first, second = decode_result(a), decode_result(b)
    except ProtocolViolation as violation:
        return f"{_values_differ(a, b, left, right)} ({violation})"
    if first.outcome != second.outcome:
        return f"{left} {result_line(first.outcome)}, {right} {result_line(second.outcome)}"
    if isinstance(first.outcome, ContractError | VMError) and first.fingerprint != second.fingerprint:
        return f"the same {result_line(first.outcome)}, but the fingerprints differ: " + _values_differ(
            to_str(first.fingerprint), to_str(second.fingerprint), left, right
        )
    return _values_differ(a, b, left, right)


def _values_differ(a: Any, b: Any, left: str, right: str) -> str:
    text = f"{left} {show(a)}, {right} {show(b)}"
    if isinstance(a, bytes | str) and isinstance(b, type(a)):
        common = min(len(a), len(b))
        at = next((at for at in range(common) if a[at] != b[at]), common)
        unit = "byte" if isinstance(a, bytes) else "character"
        if at > _SHOWN_BYTES // 2:
            near = slice(at - 8, at + _SHOWN_BYTES // 2)
            return f"{text}; they differ from {unit} {at} on: {left} … {show(a[near])}, {right} … {show(b[near])}"
        return f"{text}; they differ from {unit} {at} on"
    return text


# --- words ----------------------------------------------------------------------------------------


def place(stream: Stream, number: int) -> str:
    """Where an event is, for people; the first event has the number 1."""
    return f"{'main' if stream is None else f'validator of block {stream}'}, event {number}"


def describe(event: Event | Request) -> str:
    """What happened, in one line."""
    match event:
        case Request(method=method, fields=parts):
            return f"{method.name.lower()}({', '.join(f'{name}={show(value)}' for name, value in parts.items())})"
        case HostExchange(request=request):
            return describe(request)
        case ModuleExchange(module=module, request=frame):
            return f"{module} module request {decode_request(frame).name}"
        case Runtime():
            return "the age of a VM was asked for"
        case ValidatorRun():
            return "a validator is run"


def show(value: Any) -> str:
    """A field of a request or of the header, shortened."""
    match value:
        case StorageType():
            return value.name.lower()
        case bytes() if len(value) > _SHOWN_BYTES:
            return f"{value[:_SHOWN_BYTES].hex()}… ({len(value)} bytes)"
        case bytes():
            return value.hex() or "nothing"
        case Address():
            return value.as_hex
        case str() if len(value) > 2 * _SHOWN_BYTES:
            return f"{value[: 2 * _SHOWN_BYTES]!r}… ({len(value)} characters)"
        case list():
            return f"[{', '.join(map(show, value))}]"
    return repr(value)


def _answer(event: ModuleExchange) -> str:
    if event.answer is None:
        return f"no answer ({event.failure})"
    answer = decode_answer(event.answer)
    return f"{type(answer).__name__} {show(to_str(getattr(answer, 'value', None)))}"
