"""What ``genvm modules check`` and ``/llm/check`` say of backends."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

from pygenvm.modules.config import ConfigError
from pygenvm.modules.llm.check import check_backends, check_configs
from tests.modules.llm.support import KEY, PNG, backend, chat, document, never, raw, serving, status


def able(request: web.Request) -> Any:
    """Reads the request as a model that can do everything would."""

    async def answer() -> web.Response:
        body = await request.json()
        for part in body["messages"][-1]["content"]:
            if part["type"] == "image_url":
                data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
                assert Image.open(io.BytesIO(data)).convert("L").getpixel((0, 0)) == 255
        return web.json_response(chat('{"result": true}' if "response_format" in body else "OK"))

    return answer()


async def test_models_that_do_what_is_configured() -> None:
    async with serving(able) as server:
        price = {"input": 2.5, "output": 10, "image": 0.1}
        models = {"all": {"supports_json": True, "supports_image": True, "price": price}, "plain": {}}
        everything, plain = await check_backends(document(one=backend(server.host, models=models)))
    assert (everything.backend, everything.provider, everything.model) == ("one", "openai-compatible", "all")
    assert (everything.state, everything.json, everything.image) == ("ok", True, True)
    assert everything.price == "2.5 in, 10 out per million; 0.1 per image"
    assert everything.latency_seconds is not None
    assert 0 <= everything.latency_seconds < 10
    assert (plain.state, plain.json, plain.image, plain.price) == ("ok", None, None, "")
    assert len(server.got) == 4


async def test_a_model_that_cannot_do_all_of_it() -> None:
    async with serving(chat("OK"), chat("no JSON"), status(400, {"error": {"message": "no pictures"}})) as server:
        (check,) = await check_backends(document(one=backend(server.host)))
    assert (check.state, check.json, check.image) == ("failed", False, False)
    assert "json: MALFORMED_ANSWER" in check.error
    assert "image: STATUS_NOT_OK: status 400: no pictures" in check.error
    assert "supports_json" in check.remedy


@pytest.mark.parametrize(
    ("answer", "error", "remedy"),
    [
        (status(401, {"error": {"message": f"bad key {KEY}"}}), "status 401: bad key ***", "key"),
        (status(404), "status 404", "host or name of the model"),
        (status(429), "status 429", "money"),
        (raw(200, "<html>"), "READING_BODY", "look at host"),
        (never, "no answer within 0.3 s", "nothing answers"),
    ],
)
async def test_backends_that_fail(answer: Any, error: str, remedy: str) -> None:
    async with serving(answer) as server:
        (check,) = await check_backends(document(one=backend(server.host)), seconds=0.3)
    assert check.state == "failed"
    assert error in check.error
    assert KEY not in check.error
    assert remedy in check.remedy


async def test_backends_that_are_left_out_are_shown_in_their_places(tmp_path: Path) -> None:
    async with serving(able) as server:
        config = document(
            off={"enabled": False, "provider": "ollama"},
            keyless=backend(server.host, key=""),
            one=backend(server.host),
            local={"provider": "local", "models": {"m": {"file": str(tmp_path / "no.gguf")}}},
            written={"provider": "mock", "file": str(tmp_path / "no.yaml"), "models": {"m": {}}},
        )
        checks = await check_backends(config)
    assert [(check.backend, check.provider, check.state) for check in checks] == [
        ("off", "ollama", "skipped"),
        ("keyless", "openai-compatible", "skipped"),
        ("one", "openai-compatible", "ok"),
        ("local", "local", "failed"),
        ("written", "mock", "failed"),
    ]
    assert "environment" in checks[1].remedy
    assert "no.yaml" in checks[4].error


async def test_configs_of_a_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(chat("first"), chat("second"), status(401, {"error": f"bad {KEY}"}), raw(500, "<p>")) as server:
        config = {"host": server.host, "provider": "openai-compatible", "model": "x", "key": "${ENV[A_KEY]}"}
        prompts: list[Any] = [
            {"system_message": None, "user_message": "a", "temperature": 0.1, "max_tokens": 5},
            {
                "user_message": "b",
                "temperature": 1,
                "max_tokens": 5,
                "images": [list(PNG)],
                "use_max_completion_tokens": True,
                "more": 1,
            },
        ]
        results = await check_configs([config, config], prompts, {"A_KEY": KEY})
    assert results[:2] == [
        {"config_index": 0, "prompt_index": 0, "available": True, "error": None, "response": "first"},
        {"config_index": 0, "prompt_index": 1, "available": True, "error": None, "response": "second"},
    ]
    assert [(r["config_index"], r["prompt_index"], r["available"], r["response"]) for r in results[2:]] == [
        (1, 0, False, None),
        (1, 1, False, None),
    ]
    assert results[2]["error"] == "STATUS_NOT_OK: status 401: bad ***"
    assert results[3]["error"].startswith("READING_BODY: status 500")
    assert server.got[0].headers["Authorization"] == f"Bearer {KEY}"
    assert server.got[1].body["max_completion_tokens"] == 5


@pytest.mark.parametrize(
    ("configs", "prompts", "text"),
    [
        (None, [], "configs: must be a list"),
        ([], {}, "test_prompts: must be a list"),
        ([5], [], r"configs\[0\]: must be a mapping"),
        ([{}], [], r"configs\[0\]\.provider: is missing"),
        (
            [{"host": "h", "provider": "mock", "model": "m", "key": "k"}],
            [],
            r"configs\[0\]\.provider: 'mock' is none of",
        ),
        ([{"host": "${x}", "provider": "ollama", "model": "m", "key": "k"}], [], "unknown variable"),
        ([], [{}], r"test_prompts\[0\]: user_message"),
        ([], [{"user_message": "a", "temperature": 1, "max_tokens": 5, "images": [[256]]}], r"test_prompts\[0\]"),
        ([{}] * 100, [{}] * 100, "more than 1000 pairs"),
    ],
)
async def test_requests_of_a_manager_that_are_none(configs: Any, prompts: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        await check_configs(configs, prompts, {})
