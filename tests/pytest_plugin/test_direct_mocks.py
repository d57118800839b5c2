"""What the web and language models answer in a test, and what their validators say."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from pygenvm.modules.mocks import template_text
from pygenvm.pytest_plugin import (
    DirectContract,
    DirectVM,
    ModuleFailure,
    UnansweredRequest,
    UnansweredRequestWarning,
    UnusedMockWarning,
)
from tests.pytest_plugin.contracts import ASKING

URL = "https://example.com/data?x=1"


@pytest.fixture
def asking(direct_vm: DirectVM) -> DirectContract:
    return direct_vm.deploy_code(ASKING)


# --- web ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "response",
    [
        {"status": 201, "headers": {"X-A": "b"}, "body": "page"},
        {"method": "GET", "status": 201, "headers": {"X-A": b"b"}, "body": b"page"},
        {"response": {"status": 201, "headers": {"x-a": b"b"}, "body": b"page"}},
        {"response": {"status": 201, "headers": {"x-a": "b"}, "body": "page"}, "method": "GET"},
        lambda request: {"status": 201, "headers": {"x-a": request["method"][:0] + "b"}, "body": "page"},
    ],
)
def test_forms_of_a_web_response(direct_vm: DirectVM, asking: DirectContract, response: Any) -> None:
    direct_vm.mock_web("example", response)
    assert asking.web(URL, "GET") == [201, b"page", [["x-a", b"b"]]]


def test_dicts_without_a_method_answer_get(direct_vm: DirectVM, asking: DirectContract) -> None:
    direct_vm.mock_web("example", {"body": "got"})
    direct_vm.mock_web("example", {"body": "posted", "method": "POST"})
    direct_vm.mock_web("example", {"body": "deleted"}, method="DELETE")
    assert [asking.web(URL, method)[1] for method in ("GET", "POST", "DELETE")] == [b"got", b"posted", b"deleted"]
    with direct_vm.expect_revert("No web mock for PATCH https://example.com/data?x=1"):
        asking.web(URL, "PATCH")
    direct_vm.mock_web(r"\?x=1$", "whatever it is")
    assert asking.web(URL, "PATCH")[1] == b"whatever it is"


def test_patterns_are_searched_line_by_line(direct_vm: DirectVM, asking: DirectContract) -> None:
    direct_vm.mock_llm("first.*last", "on one line")
    direct_vm.mock_llm("(?s)first.*last", "on several")
    assert asking.text("the first and last") == "on one line"
    assert asking.text("the first\nand last") == "on several"


def test_bodies_that_are_no_text(direct_vm: DirectVM, asking: DirectContract) -> None:
    direct_vm.mock_web("example", {"body": b"caf\xe9 \xff"})
    assert asking.web(URL, "GET")[1] == b"caf\xe9 \xff"
    assert asking.page(URL) == "caf\ufffd \ufffd"


def test_what_nothing_is_done_with(direct_vm: DirectVM) -> None:
    with pytest.warns(UserWarning, match="nothing is done with 'stauts' of a web response, only with body, headers"):
        direct_vm.mock_web("example", {"stauts": 200})
    with pytest.raises(TypeError, match="a web response cannot be a int"):
        direct_vm.mock_web("example", 200)
    with pytest.raises(TypeError, match="an LLM response cannot be a object"):
        direct_vm.mock_llm("example", object())


# --- language models ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ('{"a": [1, null, "x"]}', "dict {'a': [1, None, 'x']}"),
        ({"a": 1.0, "b": True}, "dict {'a': 1, 'b': True}"),
        ('```json\n{"a": 1}\n```', "dict {'a': 1}"),
        ('  ```\n{"a": 1}```  ', "dict {'a': 1}"),
        ("not JSON", "str 'not JSON'"),
        ('{"a": 1', "str '{\"a\": 1'"),
        ('{"a": NaN}', "str '{\"a\": NaN}'"),
        ("[1, 2]", "str '[1, 2]'"),
        ([1, 2], "str '[1, 2]'"),
        ("0.5", "str '0.5'"),
        (0.5, "str '0.5'"),
        ("null", "str 'null'"),
        (None, "str 'null'"),
        ("true", "bool True"),
        (5, "str '5'"),
    ],
)
def test_answers_in_json(direct_vm: DirectVM, asking: DirectContract, answer: Any, seen: str) -> None:
    direct_vm.mock_llm("question", answer)
    assert asking.json("question") == seen


@pytest.mark.parametrize(
    ("answer", "place"),
    [('{"a": [1, {"b": 0.85}]}', "['a'][1]['b'] is 0.85"), ({"a": 1e300}, "['a'] is 1e+300")],
)
def test_fractions_are_named(direct_vm: DirectVM, asking: DirectContract, answer: Any, place: str) -> None:
    direct_vm.mock_llm("question", answer)
    with pytest.raises(Exception, match="the answer has a number with a fraction, which calldata cannot hold") as error:
        asking.json("question")
    assert place in str(error.value).replace('\\"', '"').replace("\\'", "'")


def test_answers_in_text_are_left_as_they_are(direct_vm: DirectVM, asking: DirectContract) -> None:
    direct_vm.mock_llm("question", '```json\n{"a": 0.5}\n```')
    assert asking.text("question") == '```json\n{"a": 0.5}\n```'
    direct_vm.mock_llm("question", {"a": 0.5})
    assert json.loads(asking.text("question")) == {"a": 0.5}


def test_mocks_of_a_file(
    direct_vm: DirectVM, asking: DirectContract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same one that ``genvm local --mocks`` takes; nodes are those of ``run_validator``."""
    monkeypatch.chdir(tmp_path)
    Path("mocks.yaml").write_text(
        """
web: {"example": {status: 201, body: page}}
llm:
  - {prompt: question, node: leader, answer: an answer}
  - {prompt: question, node: validators, answer: another}
  - {prompt: EqComparative, answer: false}
  - {prompt: waits, never: true}
"""
    )
    direct_vm.mock_file("mocks.yaml")
    assert asking.web(URL, "GET") == [201, b"page", []]
    assert asking.same("question") == "an answer"
    assert not direct_vm.run_validator()
    assert "validator_answer: another" in template_text(direct_vm.requests[-1]["payload"])
    assert not direct_vm.validate().agrees
    direct_vm.mock_llm("EqComparative", True)
    assert direct_vm.run_validator()
    with pytest.raises(UnansweredRequest, match="the mock 'waits' never answers"):
        asking.text("waits")
    with pytest.raises(FileNotFoundError, match=r"Mock file not found: there is no .*none\.yaml"):
        direct_vm.mock_file("none.yaml")


