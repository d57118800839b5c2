"""Parsing of runner.json (spec executor/07 "runner.json")."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor import limits
from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.runner import runner_json
from pygenvm.executor.runner.runner_json import (
    Action,
    AddEnv,
    Depends,
    LinkWasm,
    MapDerived,
    MapFile,
    Seq,
    SetArgs,
    StartWasm,
    When,
    WhenMentions,
    With,
    parse_runner_json,
)
from tests.support.properties import examples


def parse(text: str | bytes, *, installed: bool = False) -> Action:
    return parse_runner_json(text.encode() if isinstance(text, str) else text, "runner.json of x", installed=installed)


def fails(text: str | bytes, *words: str) -> None:
    with pytest.raises(InvalidContract) as error:
        parse(text)
    assert error.value.error.message == "invalid_contract"
    assert error.value.error.cause.startswith("runner.json of x")
    for word in words:
        assert word in error.value.error.cause


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ('{"MapFile": {"to": "/a", "file": "b"}}', MapFile("/a", "b")),
        ('{"AddEnv": {"name": "n", "val": "${x}"}}', AddEnv("n", "${x}")),
        ('{"SetArgs": ["a", "", "é"]}', SetArgs(("a", "", "é"))),
        ('{"SetArgs": []}', SetArgs(())),
        ('{"Depends": "a:b"}', Depends("a:b")),
        ('{"With": {"runner": "<contract>", "action": {"Seq": []}}}', With("<contract>", Seq(()))),
        ('{"LinkWasm": "a.wasm"}', LinkWasm("a.wasm")),
        ('{"StartWasm": "a.wasm"}', StartWasm("a.wasm")),
        ('{"When": {"cond": "det", "action": {"StartWasm": "d"}}}', When(True, StartWasm("d"))),
        ('{"When": {"cond": "nondet", "action": {"StartWasm": "n"}}}', When(False, StartWasm("n"))),
        ('{"Seq": [{"Depends": "a:b"}, {"StartWasm": "c"}]}', Seq((Depends("a:b"), StartWasm("c")))),
        (' \t\r\n{"StartWasm":"\\u00e9\\ud83d\\ude00"}\n', StartWasm("é😀")),
    ],
)
def test_actions(text: str, action: Action) -> None:
    assert parse(text) == action


def test_map_derived_is_for_installed_runners_only() -> None:
    text = '{"Seq":[{"With":{"runner":"<contract>","action":{"MapDerived":{"file":"f","to":"/t","by":"c:h"}}}}]}'
    assert parse(text, installed=True) == Seq((With("<contract>", MapDerived("/t", "f", "c:h")),))
    fails(text, "unknown action 'MapDerived'")
    with pytest.raises(InvalidContract, match="by is missing"):
        parse('{"MapDerived":{"file":"f","to":"/t"}}', installed=True)
    text = '{"WhenMentions":{"file":"f","names":["a","b"],"action":{"LinkWasm":"m"}}}'
    assert parse(text, installed=True) == WhenMentions("f", ("a", "b"), LinkWasm("m"))
    fails(text, "unknown action 'WhenMentions'")


def test_unknown_keys_of_an_own_object_are_ignored() -> None:
    assert parse('{"MapFile": {"to": "a", "x": {"y": [1e999]}, "file": "b"}}') == MapFile("a", "b")
    assert parse('{"When": {"cond": "det", "else": 1, "action": {"Seq": []}}}') == When(True, Seq(()))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "{}",
            '{"StartWasm": "a", "LinkWasm": "b"}',
            '{"StartWasm": "a", "x": 1}',
        ),
        *("[]", "null", "true", "1", '"StartWasm"', '{"Seq": ["a"]}', '{"Seq": [[]]}'),
    ],
)
def test_an_action_has_exactly_one_key(text: str) -> None:
    fails(text, "exactly one key")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('{"startWasm": "a"}', "unknown action"),
        ('{"Nope": {}}', "unknown action 'Nope'"),
        ('{"\\ud800": {}}', r"unknown action '\ud800'"),
        ('{"StartWasm": 1}', "StartWasm: not a string"),
        ('{"StartWasm": ["a"]}', "not a string"),
        ('{"Depends": null}', "not a string"),
        ('{"SetArgs": "a"}', "SetArgs: not an array"),
        ('{"SetArgs": {}}', "not an array"),
        ('{"SetArgs": ["a", 1]}', "not a string"),
        ('{"Seq": {}}', "not an array"),
        ('{"MapFile": "a"}', "MapFile: not an object"),
        ('{"MapFile": ["a", "b"]}', "not an object"),
        ('{"MapFile": {"to": "a"}}', "file is missing"),
        ('{"MapFile": {"to": "a", "file": "b", "to": "a"}}', "'to' occurs twice"),
        ('{"AddEnv": {"name": "a", "val": 1}}', "not a string"),
        ('{"AddEnv": {"name": "a", "val": "", "x": 1, "x": 1}}', "'x' occurs twice"),
        ('{"StartWasm": "a", "StartWasm": "a"}', "'StartWasm' occurs twice"),
        ('{"With": {"runner": "a:b"}}', "action is missing"),
        ('{"When": {"cond": "both", "action": {"Seq": []}}}', "neither `det` nor `nondet`"),
        ('{"Seq": [{"Seq": []}, {"When": {"cond": "det", "action": {"X": 1}}}]}', "Seq[1]: When: unknown action 'X'"),
        ('{"StartWasm": "\\ud800"}', "surrogate"),
    ],
)
def test_malformed_actions(text: str, word: str) -> None:
    fails(text, word)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "{",
            '{"StartWasm": "a"} x',
            '{"StartWasm": "a",}',
            "{'StartWasm': 'a'}",
            '{"StartWasm": "a\n"}',
            "NaN",
        ),
        *('{"StartWasm": Infinity}', "\ufeff{}", '{"Seq": [] /* c */}', '{"StartWasm": "\\x"}', "very nice", '"\\'),
    ],
)
def test_not_json(text: str) -> None:
    fails(text)


def test_not_utf8() -> None:
    fails(b'{"StartWasm": "\xff"}', "utf-8")


def nested(levels: int) -> str:
    """An action with ``levels`` arrays and objects inside each other."""
    return '{"Seq":[' * (levels // 2 - 1) + '{"SetArgs":[]}' + "]}" * (levels // 2 - 1)


def test_depth_is_limited() -> None:
    assert limits.RUNNER_JSON_DEPTH_MAX == 127
    assert isinstance(parse(nested(126)), Seq)
    fails(nested(128), "127 levels")
    fails("[" * 200_000, "127 levels")
    # Brackets in strings do not count, and levels that were left do not either.
    assert parse(json.dumps({"SetArgs": ['[{"\\' * 100]})) == SetArgs(('[{"\\' * 100,))
    assert parse('{"Seq":[' + ",".join(['{"Seq":[]}'] * 200) + "]}") == Seq((Seq(()),) * 200)


def test_size_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_json, "RUNNER_JSON_BYTES_MAX", 20)
    assert parse('{"StartWasm": "a"}  ') == StartWasm("a")
    fails('{"StartWasm": "a"}   ', "21 bytes")


@pytest.mark.parametrize("text", ['"' + '\\"' * 500_000, '"\\' * 500_000, "1" * 1_000_000])
def test_long_rubbish_is_refused_in_linear_time(text: str) -> None:
    fails(text)


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
actions = st.recursive(
    st.one_of(
        st.builds(MapFile, names, names),
        st.builds(MapDerived, names, names, names),
        st.builds(AddEnv, names, names),
        st.builds(SetArgs, st.lists(names, max_size=3).map(tuple)),
        st.builds(Depends, names),
        st.builds(LinkWasm, names),
        st.builds(StartWasm, names),
    ),
    lambda inner: st.one_of(
        st.builds(With, names, inner),
        st.builds(When, st.booleans(), inner),
        st.builds(WhenMentions, names, st.lists(names, max_size=3).map(tuple), inner),
        st.builds(Seq, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)


def dump(action: Action) -> dict[str, Any]:
    match action:
        case MapFile(to, file):
            body: Any = {"to": to, "file": file}
        case MapDerived(to, file, by):
            body = {"to": to, "file": file, "by": by}
        case AddEnv(name, val):
            body = {"name": name, "val": val}
        case SetArgs(args):
            body = list(args)
        case With(runner, inner):
            body = {"runner": runner, "action": dump(inner)}
        case When(deterministic, inner):
            body = {"cond": "det" if deterministic else "nondet", "action": dump(inner)}
        case WhenMentions(file, words, inner):
            body = {"file": file, "names": list(words), "action": dump(inner)}
        case Seq(inner_actions):
            body = [dump(inner) for inner in inner_actions]
        case Depends(text) | LinkWasm(text) | StartWasm(text):
            body = text
    return {type(action).__name__: body}


@given(actions, st.booleans())
@examples(150)
def test_any_action_is_read_back(action: Action, ascii_only: bool) -> None:
    assert parse(json.dumps(dump(action), ensure_ascii=ascii_only), installed=True) == action


@given(actions, st.data())
@examples(200)
def test_damaged_text_only_raises_invalid_contract(action: Action, data: st.DataObject) -> None:
    text = bytearray(json.dumps(dump(action)).encode())
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    try:
        parsed: Action | None = parse(bytes(text), installed=True)
    except InvalidContract:
        parsed = None
    assert parsed is None or isinstance(parsed, type(action) | Action)
