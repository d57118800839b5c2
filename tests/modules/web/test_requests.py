"""What an executor may ask of the web service and what scripts may answer (spec modules/03 §1, §2)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor.module_protocol.codec import read_web_answer
from pygenvm.executor.primitives import calldata
from pygenvm.modules.web.requests import (
    MalformedAnswer,
    MalformedRequest,
    fetch_answer,
    read_fetch,
    read_render,
    render_answer,
)

RENDER = {"mode": "text", "url": "http://a.com/", "wait_after_loaded": "500ms"}
FETCH: dict[str, Any] = {"method": "GET", "url": "http://a.com/", "headers": {}, "body": None, "sign": False}

_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.binary() | st.integers(), inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0ms", 0),
        ("500ms", 0.5),
        ("1500ms", 1.5),
        ("2s", 2),
        ("007s", 7),
        ("60s", 60),
        ("61s", 60),
        ("9" * 5000 + "s", 60),
        ("0" * 5000 + "1s", 1),
    ],
)
def test_waits(text: str, seconds: float) -> None:
    assert read_render(RENDER | {"wait_after_loaded": text}, 60).wait_seconds == seconds


def test_a_render_without_a_wait() -> None:
    render = read_render({"mode": "screenshot", "url": "x", "more": 1}, 60)
    assert render.payload() == {"mode": "screenshot", "url": "x", "wait_after_loaded": 0}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"mode": "pdf"}, "`mode`: one of text, html, screenshot is expected, not 'pdf'"),
        ({"mode": "Text"}, "`mode`"),
        ({"mode": None}, "`mode`: one of text, html, screenshot is expected, not null"),
        ({"url": b"http://a.com/"}, "`url`: a string is expected, not bytes"),
        ({"url": None}, "`url`"),
        *(
            ({"wait_after_loaded": wait}, "`wait_after_loaded`: a text such as 500ms or 2s is expected, not ")
            for wait in (None, 5, "", "5", "ms", "-1s", "1.5s", "1 s", "1m", "s1", "1s ", "１s", True)  # noqa: RUF001
        ),
    ],
)
def test_renders_that_are_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(MalformedRequest) as raised:
        read_render(RENDER | change, 60)
    assert text in str(raised.value)


def test_a_request_with_defaults() -> None:
    fetch = read_fetch({"method": "PATCH", "url": "x", "headers": {"A": b"b"}})
    assert fetch.payload() == {"method": "PATCH", "url": "x", "headers": {"A": b"b"}, "sign": False}
    assert read_fetch(FETCH | {"body": b"", "sign": True}).payload()["body"] == b""


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"method": "get"}, "`method`: one of GET, POST, HEAD, DELETE, OPTIONS, PATCH is expected, not 'get'"),
        ({"method": "PUT"}, "`method`"),
        ({"url": 1}, "`url`: a string is expected, not a number"),
        ({"headers": None}, "`headers`: a map of bytes is expected, not null"),
        ({"headers": []}, "`headers`: a map of bytes is expected, not an array"),
        ({"headers": {"a": "b"}}, "`headers`: the value of 'a' must be bytes, not a string"),
        ({"body": "text"}, "`body`: bytes or null are expected, not a string"),
        ({"sign": 1}, "`sign`: a bool is expected, not a number"),
        ({"sign": None}, "`sign`"),
    ],
)
def test_requests_that_are_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(MalformedRequest) as raised:
        read_fetch(FETCH | change)
    assert text in str(raised.value)


@given(_ANYTHING)
def test_any_payload_is_read_or_refused(value: Any) -> None:
    for read in (lambda v: read_render(v, 60), read_fetch):
        with pytest.raises(MalformedRequest):
            read(value)


# --- answers of scripts ---


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ({b"text": b"a\xffb"}, {"text": "a\ufffdb"}),
        ({b"text": b""}, {"text": ""}),
        ({b"image": b"\x89PNG\xff", b"more": 1}, {"image": b"\x89PNG\xff"}),
    ],
)
def test_rendered_pages(value: Any, answer: dict[str, Any]) -> None:
    assert render_answer(value) == answer


@pytest.mark.parametrize("value", [None, b"text", [], {}, {b"text": 1}, {b"image": None}, [b"text"]])
def test_what_is_no_page(value: Any) -> None:
    with pytest.raises(MalformedAnswer, match="must return a table with text or image"):
        render_answer(value)


def test_an_answer_of_a_server() -> None:
    value = {b"status": 200.0, b"headers": {b"X-A": b"\xff", b"n": 5}, b"body": b"\0\xff"}
    response = {"status": 200, "headers": {"x-a": b"\xff", "n": b"5"}, "body": b"\0\xff"}
    assert fetch_answer(value, 10) == {"response": response}
    assert fetch_answer({b"status": 204, b"headers": []}, 10) == {
        "response": {"status": 204, "headers": {}, "body": b""}
    }


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({b"status": None}, "a whole number as status, not null"),
        ({b"status": 1.5}, "a whole number as status"),
        ({b"status": -1}, "a whole number as status"),
        ({b"status": 65536}, "a whole number as status"),
        ({b"status": True}, "a whole number as status"),
        ({b"headers": b"x"}, "a table as headers"),
        ({b"headers": {b"a": True}}, "strings as headers; 'a' is a bool"),
        ({b"body": 1}, "a string as body, not a number"),
        ({b"body": bytes(11)}, "a body of at most 10 bytes, not 11"),
    ],
)
def test_what_is_no_answer_of_a_server(change: dict[bytes, Any], text: str) -> None:
    with pytest.raises(MalformedAnswer) as raised:
        fetch_answer({b"status": 200, b"headers": {}, b"body": b""} | change, 10)
    assert text in str(raised.value)


@given(_ANYTHING)
def test_whatever_a_script_returns_can_be_sent_or_is_refused(value: Any) -> None:
    for check in (render_answer, lambda v: fetch_answer(v, 1000)):
        for returned in (value, {b"text": value}, {b"status": 200, b"headers": value}):
            try:
                answer = check(returned)
            except MalformedAnswer:
                continue
            read_web_answer(calldata.decode(calldata.encode(answer)))
