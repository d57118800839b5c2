"""Attempts, turns, order, budgets: what holds whatever a script does."""

from __future__ import annotations

import asyncio
import email.utils
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pygenvm.modules.config import ConfigError
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.llm import turns
from pygenvm.modules.llm.calls import UnknownBackend
from tests.modules.llm.support import backend, calling, chat, document, never, raw, serving, status

MANY = {"attempts": 4, "base_seconds": 0.02, "max_seconds": 0.05}


# --- attempts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 529])
async def test_what_may_pass_is_tried_again(tmp_path: Path, code: int) -> None:
    async with (
        serving(status(code), raw(code, "<p>"), chat("at last")) as server,
        calling(tmp_path, document(a=backend(server.host, retry=MANY))) as running,
    ):
        assert await running.ask() == "at last"
        failed = running.records.all("provider failed")
        answered = running.records.all("prompt answered")
        assert running.caller.requests_count == 3
        assert 0 < running.caller.requests_time_us < 10e6
    assert len(server.got) == 3
    assert [record["attempt"] for record in failed] == [1, 2]
    assert [record["cause"] for record in failed] == ["STATUS_NOT_OK", "READING_BODY"]
    assert {(record["provider"], record["model"], record["attempts"], record["status"]) for record in failed} == {
        ("a", "m", 4, code)
    }
    # Half to all of 0.02 s, then of 0.04 s.
    assert 0.01 <= failed[0]["wait_seconds"] <= 0.02 <= failed[1]["wait_seconds"] <= 0.04
    overloaded = code in (408, 429, 503, 504, 529)
    assert {record["level"] for record in failed} == {"warn" if overloaded else "error"}
    assert [(record["attempt"], record["provider"]) for record in answered] == [(3, "a")]


@pytest.mark.parametrize("code", [400, 401, 403, 404, 413, 422])
async def test_what_will_not_pass_is_not_tried_again(tmp_path: Path, code: int) -> None:
    async with (
        serving(status(code), chat("never asked")) as server,
        calling(tmp_path, document(a=backend(server.host, retry=MANY))) as running,
    ):
        with pytest.raises(ModuleError, match="STATUS_NOT_OK"):
            await running.ask()
        assert running.records.all("provider failed")[0]["wait_seconds"] is None
    assert len(server.got) == 1


async def test_answers_of_no_use_are_not_asked_for_again(tmp_path: Path) -> None:
    async with (
        serving(chat("no JSON")) as server,
        calling(tmp_path, document(a=backend(server.host, retry=MANY))) as running,
    ):
        with pytest.raises(ModuleError, match="MALFORMED_ANSWER"):
            await running.ask(format="json")
        (record,) = running.records.all("provider failed")
    assert len(server.got) == 1
    assert record["level"] == "error"
    assert record["detail"].startswith("problem: the answer is not JSON")


async def test_a_server_that_never_answers_is_asked_once(tmp_path: Path) -> None:
    async with (
        serving(never) as server,
        calling(tmp_path, document(a=backend(server.host, retry=MANY, timeout_seconds=0.1))) as running,
    ):
        with pytest.raises(ModuleError, match="SENDING_REQUEST"):
            await running.ask()
    assert len(server.got) == 1


async def test_nobody_listens_yet(tmp_path: Path) -> None:
    async with serving({}) as gone:
        pass
    async with calling(tmp_path, document(a=backend(gone.host, retry=MANY))) as running:
        with pytest.raises(ModuleError, match="SENDING_REQUEST"):
            await running.ask()
        assert [record["attempt"] for record in running.records.all("provider failed")] == [1, 2, 3, 4]


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_respected(tmp_path: Path, form: str) -> None:
    def later(_request: Any) -> Any:
        value = "1" if form == "seconds" else email.utils.formatdate(time.time() + 1.999, usegmt=True)
        return status(429, Retry_After=value)(_request)

    async with (
        serving(later, chat("x")) as server,
        calling(tmp_path, document(a=backend(server.host, retry=MANY))) as running,
    ):
        began = time.monotonic()
        assert await running.ask() == "x"
        assert 0.9 < time.monotonic() - began < 4
        assert 0.9 < running.records.all("provider failed")[0]["wait_seconds"] <= 2


@pytest.mark.parametrize("value", ["31", "999999999999999999999", "Fri, 31 Dec 2999 23:59:59 GMT"])
async def test_who_wants_to_be_left_alone_for_long_is(tmp_path: Path, value: str) -> None:
    async with (
        serving(status(503, Retry_After=value), chat("never asked")) as server,
        calling(tmp_path, document(a=backend(server.host, retry=MANY))) as running,
    ):
        with pytest.raises(ModuleError, match="STATUS_NOT_OK"):
            await running.ask()
    assert len(server.got) == 1


@pytest.mark.parametrize("value", ["", "soon", "-5", "1.5", "Wed, 99 Foo"])
async def test_a_retry_after_that_is_none(tmp_path: Path, value: str) -> None:
    async with (
        serving(status(503, Retry_After=value), chat("x")) as server,
        calling(tmp_path, document(a=backend(server.host, retry=MANY))) as running,
    ):
        assert await running.ask() == "x"


