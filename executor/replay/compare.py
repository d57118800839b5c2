"""Where two records, or a record and what is done now, differ: the first place, in words."""

from __future__ import annotations

from dataclasses import fields
from itertools import zip_longest
from typing import Any

from pygenvm.executor.host_protocol.codec import ProtocolViolation, Request
from pygenvm.executor.host_protocol.result import decode_result
from pygenvm.executor.module_protocol.codec import decode_request
from pygenvm.executor.outcome import UserError, VMError
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.primitives.calldata import to_str
from pygenvm.executor.record.format import Event, HostExchange, ModuleExchange, Record
from pygenvm.executor.replay.words import SHOWN_BYTES, answer_text, describe, how_it_ended, place, show
from pygenvm.executor.run.printing import result_line

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
        return f"A ended {how_it_ended(a)}, B {how_it_ended(b)}"
    return None


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
            return requests_differ(a.request, b.request, "A", "B") or f"{told}: {_replies_differ(a, b)}"
        case ModuleExchange(), ModuleExchange():
            told = f"the {a.module} module told them different things after the same requests"
            answers = f"A {answer_text(a)}, B {answer_text(b)}"
            return module_requests_differ(a, b, "A", "B") or f"{told}: {answers}"
    return f"A {describe(a)}, B {describe(b)}"


def requests_differ(a: Request, b: Request, left: str, right: str) -> str | None:
    """How two requests to the host differ, if they do; ``left`` and ``right`` are what to call those who made them."""
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


def module_requests_differ(a: ModuleExchange, b: ModuleExchange, left: str, right: str) -> str | None:
    """The same for two requests to modules."""
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
    if isinstance(first.outcome, UserError | VMError) and first.fingerprint != second.fingerprint:
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
        if at > SHOWN_BYTES // 2:
            near = slice(at - 8, at + SHOWN_BYTES // 2)
            return f"{text}; they differ from {unit} {at} on: {left} … {show(a[near])}, {right} … {show(b[near])}"
        return f"{text}; they differ from {unit} {at} on"
    return text
