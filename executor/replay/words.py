"""Texts for people: what is in a record, and where."""

from __future__ import annotations

from typing import Any

from pygenvm.executor.host_protocol.codec import Request
from pygenvm.executor.module_protocol.codec import decode_answer, decode_request
from pygenvm.executor.primitives.abi import StorageType
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.primitives.calldata import to_str
from pygenvm.executor.record.format import Event, HostExchange, ModuleExchange, Record, Runtime, Stream, ValidatorRun

#: Bytes of a value, and half the characters of a text.
SHOWN_BYTES = 48


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
        case bytes() if len(value) > SHOWN_BYTES:
            return f"{value[:SHOWN_BYTES].hex()}… ({len(value)} bytes)"
        case bytes():
            return value.hex() or "nothing"
        case Address():
            return value.as_hex
        case str() if len(value) > 2 * SHOWN_BYTES:
            return f"{value[: 2 * SHOWN_BYTES]!r}… ({len(value)} characters)"
        case list():
            return f"[{', '.join(map(show, value))}]"
    return repr(value)


def answer_text(event: ModuleExchange) -> str:
    """What a module answered."""
    if event.answer is None:
        return f"no answer ({event.failure})"
    answer = decode_answer(event.answer)
    return f"{type(answer).__name__} {show(to_str(getattr(answer, 'value', None)))}"


def how_it_ended(record: Record) -> str:
    """Behind the words "A ended"."""
    match record.ended:
        case None:
            return "by a crash"
        case "result" | "signal":
            return f"with a {record.ended}"
    return f"before it started ({record.ended})"