async def test_names_that_are_not_configured(tmp_path: Path) -> None:
    async with calling(tmp_path, document(a=backend("http://127.0.0.1:1"))) as running:
        with pytest.raises(UnknownBackend, match="absent provider_id `x`"):
            await running.ask("x")


# --- order ----------------------------------------------------------------------------------------


async def test_order_of_the_configuration(tmp_path: Path) -> None:
    config = document(**{name: backend("http://x") for name in "cab"})
    async with calling(tmp_path, config) as running:
        assert running.calls.order(["a", "b", "c", "other"]) == ["c", "a", "b"]
        assert running.calls.order([]) == []


async def test_order_by_weight(tmp_path: Path) -> None:
    config = document(a=backend("http://x", weight=0), b=backend("http://x", weight=6), c=backend("http://x", weight=3))
    async with calling(tmp_path, config | {"seed": 7}) as running:
        orders = [running.calls.order("abc") for _ in range(3000)]
    async with calling(tmp_path, config | {"seed": 7}) as running:
        assert [running.calls.order("abc") for _ in range(3000)] == orders
    assert {order[-1] for order in orders} == {"a"}
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)
    assert 1900 < Counter(order[0] for order in orders)["b"] < 2100


# --- turns ----------------------------------------------------------------------------------------


async def test_calls_of_a_model_at_a_time(tmp_path: Path) -> None:
    async with serving(chat("x")) as server:
        server.seconds = 0.05
        async with calling(tmp_path, document(a=backend(server.host, model={"concurrency": 3}))) as running:
            await asyncio.gather(*(running.ask(caller=running.another()) for _ in range(12)))
    assert len(server.got) == 12
    assert server.most_at_once == 3


async def test_who_waits_too_long_for_a_turn(tmp_path: Path) -> None:
    async with serving(chat("x")) as server:
        server.seconds = 0.5
        config = document(a=backend(server.host, model={"concurrency": 1}, queue_seconds=0.1, retry=MANY))
        async with calling(tmp_path, config) as running:
            first = asyncio.create_task(running.ask())
            await asyncio.sleep(0.05)
            with pytest.raises(ModuleError) as error:
                await running.ask(caller=running.another())
            assert await first == "x"
            assert await running.ask() == "x"
            (record,) = running.records.all("provider failed")
    assert (error.value.causes, error.value.ctx["status"]) == (["RATE_LIMITED"], 429)
    assert (record["level"], record["attempt"], record["wait_seconds"]) == ("warn", 1, None)


async def test_requests_per_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_MINUTE", 0.5)
    async with (
        serving(chat("x")) as server,
        calling(tmp_path, document(a=backend(server.host, model={"requests_per_minute": 4}))) as running,
    ):
        began = time.monotonic()
        moments: list[float] = []

        async def one() -> None:
            await running.ask(caller=running.another())
            moments.append(time.monotonic() - began)

        await asyncio.gather(*(one() for _ in range(10)))
    moments.sort()
    assert moments[3] < 0.4
    assert all(later - earlier > 0.4 for earlier, later in zip(moments, moments[4:], strict=False))


async def test_tokens_per_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_MINUTE", 0.4)
    config_model = {"tokens_per_minute": 100}
    async with (
        serving(chat("x", prompt_tokens=30, completion_tokens=30)) as server,
        calling(tmp_path, document(a=backend(server.host, model=config_model))) as running,
    ):
        began = time.monotonic()
        # 60 tokens, as it turns out; the second does not fit beside them.
        await running.ask(max_tokens=20)
        assert time.monotonic() - began < 0.3
        await running.ask(max_tokens=50)
        assert time.monotonic() - began > 0.35
        # One that is larger than the limit waits until it is alone, and is not refused for ever.
        await running.ask(max_tokens=500)
    assert len(server.got) == 3


async def test_a_limit_that_lasts_too_long_is_refused_at_once(tmp_path: Path) -> None:
    async with serving(chat("x")) as server:
        config = document(a=backend(server.host, model={"requests_per_minute": 1}, queue_seconds=5))
        async with calling(tmp_path, config) as running:
            await running.ask()
            began = time.monotonic()
            with pytest.raises(ModuleError, match="RATE_LIMITED"):
                await running.ask()
            assert time.monotonic() - began < 1


async def test_a_call_that_is_cancelled_gives_its_turn_back(tmp_path: Path) -> None:
    async with serving(never, chat("x")) as server:
        config = document(a=backend(server.host, model={"concurrency": 1, "price": {"request": 1}}), more=BUDGET)
        async with calling(tmp_path, config) as running:
            task = asyncio.create_task(running.ask())
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await running.ask() == "x"
            assert (running.caller.purse.spent, running.caller.purse.reserved) == (1, 0)


# --- money ----------------------------------------------------------------------------------------

