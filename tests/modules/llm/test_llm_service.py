"""The whole service over a real WebSocket: requests of an executor, the default script, providers on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect

from pygenvm.executor.module_protocol.codec import (
    GET_STATS,
    FatalError,
    Hello,
    Ok,
    Request,
    UserError,
    decode_answer,
    encode_hello,
    encode_request,
    read_llm_answer,
)
from pygenvm.modules.config import ConfigError, expanded
from pygenvm.modules.llm.module import LlmModule
from pygenvm.modules.llm.settings import default_document
from pygenvm.modules.log import Secrets
from pygenvm.modules.process import Hosted
from tests.modules.llm.support import (
    JPEG,
    KEY,
    PNG,
    Records,
    backend,
    chat,
    document,
    never,
    raw,
    serving,
    status,
)


class Client:
    """An executor's side of one session."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def ask(self, name: str, payload: Any = None) -> Any:
        await self._connection.send(encode_request(Request(name, payload)))
        async with asyncio.timeout(30):
            frame = await self._connection.recv(decode=False)
        return decode_answer(frame)

    async def prompt(self, text: str = "hi", format: str = "text", images: Any = (), remaining: int = 5) -> Any:
        payload = {"prompt": text, "response_format": format, "images": list(images)}
        return await self.ask("Prompt", {"payload": payload, "remaining_fuel_as_gen": remaining})

    async def template(self, name: str, **values: str) -> Any:
        return await self.ask("PromptTemplate", {"payload": {"template": name, **values}, "remaining_fuel_as_gen": 5})


class Service:
    def __init__(self, hosted: Hosted, records: Records) -> None:
        self.hosted = hosted
        self.records = records

    @asynccontextmanager
    async def session(self, cookie: str = "2", **host_data: Any) -> Any:
        async with connect(self.hosted.address, max_size=1 << 30) as connection:
            hello = Hello(cookie, {"node_address": "0xA1", "tx_id": "0x22"} | host_data)
            await connection.send(encode_hello(hello))
            yield Client(connection)


@asynccontextmanager
async def service(path: Path, config: dict[str, Any], *, script: str | None = None, empty: bool = False) -> Any:
    """The service with the common keys as they are shipped."""
    common = expanded(default_document(), path)
    common |= {"bind_address": "127.0.0.1:0", "vm_count": 1, "log_level": "trace"}
    if script is not None:
        (path / "script.lua").write_text(script)
        common["lua_script_path"] = str(path / "script.lua")
    records = Records(path / "log", Secrets())

    def make(setup: Any) -> LlmModule:
        return LlmModule(setup, allow_empty_backends=empty)

    hosted = Hosted("llm", common | config, make, log=records.log)
    try:
        await hosted.start()
        yield Service(hosted, records)
    finally:
        await hosted.stop(0)
        records.close()


def data(answer: Any) -> Any:
    assert isinstance(answer, Ok), answer
    return read_llm_answer(answer.value).data


# --- answers --------------------------------------------------------------------------------------


async def test_text_json_and_verdicts(tmp_path: Path) -> None:
    said = {
        "a": 0.5,
        "b": 2.0,
        "c": None,
        "d": {},
        "e": [],
        "f": [1.5, None],
        "g": 1 << 70,
        "h": {"i": None},
        "j": True,
    }
    answers = [chat("fine"), chat(json.dumps(said)), chat('{"result": true, "reason": "x"}'), chat("led")]
    async with (
        serving(*answers) as server,
        service(tmp_path, document(a=backend(server.host))) as llm,
        llm.session() as client,
    ):
        answer = await client.prompt("question", images=[PNG, JPEG])
        assert answer == Ok({"data": "fine", "consumed_gen": 0})
        assert data(await client.prompt("as JSON", "json")) == {
            "a": "0.5",
            "b": 2,
            "c": None,
            "d": {},
            "e": [],
            "f": ["1.5", None],
            "g": 1 << 70,
            "h": {"i": None},
            "j": True,
        }
        values = {"leader_answer": "one #{principle} 100%1", "validator_answer": "two", "principle": "same"}
        assert data(await client.template("EqComparative", **values)) is True
        leader = {"task": "t", "criteria": "c", "input": "i"}
        assert data(await client.template("EqNonComparativeLeader", **leader)) == "led"
        assert (await client.ask(GET_STATS)).value["scripting"]["requests_count"] == 4
        assert (await client.ask(GET_STATS)).value["scripting"]["requests_time"] > 0
    first, second, third, fourth = (got.body for got in server.got)
    assert (first["temperature"], first["max_tokens"]) == (0.7, 1000)
    assert [message["role"] for message in first["messages"]] == ["user"]
    assert [part["type"] for part in first["messages"][0]["content"]] == ["text", "image_url", "image_url"]
    assert [message["role"] for message in second["messages"]] == ["system", "user"]
    assert second["response_format"] == {"type": "json_object"}
    # One pass: what a value holds is no variable.
    assert third["messages"][1]["content"][0]["text"] == "one #{principle} 100%1 | two | same"
    assert third["messages"][0]["content"] == "compare"
    assert fourth["messages"][1]["content"][0]["text"] == "t | c | i"


