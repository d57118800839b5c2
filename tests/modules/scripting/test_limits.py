"""Scripts that loop or allocate for ever end with a clear error, and the next request works."""

from __future__ import annotations

import asyncio
import time

import pytest

from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.scripting.pool import ScriptError, ScriptSession, SessionContext

from .conftest import Scripts, open_session

_NEXT = "function Next(ctx) return 'works' end\n"

#: What uses up the instructions.
LOOPS = {
    "plain": "while true do end",
    "that catches": "while true do pcall(function() while true do end end) end",
    "in a coroutine": "local co = coroutine.create(function() while true do end end) return coroutine.resume(co)",
    "in coroutines for ever": "while true do coroutine.wrap(function() while true do end end)() end",
    "in a caught coroutine": "while true do pcall(coroutine.wrap(function() while true do end end)) end",
    "in a handler": "return xpcall(error, function() while true do end end)",
    "in a metamethod": "return setmetatable({}, {__index = function() while true do end end}).x",
    "in tostring": "return tostring(setmetatable({}, {__tostring = function() while true do end end}))",
    "in a comparator": "table.sort({1, 2, 3}, function() while true do end end)",
    "in a replacement": "return (string.gsub('abc', '.', function() while true do end end))",
    "in loaded text": "return load('while true do end')()",
    "in a reader": "return load(function() while true do end end)",
    "that recurses": "local function f() return f() end return f()",
    "with goto": "::again:: goto again",
    "over a metatable": "for _ in pairs(setmetatable({}, {__pairs = function() while true do end end})) do end",
}

#: What ends otherwise: the code, and a part of the error.
OTHERS = {
    "a deep recursion": ("local function f() return 1 + f() end return f()", "stack overflow"),
    "a finaliser": ("setmetatable({}, {__gc = function() while true do end end})", "__gc"),
    "bytecode": ("return assert(load('\\27Lua'))", "attempt to load a binary chunk"),
    "dump": ("return string.dump(print)", "attempt to call"),
    "dump of the metatable": ("return ('').dump(print)", "attempt to call"),
    "a huge move": ("table.move({}, 1, 1 << 40, 1)", "too many elements"),
    "a huge remove": (
        "table.remove(setmetatable({}, {__len = function() return 1 << 40 end}), 1)",
        "too many elements",
    ),
    "a huge insert": (
        "table.insert(setmetatable({}, {__len = function() return 1 << 40 end}), 1, 1)",
        "too many elements",
    ),
    "a yield of its own": ("coroutine.yield(1)", "yields outside of a coroutine"),
    "a result with a function": ("return {print}", "a function has no meaning"),
    "a result in a circle": ("local t = {} t.t = t return t", "levels deep"),
    "a result of many circles": ("local t = {} t.a = t t.b = t return t", "instructions|levels deep"),
    "an argument in a circle": ("local t = {} t.t = t __dflt.json_stringify(t)", "levels deep"),
    "what its length calls a list": (
        """
        local keys = {}
        for i = 0, 60 do keys[#keys + 1] = "[" .. (3 << i) .. "] = 1" end
        local t = load("return {1, 2, " .. table.concat(keys, ", ") .. "}")()
        assert(#t > 1 << 60)
        return t
        """,
        "",
    ),
    "a sparse list": ("return {[1] = 1, [1 << 62] = 2}", ""),
}

MEMORY = {
    "a string that doubles": "local s = 'x' while true do s = s .. s end",
    "a repeated string": "return #string.rep('x', 1 << 30)",
    "a table": "local t = {} while true do t[#t + 1] = {} end",
    "in concat": "local t = {} for i = 1, 100 do t[i] = ('x'):rep(1000000) end return #table.concat(t)",
    "kept": "hog = {} while true do hog[#hog + 1] = ('x'):rep(1000) .. #hog end",
    "with host functions": "hog = {} while true do hog[#hog + 1] = __dflt.base64_encode(('x'):rep(100000) .. #hog) end",
    "kept, then parsed": """
      hog = hog or {}
      pcall(function() while true do hog[#hog + 1] = ('x'):rep(10000) .. #hog end end)
      pcall(function() while true do hog[#hog + 1] = #hog end end)
      while true do hog[#hog + 1] = __dflt.json_parse('["' .. ('x'):rep(100) .. '"]') end
    """,
}


