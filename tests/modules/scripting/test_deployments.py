"""Scripts in the style of existing deployments run unchanged (spec modules/02 §6, modules/03 §8)."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from PIL import Image

from pygenvm.modules.errors import ModuleError
from pygenvm.modules.scripting.pool import ScriptError, ScriptSession, SessionContext, readable

from .conftest import HOST_DATA, Scripts, open_session
from .test_libraries import LLM, _model

_FOLDER = Path(__file__).with_name("deployments")


class Provider:
    """Answers prompts: what ``replies`` has for a model, an error or a value, the last one for ever."""

    def __init__(self, **replies: list[Any]) -> None:
        self.replies = replies
        self.prompts: list[dict[str, Any]] = []

    async def ask(self, context: SessionContext, arguments: Any) -> Any:
        request = readable(arguments)
        self.prompts.append(request)
        replies = self.replies[request["model"]]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if isinstance(reply, Exception):
            raise reply
        return {"data": reply, "consumed_gen": 0}


def overloaded(status: int = 503) -> ModuleError:
    return ModuleError("STATUS_NOT_OK", ctx={"status": status, "body": {"error": "busy"}})


async def _llm(
    scripts: Scripts, name: str, provider: Provider, host_data: Mapping[str, Any] | None = None, **changes: Any
) -> ScriptSession:
    pool = await scripts.pool(
        (_FOLDER / name).read_text(),
        globals_={"__llm": LLM | changes},
        functions={"__llm.exec_prompt_in_provider": provider.ask},
        required=("ExecPrompt", "ExecPromptTemplate"),
    )
    return await open_session(pool, host_data=HOST_DATA | dict(host_data or {}))


def _prompt(text: str, response_format: str = "text", images: list[bytes] | None = None) -> dict[str, Any]:
    return {"prompt": text, "response_format": response_format, "images": images or []}


# --- greyboxing -----------------------------------------------------------------------------------


async def test_greyboxing_retries_and_falls_back(scripts: Scripts) -> None:
    provider = Provider(
        all=[overloaded(429), overloaded(), "never"], image=[overloaded(400)], plain=["fine"], json=["fine"]
    )
    session = await _llm(scripts, "greybox.lua", provider, {"custom_fallback": "z", "seed": "5"})
    answer = await session.call("ExecPrompt", _prompt("ﬁne\u200b   text \n\n\n\n"), 1 << 53)
    assert answer == {b"data": b"fine", b"consumed_gen": 1}
    # Sorted by name, the fallback last; overloaded ones twice, the other once.
    assert [request["provider"] for request in provider.prompts] == ["a", "a", "m", "z"]
    prompt = provider.prompts[-1]["prompt"]
    assert prompt["user_message"] == "fine text\n\n"
    assert prompt["extra"] == {"seed": "5"}
    assert prompt["use_max_completion_tokens"] is False
    attempts = await session.call("Attempts")
    assert (attempts[b"all"], attempts[b"image"]) == (2, 1)
    told = [record["message"] for record in scripts.records() if record["level"] in ("warn", "error")]
    assert told == [*["script_log: service is overloaded"] * 2, 'script_log: provider failed: { "STATUS_NOT_OK" }']


async def test_greyboxing_changes_images(scripts: Scripts) -> None:
    out = io.BytesIO()
    Image.linear_gradient("L").save(out, "JPEG")
    provider = Provider(all=["seen"], image=["seen"])
    session = await _llm(scripts, "greybox.lua", provider)
    await session.call("ExecPrompt", _prompt("", images=[out.getvalue()] * 2), 0)
    (request,) = provider.prompts
    images = request["prompt"]["images"]
    assert [Image.open(io.BytesIO(image)).format for image in images] == ["PNG", "PNG"]


async def test_greyboxing_templates(scripts: Scripts) -> None:
    provider = Provider(all=[True], json=[True])
    session = await _llm(scripts, "greybox.lua", provider)
    arguments = {"leader_answer": "a", "validator_answer": "b", "principle": "same"}
    answer = await session.call("ExecPromptTemplate", {"template": "EqComparative", **arguments}, 0)
    assert answer[b"data"] is True
    prompt = provider.prompts[0]["prompt"]
    assert prompt["system_message"] == "S1\nThink twice."
    assert prompt["user_message"] == "a|b|same|#{other}"


async def test_greyboxing_when_nothing_answers(scripts: Scripts) -> None:
    provider = Provider(**{name: [overloaded(504)] for name in ("all", "image", "plain", "json")})
    session = await _llm(scripts, "greybox.lua", provider)
    with pytest.raises(ModuleError) as raised:
        await session.call("ExecPrompt", _prompt("x"), 0)
    error = raised.value
    assert (error.causes, error.fatal) == (["NO_PROVIDER_FOR_PROMPT"], True)
    assert error.ctx["primary_error"]["status"] == 504
    assert error.ctx["prompt"]["user_message"] == "x"
    assert set(error.ctx["search_in"]) == {"a", "m", "z"}
    with pytest.raises(ModuleError, match="EMPTY_PROMPT"):
        await session.call("ExecPrompt", _prompt(" \n\u200b"), 0)
    # What is no structured error ends the search at once.
    provider.replies = {name: [ScriptError("not understood")] for name in provider.replies}
    with pytest.raises(ScriptError, match="not understood"):
        await session.call("ExecPrompt", _prompt("x"), 0)


async def test_greyboxing_looks_into_meta(scripts: Scripts) -> None:
    provider = Provider(used=["fine"])
    providers = {
        "a": {"models": {"off": _model(meta={"config": {"disabled": True}})}},
        "b": {"models": {"used": _model()}},
    }
    session = await _llm(scripts, "greybox.lua", provider, providers=providers)
    assert (await session.call("ExecPrompt", _prompt("x"), 0))[b"data"] == b"fine"


# --- mocks ----------------------------------------------------------------------------------------


async def test_mock_tables_are_patterns(scripts: Scripts) -> None:
    mocks = {"^weather in %a+$": "sunny", "100%%": '{"ok": true, "list": [], "none": null}', "same": True}
    session = await _llm(scripts, "mocks.lua", Provider(), {"mock_responses": mocks})
    answer = await session.call("ExecPrompt", _prompt("weather in Berlin"), 0)
    assert answer == {b"data": b"sunny", b"consumed_gen": 0}
    answer = await session.call("ExecPrompt", _prompt("100% sure", "json"), 0)
    assert answer[b"data"] == {b"ok": True, b"list": [], b"none": None}
    arguments = {"leader_answer": "a", "validator_answer": "b", "principle": "same"}
    answer = await session.call("ExecPromptTemplate", {"template": "EqComparative", **arguments}, 0)
    assert answer[b"data"] is True
    with pytest.raises(ScriptError, match=r"script\.lua:\d+: no mock for other"):
        await session.call("ExecPrompt", _prompt("other"), 0)


async def test_mocks_that_are_no_json_and_no_pattern(scripts: Scripts) -> None:
    session = await _llm(scripts, "mocks.lua", Provider(), {"mock_responses": {"a": "not json", "%": "x"}})
    with pytest.raises((ScriptError, ModuleError), match=r"DESERIALIZING|malformed pattern"):
        await session.call("ExecPrompt", _prompt("a", "json"), 0)


async def test_without_mocks_the_provider_is_asked(scripts: Scripts) -> None:
    provider = Provider(only=["real"])
    session = await _llm(scripts, "mocks.lua", provider, providers={"p": {"models": {"only": _model()}}})
    assert (await session.call("ExecPrompt", _prompt("x"), 0))[b"data"] == b"real"


# --- web ------------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def webdriver() -> AsyncIterator[tuple[str, list[Any]]]:
    """A rendering service that answers with what is in the list: page status, HTTP status."""
    answers: list[Any] = []

    async def render(request: web.Request) -> web.Response:
        page, status = answers.pop(0) if len(answers) > 1 else answers[0]
        body = f"{request.query['mode']} of {request.query['url']} after {request.query['waitAfterLoaded']}"
        return web.Response(body=body.encode() + b"\xff", status=status, headers={"Resulting-Status": str(page)})

    app = web.Application()
    app.router.add_get("/render", render)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", answers
    await runner.cleanup()


async def _web(scripts: Scripts, host: str) -> ScriptSession:
    allowed = {"com": True}
    config = {"webdriver_host": host, "always_allow_hosts": ["127.0.0.1"]}
    return await scripts.session(
        (_FOLDER / "web_retry.lua").read_text(),
        globals_={"__web": {"config": config, "allowed_tld": allowed}},
        required=("Render", "Request"),
    )


async def test_the_web_script_asks_again(scripts: Scripts, webdriver: tuple[str, list[Any]]) -> None:
    host, answers = webdriver
    answers += [(408, 200), (503, 200), (200, 200)]
    session = await _web(scripts, host)
    page = {"mode": "text", "url": "https://example.com/a b?x&y", "wait_after_loaded": 1.5}
    answer = await session.call("Render", page)
    assert answer == {b"text": b"text of https://example.com/a b?x&y after 1.5\xff"}
    assert session.context.requests_count == 3
    assert b"image" in await session.call("Render", page | {"mode": "screenshot"})
    answers[:] = [(404, 200)]
    with pytest.raises(ModuleError) as raised:
        await session.call("Render", page)
    error = raised.value
    assert (error.causes, error.fatal, error.ctx["status"]) == (["WEBPAGE_LOAD_FAILED"], False, 404)
    assert error.ctx["body"].endswith(b"\xff")
    answers[:] = [(200, 500)]
    with pytest.raises(ModuleError) as raised:
        await session.call("Render", page)
    assert (raised.value.causes, raised.value.fatal) == (["STATUS_NOT_OK"], True)
    with pytest.raises(ModuleError, match="TLD_FORBIDDEN"):
        await session.call("Render", page | {"url": "http://localhost/"})


async def test_requests_of_the_web_script(scripts: Scripts, webdriver: tuple[str, list[Any]]) -> None:
    host, answers = webdriver
    answers.append((200, 200))
    session = await _web(scripts, host)
    request: dict[str, Any] = {"method": "GET", "headers": {}, "body": None, "sign": False}
    answer = await session.call("Request", request | {"url": f"{host}/other"})
    assert answer[b"status"] == 404
    answer = await session.call("Request", request | {"url": f"{host}/render?mode=m&url=u&waitAfterLoaded=0"})
    assert (answer[b"status"], answer[b"body"]) == (200, b"m of u after 0\xff")
    with pytest.raises(ModuleError) as raised:
        await session.call("Request", request | {"url": "http://127.0.0.1:1/"})
    assert (raised.value.causes, raised.value.fatal) == (["SENDING_REQUEST"], False)