@pytest.mark.parametrize(
    ("name", "result"), [("EqComparative", True), ("EqNonComparativeValidator", False), ("EqNonComparativeLeader", "x")]
)
async def test_shipped_templates_have_all_variables(tmp_path: Path, name: str, result: Any) -> None:
    said = "x" if result == "x" else json.dumps({"result": result, "reason": "r"})
    names = (
        ["leader_answer", "validator_answer", "principle"] if name == "EqComparative" else ["task", "criteria", "input"]
    )
    names += ["output"] if name.endswith("Validator") else []
    templates = {"prompt_templates": default_document()["prompt_templates"]}
    async with (
        serving(chat(said)) as server,
        service(tmp_path, document(a=backend(server.host)) | templates) as llm,
        llm.session() as client,
    ):
        values = {variable: f"<value of {variable}>" for variable in names}
        assert data(await client.template(name, **values)) == result
    sent = json.dumps(server.got[0].body)
    for value in values.values():
        assert value in sent
    assert "#{" not in sent


async def test_remaining_fuel_and_consumed_gen_pass_through(tmp_path: Path) -> None:
    script = """
        function ExecPrompt(ctx, args, remaining)
          local told = {cookie = ctx.cookie, tx = ctx.host_data.tx_id, kind = math.type(remaining)}
          return {data = told, consumed_gen = remaining}
        end
        function ExecPromptTemplate(ctx, args, remaining) return {data = true, consumed_gen = 1.0} end
    """
    async with service(tmp_path, document(a=backend("http://x")), script=script) as llm, llm.session("c0") as client:
        answer = await client.prompt(remaining=(1 << 53) - 1)
        assert answer == Ok({"data": {"cookie": "c0", "tx": "0x22", "kind": "integer"}, "consumed_gen": (1 << 53) - 1})
        values = {"leader_answer": "", "validator_answer": "", "principle": ""}
        assert await client.template("EqComparative", **values) == Ok({"data": True, "consumed_gen": 1})


# --- failover -------------------------------------------------------------------------------------


async def test_failover_in_the_order_of_the_configuration(tmp_path: Path) -> None:
    async with (
        serving(status(503)) as first,
        serving(chat("no JSON")) as second,
        serving(raw(500, "<html>")) as third,
        serving(chat('{"found": true}')) as last,
    ):
        config = document(
            zz=backend(first.host, retry={"attempts": 2, "base_seconds": 0.01}),
            mm=backend(second.host),
            aa=backend(third.host),
            bb=backend(last.host),
        )
        async with service(tmp_path, config) as llm:
            async with llm.session("c7") as client:
                assert data(await client.prompt(format="json")) == {"found": True}
            failed = llm.records.all("provider failed")
            passed_on = llm.records.all("script_log: provider failed, going on to the next")
    assert [(r["provider"], r["attempt"], r["cause"], r["status"], r["level"]) for r in failed] == [
        ("zz", 1, "STATUS_NOT_OK", 503, "warn"),
        ("zz", 2, "STATUS_NOT_OK", 503, "warn"),
        ("mm", 1, "MALFORMED_ANSWER", None, "error"),
        ("aa", 1, "READING_BODY", 500, "error"),
    ]
    assert {record["cookie"] for record in failed + passed_on} == {"c7"}
    assert [(r["log"]["error"]["provider"], r["level"]) for r in passed_on] == [
        ("zz", "warn"),
        ("mm", "error"),
        ("aa", "error"),
    ]