@pytest.mark.parametrize("verdict", [True, "true", '{"result": true}', {"result": True, "reason": "why"}])
def test_verdicts_of_templates(direct_vm: DirectVM, asking: DirectContract, verdict: Any) -> None:
    direct_vm.mock_llm("question", "an answer")
    assert asking.same("question") == "an answer"
    direct_vm.mock_llm("EqComparative", verdict)
    assert direct_vm.run_validator()
    direct_vm.mock_llm("EqComparative", "perhaps")
    with pytest.raises(
        UnansweredRequest, match=r"of the mock '.*': a template of gl\.eq_principle wants True or False"
    ):
        direct_vm.run_validator()


# --- requests that no mock answers --------------------------------------------------------------------


def test_a_contract_may_go_on_without_an_answer(direct_vm: DirectVM, asking: DirectContract) -> None:
    with pytest.warns(UnansweredRequestWarning, match="No web mock for GET https://example"):
        assert asking.careful(URL).startswith("fallback: ")
    with pytest.warns(UnansweredRequestWarning), direct_vm.expect_revert("the web is down"):
        asking.translated(URL)


def test_a_contract_that_does_not_fails_the_test(direct_vm: DirectVM, asking: DirectContract) -> None:
    direct_vm.mock_llm("other", "x")
    with pytest.raises(
        UnansweredRequest, match=r"^No LLM mock for prompt: a 'question'\.\.\.\n  Registered: \['other'\]"
    ):
        asking.text("a 'question'")
    with direct_vm.expect_revert("No web mock for WebRender https://example.com"):
        asking.page(URL)


