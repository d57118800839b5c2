"""JSON-RPC, without sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pygenvm.localnet import limits
from pygenvm.localnet.rpc.envelope import answer
from pygenvm.localnet.rpc.errors import RpcError

CALLED: list[Any] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    CALLED.clear()


async def call(method: str, params: Any) -> Any:
    CALLED.append((method, params))
    match method:
        case "fail":
            raise RpcError(-32000, "no such luck", {"x": 1})
        case "bug":
            raise KeyError("something")
        case "nothing":
            return None
    return params


async def say(text: str | bytes) -> tuple[int, Any]:
    reply = await answer(text.encode() if isinstance(text, str) else text, call)
    return reply.status, json.loads(reply.body) if reply.body else None


@pytest.mark.parametrize("number", [1, 0, -5, 1795175272460, "a text", "", None, 1.5, True, [1], {"a": 1}])
async def test_an_id_comes_back_as_it_was(number: Any) -> None:
    status, found = await say(json.dumps({"jsonrpc": "2.0", "id": number, "method": "m", "params": [1]}))
    assert status == 200
    assert found == {"jsonrpc": "2.0", "id": number, "result": [1]}


async def test_parameters_may_be_named_or_left_out() -> None:
    assert (await say('{"id": 1, "method": "m"}'))[1]["result"] == []
    assert (await say('{"id": 1, "method": "m", "params": null}'))[1]["result"] == []
    assert (await say('{"id": 1, "method": "m", "params": {"a": 1}}'))[1]["result"] == {"a": 1}


async def test_a_result_of_null_is_there() -> None:
    assert await say('{"id": 1, "method": "nothing"}') == (200, {"jsonrpc": "2.0", "id": 1, "result": None})


async def test_errors_have_status_200() -> None:
    status, found = await say('{"id": 1, "method": "fail"}')
    assert status == 200
    assert found == {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "no such luck", "data": {"x": 1}}}
    status, found = await say('{"id": 1, "method": "bug"}')
    assert (status, found["error"]["code"]) == (200, -32603)
    assert "KeyError" in found["error"]["message"]


async def test_notifications_are_carried_out_and_not_answered() -> None:
    assert await say('{"method": "m", "params": [1]}') == (204, None)
    assert await say('{"method": "fail"}') == (204, None)
    assert CALLED == [("m", [1]), ("fail", [])]


async def test_a_batch_is_carried_out_in_its_order() -> None:
    requests = [{"id": 1, "method": "m"}, {"method": "n"}, {"id": "x", "method": "fail"}, 5, {"id": 2}]
    status, found = await say(json.dumps(requests))
    assert status == 200
    assert [one["id"] for one in found] == [1, "x", None, 2]
    assert [one.get("error", {}).get("code") for one in found] == [None, -32000, -32600, -32600]
    assert [name for name, _ in CALLED] == ["m", "n", "fail"]
    assert await say('[{"method": "m"}]') == (204, None)


@pytest.mark.parametrize("value", ["[]", "{}", "1", '""', "1.5", '{"a": 1}'])
@pytest.mark.parametrize("whole", ["[%s]", '{"id": 1, "method": "m", "params": [%s]}'])
async def test_so_many_values_are_not_decoded(value: str, whole: str) -> None:
    # What follows them is no JSON, which only a decoder would find.
    status, found = await say(whole % (f"{value}," * limits.RPC_VALUES + "nonsense"))
    assert (status, found["error"]["code"]) == (400, -32600)
    assert f"more than {limits.RPC_VALUES} values" in found["error"]["message"]
    assert not CALLED


async def test_texts_are_one_value_whatever_is_in_them() -> None:
    text = "[]," * limits.RPC_VALUES
    status, found = await say(json.dumps({"id": 1, "method": "m", "params": [text, [1] * 100_000]}))
    assert (status, found["result"][0]) == (200, text)


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("", 400, -32700),
        ("{", 400, -32700),
        ('{"id": 1, "method": "m"} x', 400, -32700),
        (b"\xff\xfe", 400, -32700),
        ("NaN", 400, -32700),
        ('{"id": NaN, "method": "m"}', 400, -32700),
        ('{"id": 1e400, "method": "m"}', 400, -32700),
        ('{"id": 1, "method": "m", "params": [-1e400]}', 400, -32700),
        ('{"id": 1, "id": 2, "method": "m"}', 400, -32700),
        ("[" * 100_000, 400, -32700),
        ('{"id": 1, "method": "m", "params": ' + "[" * 70 + "]" * 70 + "}", 400, -32700),
        ('{"id": ' + "1" * 5000 + ', "method": "m"}', 400, -32700),
        ("[]", 400, -32600),
        (json.dumps([{"id": 1, "method": "m"}] * 10_000), 400, -32600),
        ("5", 400, -32600),
        ('"text"', 400, -32600),
        ("null", 400, -32600),
        ("{}", 200, -32600),
        ('{"id": 1}', 200, -32600),
        ('{"id": 1, "method": 5}', 200, -32600),
        ('{"id": 1, "method": "m", "params": 5}', 200, -32600),
    ],
    ids=range(21),
)
async def test_what_is_no_request(text: str | bytes, status: int, code: int) -> None:
    got, found = await say(text)
    assert (got, found["error"]["code"]) == (status, code)
    assert not CALLED