async def test_a_model_is_asked_as_its_configuration_says(tmp_path: Path) -> None:
    tuned = {"meta": {"temperature": 0.25, "max_tokens": 7}}
    async with (
        serving(status(400)) as first,
        serving(chat("yes")) as second,
        serving(chat("no")) as third,
        service(
            tmp_path,
            document(a=backend(first.host, model=tuned), b=backend(second.host, model={"meta": "text"})),
        ) as llm,
        service(tmp_path, document(c=backend(third.host, model={"meta": {"temperature": "hot"}}))) as wrong,
    ):
        async with llm.session() as client:
            assert data(await client.prompt()) == "yes"
        async with wrong.session() as client:
            assert "temperature of the prompt must be a number" in str(await client.prompt())
    asked = [(got.body["temperature"], got.body["max_tokens"]) for server in (first, second) for got in server.got]
    # What is said of one model is not said of the next.
    assert asked == [(0.25, 7), (0.7, 1000)]
    assert not third.got


async def test_nobody_answers(tmp_path: Path) -> None:
    async with (
        serving(status(429)) as first,
        serving(chat("")) as second,
        service(tmp_path, document(one=backend(first.host), two=backend(second.host))) as llm,
        llm.session() as client,
    ):
        answer = await client.prompt("the question", images=[PNG])
        # The next request works.
        assert isinstance(await client.prompt("the question"), FatalError)
    assert isinstance(answer, FatalError)
    assert answer.text.startswith('ModuleError { causes: ["NO_PROVIDER_FOR_PROMPT"], fatal: true, ctx: {')
    # What nodes look for (spec modules/05 §6).
    primary = re.search(r'"primary_error": Map\(\{(.*?)\}\)', answer.text)
    assert primary is not None
    assert '"status": Number(429.0)' in primary[1]
    assert '"model": Str("m")' in primary[1]
    assert '"user_message": Str("the question")' in answer.text
    assert '"images": Array([Str("13 bytes")])' in answer.text
    assert '"search_in": Map({"one":' in answer.text


async def test_models_that_cannot_are_not_asked(tmp_path: Path) -> None:
    async with serving(chat("blind")) as blind, serving(chat('{"a": 1}')) as able:
        config = document(
            blind=backend(blind.host, model={"supports_json": False, "supports_image": False}),
            able=backend(
                able.host,
                models={
                    "no": {},
                    "yes": {"supports_json": True, "supports_image": True, "use_max_completion_tokens": True},
                },
            ),
        )
        async with service(tmp_path, config) as llm, llm.session() as client:
            assert data(await client.prompt()) == "blind"
            assert data(await client.prompt(format="json")) == {"a": 1}
            assert data(await client.prompt(images=[PNG])) == '{"a": 1}'
            assert data(await client.prompt(images=[PNG], format="json")) == {"a": 1}
    assert len(blind.got) == 1
    assert {"max_completion_tokens", "max_tokens"} & set(blind.got[0].body) == {"max_tokens"}
    assert {"max_completion_tokens", "max_tokens"} & set(able.got[0].body) == {"max_completion_tokens"}
    assert {got.body["model"] for got in able.got} == {"yes"}


async def test_weights_spread_the_prompts(tmp_path: Path) -> None:
    async with serving(chat("a")) as first, serving(chat("b")) as second:
        config = document(a=backend(first.host, weight=1), b=backend(second.host, weight=1))
        async with service(tmp_path, config) as llm, llm.session() as client:
            answers = {data(await client.prompt()) for _ in range(20)}
    assert answers == {"a", "b"}