async def _works(session: ScriptSession) -> None:
    assert await session.call("Next") == b"works"


def _script(bodies: dict[str, str]) -> str:
    return _NEXT + "".join(f"function F{i}(ctx)\n{body}\nend\n" for i, body in enumerate(bodies.values()))


async def test_loops_are_cut_off(scripts: Scripts) -> None:
    pool = await scripts.pool(_script(LOOPS), instructions=2_000_000)
    session = await open_session(pool)
    process = pool.pids
    for index, name in enumerate(LOOPS):
        with pytest.raises(ScriptError, match="used up its 2000000 instructions"):
            await session.call(f"F{index}")
        await _works(session)
        assert pool.pids == process, name


async def test_other_attacks_fail_clearly(scripts: Scripts) -> None:
    pool = await scripts.pool(_script({name: code for name, (code, _) in OTHERS.items()}), instructions=5_000_000)
    session = await open_session(pool)
    process = pool.pids
    for index, (name, (_, message)) in enumerate(OTHERS.items()):
        if message:
            with pytest.raises(ScriptError, match=message):
                await session.call(f"F{index}")
        else:
            await session.call(f"F{index}")
        await _works(session)
        assert pool.pids == process, name


async def test_memory_is_limited(scripts: Scripts) -> None:
    session = await scripts.session(_script(MEMORY), memory_bytes=16 << 20, instructions=1 << 40)
    for index, name in enumerate(MEMORY):
        with pytest.raises(ScriptError, match=r"(out of|keeps too much) memory"):
            await session.call(f"F{index}")
        assert await session.call("Next") == b"works", name


@pytest.mark.slow
async def test_host_functions_at_the_limit_of_memory(scripts: Scripts) -> None:
    """Whatever passes between Python and a machine without memory: an error at most, never an end or a standstill."""
    session = await scripts.session(
        """
        local keep, chain
        local calls = {
          function() return __dflt.base64_encode(("x"):rep(1000)) end,
          function() return __dflt.json_parse('{"a": [1, 2, {"b": null}]}') end,
          function() return __dflt.json_parse("{") end,
          function() return __dflt.log_json({message = "x", y = {1}}) end,
          function() return __test.big() end,
          function() return __test.bad() end,
          function() return coroutine.wrap(__test.big)() end,
          function() return require("nothing" .. #keep) end,
          function() return __dflt.user_error({causes = {"A"}}) end,
          function() return load("return 1")() end,
        }
        function Count(ctx) return #calls end
        function Run(ctx, which, size)
          keep = {}
          pcall(function() while true do keep[#keep + 1] = string.rep("x", size) .. #keep end end)
          -- To the last byte: a table that grows leaves room.
          pcall(function() while true do chain = {chain} end end)
          for _ = 1, 20 do pcall(calls[which]) end
        end
        function Next(ctx) keep, chain = nil, nil return "works" end
        """,
        functions={"__test.big": _big, "__test.bad": _bad},
        memory_bytes=3 << 20,
        slice_seconds=5.0,
    )
    for which in range(1, await session.call("Count") + 1):
        for size in (10, 10_000):
            (result,) = await asyncio.gather(session.call("Run", which, size), return_exceptions=True)
            assert result is None or "out of memory" in str(result), which
            await _works(session)


async def _big(_context: SessionContext) -> list[object]:
    return ["x" * 100_000, {"a": [1] * 1000}]


async def _bad(_context: SessionContext) -> None:
    raise ModuleError("BAD", ctx={"text": "x" * 100_000})


