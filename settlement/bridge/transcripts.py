"""Transcripts of nondet blocks, out of a record (``genvm run --record FILE``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod
from pygenvm.executor.record.format import Event, HostExchange, ModuleExchange, Record
from pygenvm.settlement.codec.transcript import Exchange


class TranscriptError(ValueError):
    """The record does not have the whole block; the text says why."""


def transcript(record: Record, call_no: int) -> list[Exchange]:
    """What block ``call_no`` asked: as its validator if the run had one for it, otherwise as its leader."""
    validator = record.streams.get(call_no)
    events = _led(record.streams.get(None, ()), call_no) if validator is None else validator
    return [_exchange(event) for event in events if isinstance(event, ModuleExchange)]


def whole_transcript(record: Record) -> list[Exchange]:
    """What all blocks of a run asked, one block after the other; that of its block where there is only one."""
    posted = (
        event.request.fields["call_no"]
        for event in record.streams.get(None, ())
        if isinstance(event, HostExchange) and event.request.method == HostMethod.POST_NONDET_RESULT
    )
    blocks = {call_no for call_no in record.streams if call_no is not None} | set(posted)
    return [exchange for call_no in sorted(blocks) for exchange in transcript(record, call_no)]


def _led(events: Sequence[Event], call_no: int) -> Iterator[Event]:
    """From the host's word that this run leads the block until the result is posted."""
    inside = False
    for event in events:
        if inside:
            yield event
        if not isinstance(event, HostExchange) or event.request.fields.get("call_no") != call_no:
            continue
        if event.request.method == HostMethod.POST_NONDET_RESULT:
            return
        asked = event.request.method == HostMethod.GET_LEADER_NONDET_RESULT
        if asked and event.reply is not None and event.reply.error == HostErrorCode.I_AM_LEADER:
            inside = True
    raise TranscriptError(f"the record has no {'end of' if inside else 'run of'} nondet block {call_no}")


def _exchange(event: ModuleExchange) -> Exchange:
    return Exchange(event.module, event.request, event.failure or "" if event.answer is None else event.answer)