async def test_the_cost_of_all_backends_is_consumed_gen(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    async with serving(chat("no JSON", **usage)) as first, serving(chat("{}", **usage)) as second:
        priced = {"price": {"request": 1.5}}
        config = document(
            a=backend(first.host, model=priced), b=backend(second.host, model=priced), more={"gen_per_cost": 1000}
        )
        async with service(tmp_path, config) as llm, llm.session() as client:
            assert await client.prompt(format="json") == Ok({"data": {}, "consumed_gen": 3000})


async def test_sessions_of_one_run_share_their_budget(tmp_path: Path) -> None:
    async with serving(chat("x")) as server:
        config = document(a=backend(server.host, model={"price": {"request": 1}}), more={"budget": {"session": 1.5}})
        async with service(tmp_path, config) as llm:
            async with llm.session("r1") as one, llm.session("r1") as two, llm.session("r2") as other:
                assert data(await one.prompt()) == "x"
                assert "BUDGET_EXHAUSTED" in (await two.prompt()).text
                (refused,) = llm.records.all("provider failed")
                assert refused["detail"] == "budget.session is 1.5, of which 1 is spent or set aside; this could cost 1"
                assert llm.records.all("script_log: provider failed, there is no other")
                assert data(await other.prompt()) == "x"
            async with llm.session("r1") as later:
                assert data(await later.prompt()) == "x"


# --- scripts of deployments -----------------------------------------------------------------------

GREYBOX = """
-- Filters the prompt, takes the model that the node names, retries, and goes on to a fallback.
local lib = require("lib-genvm")
local llm = require("lib-llm")
local json = require("value2json")

local function attempts(ctx, mapped, wanted)
  local view = llm.select_providers_for(mapped.prompt, mapped.format)
  local first_error
  for provider, data in pairs(view) do
    local found = lib.get_first_from_table(data.models)
    if wanted == nil or provider == wanted then
      mapped.prompt.use_max_completion_tokens = found.value.use_max_completion_tokens
      for try = 1, 3 do
        local ok, result = pcall(function()
          return llm.rs.exec_prompt_in_provider(ctx, {
            provider = provider, model = found.key, prompt = mapped.prompt, format = mapped.format,
          })
        end)
        if ok then return result end
        local err = lib.rs.as_user_error(result)
        if err == nil then error(result) end
        first_error = first_error or {model = found.key, status = err.ctx.status}
        lib.log {level = "warning", message = "attempt failed", try = try, error = json(err)}
        if not llm.overloaded_statuses[err.ctx.status] then break end
        lib.rs.sleep_seconds(0.01 * try)
      end
    end
  end
  return nil, first_error
end

local function run(ctx, mapped)
  if mapped.prompt.user_message == "" and #(mapped.prompt.images or {}) == 0 then
    lib.rs.user_error {causes = {"EMPTY_PROMPT"}, fatal = false, ctx = {}}
  end
  ctx.asked = (ctx.asked or 0) + 1
  local result, first = attempts(ctx, mapped, ctx.host_data.model)
  if result == nil then result = attempts(ctx, mapped, nil) end
  if result == nil then
    lib.rs.user_error {causes = {"NO_PROVIDER_FOR_PROMPT"}, fatal = true, ctx = {primary_error = first}}
  end
  return result
end

function ExecPrompt(ctx, args, remaining)
  args.prompt = lib.rs.filter_text(args.prompt, {"NFKC", "RmZeroWidth", "NormalizeWS"})
  local mapped = llm.exec_prompt_transform(args)
  mapped.prompt.temperature = 0.25
  return run(ctx, mapped)
end

function ExecPromptTemplate(ctx, args, remaining)
  my_data = args.template
  args.template = nil
  args.template = my_data
  return run(ctx, llm.exec_prompt_template_transform(args))
end
"""


async def test_a_script_with_filters_retries_and_a_fallback(tmp_path: Path) -> None:
    async with serving(status(503), status(503), chat("chosen")) as chosen, serving(chat("other")) as other:
        config = document(aa=backend(other.host), chosen=backend(chosen.host))
        async with service(tmp_path, config, script=GREYBOX) as llm:
            async with llm.session(model="chosen") as client:
                assert data(await client.prompt(" \ufb01ne\u200b   print \t")) == "chosen"
                assert await client.prompt(" \t") == UserError({"causes": ["EMPTY_PROMPT"], "ctx": {}})
                chosen.answers = [status(401)]
                assert data(await client.prompt("question")) in ("other",)
                chosen.answers = other.answers = [status(429)]
                answer = await client.prompt("question")
            assert len(llm.records.all("script_log: attempt failed")) >= 3
    assert answer == FatalError(
        'ModuleError { causes: ["NO_PROVIDER_FOR_PROMPT"], fatal: true, '
        'ctx: {"primary_error": Map({"model": Str("m"), "status": Number(429.0)})} }'
    )
    assert len(chosen.got) >= 4
    assert chosen.got[0].body["messages"][0]["content"][0]["text"] == "fine print"
    assert chosen.got[0].body["temperature"] == 0.25


async def test_many_sessions_at_a_time(tmp_path: Path) -> None:
    async with serving(chat("x")) as server:
        server.seconds = 0.05
        config = document(a=backend(server.host, model={"concurrency": 500}), more={"vm_count": 2})
        async with service(tmp_path, config) as llm:

            async def one(number: int) -> None:
                async with llm.session(f"c{number}") as client:
                    for _ in range(2):
                        assert data(await client.prompt()) == "x"

            await asyncio.gather(*(one(number) for number in range(200)))
    assert len(server.got) == 400
    assert server.most_at_once > 50


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "payload", "text"),
    [
        ("Prompt", None, "Prompt must be a map, not null"),
        ("Nothing", {}, "the LLM service has no request 'Nothing'"),
        ("Prompt", 5, "Prompt must be a map, not a number"),
        ("Prompt", {}, "remaining_fuel_as_gen"),
        ("Prompt", {"remaining_fuel_as_gen": -1, "payload": {}}, "remaining_fuel_as_gen"),
        ("Prompt", {"remaining_fuel_as_gen": 1}, "`payload`: a map is expected, not null"),
        ("Prompt", {"remaining_fuel_as_gen": 1, "payload": {"images": []}}, "`payload.prompt`: a string"),
        ("Prompt", {"remaining_fuel_as_gen": 1, "payload": {"prompt": "x"}}, "`payload.images`: a list of bytes"),
        (
            "Prompt",
            {"remaining_fuel_as_gen": 1, "payload": {"prompt": "x", "images": [b"x", "text"]}},
            "`payload.images[1]`: bytes are expected, not a string",
        ),
        (
            "Prompt",
            {"remaining_fuel_as_gen": 1, "payload": {"prompt": "x", "images": [], "response_format": "bool"}},
            "`payload.response_format`: text or json is expected, not 'bool'",
        ),
        ("PromptTemplate", {"remaining_fuel_as_gen": 1, "payload": {"template": "X"}}, "one of EqComparative"),
        (
            "PromptTemplate",
            {"remaining_fuel_as_gen": 1, "payload": {"template": "EqComparative", "principle": "x"}},
            "`payload.leader_answer`: a string is expected, not null",
        ),
    ],
)
async def test_requests_that_are_none(tmp_path: Path, name: str, payload: Any, text: str) -> None:
    async with (
        serving(chat("x")) as server,
        service(tmp_path, document(a=backend(server.host))) as llm,
        llm.session() as client,
    ):
        answer = await client.ask(name, payload)
        assert isinstance(answer, FatalError)
        assert answer.text.startswith(f"handling {name}: ")
        assert text in answer.text
        assert data(await client.prompt()) == "x"