@pytest.mark.parametrize(
    "body",
    [
        "string.find(('a'):rep(200), ('a-'):rep(20) .. 'b')",
        "string.gsub(('x'):rep(1000000), '.-.-b', '')",
        "string.match(('.'):rep(100000), '.-.-.-b')",
        # Each round collects garbage, and takes few instructions.
        "local t = {} local function f() while true do t[#t + 1] = {} end end while true do pcall(f) end",
    ],
)
async def test_what_cannot_be_stopped_costs_its_process(scripts: Scripts, body: str) -> None:
    pool = await scripts.pool(
        _NEXT + f"function Endless(ctx) {body} end\nfunction Wait(ctx) __dflt.sleep_seconds(60) end",
        slice_seconds=0.5,
    )
    session, other = await open_session(pool), await open_session(pool)
    (process,) = pool.pids
    waiting = asyncio.create_task(other.call("Wait"))
    await asyncio.sleep(0)
    begin = time.monotonic()
    with pytest.raises(ScriptError, match=r"the script ran for more than 0.5 s without a pause"):
        await session.call("Endless")
    assert time.monotonic() - begin >= 0.5
    # Who shares the machine is told why.
    with pytest.raises(ScriptError, match=r"because another call took more than 0.5 s"):
        await waiting
    await _works(session)
    await _works(other)
    assert pool.pids != [process]


async def test_a_flood_of_records_is_cut(scripts: Scripts) -> None:
    session = await scripts.session(
        _NEXT + "function Flood(ctx) for i = 1, 100000 do print(('x'):rep(100)) end return 1 end"
    )
    assert await session.call("Flood") == 1
    records = [record for record in scripts.records() if record["message"].startswith("script_log")]
    assert sum(record["message"].count("x") for record in records) <= limits.SCRIPT_LOG_BYTES
    assert [record["message"] for record in records if "x" not in record["message"]] == [
        "script_log: further records of this call are left out"
    ]
    assert records[-1]["level"] == "warn"
    # The next call has its own.
    assert await session.call("Flood") == 1


async def test_a_huge_record_fails(scripts: Scripts) -> None:
    session = await scripts.session(
        _NEXT + "function Huge(ctx) return pcall(__dflt.log_json, {message = ('x'):rep(1 << 20)}) end"
    )
    assert await session.call("Huge") is False
    await _works(session)


async def test_values_are_bounded(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await scripts.session(
        _NEXT
        + """
        function Big(ctx) local s = ('x'):rep(60 << 20) return {s, s} end
        function Argument(ctx) local s = ('x'):rep(60 << 20) __dflt.sleep_seconds(0, s, s) end
        """
    )
    for function in ("Big", "Argument"):
        with pytest.raises(ScriptError, match="the value is larger than"):
            await session.call(function)
        await _works(session)
    monkeypatch.setattr(limits, "SCRIPT_VALUE_BYTES", 1000)
    with pytest.raises(ScriptError, match="too large for a script"):
        await session.call("Next", "x" * 1000)
    await _works(session)


async def test_waits_are_bounded(scripts: Scripts) -> None:
    session = await scripts.session(_NEXT + "function Busy(ctx) while true do __dflt.sleep_seconds(0) end end")
    with pytest.raises(ScriptError, match=f"the script has waited {limits.SCRIPT_HOST_CALLS_MAX} times"):
        await session.call("Busy")
    await _works(session)


async def test_calls_are_bounded(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await scripts.session(_NEXT + "function Wait(ctx) __dflt.sleep_seconds(60) end")
    monkeypatch.setattr(limits, "SCRIPT_CALLS_MAX", 3)
    waiting = [asyncio.create_task(session.call("Wait")) for _ in range(3)]
    await asyncio.sleep(0.05)
    with pytest.raises(ScriptError, match="has 3 calls already"):
        await session.call("Next")
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    await _works(session)


async def test_instructions_count_over_all_slices(scripts: Scripts) -> None:
    session = await scripts.session(
        _NEXT
        + """
        function Slowly(ctx)
          for i = 1, 1000 do
            for j = 1, 100000 do end
            __dflt.sleep_seconds(0)
          end
        end
        """,
        instructions=3_000_000,
    )
    with pytest.raises(ScriptError, match="used up its 3000000 instructions"):
        await session.call("Slowly")
    await _works(session)


async def test_one_call_does_not_take_the_instructions_of_another(scripts: Scripts) -> None:
    pool = await scripts.pool(
        "function Work(ctx) for i = 1, 20 do for j = 1, 40000 do end __dflt.sleep_seconds(0.001) end return 1 end",
        instructions=2_000_000,
    )
    sessions = [await open_session(pool) for _ in range(10)]
    assert await asyncio.gather(*(session.call("Work") for session in sessions)) == [1] * 10
