"""Written answers: the file, the choice of a mock, and what it says."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.module_protocol.codec import Ok, Request, UserError
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.mocks import (
    BadMock,
    MockAnswers,
    MockFileError,
    ModuleFailure,
    NoMock,
    answer_with,
    find,
    find_for,
    read_mock_file,
)

SAMPLE = r"""
llm:
  "capital of (France|Italy)": Paris
  "^score": {score: 1, parts: [1, null, {}]}
  "verdict": true
  "has an answer key": {answer: {answer: 42}}
  "slow": {answer: late, delay_seconds: 0.1}
  "broken": {fail: OUT_OF_ORDER}
  "busy": {fail: {cause: STATUS_NOT_OK, status: 429, fatal: true}}
web:
  - {url: "example.org/once$", body: first, times: 1}
  - {url: "example.org/once$", body: second}
  - {url: "example.org/item$", method: POST, status: 201, headers: {X-A: b}, body: {made: true}}
  - {url: "example.org/picture$", file: picture.bin}
  - {url: "example.org/gone$", status: 404, body: not found}
  - {url: "example.org/dead$", fail: {cause: WEBPAGE_LOAD_FAILED, status: 502}}
"""


def mocks(path: Path, text: str = SAMPLE) -> MockAnswers:
    (path / "picture.bin").write_bytes(b"\x89PNG\xff")
    (path / "mocks.yaml").write_text(text)
    return read_mock_file(path / "mocks.yaml")


def prompt(text: str, format: str = "text") -> Request:
    payload = {"prompt": text, "response_format": format, "images": []}
    return Request("Prompt", {"payload": payload, "remaining_fuel_as_gen": 0})


def render(url: str, mode: str = "text") -> Request:
    return Request("Render", {"url": url, "mode": mode, "wait_after_loaded": "0ms"})


def fetch(url: str, method: str = "GET") -> Request:
    return Request("Request", {"url": url, "method": method, "headers": {}, "body": None, "sign": False})


def said(answers: MockAnswers, request: Request, node: str = "") -> Any:
    return answer_with(find_for(request, answers, node), request)


def test_prompts(tmp_path: Path) -> None:
    answers = mocks(tmp_path)

    def data(request: Request) -> Any:
        answer = said(answers, request)
        assert isinstance(answer, Ok)
        assert answer.value["consumed_gen"] == 0
        return answer.value["data"]

    assert data(prompt("what is the capital of Italy?")) == "Paris"
    assert data(prompt("score it", "json")) == {"score": 1, "parts": [1, None, {}]}
    assert data(prompt("score it")) == '{"score": 1, "parts": [1, null, {}]}'
    assert data(prompt("has an answer key", "json")) == {"answer": 42}
    template = {"template": "EqComparative", "principle": "a verdict", "leader_answer": "x", "validator_answer": "y"}
    request = Request("PromptTemplate", {"payload": template, "remaining_fuel_as_gen": 0})
    assert data(request) is True
    assert said(answers, prompt("broken")) == UserError({"causes": ["OUT_OF_ORDER"], "ctx": {}})
    busy = find_for(prompt("busy"), answers).response
    assert (busy.causes, busy.fatal, busy.ctx) == (["STATUS_NOT_OK"], True, {"status": 429})


def test_pages_and_responses(tmp_path: Path) -> None:
    answers = mocks(tmp_path)
    assert said(answers, render("http://example.org/once")) == Ok({"text": "first"})
    assert said(answers, render("http://example.org/once")) == Ok({"text": "second"})
    assert said(answers, render("http://example.org/once")) == Ok({"text": "second"})
    assert said(answers, render("http://example.org/picture", "screenshot")) == Ok({"image": b"\x89PNG\xff"})
    made = said(answers, fetch("http://example.org/item", "POST"))
    assert made == Ok({"response": {"status": 201, "headers": {"x-a": b"b"}, "body": b'{"made": true}'}})
    with pytest.raises(NoMock, match=r"No web mock for GET http://example\.org/item"):
        said(answers, fetch("http://example.org/item"))
    gone = said(answers, render("http://example.org/gone"))
    assert gone == UserError(
        {
            "causes": ["WEBPAGE_LOAD_FAILED"],
            "ctx": {"status": 404, "url": "http://example.org/gone", "body": "not found"},
        }
    )
    assert said(answers, fetch("http://example.org/gone")).value["response"]["status"] == 404
    dead = said(answers, fetch("http://example.org/dead"))
    assert dead == UserError({"causes": ["WEBPAGE_LOAD_FAILED"], "ctx": {"status": 502}})


def test_who_finds_nothing_hears_of_the_file(tmp_path: Path) -> None:
    answers = mocks(tmp_path, "llm: {a: b}")
    with pytest.raises(NoMock) as error:
        said(answers, prompt("question " * 100))
    assert str(error.value).startswith("No LLM mock for prompt: question question")
    assert f"Registered in {tmp_path / 'mocks.yaml'}: ['a']" in str(error.value)
    assert len(str(error.value)) < 300


def test_mocks_for_some_nodes(tmp_path: Path) -> None:
    answers = mocks(
        tmp_path,
        """
        llm:
          - {prompt: q, answer: of the leader, node: leader}
          - {prompt: q, answer: of the second, node: validator 2}
          - {prompt: q, answer: of others, node: [validators]}
          - {prompt: q, answer: of nobody}
        """,
    )
    nodes = {
        "leader": "leader",
        "validator 1": "others",
        "validator 2": "second",
        "validator 3": "others",
        "": "nobody",
    }
    for node, whose in nodes.items():
        assert said(answers, prompt("q"), node).value["data"] == f"of {'the ' * (whose in ('leader', 'second'))}{whose}"


async def test_delays(tmp_path: Path) -> None:
    answers = mocks(tmp_path, "llm: {slow: {answer: late, delay_seconds: 0.1}, never: {never: true}, now: x}")
    began = time.monotonic()
    await find_for(prompt("now"), answers).pause()
    assert time.monotonic() - began < 0.09
    await find_for(prompt("slow"), answers).pause()
    assert time.monotonic() - began >= 0.1
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(find_for(prompt("never"), answers).pause(), 0.1)


def test_several_forms_of_a_text(tmp_path: Path) -> None:
    answers = mocks(tmp_path, "llm: {first: 1, second: 2}")
    found = find(answers.llm, "the second", "the first")
    assert found is not None
    assert (found.response, found.uses) == (1, 1)


@pytest.mark.parametrize("response", ["yes", {"result": "yes"}, 1, None])
def test_a_verdict_is_a_bool(tmp_path: Path, response: Any) -> None:
    answers = mocks(tmp_path, "llm: {Eq: x}")
    answers.llm[0].response = response
    template = {"template": "EqNonComparativeValidator", "task": "", "criteria": "", "input": "", "output": ""}
    with pytest.raises(BadMock, match="True or False"):
        said(answers, Request("PromptTemplate", {"payload": template, "remaining_fuel_as_gen": 0}))


def test_failures_are_structured_errors() -> None:
    failure = ModuleFailure("GONE", status=410)
    assert isinstance(failure, ModuleError)
    assert failure.answer() == UserError({"causes": ["GONE"], "ctx": {"status": 410}})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[", "no YAML"),
        ("- a", "a map with the keys llm and web"),
        ("llm: {}\nother: {}", "a map with the keys llm and web"),
        ("llm: text", "llm: a map or a list is expected, not a str"),
        ("llm: [text]", r"llm\[0\]: an entry of a list is a map with the pattern under 'prompt'"),
        ("llm: {'(': x}", r"llm\['\('\]: the pattern is no regular expression"),
        ("llm: {1: x}", "the pattern is no regular expression"),
        ("llm: {a: 2020-01-01}", "not what JSON can hold"),
        ("llm: {a: .nan}", "not what JSON can hold"),
        ("llm: {a: {answer: 1, fail: X}}", "one of an answer, fail and never"),
        ("llm: [{prompt: a}]", "one of an answer, fail and never"),
        ("llm: {a: {answer: 1, often: 2}}", r"unknown \['often'\]"),
        ("llm: {a: {answer: 1, times: 0}}", "times is a whole number"),
        ("llm: {a: {answer: 1, delay_seconds: -1}}", "delay_seconds is a number"),
        ("llm: {a: {answer: 1, node: boss}}", "node is leader"),
        ("llm: {a: {fail: {status: 1}}}", "fail is a cause"),
        ("web: {a: {body: x, file: picture.bin}}", "body or file"),
        ("web: {a: {file: nothing}}", "nothing: No such file"),
        ("web: {a: {status: 1, body: x}}", "status is a whole number of three digits"),
        ("web: {a: {headers: {a: 1}}}", "headers is a map of texts"),
        ("web: {a: {method: 1, body: x}}", "method is a text"),
    ],
)
def test_errors_say_where(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(MockFileError, match=problem) as error:
        mocks(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path / 'mocks.yaml'}: ")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(MockFileError, match="No such file"):
        read_mock_file(tmp_path / "none.yaml")
    (tmp_path / "big.yaml").write_bytes(b"#" * (9 << 20))
    with pytest.raises(MockFileError, match="more than"):
        read_mock_file(tmp_path / "big.yaml")