@pytest.mark.parametrize("image", [b"", b"GIF89a", b"\xff\xd8\xff\xe1 Exif", PNG[:7]])
async def test_early_image_check(tmp_path: Path, image: bytes) -> None:
    async with (
        serving(chat("x")) as server,
        service(tmp_path, document(a=backend(server.host))) as llm,
        llm.session() as client,
    ):
        answer = await client.prompt(images=[PNG, image])
        assert answer == UserError({"causes": ["INVALID_IMAGE"], "ctx": {}})
        assert data(await client.prompt(images=[PNG])) == "x"
    assert len(server.got) == 1


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        ("5", "must return a table with data and consumed_gen, not a number"),
        ("{}", "a bool as data, not null"),
        ("{data = 'x', consumed_gen = 0}", "a bool as data, not a string"),
        ("{data = true}", "a whole number as consumed_gen, not null"),
        ("{data = true, consumed_gen = 0.5}", "a whole number as consumed_gen"),
        ("{data = true, consumed_gen = -1}", "a whole number as consumed_gen"),
        ("{data = true, consumed_gen = 0/0}", "a whole number as consumed_gen"),
    ],
)
async def test_scripts_that_answer_nonsense(tmp_path: Path, returned: str, text: str) -> None:
    script = f"""
        function ExecPrompt() return {{data = "x", consumed_gen = 0}} end
        function ExecPromptTemplate() return {returned} end
    """
    values = {"leader_answer": "", "validator_answer": "", "principle": ""}
    async with service(tmp_path, document(a=backend("http://x")), script=script) as llm, llm.session() as client:
        answer = await client.template("EqComparative", **values)
        assert isinstance(answer, FatalError)
        assert answer.text.startswith("handling PromptTemplate: ")
        assert text in answer.text
        assert data(await client.prompt()) == "x"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("5", "a table with provider"),
        ("{model = 'm', format = 'text', prompt = p}", "provider must be a string"),
        ("{provider = 'x', model = 'm', format = 'text', prompt = p}", "absent provider_id `x`"),
        ("{provider = 'a', model = 'x', format = 'text', prompt = p}", "absent model `x`"),
        ("{provider = 'a', model = 'm', format = 'yaml', prompt = p}", "format must be one of text, json, bool"),
        ("{provider = 'a', model = 'm', format = 'text'}", "the prompt must be a map, not null"),
        (
            "{provider = 'a', model = 'm', format = 'text', prompt = {user_message = 'u'}}",
            "temperature of the prompt is missing, a number is expected",
        ),
        ("{provider = 'a', model = 'm', format = 'text', prompt = {temperature = 1, max_tokens = 1}}", "user_message"),
        (
            "{provider = 'a', model = 'm', format = 'text', prompt = with(0/0, 1)}",
            "temperature of the prompt must be a number, not the number nan",
        ),
        (
            "{provider = 'a', model = 'm', format = 'text', prompt = with(1, 0)}",
            "max_tokens",
        ),
    ],
)
async def test_scripts_that_ask_nonsense(tmp_path: Path, arguments: str, text: str) -> None:
    script = f"""
        local rs = require("lib-llm").rs
        local function with(temperature, max_tokens)
          return {{user_message = "u", temperature = temperature, max_tokens = max_tokens}}
        end
        local p = {{user_message = "u", temperature = 1, max_tokens = 1, extra = "ignored", images = {{}}}}
        function ExecPrompt(ctx) return rs.exec_prompt_in_provider(ctx, {arguments}) end
        function ExecPromptTemplate(ctx)
          return rs.exec_prompt_in_provider(ctx, {{provider = "a", model = "m", format = "bool", prompt = p}})
        end
    """
    values = {"leader_answer": "", "validator_answer": "", "principle": ""}
    async with (
        serving(chat('{"result": true}')) as server,
        service(tmp_path, document(a=backend(server.host)), script=script) as llm,
        llm.session() as client,
    ):
        answer = await client.prompt()
        assert isinstance(answer, FatalError)
        assert text in answer.text
        assert data(await client.template("EqComparative", **values)) is True


