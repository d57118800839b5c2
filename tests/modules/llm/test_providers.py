"""Each provider's wire format against a server on loopback: exact requests, answers, every row of failures."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pygenvm.modules.errors import ModuleError
from tests.modules.llm.support import (
    JPEG,
    KEY,
    PNG,
    Running,
    backend,
    calling,
    chat,
    document,
    never,
    raw,
    serving,
    status,
)

ASKED = {"user_message": "the question", "temperature": 0.5, "max_tokens": 77}
PNG_64, JPEG_64 = b64encode(PNG).decode(), b64encode(JPEG).decode()


def messages(text: Any, **usage: Any) -> dict[str, Any]:
    return {"content": [text], "usage": usage}


def gemini(text: str) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": [{"text": text}]}}], "usageMetadata": {"promptTokenCount": 1}}


#: An answer of each provider whose text is the argument; for an object Anthropic has a tool.
SAYS: dict[str, Any] = {
    "openai-compatible": chat,
    "ollama": lambda text: {"response": text, "prompt_eval_count": 3, "eval_count": 4},
    "google": gemini,
    "anthropic": lambda text: messages({"type": "text", "text": text}, input_tokens=1, output_tokens=2),
}


def says_object(provider: str, value: Any) -> Any:
    if provider == "anthropic":
        return messages({"type": "tool_use", "name": "json_out", "input": value})
    return SAYS[provider](json.dumps(value))


async def ask(path: Path, provider: str, *answers: Any, format: str = "text", **prompt: Any) -> tuple[Any, Any]:
    """The answer, and what the server got last."""
    async with serving(*answers) as server, calling(path, document(a=backend(server.host, provider))) as running:
        return await running.ask(format=format, **(ASKED | prompt)), server.got[-1]


# --- requests -------------------------------------------------------------------------------------


async def test_openai_compatible_text(tmp_path: Path) -> None:
    answer, got = await ask(tmp_path, "openai-compatible", chat("fine"))
    assert answer == "fine"
    assert got.path == "/v1/chat/completions"
    assert got.headers["Authorization"] == f"Bearer {KEY}"
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["User-Agent"] == "reqwest"
    assert got.body == {
        "model": "m",
        "stream": False,
        "temperature": 0.5,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "the question"}]}],
        "max_tokens": 77,
    }


async def test_openai_compatible_json_with_images_and_system(tmp_path: Path) -> None:
    answer, got = await ask(
        tmp_path,
        "openai-compatible",
        chat('```json\n{"a": [1, null, {}, []]}\n```'),
        format="json",
        system_message="you are",
        images=(PNG, JPEG),
        use_max_completion_tokens=True,
    )
    assert answer == {"a": [1, None, {}, []]}
    assert got.body == {
        "model": "m",
        "stream": False,
        "temperature": 0.5,
        "messages": [
            {"role": "system", "content": "you are"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "the question"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG_64}"}},
                    {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{JPEG_64}"}},
                ],
            },
        ],
        "max_completion_tokens": 77,
        "response_format": {"type": "json_object"},
    }


async def test_openai_compatible_content_as_a_string(tmp_path: Path) -> None:
    async with serving(chat("fine")) as server:
        config = document(a=backend(server.host, model={"text_content": "string"}))
        async with calling(tmp_path, config) as running:
            await running.ask(user_message="plain")
            await running.ask(user_message="with", images=(PNG,))
    assert server.got[0].body["messages"] == [{"role": "user", "content": "plain"}]
    assert server.got[1].body["messages"][0]["content"][0] == {"type": "text", "text": "with"}


async def test_ollama(tmp_path: Path) -> None:
    answer, got = await ask(tmp_path, "ollama", SAYS["ollama"]("fine"))
    assert answer == "fine"
    assert got.path == "/api/generate"
    assert "Authorization" not in got.headers
    assert got.body == {
        "model": "m",
        "prompt": "the question",
        "stream": False,
        "options": {"temperature": 0.5, "num_predict": 77},
        "images": [],
    }
    answer, got = await ask(
        tmp_path, "ollama", SAYS["ollama"]('{"result": false}'), format="bool", system_message="s", images=(PNG,)
    )
    assert answer is False
    assert got.body == {
        "model": "m",
        "prompt": "the question",
        "stream": False,
        "options": {"temperature": 0.5, "num_predict": 77},
        "images": [PNG_64],
        "system": "s",
        "format": "json",
    }


async def test_google(tmp_path: Path) -> None:
    answer, got = await ask(tmp_path, "google", gemini("fine"))
    assert answer == "fine"
    assert got.path == f"/v1beta/models/m:generateContent?key={KEY}"
    assert got.body == {
        "generationConfig": {"responseMimeType": "text/plain", "temperature": 0.5, "maxOutputTokens": 77},
        "contents": [{"parts": [{"text": "the question"}]}],
    }
    answer, got = await ask(tmp_path, "google", gemini('{"x": "y"}'), format="json", system_message="s", images=(JPEG,))
    assert answer == {"x": "y"}
    assert got.body == {
        "generationConfig": {"responseMimeType": "application/json", "temperature": 0.5, "maxOutputTokens": 77},
        "system_instruction": {"parts": [{"text": "s"}]},
        "contents": [
            {"parts": [{"inline_data": {"mime_type": "image/jpeg", "data": JPEG_64}}, {"text": "the question"}]}
        ],
    }


async def test_anthropic_text(tmp_path: Path) -> None:
    answer, got = await ask(tmp_path, "anthropic", SAYS["anthropic"]("fine"), system_message="s", images=(PNG,))
    assert answer == "fine"
    assert got.path == "/v1/messages"
    assert (got.headers["x-api-key"], got.headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert got.body == {
        "model": "m",
        "max_tokens": 77,
        "stream": False,
        "temperature": 0.5,
        "system": "s",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG_64}},
                    {"type": "text", "text": "the question"},
                ],
            }
        ],
    }


async def test_anthropic_answers_objects_and_verdicts_through_a_tool(tmp_path: Path) -> None:
    answer, got = await ask(tmp_path, "anthropic", says_object("anthropic", {"a": None}), format="json")
    assert answer == {"a": None}
    assert got.body["tools"] == [
        {
            "name": "json_out",
            "input_schema": {
                "type": "object",
                "additionalProperties": {"type": ["object", "null", "array", "number", "string"]},
            },
        }
    ]
    assert got.body["tool_choice"] == {"type": "tool", "name": "json_out"}
    assert got.body["messages"][0]["content"] == [{"type": "text", "text": "the question"}]

    answer, got = await ask(
        tmp_path, "anthropic", says_object("anthropic", {"result": True}), format="bool", images=(PNG,)
    )
    assert answer is True
    assert got.body["max_tokens"] == 200
    assert got.body["messages"] == [{"role": "user", "content": "the question"}]
    assert got.body["tools"][0]["input_schema"] == {
        "type": "object",
        "properties": {"result": {"type": "boolean"}, "reason": {"type": "string"}},
        "required": ["result"],
    }


# --- answers --------------------------------------------------------------------------------------


async def failure(path: Path, provider: str, *answers: Any, format: str = "text", **more: Any) -> ModuleError:
    async with (
        serving(*answers) as server,
        calling(path, document(a=backend(server.host, provider, **more))) as running,
    ):
        return await failure_of(running, format)


async def failure_of(running: Running, format: str = "text") -> ModuleError:
    with pytest.raises(ModuleError) as error:
        await running.ask(format=format)
    return error.value


@pytest.mark.parametrize("provider", SAYS)
@pytest.mark.parametrize("text", ["", "  \n"])
async def test_an_empty_text_is_no_answer(tmp_path: Path, provider: str, text: str) -> None:
    error = await failure(tmp_path, provider, SAYS[provider](text))
    assert (error.causes, error.ctx["problem"]) == (["MALFORMED_ANSWER"], "the answer is empty")


@pytest.mark.parametrize("provider", SAYS)
@pytest.mark.parametrize(
    "said", [{}, [], "text", None, {"choices": []}, {"content": []}, {"candidates": [{}]}, {"response": 7}]
)
async def test_a_document_without_an_answer(tmp_path: Path, provider: str, said: Any) -> None:
    for format in ("text", "json", "bool"):
        error = await failure(tmp_path, provider, said, format=format)
        assert error.causes == ["MALFORMED_ANSWER"]


@pytest.mark.parametrize("provider", [name for name in SAYS if name != "anthropic"])
@pytest.mark.parametrize("text", ['{"a": 1', "no JSON", "[1]", '"text"', "7", "NaN", '{"a": NaN}', '{"a": 1} and more'])
async def test_a_text_that_is_no_object(tmp_path: Path, provider: str, text: str) -> None:
    for format in ("json", "bool"):
        error = await failure(tmp_path, provider, SAYS[provider](text), format=format)
        assert error.causes == ["MALFORMED_ANSWER"]
        assert error.ctx["text"] == text


@pytest.mark.parametrize("provider", SAYS)
@pytest.mark.parametrize("said", [{"result": "true"}, {"result": 1}, {"result": None}, {"reason": "because"}, {}])
async def test_a_verdict_without_a_bool(tmp_path: Path, provider: str, said: Any) -> None:
    error = await failure(tmp_path, provider, says_object(provider, said), format="bool")
    assert error.causes == ["MALFORMED_ANSWER"]


async def test_gemini_stops_before_it_has_said_anything(tmp_path: Path) -> None:
    error = await failure(
        tmp_path, "google", {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]}
    )
    assert error.ctx["problem"] == "the answer has no candidates.0.content.parts"


# --- failures of HTTP -----------------------------------------------------------------------------


@pytest.mark.parametrize("provider", SAYS)
async def test_nobody_listens(tmp_path: Path, provider: str) -> None:
    async with serving({}) as gone:
        pass
    async with calling(tmp_path, document(a=backend(gone.host, provider))) as running:
        error = await failure_of(running)
    assert (error.causes, error.fatal) == (["SENDING_REQUEST"], True)
    assert "rust_error" in error.ctx


@pytest.mark.parametrize("provider", SAYS)
@pytest.mark.parametrize("code", [201, 204, 400, 401, 404, 429, 500, 503, 529])
async def test_a_status_that_is_not_200(tmp_path: Path, provider: str, code: int) -> None:
    error = await failure(tmp_path, provider, status(code, {"error": {"message": "no"}}, X_A="b"))
    if code == 204:
        assert error.causes == ["READING_BODY"]
        return
    assert (error.causes, error.fatal) == (["STATUS_NOT_OK"], True)
    assert error.ctx["status"] == code
    assert error.ctx["body"] == {"error": {"message": "no"}}
    assert error.ctx["headers"]["x-a"] == b"b"
    assert error.ctx["url"].startswith("http://127.0.0.1")
    assert KEY not in repr(error.ctx)


@pytest.mark.parametrize("answer", [status(403), raw(403, "<p>")])
async def test_the_url_of_an_error_has_no_key_even_if_it_is_short(tmp_path: Path, answer: Any) -> None:
    error = await failure(tmp_path, "google", answer, key="k3y")
    assert error.ctx["url"].endswith(":generateContent?key=***")


@pytest.mark.parametrize("provider", SAYS)
async def test_a_page_of_html_with_503(tmp_path: Path, provider: str) -> None:
    error = await failure(tmp_path, provider, raw(503, "<html>sorry</html>"))
    assert (error.causes, error.ctx["status"]) == (["READING_BODY"], 503)
    assert set(error.ctx) >= {"url", "status", "headers", "rust_error"}
    assert error.ctx["headers"]["content-type"].startswith(b"text/html")


@pytest.mark.parametrize("provider", SAYS)
async def test_a_server_that_never_answers(tmp_path: Path, provider: str) -> None:
    error = await failure(tmp_path, provider, never, timeout_seconds=0.2)
    assert error.causes == ["SENDING_REQUEST"]
    assert error.ctx["rust_error"] == "operation timed out"


async def half_a_body(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"choices":')
    assert request.transport is not None
    request.transport.close()
    return response


async def test_a_body_that_ends_in_the_middle(tmp_path: Path) -> None:
    error = await failure(tmp_path, "openai-compatible", half_a_body)
    assert (error.causes, error.ctx["status"]) == (["READING_BODY"], 200)


async def test_compressed_answers_are_read(tmp_path: Path) -> None:
    body = gzip.compress(json.dumps(chat("small")).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer, _ = await ask(tmp_path, "openai-compatible", lambda _: web.Response(body=body, headers=headers))
    assert answer == "small"


async def test_redirects_are_followed(tmp_path: Path) -> None:
    elsewhere = lambda request: web.Response(status=307, headers={"Location": "/other/place"})  # noqa: E731
    answer, got = await ask(tmp_path, "openai-compatible", elsewhere, chat("there"))
    assert (answer, got.path, got.body["model"]) == ("there", "/other/place", "m")


async def test_pictures_that_are_none(tmp_path: Path) -> None:
    async with serving(chat("x")) as server, calling(tmp_path, document(a=backend(server.host))) as running:
        with pytest.raises(ModuleError) as error:
            await running.ask(images=(b"RIFF....WEBP",))
    assert (error.value.causes, error.value.fatal) == (["INVALID_IMAGE"], True)
    assert server.got == []