#: Per session and day.
BUDGET = {"budget": {"session": 10, "day": 25}}
PRICED = {"price": {"input": 1e6, "output": 2e6, "request": 0.25, "image": 0.5}}


async def test_what_a_call_costs(tmp_path: Path) -> None:
    async with serving(chat("x", prompt_tokens=3, completion_tokens=2)) as server:
        config = document(a=backend(server.host, model=PRICED), more={"gen_per_cost": 10})
        async with calling(tmp_path, config) as running:
            from pygenvm.modules.llm.prompt import Prompt
            from tests.modules.llm.support import PNG

            prompt = Prompt("hi", images=(PNG, PNG))
            outcome = await running.calls.ask(running.caller, "a", "m", prompt, "text")
            assert outcome.consumed_gen == 83  # 3 * 1 + 2 * 2 + 0.25 + 2 * 0.5 = 8.25
            assert running.caller.purse.spent == 8.25
            (record,) = running.records.all("prompt answered")
            assert (record["input_tokens"], record["output_tokens"], record["cost"]) == (3, 2, 8.25)
            text = running.metrics.text().decode()
    assert 'genvm_module_llm_tokens_total{direction="output",model="m",provider="a"} 2.0' in text
    assert 'genvm_module_llm_cost_total{model="m",provider="a"} 8.25' in text
    assert 'genvm_module_llm_attempts_total{model="m",outcome="ok",provider="a"} 1.0' in text
    assert "genvm_module_llm_spent_today 8.25" in text


async def test_answers_of_no_use_are_paid_too(tmp_path: Path) -> None:
    async with serving(chat("no JSON", prompt_tokens=1, completion_tokens=1)) as server:
        config = document(a=backend(server.host, model=PRICED), more={"gen_per_cost": 100})
        async with calling(tmp_path, config) as running:
            with pytest.raises(ModuleError) as error:
                await running.ask(format="json")
            assert error.value.ctx["consumed_gen"] == 325
            assert running.caller.purse.spent == 3.25


async def test_a_provider_that_does_not_count_is_estimated(tmp_path: Path) -> None:
    async with (
        serving(chat("four" * 30)) as server,
        calling(tmp_path, document(a=backend(server.host, model=PRICED))) as running,
    ):
        await running.ask(user_message="a" * 300)
        assert 100 < running.caller.purse.spent < 250


async def test_the_budget_of_a_session(tmp_path: Path) -> None:
    async with serving(chat("x", prompt_tokens=0, completion_tokens=2)) as server:
        priced = {"price": {"output": 1e6}}
        free = backend(server.host)
        config = document(a=backend(server.host, model=priced, retry=MANY), free=free, more=BUDGET)
        async with calling(tmp_path, config) as running:
            for _ in range(4):
                await running.ask(max_tokens=3)
            # 8 are spent; 3 more might be needed.
            with pytest.raises(ModuleError) as error:
                await running.ask(max_tokens=3)
            assert await running.ask(max_tokens=2) == "x"
            assert await running.ask("free") == "x"
            assert await running.ask(caller=running.another(), max_tokens=3) == "x"
            assert len(running.records.all("provider failed")) == 1
    assert error.value.causes == ["BUDGET_EXHAUSTED"]
    assert error.value.ctx["scope"] == "session"


async def test_the_budget_of_a_day_holds_for_calls_at_the_same_time(tmp_path: Path) -> None:
    async with serving(chat("x", prompt_tokens=0, completion_tokens=3)) as server:
        server.seconds = 0.05
        config = document(a=backend(server.host, model={"price": {"output": 1e6}}), more=BUDGET)
        async with calling(tmp_path, config) as running:
            answers = await asyncio.gather(
                *(running.ask(caller=running.another(), max_tokens=3) for _ in range(20)), return_exceptions=True
            )
    assert answers.count("x") == 8
    refused = [answer for answer in answers if isinstance(answer, ModuleError)]
    assert {error.ctx["scope"] for error in refused} == {"day"}
    assert len(server.got) == 8


async def test_a_day_outlives_the_process_and_ends(tmp_path: Path) -> None:
    file = tmp_path / "budget.json"
    async with serving(chat("x", prompt_tokens=0, completion_tokens=20)) as server:
        priced = backend(server.host, model={"price": {"output": 1e6}})
        config = document(a=priced, more={"budget": {"day": 25, "file": str(file)}})
        async with calling(tmp_path, config) as running:
            await running.ask(max_tokens=20)
        async with calling(tmp_path, config) as running:
            with pytest.raises(ModuleError, match="BUDGET_EXHAUSTED"):
                await running.ask(max_tokens=20)
        file.write_text(json.dumps({"day": "2000-01-01", "spent": 25}))
        async with calling(tmp_path, config) as running:
            assert await running.ask(max_tokens=20) == "x"
        file.write_text("not JSON")
        with pytest.raises(ConfigError, match=r"budget\.file"):
            async with calling(tmp_path, config):
                pass
