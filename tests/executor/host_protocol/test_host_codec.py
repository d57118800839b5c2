"""The host protocol without a socket."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor.host_protocol import codec
from pygenvm.executor.host_protocol.client import HostClient
from pygenvm.executor.host_protocol.codec import (
    ProtocolViolation,
    Reply,
    ReplyDecoder,
    Request,
    RequestDecoder,
    encode_error,
    encode_reply,
    encode_request,
)
from pygenvm.executor.host_protocol.host import Host, HostErrorReply
from pygenvm.executor.host_protocol.methods import METHODS, FieldKind, ReplyKind
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod, StorageType
from pygenvm.executor.primitives.address import Address
from tests.support.host_vectors import CONSUMED, CONTRACT, EXAMPLES, Example
from tests.support.properties import examples

WITH_REPLY = [example for example in EXAMPLES if example.reply is not None]
U256_MAX = 2**256 - 1


def by_name(example: Example) -> str:
    return example.name


def whole(decoder: RequestDecoder, data: bytes) -> Request | None:
    decoder.feed(data)
    return decoder.next_request()


def length_of(values: dict[str, Any]) -> int:
    return int(values.get("length", 0))


# --- the table ------------------------------------------------------------------------------------


def test_table_is_indexed_by_method_id() -> None:
    assert [layout.method for layout in METHODS] == list(HostMethod)


def test_at_most_one_reply_field() -> None:
    assert all(len(layout.reply) <= 1 for layout in METHODS)


@pytest.mark.parametrize("layout", METHODS, ids=lambda layout: layout.method.name)
def test_host_interface_has_every_method_with_the_fields_of_the_table(layout: Any) -> None:
    names = [field.name for field in layout.request]
    for interface in (Host, HostClient):
        parameters = inspect.signature(getattr(interface, layout.method.name.lower())).parameters
        assert list(parameters) == ["self", *names]


# --- examples of the specification ----------------------------------------------------------------


@pytest.mark.parametrize("example", EXAMPLES, ids=by_name)
def test_request_bytes(example: Example) -> None:
    assert encode_request(example.method, *example.values.values()) == example.request


@pytest.mark.parametrize("example", EXAMPLES, ids=by_name)
def test_request_is_read_back(example: Example) -> None:
    assert whole(RequestDecoder(), example.request) == Request(example.method, example.values)


@pytest.mark.parametrize("example", [e for e in WITH_REPLY if e.reply and not e.reply.error], ids=by_name)
def test_reply_bytes(example: Example) -> None:
    assert example.reply is not None
    assert encode_reply(Request(example.method, example.values), example.reply.value) == example.answer


@pytest.mark.parametrize("example", WITH_REPLY, ids=by_name)
def test_reply_is_read_back_byte_by_byte(example: Example) -> None:
    decoder = ReplyDecoder(example.method, length_of(example.values))
    reply = None
    for byte in example.answer:
        assert reply is None
        decoder.feed(bytes([byte]))
        reply = decoder.next_reply()
    assert reply == example.reply


@pytest.mark.parametrize("message", CONSUMED.values(), ids=CONSUMED)
def test_consume_result(message: str) -> None:
    data = bytes.fromhex(message)
    request = whole(RequestDecoder(), data)
    assert request == Request(HostMethod.CONSUME_RESULT, {"result": data[5:]})
    assert encode_request(HostMethod.CONSUME_RESULT, data[5:]) == data
    assert encode_reply(request) == b"\0"


def test_requests_without_reply() -> None:
    for layout in METHODS:
        if layout.reply_kind is ReplyKind.NONE:
            assert encode_reply(Request(layout.method, {})) == b""
            with pytest.raises(ValueError, match="has no reply"):
                ReplyDecoder(layout.method)


def test_json_texts() -> None:
    assert codec.post_message_data("finalized", 5) == b'{"on":"finalized","value":"0x5"}'
    assert codec.deploy_contract_data("finalized", 1, 0) == b'{"on":"finalized","salt_nonce":"0x1","value":"0x0"}'
    assert codec.eth_send_data(0xAB) == b'{"value":"0xab"}'
    with pytest.raises(ValueError, match="negative"):
        codec.eth_send_data(-1)


# --- strict in what is sent -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "values"),
    [
        (HostMethod.STORAGE_READ, (StorageType.DEFAULT, CONTRACT, bytes(31), 0, 0)),
        (HostMethod.STORAGE_READ, (3, CONTRACT, bytes(32), 0, 0)),
        (HostMethod.STORAGE_READ, (StorageType.DEFAULT, CONTRACT, bytes(32), 1 << 32, 0)),
        (HostMethod.STORAGE_READ, (StorageType.DEFAULT, CONTRACT, bytes(32), -1, 0)),
        (HostMethod.STORAGE_READ, (StorageType.DEFAULT, CONTRACT, bytes(32), 0)),
        (HostMethod.STORAGE_WRITE, (bytes(33), 0, b"")),
        (HostMethod.CONSUME_FUEL, (1 << 64,)),
        (HostMethod.POST_EVENT, ([bytes(32)] * 256, b"")),
        (HostMethod.POST_EVENT, ([bytes(31)], b"")),
    ],
)
def test_wrong_values_are_not_sent(method: HostMethod, values: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        encode_request(method, *values)


def test_host_must_answer_with_the_length_asked_for() -> None:
    request = Request(HostMethod.STORAGE_READ, {"length": 4})
    for wrong in (b"", b"123", b"12345"):
        with pytest.raises(ValueError, match="expected 4 bytes"):
            encode_reply(request, wrong)


def test_host_must_answer_within_range() -> None:
    for value in (-1, U256_MAX + 1):
        with pytest.raises(ValueError, match="does not fit"):
            encode_reply(Request(HostMethod.GET_BALANCE, {}), value)


def test_error_replies() -> None:
    assert encode_error(HostMethod.STORAGE_WRITE, HostErrorCode.OUT_OF_STORAGE_GAS) == b"\4"
    for method in (HostMethod.CONSUME_RESULT, HostMethod.CONSUME_FUEL, HostMethod.NOTIFY_NONDET_DISAGREEMENT):
        with pytest.raises(ValueError, match="cannot be answered"):
            encode_error(method, HostErrorCode.ABSENT)
    with pytest.raises(ValueError, match="not an error"):
        HostErrorReply(HostErrorCode.OK)
    assert str(HostErrorReply(HostErrorCode.I_AM_LEADER)) == "i_am_leader"


# --- explicit in what is accepted -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("0f", "unknown method 15"),
        ("ff", "unknown method 255"),
        ("0103" + "00" * 60, "unknown storage type 3"),
        ("03 fc0f0000", "more than 4096 bytes"),
        ("02" + "00" * 36 + "ffffffff", "more than 4096 bytes"),
        ("06" + "00" * 20 + "00080000" + "41" * 0x800 + "00080000", "more than 4096 bytes"),
        ("07ff", "more than 4096 bytes"),
    ],
)
def test_bad_requests(data: str, reason: str) -> None:
    decoder = RequestDecoder(limit=4096)
    decoder.feed(bytes.fromhex(data))
    with pytest.raises(ProtocolViolation, match=reason):
        decoder.next_request()


def test_largest_request_within_the_limit() -> None:
    data = encode_request(HostMethod.CONSUME_RESULT, bytes(4091))
    assert len(data) == 4096
    assert whole(RequestDecoder(limit=4096), data) == Request(HostMethod.CONSUME_RESULT, {"result": bytes(4091)})


def test_255_topics_are_accepted() -> None:
    topics = [bytes([number]) * 32 for number in range(255)]
    data = encode_request(HostMethod.POST_EVENT, topics, b"")
    assert whole(RequestDecoder(), data) == Request(HostMethod.POST_EVENT, {"topics": topics, "blob": b""})


def test_requests_one_behind_the_other() -> None:
    decoder = RequestDecoder()
    decoder.feed(b"".join(example.request for example in EXAMPLES))
    assert [decoder.next_request() for _ in EXAMPLES] == [Request(e.method, e.values) for e in EXAMPLES]
    assert decoder.next_request() is None


@pytest.mark.parametrize("example", EXAMPLES, ids=by_name)
def test_idle_only_between_requests(example: Example) -> None:
    decoder = RequestDecoder()
    for byte in example.request[:-1]:
        assert whole(decoder, bytes([byte])) is None
        assert not decoder.idle
    assert whole(decoder, example.request[-1:]) is not None
    assert decoder.idle


@pytest.mark.parametrize("status", range(5, 256))
def test_unknown_error_bytes(status: int) -> None:
    decoder = ReplyDecoder(HostMethod.STORAGE_WRITE)
    decoder.feed(bytes([status]))
    with pytest.raises(ProtocolViolation, match=f"unknown error byte {status}"):
        decoder.next_reply()


@pytest.mark.parametrize("error", list(HostErrorCode)[1:])
def test_nothing_follows_an_error_byte(error: HostErrorCode) -> None:
    for method in (HostMethod.GET_CALLDATA, HostMethod.GET_BALANCE, HostMethod.STORAGE_WRITE):
        decoder = ReplyDecoder(method)
        decoder.feed(bytes([error]))
        assert decoder.next_reply() == Reply(error)


def test_bytes_behind_a_reply_are_refused() -> None:
    for answer in ("00 00", "01 00"):
        decoder = ReplyDecoder(HostMethod.STORAGE_WRITE)
        decoder.feed(bytes.fromhex(answer))
        with pytest.raises(ProtocolViolation, match="1 bytes behind the reply"):
            decoder.next_reply()


@pytest.mark.parametrize("acknowledgement", [b"\0", b"\xff", b"\5thank you"])
def test_any_byte_acknowledges(acknowledgement: bytes) -> None:
    decoder = ReplyDecoder(HostMethod.CONSUME_RESULT)
    decoder.feed(acknowledgement)
    assert decoder.next_reply() == Reply(HostErrorCode.OK)


def test_reply_slice_limit() -> None:
    decoder = ReplyDecoder(HostMethod.GET_CALLDATA, limit=100)
    decoder.feed(b"\0" + (1000).to_bytes(4, "little"))
    with pytest.raises(ProtocolViolation, match="message of more than"):
        decoder.next_reply()
    decoder = ReplyDecoder(HostMethod.GET_CALLDATA, limit=100)
    decoder.feed(b"\0" + (100).to_bytes(4, "little") + bytes(100))
    assert decoder.next_reply() == Reply(HostErrorCode.OK, bytes(100))


def test_a_read_is_not_subject_to_the_slice_limit() -> None:
    decoder = ReplyDecoder(HostMethod.STORAGE_READ, 1000, limit=100)
    decoder.feed(b"\0" + bytes(1000))
    assert decoder.next_reply() == Reply(HostErrorCode.OK, bytes(1000))


# --- properties -----------------------------------------------------------------------------------

VALUES: dict[FieldKind, st.SearchStrategy[Any]] = {
    FieldKind.STORAGE_TYPE: st.sampled_from(StorageType),
    FieldKind.U32: st.integers(0, 2**32 - 1),
    FieldKind.U64: st.integers(0, 2**64 - 1),
    FieldKind.U256LE: st.integers(0, U256_MAX),
    FieldKind.ADDR: st.binary(min_size=20, max_size=20).map(Address),
    FieldKind.SLOT: st.binary(min_size=32, max_size=32),
    FieldKind.SLICE: st.binary(max_size=300),
    FieldKind.JSON_SLICE: st.binary(max_size=300),
    FieldKind.TOPICS: st.lists(st.binary(min_size=32, max_size=32), max_size=6),
}


@st.composite
def requests(draw: st.DrawFn) -> Request:
    layout = METHODS[draw(st.sampled_from(HostMethod))]
    return Request(layout.method, {field.name: draw(VALUES[field.kind]) for field in layout.request})


@st.composite
def chunks(draw: st.DrawFn, data: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@examples(200)
@given(st.lists(requests(), min_size=1, max_size=5), st.data())
def test_requests_survive_any_chunking(sent: list[Request], data: st.DataObject) -> None:
    stream = b"".join(encode_request(request.method, *request.fields.values()) for request in sent)
    decoder = RequestDecoder()
    received = []
    for chunk in data.draw(chunks(stream)):
        decoder.feed(chunk)
        while (request := decoder.next_request()) is not None:
            received.append(request)
    assert received == sent
    assert decoder.idle


@examples(200)
@given(st.sampled_from([layout for layout in METHODS if layout.reply]), st.data())
def test_replies_survive_any_chunking(layout: Any, data: st.DataObject) -> None:
    (field,) = layout.reply
    value = data.draw(st.binary(max_size=300) if field.kind is FieldKind.RAW else VALUES[field.kind])
    length = len(value) if field.kind is FieldKind.RAW else 0
    decoder = ReplyDecoder(layout.method, length)
    reply = None
    for chunk in data.draw(chunks(encode_reply(Request(layout.method, {"length": length}), value))):
        assert reply is None or not chunk
        decoder.feed(chunk)
        reply = reply or decoder.next_reply()
    assert reply == Reply(HostErrorCode.OK, value)


@examples(200)
@given(
    st.lists(
        st.binary(max_size=200) | requests().map(lambda r: encode_request(r.method, *r.fields.values())), max_size=8
    )
)
def test_garbage_gives_requests_or_a_violation_and_bounded_memory(garbage: list[bytes]) -> None:
    decoder = RequestDecoder(limit=1024)
    fed = 0
    try:
        for chunk in garbage:
            decoder.feed(chunk)
            fed += len(chunk)
            while (request := decoder.next_request()) is not None:
                assert set(request.fields) == {field.name for field in METHODS[request.method].request}
            assert len(decoder._received._buffer) <= min(fed, 1024)
    except ProtocolViolation:
        pass


@examples(200)
@given(st.sampled_from([layout for layout in METHODS if layout.reply_kind is not ReplyKind.NONE]), st.binary())
def test_garbage_gives_a_reply_or_a_violation(layout: Any, garbage: bytes) -> None:
    decoder = ReplyDecoder(layout.method, length=5, limit=64)
    decoder.feed(garbage)
    try:
        reply = decoder.next_reply()
    except ProtocolViolation:
        return
    assert reply is None or isinstance(reply.error, HostErrorCode)


def test_announced_length_allocates_nothing() -> None:
    decoder = RequestDecoder(limit=2**33)
    decoder.feed(bytes.fromhex("03 ffffffff") + bytes(10))
    assert decoder.next_request() is None
    assert decoder._received._buffer.__sizeof__() < 1000
