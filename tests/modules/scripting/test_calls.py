"""Calls of scripts: values there and back, errors, sessions that interleave."""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.scripting.pool import ScriptError, ScriptLoadError, SessionContext
from tests.support.properties import examples

from .conftest import HOST_DATA, Scripts, open_session

# --- values ---------------------------------------------------------------------------------------

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.binary() | st.text()
_VALUES = st.recursive(
    _SCALARS,
    lambda items: st.lists(items, max_size=5) | st.dictionaries(st.text(), items, max_size=5),
    max_leaves=20,
)


def _as_lua(value: Any) -> Any:
    """What comes back from Lua for ``value``: all strings as bytes."""
    match value:
        case str():
            return value.encode()
        case dict():
            return {_as_lua(key): _as_lua(item) for key, item in value.items()}
        case list():
            return [_as_lua(item) for item in value]
    return value


def test_values_come_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Null members, empty lists and maps, integers of any size and any bytes survive the passage through Lua."""
    scripts = None
    with asyncio.Runner() as runner:

        async def start() -> Any:
            nonlocal scripts
            scripts = Scripts(tmp_path_factory.mktemp("scripts"))
            session = await scripts.session("function Echo(ctx, value) return value end")
            return lambda value: session.call("Echo", value)

        echo = runner.run(start())

        @examples(300, suppress_health_check=list(HealthCheck))
        @given(_VALUES)
        def check(value: Any) -> None:
            expected = _as_lua(value)
            found = runner.run(echo(value))
            assert found == expected
            assert _kinds(found) == _kinds(expected)

        try:
            check()
        finally:
            assert scripts is not None
            runner.run(scripts.close())


def _kinds(value: Any) -> Any:
    match value:
        case dict():
            return {key: _kinds(item) for key, item in value.items()}
        case list():
            return [_kinds(item) for item in value]
    return type(value)


CODE: list[tuple[str, Any]] = [
    ("{}", {}),
    ("{1, 2, 3}", [1, 2, 3]),
    ("{1, 2, nil, 4}", [1, 2, None, 4]),
    ("{a = 1, [1] = 2}", {b"a": 1, 1: 2}),
    ("{[5] = 1}", {5: 1}),
    ("3 // 1", 3),
    ("3 / 1", 3.0),
    ("2^53", 2.0**53),
    ("math.maxinteger", (1 << 63) - 1),
    ("math.mininteger", -(1 << 63)),
    ("'\\xff\\0'", b"\xff\0"),
    ("('x'):rep(300)", b"x" * 300),
    ("1/0", math.inf),
    ("nil", None),
    ("false", False),
]


async def test_values_of_scripts(scripts: Scripts) -> None:
    session = await scripts.session("function Run(ctx, code) return load('return ' .. code)() end")
    for code, expected in CODE:
        found = await session.call("Run", code)
        assert found == expected
        assert type(found) is type(expected)


async def test_null_is_nil_to_scripts_and_comes_back(run_lua: Callable[..., Any]) -> None:
    body = """
      local value = ...
      assert(value.a == nil and value.list[3] == nil and next(value.only) == nil)
      value.b = nil       -- taken out
      value.filled = 5    -- was null
      value.list[#value.list + 1] = 4
      return value
    """
    value = {"a": None, "b": 1, "filled": None, "only": {"x": None}, "list": [1, 2, None]}
    assert await run_lua(body, value) == {
        b"a": None,
        b"filled": 5,
        b"only": {b"x": None},
        b"list": [1, 2, 4],
    }


async def test_a_list_stays_a_list(run_lua: Callable[..., Any]) -> None:
    body = "local l = ... table.remove(l) assert(#l == 0) return {l = l, given = {}}"
    assert await run_lua(body, [1]) == {b"l": [], b"given": {}}


async def test_integers_above_64_bits(run_lua: Callable[..., Any]) -> None:
    body = """
      local big, same, more = ...
      assert(big == same and big < more and more > 5 and 1 < big and not (big > more))
      assert(tostring(big) == "1180591620717411303424" and big .. "x" == "1180591620717411303424x")
      assert(big + 1 == 2.0^70 and big / 2 == 2.0^69 and -big == -2.0^70)
      return {big, rs.json_stringify({n = big}), rs.json_parse("[123456789012345678901234567890]")[1]}
    """
    value = 1 << 70
    assert await run_lua(body, value, value, value + 1) == [
        value,
        b'{"n":1180591620717411303424}',
        123456789012345678901234567890,
    ]


async def test_a_forged_integer_is_refused(run_lua: Callable[..., Any]) -> None:
    with pytest.raises(ScriptError, match="an integer is broken"):
        await run_lua("local big = ... big.decimal = '1; drop' return big", 1 << 70)


async def test_tables_are_real(run_lua: Callable[..., Any]) -> None:
    body = """
      local args = ...
      args.template = nil
      args.prompt.x = 1
      for i, v in ipairs(args.list) do args.list[i] = v * 2 end
      table.sort(args.list, function(a, b) return a > b end)
      assert(getmetatable(args) == nil and type(args.list) == "table")
      return args
    """
    assert await run_lua(body, {"template": "t", "prompt": {}, "list": [1, 3, 2]}) == {
        b"prompt": {b"x": 1},
        b"list": [6, 4, 2],
    }


# --- ctx ------------------------------------------------------------------------------------------


async def test_ctx_lives_as_long_as_the_session(scripts: Scripts) -> None:
    pool = await scripts.pool(
        """
        function Get(ctx)
          ctx.count = (ctx.count or 0) + 1
          return {cookie = ctx.cookie, host_data = ctx.host_data, count = ctx.count,
            handles = type(ctx.__ctx_dflt) .. type(ctx.__ctx_llm)}
        end
        """
    )
    one, two = await open_session(pool, "one"), await open_session(pool, "two", host_data=HOST_DATA | {"n": [1]})
    assert await one.call("Get") == {
        b"cookie": b"one",
        b"host_data": {b"node_address": b"0xA1", b"tx_id": b"0x22"},
        b"count": 1,
        b"handles": b"tabletable",
    }
    assert (await two.call("Get"))[b"host_data"][b"n"] == [1]
    assert (await one.call("Get"))[b"count"] == 2
    await one.close()
    assert (await two.call("Get"))[b"count"] == 2


async def test_sessions_are_spread_over_the_machines(scripts: Scripts) -> None:
    pool = await scripts.pool("n = 0 function Count(ctx) n = n + 1 return n end", vm_count=3)
    assert len(set(pool.pids)) == 3
    counts = [await (await open_session(pool)).call("Count") for _ in range(60)]
    assert 1 < max(counts) < 60


# --- errors ---------------------------------------------------------------------------------------


async def test_errors_have_file_and_line(scripts: Scripts) -> None:
    session = await scripts.session(
        'local helper = require("helper")\n'
        "function Index(ctx)\n  local x\n  return x.y\nend\n"
        "function Helper(ctx) helper() end\n"
        "function Host(ctx)\n  local s = __dflt.json_stringify(print)\nend\n"
        "function Wait(ctx)\n\n  __dflt.sleep_seconds('x')\nend\n"
        "function Table(ctx) error({causes = {'A'}}) end\n"
        "function Nothing(ctx) error() end\n",
        libraries={"helper.lua": "return function()\n  error('no help')\nend"},
    )
    for function, text in {
        "Index": r"script\.lua:4: attempt to index a nil value \(local 'x'\)",
        "Helper": r"helper\.lua:2: no help",
        "Host": r"script\.lua:8: a function has no meaning outside",
        "Wait": r"script\.lua:12: sleep_seconds: a number is expected",
        # Not made by user_error: no structured error, as everywhere else.
        "Table": r"the script raised \{'causes': \['A'\]\}",
        "Nothing": "nil",
        "Missing": "function `Missing` is missing",
    }.items():
        with pytest.raises(ScriptError, match=text):
            await session.call(function)


async def test_structured_errors_pass_through_everything(scripts: Scripts) -> None:
    session = await scripts.session(
        """
        local lib = require("lib-genvm")
        local function raise()
          local ctx = {n = 1, b = "\\xff", t = {}}
          lib.rs.user_error({causes = {"CODE", "more"}, fatal = false, ctx = ctx, message = "ignored"})
        end
        function Plain(ctx) raise() end
        function Pcall(ctx)
          local ok, e = pcall(raise)
          assert(not ok and type(e) == "table" and tostring(e) == "ModuleError: CODE: more")
          error(e, 0)
        end
        function Nested(ctx)
          local ok, e = pcall(pcall, raise)
          ok, e = pcall(function() local _, inner = pcall(raise) error(inner) end)
          error(e)
        end
        function Coroutine(ctx)
          local ok, e = coroutine.resume(coroutine.create(raise))
          error(e, 0)
        end
        function Wrap(ctx) coroutine.wrap(function() coroutine.wrap(raise)() end)() end
        function Xpcall(ctx) local _, e = xpcall(raise, function(e) return e end) error(e) end
        function Changed(ctx)
          local _, e = pcall(raise)
          local u = lib.rs.as_user_error(e)
          u.causes[1], u.ctx.n = "OTHER", 2
          lib.rs.user_error(u)
        end
        function Fatal(ctx) local _, e = pcall(raise) lib.reraise_with_fatality(e, true) end
        function Untouched(ctx)
          local _, e = pcall(error, "text", 0)
          assert(lib.rs.as_user_error(e) == nil and lib.rs.as_user_error({causes = {}}) == nil)
          lib.reraise_with_fatality(e, true)
        end
        function Forged(ctx)
          local _, e = pcall(raise)
          e.causes = setmetatable({}, {__index = function() return "x" end})
          e.ctx = print
          assert(tostring(e) == "ModuleError: ")
          e.ctx, e.fatal = 5, "yes"
          error(e)
        end
        function Default(ctx)
          local _, e = pcall(lib.rs.user_error, {causes = {"A"}})
          assert(lib.rs.as_user_error(e).fatal == false)
          error(e)
        end
        """
    )
    plain = ModuleError(["CODE", "more"], fatal=False, ctx={"n": 1, "b": b"\xff", "t": {}})
    for function in ("Plain", "Pcall", "Nested", "Coroutine", "Wrap", "Xpcall"):
        with pytest.raises(ModuleError) as raised:
            await session.call(function)
        assert vars(raised.value) == vars(plain), function
    with pytest.raises(ModuleError) as raised:
        await session.call("Changed")
    assert (raised.value.causes, raised.value.ctx["n"]) == (["OTHER", "more"], 2)
    with pytest.raises(ModuleError) as raised:
        await session.call("Fatal")
    assert raised.value.fatal
    with pytest.raises(ModuleError) as raised:
        await session.call("Forged")
    assert vars(raised.value) == vars(ModuleError("UNKNOWN", fatal=False))
    with pytest.raises(ModuleError) as raised:
        await session.call("Default")
    assert (raised.value.fatal, raised.value.ctx) == (False, {})
    with pytest.raises(ScriptError, match=r"^text$"):
        await session.call("Untouched")


async def test_a_structured_error_whose_ctx_cannot_be_sent(scripts: Scripts) -> None:
    session = await scripts.session(
        "function Bad(ctx) __dflt.user_error({causes = {'A'}, ctx = {f = print}}) end function Next(ctx) return 1 end"
    )
    with pytest.raises(ScriptError, match="ModuleError: A: its ctx cannot be sent: a function has no meaning"):
        await session.call("Bad")
    assert await session.call("Next") == 1


# --- host functions that wait ---------------------------------------------------------------------


async def test_host_functions(scripts: Scripts) -> None:
    seen: list[Any] = []
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def ask(context: SessionContext, *arguments: Any) -> Any:
        seen.append((context.cookie, variable.get(), *arguments))
        await asyncio.sleep(0)
        if arguments[0] == b"structured":
            raise ModuleError("HOST", fatal=True, ctx={"status": 503})
        if arguments[0] == b"text":
            raise ScriptError("absent provider_id `x`")
        if arguments[0] == b"bug":
            raise KeyError("who")
        return {"answer": [None, "é"]}

    session = await scripts.session(
        """
        function Ask(ctx, ...) local answer = __test.deep.ask(ctx, ...) return answer end
        function Handle(ctx) return __test.deep.ask(ctx.__ctx_dflt, "x") end
        function Caught(ctx, what)
          local ok, e = pcall(__test.deep.ask, ctx, what)
          local u = __dflt.as_user_error(e)
          return u and {u.causes, u.fatal, u.ctx} or e
        end
        """,
        functions={"__test.deep.ask": ask},
        globals_={"__test": {"deep": {"other": 1}}},
    )
    variable.set("mine")
    assert await session.call("Ask", "a", None, 1) == {b"answer": [None, "é".encode()]}
    await session.call("Handle")
    # Without the ctx, and in the context of the caller.
    assert seen == [("c1", "mine", b"a", None, 1), ("c1", "mine", b"x")]
    assert await session.call("Caught", "structured") == [[b"HOST"], True, {b"status": 503}]
    assert await session.call("Caught", "text") == b"absent provider_id `x`"
    assert await session.call("Caught", "bug") == b"__test.deep.ask: KeyError: 'who'"
    with pytest.raises(ScriptError, match=r"script\.lua:2: absent provider_id `x`"):
        await session.call("Ask", "text")
    with pytest.raises(ModuleError, match="HOST"):
        await session.call("Ask", "structured")


async def test_waiting_works_nearly_everywhere(scripts: Scripts) -> None:
    session = await scripts.session(
        """
        local function wait() __dflt.sleep_seconds(0.001) return 1 end
        local waiting = setmetatable({}, {
          __index = wait, __eq = function() return wait() == 1 end, __concat = function() return tostring(wait()) end,
          __lt = function() return wait() == 1 end, __call = wait,
        })
        function Everywhere(ctx)
          local n = 0
          n = n + waiting.x + waiting()
          if waiting == setmetatable({}, getmetatable(waiting)) and waiting < 1 then n = n + #(waiting .. "") end
          n = n + select(2, pcall(wait)) + select(3, pcall(pcall, wait))
          n = n + select(2, xpcall(wait, print))
          for x in function(_, last) if not last then return wait() end end do n = n + x end
          local co = coroutine.wrap(function() for i = 1, 2 do coroutine.yield(wait()) end return wait() end)
          n = n + co() + co() + co()
          n = n + coroutine.wrap(function() return coroutine.wrap(wait)() end)()
          return n
        end
        function Sort(ctx) table.sort({1, 2, 3}, wait) end
        function Replace(ctx) return (string.gsub("a", "a", wait)) end
        """
    )
    assert await session.call("Everywhere") == 11
    for function in ("Sort", "Replace"):
        with pytest.raises(ScriptError, match="attempt to yield across a C-call boundary"):
            await session.call(function)


async def test_sessions_interleave(scripts: Scripts) -> None:
    pool = await scripts.pool(
        """
        running, most = 0, 0
        function Wait(ctx, i)
          running = running + 1
          if running > most then most = running end
          __dflt.sleep_seconds(0.01)
          running = running - 1
          return i
        end
        function Most(ctx) return most end
        """
    )
    sessions = [await open_session(pool, str(i)) for i in range(100)]
    assert await asyncio.gather(*(session.call("Wait", i) for i, session in enumerate(sessions))) == list(range(100))
    assert await sessions[0].call("Most") == 100


async def test_a_slow_host_function_does_not_hold_others_up(scripts: Scripts) -> None:
    gates = [asyncio.Event() for _ in range(3)]

    async def wait(_context: SessionContext, number: int) -> None:
        await gates[number].wait()

    pool = await scripts.pool("function Wait(ctx, i) __test.wait(i) return i end", functions={"__test.wait": wait})
    calls = [asyncio.create_task((await open_session(pool)).call("Wait", number)) for number in range(3)]
    for number in reversed(range(3)):
        gates[number].set()
        assert await calls[number] == number
        assert [call.done() for call in calls] == [other >= number for other in range(3)]


async def test_a_call_that_nobody_waits_for_ends(scripts: Scripts) -> None:
    ended = asyncio.Event()

    async def for_ever(_context: SessionContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    session = await scripts.session(
        """
        gone = setmetatable({}, {__mode = "k"})
        function Wait(ctx) local t = {} gone[t] = true __test.for_ever() return t end
        function Left(ctx)
          for _ = 1, 100000 do local garbage = {} end
          local n = 0
          for _ in pairs(gone) do n = n + 1 end
          return n
        end
        """,
        functions={"__test.for_ever": for_ever},
    )
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await session.call("Wait")
    assert ended.is_set()
    assert await session.call("Left") == 0  # its coroutine is garbage


# --- loading --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("x = = 1", r"script\.lua:1: unexpected symbol near '='"),
        ("\nlocal x = nil\nx.y = 1", r"script\.lua:3: attempt to index a nil value"),
        ("function Other(ctx) end", r"script\.lua: function `Run` is missing"),
        ("Run = 5", r"script\.lua: function `Run` is missing"),
        ("while true do end", "used up its"),
        ("local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end", "out of memory"),
        ("__dflt.user_error({causes = {'NO', 'WAY'}})", r"script\.lua: NO: WAY"),
        ("__dflt.sleep_seconds(1)", r"script\.lua:1: .*sleep_seconds is not available while the script is loaded"),
        ("require('nowhere')", r"script\.lua:1: module 'nowhere' not found:\n\tno file '.*/nowhere\.lua'"),
        ("require('../script')", r"script\.lua:1: a module's name has letters"),
        ("\x1bLua", "attempt to load a binary chunk"),
    ],
)
async def test_a_script_that_cannot_be_loaded(scripts: Scripts, source: str, text: str) -> None:
    with pytest.raises(ScriptLoadError, match=text):
        await scripts.pool(source, required=("Run",), instructions=50_000_000, memory_bytes=16 << 20, vm_count=2)


async def test_a_script_that_is_not_there(scripts: Scripts) -> None:
    for name, text in {"nowhere.lua": "nowhere.lua: no such file", ".": "not a file"}.items():
        with pytest.raises(ScriptLoadError, match=text):
            await scripts.pool("", script=scripts.folder / name)


async def test_stray_globals_and_assignable_libraries(scripts: Scripts) -> None:
    session = await scripts.session(
        """
        my_data = {n = 1}
        local lib = require("lib-genvm")
        local before = lib.get_first_from_table
        lib.get_first_from_table = function(t) calls = (calls or 0) + 1 return before(t) end
        string.trim = function(s) return (s:gsub("^%s+", "")) end
        function Run(ctx)
          local first = lib.get_first_from_table_assert(my_data)
          return {_G.my_data.n, calls, first.key, ("  x"):trim(), load("return my_data.n")()}
        end
        """
    )
    assert await session.call("Run") == [1, 1, b"n", b"x", 1]


async def test_what_scripts_do_not_have(run_lua: Callable[..., Any]) -> None:
    body = """
      local found = {}
      for _, name in ipairs {"os", "io", "debug", "dofile", "loadfile", "collectgarbage", "python", "jit"} do
        if _G[name] ~= nil then found[#found + 1] = name end
      end
      assert(package.loadlib == nil and package.searchers == nil)
      assert(getmetatable("") == false and not pcall(setmetatable, "", {}))
      local ok, e = pcall(rs.user_error, {causes = {"A"}})
      assert(getmetatable(e) == false and not pcall(setmetatable, e, {}))
      local function look(t, seen)
        seen[t] = true
        for k, v in pairs(t) do
          assert(type(v) ~= "userdata", k)
          if type(v) == "table" and not seen[v] then look(v, seen) end
        end
      end
      look(_G, {})
      return found
    """
    assert await run_lua(body) == {}


def test_limits_fit() -> None:
    """A prompt of the executor's largest message, and a page of the largest size, go through a script."""
    assert limits.SCRIPT_BODY_BYTES < limits.SCRIPT_VALUE_BYTES < limits.SCRIPT_FRAME_BYTES
    assert limits.SCRIPT_VALUE_BYTES < limits.SCRIPT_MEMORY_BYTES
