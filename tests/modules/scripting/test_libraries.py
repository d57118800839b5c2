"""The libraries of scripts, and how they are found (spec modules/02 §6, modules/03 §3 and §8)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from pygenvm.modules.errors import ModuleError
from pygenvm.modules.scripting.pool import ScriptError, ScriptLoadError, readable

from .conftest import Scripts

RunLua = Callable[..., Any]

# --- require --------------------------------------------------------------------------------------


async def test_lua_path_comes_first(scripts: Scripts) -> None:
    """Deployments have libraries of the same names as ours in their folder: those are theirs."""
    part = scripts.folder / "more/deep/part/init.lua"
    part.parent.mkdir(parents=True)
    part.write_text("return 'deep'")
    session = await scripts.session(
        """
        local lib, again, deep, none = require("lib-genvm"), require("lib-genvm"), require("deep.part"), require("none")
        function Run(ctx)
          return {lib.mine, lib == again, deep, none, package.loaded["deep.part"], type(require("inspect"))}
        end
        """,
        libraries={"lib-genvm.lua": "return {mine = ...}", "none.lua": "loads = (loads or 0) + 1"},
        lua_path=f"/nowhere/?.lua;{scripts.folder}/?.lua;;{scripts.folder}/more/?/init.lua",
    )
    assert await session.call("Run") == [b"lib-genvm", True, b"deep", True, b"deep", b"table"]


async def test_require_while_a_call_runs(scripts: Scripts) -> None:
    session = await scripts.session(
        "function Run(ctx) return require('late')(ctx) end",
        libraries={"late.lua": "return function(ctx) __dflt.sleep_seconds(0) return ctx.cookie end"},
    )
    assert await session.call("Run") == b"c1"


@pytest.mark.parametrize(
    ("libraries", "text"),
    [
        ({"a.lua": "require('b')", "b.lua": "require('a')"}, "loop while loading module 'a'"),
        ({"a.lua": "x = = 1"}, r"a\.lua:1: unexpected symbol"),
        ({"a.lua": "\nerror('bad')"}, r"a\.lua:2: bad"),
        ({"a.lua": "\x1bLua"}, "binary"),
        ({"a.lua": "--" + "x" * (5 << 20)}, "larger than"),
    ],
)
async def test_modules_that_cannot_be_loaded(scripts: Scripts, libraries: dict[str, str], text: str) -> None:
    with pytest.raises(ScriptLoadError, match=text):
        await scripts.pool("require('a')", libraries=libraries)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "", "a b", "a\\0", "..", "....etc.passwd"])
async def test_only_lua_path_can_be_read(scripts: Scripts, name: str) -> None:
    (scripts.folder.parent / "secret.lua").write_text("return 'secret'")
    session = await scripts.session(f"function Run(ctx) return require('{name}') end")
    with pytest.raises(ScriptError, match=r"a module's name has letters|not found"):
        await session.call("Run")


async def test_a_pipe_is_no_module(scripts: Scripts) -> None:
    os.mkfifo(scripts.folder / "pipe.lua")
    session = await scripts.session("function Run(ctx) return require('pipe') end")
    with pytest.raises(ScriptError, match="not a file"):
        await session.call("Run")


# --- value2json, inspect --------------------------------------------------------------------------


async def test_value2json(run_lua: RunLua) -> None:
    body = """
      local v = require("value2json")
      local shared, circle = {1}, {}
      circle.me = circle
      return {v({a = shared, b = {shared}, list = {1, "x", false}}), v(circle), v("s"), v({[true] = 1}),
        v(rs.json_parse("[36893488147419103232]")), v({f = print, again = print, other = coroutine.create(print)})}
    """
    found = [json.dumps(readable(value), sort_keys=True) for value in (await run_lua(body))[:5]]
    # Which of two places comes first is Lua's choice.
    first = '{"a": {"$id": 1, "1": 1}, "b": [{"$table": 1}], "list": [1, "x", false]}'
    second = '{"a": {"$table": 1}, "b": [{"$id": 1, "1": 1}], "list": [1, "x", false]}'
    assert found[0] in (first, second)
    assert found[1:] == ['{"$id": 1, "me": {"$table": 1}}', '"s"', '{"true": 1}', '["36893488147419103232"]']


async def test_inspect(run_lua: RunLua) -> None:
    body = """
      local inspect = require("inspect")
      local t = {1, "two", {3, x = true}, key = "v\\n\\"", ["not a name"] = 1.5, ["end"] = 0, [10] = print}
      t.self = t
      return inspect(t), inspect.inspect
    """
    assert (await run_lua(body)).decode() == (
        '<1>{ 1, "two", { 3,\n    x = true\n  },\n  [10] = <function 2>,\n  ["end"] = 0,\n  key = "v\\n\\"",\n'
        '  ["not a name"] = 1.5,\n  self = <table 1>\n}'
    )
    for code, text in {
        "nil": "nil",
        "{rs.json_parse('36893488147419103232')}": "{ 36893488147419103232 }",
        "{}": "{}",
        "{1, 2}": "{ 1, 2 }",
        "'a\\0b'": '"a\\000b"',
        "{{{}}}, {depth = 1}": "{ {...} }",
        "{a = 1, b = 2}, {newline = '', indent = ''}": "{a = 1,b = 2}",
        "setmetatable({}, {x = 1})": "{\n  <metatable> = {\n    x = 1\n  }\n}",
    }.items():
        assert (await run_lua(f"return require('inspect')({code})")).decode() == text


async def test_helpers_of_lib_genvm(run_lua: RunLua) -> None:
    body = """
      assert(lib.get_first_from_table(nil) == nil and lib.get_first_from_table({}) == nil)
      local first = lib.get_first_from_table({k = 5})
      assert(first.key == "k" and first.value == 5)
      assert(not pcall(lib.get_first_from_table_assert, {}))
      assert(lib.rs == __dflt)
    """
    await run_lua(body)


# --- lib-llm --------------------------------------------------------------------------------------


def _model(**flags: Any) -> dict[str, Any]:
    return {"supports_json": False, "supports_image": False, "use_max_completion_tokens": False, "meta": {}} | flags


LLM: dict[str, Any] = {
    "providers": {
        "z": {"models": {"plain": _model(), "json": _model(supports_json=True)}},
        "a": {"models": {"all": _model(supports_json=True, supports_image=True)}},
        "m": {"models": {"image": _model(supports_image=True)}},
    },
    "order": [["z", ["plain", "json"]], ["a", ["all"]], ["m", ["image"]]],
    "templates": {
        "eq_comparative": {"system": "S1", "user": "#{leader_answer}|#{validator_answer}|#{principle}|#{other}"},
        "eq_non_comparative_leader": {"system": "S2", "user": "#{task}"},
        "eq_non_comparative_validator": {"system": "S3", "user": "#{output}"},
    },
}

_LLM_SCRIPT = """
local llm = require("lib-llm")
function Order(ctx, images, format)
  local result = {}
  for provider, model in llm.in_order(llm.select_providers_for({images = images}, format)) do
    assert(type(model.value.meta) == "table")
    result[#result + 1] = provider .. "/" .. model.key
  end
  return result
end
function Prompt(ctx, args) return llm.exec_prompt_transform(args) end
function Template(ctx, args)
  args.unknown = nil
  return llm.exec_prompt_template_transform(args)
end
function Statuses(ctx)
  local result = {}
  for status in pairs(llm.overloaded_statuses) do result[#result + 1] = status end
  table.sort(result)
  return {result, llm.overloaded_statuses[503.0]}
end
"""


async def test_views_of_providers(scripts: Scripts) -> None:
    session = await scripts.session(_LLM_SCRIPT, globals_={"__llm": LLM})
    assert await session.call("Order", [], "text") == [b"z/plain", b"a/all", b"m/image"]
    assert await session.call("Order", None, "json") == [b"z/json", b"a/all"]
    assert await session.call("Order", [], "bool") == [b"z/json", b"a/all"]
    assert await session.call("Order", [b"x"], "text") == [b"a/all", b"m/image"]
    assert await session.call("Order", [b"x"], "json") == [b"a/all"]
    assert await session.call("Statuses") == [[408, 429, 503, 504, 529], True]


async def test_missing_views_are_logged(scripts: Scripts) -> None:
    await scripts.session(_LLM_SCRIPT, globals_={"__llm": LLM | {"providers": {}, "order": []}})
    records = [record for record in scripts.records() if "no backend" in record["message"]]
    assert [(record["level"], record["log"]["view"]) for record in records] == [
        ("error", "json"),
        ("warn", "image"),
        ("warn", "image and json"),
    ]


async def test_prompts(scripts: Scripts) -> None:
    session = await scripts.session(_LLM_SCRIPT, globals_={"__llm": LLM})
    text = await session.call("Prompt", {"prompt": "#{x} 100%", "response_format": "text", "images": []})
    assert readable(text) == {
        "format": "text",
        "prompt": {"user_message": "#{x} 100%", "temperature": 0.7, "max_tokens": 1000, "images": []},
    }
    json_ = readable(await session.call("Prompt", {"prompt": "p", "response_format": "json", "images": [b"\xff"]}))
    assert json_["format"] == "json"
    assert "JSON" in json_["prompt"]["system_message"]
    assert json_["prompt"]["images"] == [b"\xff"]


async def test_templates(scripts: Scripts) -> None:
    session = await scripts.session(_LLM_SCRIPT, globals_={"__llm": LLM})
    arguments = {"leader_answer": "100% #{principle}", "validator_answer": "%1", "principle": "same"}
    found = readable(await session.call("Template", {"template": "EqComparative", **arguments}))
    assert found == {
        "format": "bool",
        "prompt": {
            "system_message": "S1",
            "user_message": "100% #{principle}|%1|same|#{other}",
            "temperature": 0.7,
            "max_tokens": 1000,
        },
    }
    found = readable(await session.call("Template", {"template": "EqNonComparativeLeader", "task": "t"}))
    assert (found["format"], found["prompt"]["user_message"]) == ("text", "t")
    found = readable(await session.call("Template", {"template": "EqNonComparativeValidator", "output": "o"}))
    assert (found["format"], found["prompt"]["system_message"]) == ("bool", "S3")
    with pytest.raises(ScriptError, match="unknown template `Other`"):
        await session.call("Template", {"template": "Other"})


# --- lib-web --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "cause", "ctx"),
    [
        ("https://example.com/x", None, {}),
        ("https://example.com:443/", None, {}),
        ("http://example.com:443/", None, {}),
        ("http://EXAMPLE.COM", None, {}),
        ("http://allowed:8080/", None, {}),
        ("ftp://allowed/", "SCHEMA_FORBIDDEN", {"schema": "ftp"}),
        ("example.com", "MALFORMED_URL", {}),
        ("", "MALFORMED_URL", {}),
        ("file:///etc/passwd", "SCHEMA_FORBIDDEN", {"schema": "file"}),
        ("https://example.com:8443/", "PORT_FORBIDDEN", {"port": 8443}),
        ("https://127.0.0.1:8443/", "PORT_FORBIDDEN", {"port": 8443}),
        ("https://127.0.0.1/", "TLD_FORBIDDEN", {"tld": "1"}),
        ("http://[::1]/", "TLD_FORBIDDEN", {"tld": "[::1]"}),
        ("http://localhost/", "TLD_FORBIDDEN", {"tld": "localhost"}),
        ("http://example.com./", "TLD_FORBIDDEN", {"tld": ""}),
        ("http://2130706433/", "TLD_FORBIDDEN", {"tld": "1"}),
    ],
)
async def test_check_url(scripts: Scripts, url: str, cause: str | None, ctx: dict[str, Any]) -> None:
    web = {"config": {"always_allow_hosts": ["allowed"]}, "allowed_tld": {"com": True}}
    session = await scripts.session(
        "local web = require('lib-web') function Check(ctx, url) web.check_url(url) end", globals_={"__web": web}
    )
    if cause is None:
        await session.call("Check", url)
        return
    with pytest.raises(ModuleError) as raised:
        await session.call("Check", url)
    assert (raised.value.causes, raised.value.fatal, raised.value.ctx) == ([cause], False, {"url": url, **ctx})