async def test_a_client_that_leaves_ends_its_call(tmp_path: Path) -> None:
    async with serving(never, chat("x")) as server:
        config = document(a=backend(server.host, model={"concurrency": 1}, timeout_seconds=20))
        async with service(tmp_path, config) as llm:
            async with llm.session() as client:
                task = asyncio.create_task(client.prompt())
                while not server.got:
                    await asyncio.sleep(0.01)
            task.cancel()
            async with llm.session() as client:
                assert data(await client.prompt()) == "x"


# --- start ----------------------------------------------------------------------------------------


async def test_no_backend_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no valid backend detected; backend a is disabled: its key is empty"):
        async with service(tmp_path, document(a=backend("http://x", key=""))):
            pass
    async with service(tmp_path, document(a=backend("http://x", key="")), empty=True) as llm, llm.session() as client:
        answer = await client.prompt()
        assert "NO_PROVIDER_FOR_PROMPT" in answer.text
        assert [record["level"] for record in llm.records.all("backend a is disabled: its key is empty")] == ["warn"]


async def test_the_check_at_start_costs_nothing(tmp_path: Path) -> None:
    async with (
        serving(chat("x")) as server,
        service(tmp_path, document(a=backend(server.host))) as llm,
    ):
        while not llm.hosted.service.check:
            await asyncio.sleep(0.01)
        assert llm.hosted.service.check == {"ok": True}
        assert server.got == []
    async with service(tmp_path, document(a=backend(server.host))) as llm:
        while not llm.hosted.service.check:
            await asyncio.sleep(0.01)
        assert "backend a: " in llm.hosted.service.check["error"]


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["openai-compatible", "ollama", "google", "anthropic"])
async def test_a_key_is_found_nowhere(tmp_path: Path, provider: str) -> None:
    """Whatever a server does with the key, it comes back to nobody."""
    key = 'kéy/"0123456789 +&'.encode().decode("latin-1") if provider != "google" else "key/+&=0123456789"
    key = key.encode("ascii", "ignore").decode()

    def tells(code: int) -> Any:
        def answer(request: aiohttp.web.Request) -> aiohttp.web.Response:
            said = {"error": f"Incorrect API key provided: {key}", "url": str(request.url), key: [key]}
            body = said | chat(f"the key is {key}") | {"response": key, "content": [{"text": key, "input": {"a": key}}]}
            body["candidates"] = [{"content": {"parts": [{"text": key}]}}]
            return aiohttp.web.json_response(body, status=code, headers={"X-Key": key})

        return answer

    async with serving(tells(401), tells(200), raw(500, f"<p>{key}"), tells(200)) as server:
        config = document(a=backend(server.host, provider, key=key))
        async with service(tmp_path, config) as llm, aiohttp.ClientSession() as http:
            seen = ""
            async with llm.session() as client:
                for format in ("text", "text", "json", "json"):
                    seen += repr(await client.prompt("question", format))
            address = llm.hosted.address.replace("ws://", "http://")
            for page in ("/metrics", "/health"):
                async with http.get(address + page) as response:
                    seen += await response.text()
            seen += llm.records.text
    assert len(server.got) == 4
    for form in (key, json.dumps(key)[1:-1], "0123456789"):
        assert form not in seen
    assert "***" in seen


