"""What the LLM and web messages of gl_call make of their fields (spec executor/04 "Modules")."""

from __future__ import annotations

from typing import Any

import pytest

from pygenvm.executor.module_protocol.codec import Ok, Request
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from tests.support.hosts import InMemoryHost
from tests.support.machine import Answer, Script
from tests.support.module_server import Call, Reply, serving_module

FUEL = 2**53 - 1
INVAL = Answer(2)


def requests_of(*messages: Any, answer: Any, module: str) -> tuple[list[Request], list[Answer]]:
    """What a module was asked, and what the block was answered."""

    async def script(_: Call) -> Reply:
        return Ok(answer)

    block = Script()
    for message in messages:
        block.gl_call(message)
    with serving_module(script) as server:
        arguments: dict[str, Any] = {module: server.address}
        run = Script().nondet(block).run(**arguments)
        return server.requests, block.inside(run.answers[0])


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({}, "0ms"),
        ({"wait_after_loaded": "0ms"}, "0ms"),
        ({"wait_after_loaded": "15ms"}, "15ms"),
        ({"wait_after_loaded": "2s"}, "2000ms"),
        ({"wait_after_loaded": "007s"}, "7000ms"),
        ({"wait_after_loaded": "1ms", "unknown": 1}, "1ms"),
        ({"mode": {"text": None}}, "0ms"),
    ],
)
def test_render(fields: dict[str, Any], sent: str) -> None:
    message = {"WebRender": {"mode": "text", "url": "http://a"} | fields}
    asked, answers = requests_of(message, answer={"text": "page"}, module="web")
    assert asked == [Request("Render", {"mode": "text", "url": "http://a", "wait_after_loaded": sent})]
    assert answers == [Answer(0, calldata.encode({"ok": {"text": "page"}}))]


@pytest.mark.parametrize("mode", ["text", "html", "screenshot"])
def test_render_modes(mode: str) -> None:
    answer = {"image": b"\x89"} if mode == "screenshot" else {"text": "x"}
    asked, answers = requests_of({"WebRender": {"mode": mode, "url": ""}}, answer=answer, module="web")
    assert asked[0].payload["mode"] == mode
    assert answers == [Answer(0, calldata.encode({"ok": answer}))]


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE", "OPTIONS", "PATCH"])
def test_request(method: str) -> None:
    answer = {"response": {"status": 200, "headers": {"a": b"b"}, "body": b"\xff"}}
    message = {"WebRequest": {"method": method, "url": "u", "headers": {"x": b"y"}}}
    asked, answers = requests_of(message, answer=answer, module="web")
    assert asked == [
        Request("Request", {"method": method, "url": "u", "headers": {"x": b"y"}, "body": None, "sign": False})
    ]
    assert answers == [Answer(0, calldata.encode({"ok": answer}))]


def test_request_with_everything() -> None:
    message = {"WebRequest": {"method": "POST", "url": "u", "headers": {}, "body": b"\0", "sign": True, "more": 1}}
    answer = {"response": {"status": 204, "headers": {}, "body": b""}}
    asked, _ = requests_of(message, answer=answer, module="web")
    assert asked == [Request("Request", {"method": "POST", "url": "u", "headers": {}, "body": b"\0", "sign": True})]


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({}, {"images": [], "response_format": "text"}),
        ({"response_format": "json"}, {"images": [], "response_format": "json"}),
        ({"images": [b"1", b"2"], "more": 0}, {"images": [b"1", b"2"], "response_format": "text"}),
    ],
)
def test_prompt(fields: dict[str, Any], sent: dict[str, Any]) -> None:
    message = {"ExecPrompt": {"prompt": "p", "images": []} | fields}
    asked, answers = requests_of(message, answer={"data": {"a": 1}, "consumed_gen": 0}, module="llm")
    assert asked == [Request("Prompt", {"payload": {"prompt": "p"} | sent, "remaining_fuel_as_gen": FUEL})]
    assert answers == [Answer(0, calldata.encode({"ok": {"a": 1}}))]


def test_more_than_two_images_are_invalid_and_ask_nobody() -> None:
    block = Script().gl_call({"ExecPrompt": {"prompt": "p", "images": [b""] * 3}})
    host = InMemoryHost()
    assert block.inside(Script().nondet(block).run(host=host).answers[0]) == [INVAL]
    assert HostMethod.REMAINING_FUEL_AS_GEN not in host.methods


def test_the_mode_comes_before_the_number_of_images() -> None:
    assert Script().gl_call({"ExecPrompt": {"prompt": "p", "images": [b""] * 3}}).run().answers == [Answer(6)]


@pytest.mark.parametrize(
    ("template", "fields", "data"),
    [
        ("EqComparative", ("leader_answer", "validator_answer", "principle"), True),
        ("EqNonComparativeLeader", ("task", "criteria", "input"), "answer"),
        ("EqNonComparativeValidator", ("task", "criteria", "input", "output"), False),
    ],
)
def test_templates(template: str, fields: tuple[str, ...], data: Any) -> None:
    payload = {"template": template} | {field: field.upper() for field in fields}
    message = {"ExecPromptTemplate": payload | {"unknown": 1}}
    asked, answers = requests_of(message, answer={"data": data, "consumed_gen": 0}, module="llm")
    assert asked == [Request("PromptTemplate", {"payload": payload, "remaining_fuel_as_gen": FUEL})]
    assert answers == [Answer(0, calldata.encode({"ok": data}))]


def test_fuel_is_asked_for_before_each_request_and_consumed_after_it() -> None:
    async def script(_: Call) -> Reply:
        return Ok({"data": "x", "consumed_gen": 7})

    block = Script()
    for _ in range(2):
        block.gl_call({"ExecPrompt": {"prompt": "p", "images": []}})
    host = InMemoryHost(fuel=10)
    with serving_module(script) as server:
        Script().nondet(block).run(host=host, llm=server.address)
        remaining = [request.payload["remaining_fuel_as_gen"] for request in server.requests]
    assert remaining == [10, 3]
    assert [method.name for method in host.methods if "FUEL" in method.name] == [
        "REMAINING_FUEL_AS_GEN",
        "CONSUME_FUEL",
    ] * 2