def test_what_a_function_of_the_test_raises_reaches_the_test(direct_vm: DirectVM, asking: DirectContract) -> None:
    direct_vm.mock_web("example", lambda request: 1 // 0)
    with pytest.raises(UnansweredRequest, match="ZeroDivisionError"):
        asking.careful(URL)
    direct_vm.mock_web("example", ModuleFailure("WEBPAGE_LOAD_FAILED", status=404))
    assert asking.careful(URL) == "fallback: {'causes': ['WEBPAGE_LOAD_FAILED'], 'ctx': {'status': 404}}"


# --- strict -------------------------------------------------------------------------------------------


def test_mocks_that_nothing_asked_for(direct_vm: DirectVM, asking: DirectContract) -> None:
    direct_vm.mock_llm("question", "x")
    direct_vm.mock_llm("other", "x")
    direct_vm.mock_web("nowhere", "x")
    asking.text("question")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        direct_vm.strict_mocks = False
        direct_vm.clear_mocks()
    direct_vm.strict_mocks = True
    direct_vm.mock_llm("never asked", "x")
    with pytest.warns(UnusedMockWarning, match="LLM mock never matched: never asked") as told:
        direct_vm.clear_mocks()
    assert len(told) == 1
    assert issubclass(UnusedMockWarning, RuntimeWarning)


# --- validators ---------------------------------------------------------------------------------------


def test_no_validator_yet(direct_vm: DirectVM, asking: DirectContract) -> None:
    asking.nothing()
    for ask in (direct_vm.run_validator, direct_vm.validate):
        with pytest.raises(RuntimeError, match=r"No validator captured\. Call a contract method that uses"):
            ask()


def test_each_block_is_judged_alone(direct_vm: DirectVM, asking: DirectContract) -> None:
    direct_vm.mock_llm("one", "first")
    direct_vm.mock_llm("two", "second")
    assert asking.two("one", "two") == ["first", "second"]
    asked = len(direct_vm.requests)
    assert [direct_vm.run_validator(index=index) for index in (0, 1, -1, -2)] == [True] * 4
    assert len(direct_vm.requests) == asked + 4
    direct_vm.mock_llm("one", "changed")
    assert [direct_vm.run_validator(index=index) for index in (0, 1)] == [False, True]
    assert direct_vm.validate().disagreement == 0
    direct_vm.mock_llm("two", "changed too")
    assert [direct_vm.run_validator(index=index) for index in (0, 1)] == [False, False]
    assert direct_vm.run_validator(leader_result="changed", index=0)
    assert direct_vm.run_validator(leader_result="changed too")
    with pytest.raises(IndexError):
        direct_vm.run_validator(index=2)


def test_a_block_needs_no_mocks_for_those_before_it(direct_vm: DirectVM, asking: DirectContract) -> None:
    direct_vm.mock_llm("one", "first")
    direct_vm.mock_llm("two", "second")
    asking.two("one", "two")
    direct_vm.clear_mocks()
    direct_vm.mock_llm("two", "second")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert direct_vm.run_validator()
    assert [request["payload"]["prompt"] for request in direct_vm.requests] == ["two"]
    with pytest.warns(UnansweredRequestWarning, match="No LLM mock for prompt: one"):
        assert not direct_vm.run_validator(index=0)


def test_blocks_of_several_transactions(direct_vm: DirectVM, asking: DirectContract) -> None:
    for answer in "abc":
        direct_vm.mock_llm("question", answer)
        asking.text("question")
    asking.nothing()
    assert [direct_vm.run_validator(index=index) for index in range(3)] == [False, False, True]
    assert direct_vm.run_validator(leader_result="c", index=0)
    direct_vm.clear_validators()
    with pytest.raises(RuntimeError, match="No validator captured"):
        direct_vm.run_validator()
    asking.text("question")
    assert direct_vm.run_validator(index=0)


def test_blocks_of_a_view(direct_vm: DirectVM, asking: DirectContract) -> None:
    direct_vm.mock_llm("question", "a")
    assert asking.look("question") == "a"
    assert direct_vm.run_validator()
    assert direct_vm.validate().agrees
    direct_vm.mock_llm("question", "b")
    assert not direct_vm.run_validator()
    assert not direct_vm.validate().agrees


def test_errors_that_a_leader_claims(direct_vm: DirectVM, asking: DirectContract) -> None:
    direct_vm.mock_web("example", "page")
    asking.translated(URL)
    assert direct_vm.run_validator()
    for claimed in ("the web is down", Exception("the web is down")):
        assert not direct_vm.run_validator(leader_error=claimed)
    direct_vm.mock_web("example", ModuleFailure("WEBPAGE_LOAD_FAILED"))
    for claimed in ("the web is down", Exception("the web is down")):
        assert direct_vm.run_validator(leader_error=claimed)
    assert not direct_vm.run_validator(leader_error="it rains")


def test_pickling_is_always_checked(direct_vm: DirectVM) -> None:
    direct_vm.check_pickling = True
    assert direct_vm.check_pickling