@pytest.mark.parametrize("code", [200, 401])
async def test_a_script_never_gets_a_key_that_a_server_says(tmp_path: Path, code: int) -> None:
    """It could hide the key from whoever looks for it on the way out."""
    script = """
        local lib, llm = require("lib-genvm"), require("lib-llm")
        local function hidden(value) return lib.rs.base64_encode(lib.rs.json_stringify(value)) end
        function ExecPrompt(ctx, args)
          local mapped = llm.exec_prompt_transform(args)
          local ask = {provider = "a", model = "m", prompt = mapped.prompt, format = "text"}
          local ok, result = pcall(llm.rs.exec_prompt_in_provider, ctx, ask)
          if not ok then result = lib.rs.as_user_error(result) end
          return {data = hidden(result), consumed_gen = 0}
        end
        function ExecPromptTemplate() end
    """
    said = chat(f"your key is {KEY}") | {"error": KEY}
    async with (
        serving(status(code, said, X_Key=KEY)) as server,
        service(tmp_path, document(a=backend(server.host)), script=script) as llm,
        llm.session() as client,
    ):
        seen = base64.b64decode(data(await client.prompt())).decode()
    assert "***" in seen
    assert KEY not in seen


async def test_a_script_sees_neither_keys_nor_hosts(tmp_path: Path) -> None:
    script = """
        local llm, value2json, lib = require("lib-llm"), require("value2json"), require("lib-genvm")
        function ExecPrompt(ctx)
          local seen = {}
          for key, value in pairs(__llm) do
            if type(value) == "table" then seen[key] = value2json(value) end
          end
          return {data = lib.rs.json_stringify(seen), consumed_gen = 0}
        end
        function ExecPromptTemplate() end
    """
    config = document(a=backend("http://example.test", model={"meta": {"config": {"x": 1}}}), b=backend("http://b"))
    async with service(tmp_path, config, script=script) as llm, llm.session() as client:
        seen = data(await client.prompt())
    assert KEY not in seen
    assert "example.test" not in seen
    shown = json.loads(seen)
    assert shown["providers"]["a"]["models"]["m"]["meta"] == {"config": {"x": 1}}
    assert set(shown["providers"]) == {"a", "b"}
    assert set(shown["templates"]) == set(config["prompt_templates"])
