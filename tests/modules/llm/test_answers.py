"""From what a model wrote to the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor.module_protocol.codec import Ok, encode_answer
from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.llm.answers import object_answer, sanitise, text_answer, without_fractions
from pygenvm.modules.llm.requests import ScriptCall, read_answer

SPACE = st.text(" \t\r\n", max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(SPACE, st.sampled_from(["", "```json", "```"]), SPACE, st.dictionaries(st.text(), JSON), SPACE, SPACE)
def test_whatever_stands_around_an_object_is_taken_off(
    before: str, fence: str, gap: str, value: dict[str, Any], end: str, after: str
) -> None:
    text = json.dumps(value)
    written = f"{before}{fence}{gap}{text}{end}{'```' if fence else ''}{after}"
    assert sanitise(written) == text
    assert object_answer(written) == json.loads(text)


@given(st.text())
def test_nothing_is_repaired(text: str) -> None:
    clean = sanitise(text)
    assert clean in text
    assert clean == clean.strip()


@pytest.mark.parametrize(
    ("written", "clean"),
    [
        ("```json\n{}\n```", "{}"),
        ("``` {} ```", "{}"),
        ("```json{}", "{}"),
        ("{}```", "{}"),
        ("```json ```json {} ```", "```json {}"),
        ("{} ``` ```", "{} ```"),
        ("text ```json {}```", "text ```json {}"),
        ("```jsonc {}```", "c {}"),
    ],
)
def test_one_fence_at_each_end(written: str, clean: str) -> None:
    assert sanitise(written) == clean


@given(st.dictionaries(st.text(), JSON))
def test_every_object_can_be_sent(value: dict[str, Any]) -> None:
    """Numbers with a fraction become text; all else stays, and has a form in calldata."""
    sent = read_answer(ScriptCall("ExecPrompt", {}, 0, (dict,)), {"data": value, "consumed_gen": 0})
    encode_answer(Ok(sent))
    _compare(sent["data"], value)


def _compare(sent: Any, value: Any) -> None:
    if isinstance(value, float):
        assert float(sent) == value
        assert isinstance(sent, int) or "." in sent or "e" in sent
    elif isinstance(value, dict):
        assert list(sent) == list(value)
        for key, item in value.items():
            _compare(sent[key], item)
    elif isinstance(value, list):
        assert len(sent) == len(value)
        for one, other in zip(sent, value, strict=True):
            _compare(one, other)
    else:
        assert (type(sent), sent) == (type(value), value)


@pytest.mark.parametrize(
    ("number", "sent"),
    [
        (0.5, "0.5"),
        (2.0, 2),
        (-0.0, 0),
        (1e16, "1e+16"),
        (float(1 << 53), "9007199254740992.0"),
        (1e-7, "1e-07"),
        (7, 7),
    ],
)
def test_fractions(number: float, sent: Any) -> None:
    assert without_fractions({"a": [number]}) == {"a": [sent]}


def test_numbers_beyond_all_floats_stay_what_was_written() -> None:
    assert object_answer('{"a": 1e999, "b": -1E400}') == {"a": "1e999", "b": "-1E400"}
    digits = "9" * 5000
    assert object_answer(f'{{"a": {digits}, "b": {digits[:500]}}}') == {"a": digits, "b": int(digits[:500])}


@pytest.mark.parametrize("text", ['"\\ud800"', '{"a": "\\udc00x"}', '{"\\ud800": 1}', '{"a": ["\\ud83d"]}'])
def test_half_a_surrogate_pair(text: str) -> None:
    with pytest.raises(ModuleError, match="MALFORMED_ANSWER"):
        object_answer(text)
    with pytest.raises(ModuleError, match="MALFORMED_ANSWER"):
        text_answer(json.loads('"\\ud800"'))
    assert object_answer('{"a": "\\ud83d\\ude00"}') == {"a": "\N{GRINNING FACE}"}


@pytest.mark.parametrize("bracket", ["[", '{"a":'])
def test_deep_answers(bracket: str) -> None:
    close = "]" if bracket == "[" else "}"
    for depth in (limits.LLM_ANSWER_DEPTH, 1000, 1_000_000):
        with pytest.raises(ModuleError, match="MALFORMED_ANSWER"):
            object_answer('{"a":' + bracket * depth + "0" + close * depth + "}")
    depth = limits.LLM_ANSWER_DEPTH - 1
    object_answer('{"a":' + bracket * depth + "0" + close * depth + "}")


def test_what_an_error_shows_is_short() -> None:
    with pytest.raises(ModuleError) as error:
        object_answer("x" * 1_000_000)
    assert len(error.value.ctx["text"]) == limits.LLM_SHOWN_CHARS + 1
    assert len(error.value.ctx["problem"]) < 1000
