"""Frames between executor and services: exact bytes of the specification, both directions, refusals."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor import limits
from pygenvm.executor.module_protocol.codec import (
    Answer,
    FatalError,
    Hello,
    LlmAnswer,
    MalformedFrame,
    Ok,
    Request,
    UserError,
    decode_answer,
    decode_hello,
    decode_request,
    encode_answer,
    encode_hello,
    encode_request,
    read_llm_answer,
    read_web_answer,
)
from pygenvm.executor.primitives import calldata
from tests.support.properties import examples

#: spec executor/04 "Modules".
HELLO = "1606636f6f6b69650c3209686f73745f64617461160c6e6f64655f616464726573731430780574785f6964143078"

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def test_hello_has_the_bytes_of_the_specification() -> None:
    hello = Hello("2", {"node_address": "0x", "tx_id": "0x"})
    assert encode_hello(hello).hex() == HELLO
    assert decode_hello(bytes.fromhex(HELLO)) == hello


def test_other_host_data_travels_and_other_members_of_the_hello_are_ignored() -> None:
    host_data = {"node_address": "n", "tx_id": "t", "signerUrl": "s", "more": [None, {"a": True}]}
    assert decode_hello(encode_hello(Hello("c", host_data))).host_data == host_data
    assert decode_hello(calldata.encode({"cookie": "c", "host_data": host_data, "role": 1})) == Hello("c", host_data)


def test_whole_json_numbers_become_integers() -> None:
    host_data = json.loads(
        '{"node_address": "", "tx_id": "", "a": 3.0, "b": [-9007199254740991.0], "c": 1e3, "d": -0.0}'
    )
    sent = decode_hello(encode_hello(Hello("", host_data))).host_data
    assert (sent["a"], sent["b"], sent["c"], sent["d"]) == (3, [-9007199254740991], 1000, 0)
    assert all(type(value) is int for value in (sent["a"], sent["b"][0], sent["c"], sent["d"]))


@pytest.mark.parametrize("number", [0.5, 9007199254740992.0, -1e300, float("inf"), float("nan")])
def test_other_json_numbers_cannot_be_sent(number: float) -> None:
    with pytest.raises(ValueError, match="whole number"):
        encode_hello(Hello("", {"node_address": "", "tx_id": "", "n": [{"x": number}]}))
    with pytest.raises(ValueError, match="whole number"):
        encode_answer(UserError({"ctx": {"temperature": number}}))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"cookie": "1"},
        {"host_data": {"node_address": "", "tx_id": ""}},
        {"cookie": 1, "host_data": {"node_address": "", "tx_id": ""}},
        {"cookie": "1", "host_data": {"node_address": ""}},
        {"cookie": "1", "host_data": {"node_address": "", "tx_id": b""}},
        {"cookie": "1", "host_data": ["node_address", "tx_id"]},
    ],
)
def test_bad_hellos_are_refused(value: Any) -> None:
    with pytest.raises(MalformedFrame):
        decode_hello(calldata.encode(value))


def test_requests_have_the_bytes_of_the_specification() -> None:
    """spec modules/01 §2.7, by hand: tag and length, then keys in order."""
    render = Request("Render", {"mode": "text", "url": "https://example.org/", "wait_after_loaded": "0ms"})
    assert encode_request(render) == (
        b"\x0e\x06Render\x1e\x04mode\x24text\x03url\xa4\x01https://example.org/\x11wait_after_loaded\x1c0ms"
    )
    assert encode_request(Request("GetStats")) == b"\x44GetStats"
    prompt = Request("Prompt", {"payload": {"images": [], "prompt": "p"}, "remaining_fuel_as_gen": 2**53 - 1})
    assert encode_request(prompt) == (
        b"\x0e\x06Prompt\x16\x07payload\x16\x06images\x05\x06prompt\x0cp"
        b"\x15remaining_fuel_as_gen\xf9\xff\xff\xff\xff\xff\xff\x7f"
    )
    for request in (render, prompt, Request("GetStats")):
        assert decode_request(encode_request(request)) == request


def test_answers_have_the_bytes_of_the_specification() -> None:
    ok = Ok({"scripting": {"requests_count": 0, "requests_time": 0}})
    assert encode_answer(ok) == b"\x0e\x02Ok\x0e\x09scripting\x16\x0erequests_count\x01\x0drequests_time\x01"
    user = UserError({"causes": ["WEBPAGE_LOAD_FAILED"], "ctx": {"status": 404}})
    assert encode_answer(user) == (
        b"\x0e\x09UserError\x16\x06causes\x0d\x9c\x01WEBPAGE_LOAD_FAILED\x03ctx\x0e\x06status\xa1\x19"
    )
    fatal = FatalError("no")
    assert encode_answer(fatal) == b"\x0e\x0aFatalError\x14no"
    for answer in (ok, user, fatal):
        assert decode_answer(encode_answer(answer)) == answer


@examples(150)
@given(VALUES)
def test_what_one_side_encodes_the_other_decodes(value: Any) -> None:
    answers: list[Answer] = [Ok(value), UserError(value)]
    assert [decode_answer(encode_answer(answer)) for answer in answers] == answers
    assert decode_request(encode_request(Request("Render", value))).payload == value


@examples(150)
@given(VALUES.map(calldata.encode) | st.binary(max_size=40))
def test_anything_else_is_malformed_and_nothing_worse(frame: bytes) -> None:
    for decode in (decode_hello, decode_request, decode_answer):
        with contextlib.suppress(MalformedFrame):
            decode(frame)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x07",
        b"\x00\x00",
        calldata.encode("Ok"),
        calldata.encode({}),
        calldata.encode(["Ok", None]),
        calldata.encode({"Ok": 1, "UserError": 2}),
        calldata.encode({"ok": 1}),
        calldata.encode({"FatalError": b"text"}),
        calldata.encode({"FatalError": None}),
    ],
)
def test_malformed_answers(frame: bytes) -> None:
    with pytest.raises(MalformedFrame):
        decode_answer(frame)


def test_frames_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = encode_answer(Ok("x" * 20))
    monkeypatch.setattr("pygenvm.executor.module_protocol.codec.MODULE_MESSAGE_BYTES", len(frame))
    assert decode_answer(frame) == Ok("x" * 20)
    with pytest.raises(MalformedFrame, match="at most"):
        decode_answer(encode_answer(Ok("x" * 21)))
    assert limits.MODULE_MESSAGE_BYTES == 64 << 20


@pytest.mark.parametrize(
    "value",
    [
        {"text": ""},
        {"image": b"\x89PNG"},
        {"response": {"status": 0, "headers": {}, "body": b""}},
        {"response": {"status": 65535, "headers": {"a": b"1", "b": b""}, "body": b"x"}},
    ],
)
def test_web_answers(value: Any) -> None:
    assert read_web_answer(value) == value


def test_unknown_fields_of_a_response_are_left_out() -> None:
    known = {"status": 200, "headers": {}, "body": b""}
    assert read_web_answer({"response": {**known, "time": 5}}) == {"response": known}


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        {},
        {"text": b""},
        {"text": None},
        {"image": "x"},
        {"image": [1, 2]},
        {"text": "", "image": b""},
        {"html": ""},
        {"response": None},
        {"response": {"status": 200, "headers": {}}},
        {"response": {"status": 200, "body": b""}},
        {"response": {"headers": {}, "body": b""}},
        {"response": {"status": True, "headers": {}, "body": b""}},
        {"response": {"status": -1, "headers": {}, "body": b""}},
        {"response": {"status": 65536, "headers": {}, "body": b""}},
        {"response": {"status": 200, "headers": {"a": "1"}, "body": b""}},
        {"response": {"status": 200, "headers": [], "body": b""}},
        {"response": {"status": 200, "headers": {}, "body": ""}},
    ],
)
def test_malformed_web_answers(value: Any) -> None:
    with pytest.raises(MalformedFrame):
        read_web_answer(value)


def test_llm_answers() -> None:
    assert read_llm_answer({"data": "x", "consumed_gen": 0}) == LlmAnswer("x", 0)
    assert read_llm_answer({"data": True, "consumed_gen": 2**64 - 1, "model": "m"}) == LlmAnswer(True, 2**64 - 1)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "x",
        {"data": "x"},
        {"data": "x", "consumed_gen": None},
        {"data": "x", "consumed_gen": True},
        {"data": "x", "consumed_gen": -1},
        {"data": "x", "consumed_gen": 2**64},
    ],
)
def test_malformed_llm_answers(value: Any) -> None:
    with pytest.raises(MalformedFrame):
        read_llm_answer(value)
