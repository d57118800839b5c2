"""Which service a validator's requests go to (:mod:`localnet.modules.validators`)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.module_protocol.codec import (
    Answer,
    FatalError,
    Hello,
    Ok,
    Request,
    decode_answer,
    encode_answer,
    encode_hello,
    encode_request,
)
from pygenvm.localnet.chain.network.types import Model
from pygenvm.localnet.modules.broker import Unavailable
from pygenvm.localnet.modules.settings import Settings
from pygenvm.localnet.modules.validators import DEFAULT, ValidatorModels

BACKENDS = {
    "openai": {
        "provider": "openai-compatible",
        "host": "https://one.example",
        "key": "k",
        "models": {"a": {}, "b": {}},
    },
    "keyless": {"provider": "openai-compatible", "host": "http://two", "key": "", "models": {"c": {}}},
}
LLM = Settings("llm", {"backends": BACKENDS, "request_seconds": 9}, Path("/"))


class Service:
    """Answers with its name."""

    def __init__(self, name: str, settings: Settings | None = None) -> None:
        self.name = name
        self.settings = settings
        self.closed = 0

    async def open(self, hello: bytes) -> Service:
        return self

    async def ask(self, frame: bytes) -> bytes:
        return encode_answer(Ok({"data": self.name, "consumed_gen": 0}))

    async def close(self) -> None:
        self.closed += 1


def prompt(text: str) -> Request:
    return Request("Prompt", {"payload": {"prompt": text, "response_format": "text", "images": []}, "remaining_gen": 0})


def answered(models: ValidatorModels, usual: Service, node: str, request: Request) -> Answer:
    async def main() -> Answer:
        source = models.over({"llm": usual})["llm"]
        session = await source.open(encode_hello(Hello("c", {"node_address": node, "tx_id": "0x1"})))
        answer = decode_answer(await session.ask(encode_request(request)))
        await session.close()
        return answer

    return asyncio.run(main())


def said(answer: Answer) -> Any:
    assert isinstance(answer, Ok), answer
    assert isinstance(answer.value, Mapping)
    return answer.value["data"]


def test_a_validator_asks_the_model_that_it_has() -> None:
    made: list[Settings] = []

    def service(settings: Settings) -> Service:
        made.append(settings)
        (backend,) = settings.document["backends"]
        return Service(f"{backend} {list(settings.document['backends'][backend]['models'])}")

    models, usual = ValidatorModels(lambda: LLM, service), Service("usual")
    described = Model("mine", "z", {}, "ollama", {"api_url": "http://127.0.0.1:9"})
    models.use({"0xAA": Model("openai", "b"), "0xbb": DEFAULT, "0xcc": described, "0xdd": Model("nobody", "x")})
    assert said(answered(models, usual, "0xaa", prompt("hi"))) == "openai ['b']"
    assert said(answered(models, usual, "0xaa", prompt("hi"))) == "openai ['b']"
    assert len(made) == 1
    assert made[0].document["request_seconds"] == 9
    assert said(answered(models, usual, "0xbb", prompt("hi"))) == "usual"
    assert said(answered(models, usual, "0xunknown", prompt("hi"))) == "usual"
    assert said(answered(models, usual, "0xcc", prompt("hi"))) == "mine ['z']"
    with pytest.raises(Unavailable, match="nobody"):
        answered(models, usual, "0xdd", prompt("hi"))
    with models.also({"0xbb": Model("openai", "a")}):
        assert said(answered(models, usual, "0xbb", prompt("hi"))) == "openai ['a']"
    assert said(answered(models, usual, "0xbb", prompt("hi"))) == "usual"


def test_installed_mocks_go_first_and_strict_ones_alone() -> None:
    models, usual = ValidatorModels(), Service("usual")
    models.install({"weather": "rain"}, {}, strict=False)
    assert said(answered(models, usual, "0x1", prompt("the weather?"))) == "rain"
    assert said(answered(models, usual, "0x1", prompt("the time?"))) == "usual"
    assert usual.closed == 1
    models.install({"weather": "rain"}, {}, strict=True)
    refused = answered(models, usual, "0x1", prompt("the time?"))
    assert isinstance(refused, FatalError)
    own = Model("p", "m", {}, "", {"mock_response": {"response": {"time": "noon"}}})
    models.use({"0x1": own})
    assert said(answered(models, usual, "0x1", prompt("the time?"))) == "noon"


def test_installed_mocks_need_no_model() -> None:
    models, usual = ValidatorModels(lambda: LLM, lambda settings: Service("")), Service("usual")
    models.use({"0x1": Model("nobody", "x")})
    models.install({"weather": "rain"}, {}, strict=False)
    assert said(answered(models, usual, "0x1", prompt("the weather?"))) == "rain"
    with pytest.raises(Unavailable, match="nobody"):
        answered(models, usual, "0x1", prompt("the time?"))


def test_a_mock_file_answers_for_every_provider() -> None:
    models, usual = ValidatorModels(), Service("mocks")
    models.serve(lambda: LLM, lambda settings: Service("a model"), mocked=True)
    models.use({"0x1": Model("openai", "a"), "0x2": Model("nobody", "x")})
    assert said(answered(models, usual, "0x1", prompt("hi"))) == "mocks"
    assert said(answered(models, usual, "0x2", prompt("hi"))) == "mocks"
    assert models.available(Model("nobody", "x")) == (True, True)
    assert all(there and usable for _, there, usable in models.known())


def test_what_a_validator_wants_of_its_model_is_in_its_configuration() -> None:
    made: list[Settings] = []

    def service(settings: Settings) -> Service:
        made.append(settings)
        return Service(str(len(made)))

    models, usual = ValidatorModels(lambda: LLM, service), Service("usual")
    for config in ({}, {"temperature": 0, "top_p": 1}, {"max_tokens": 9, "use_max_completion_tokens": True}):
        models.use({"0x1": Model("openai", "a", config)})
        assert said(answered(models, usual, "0x1", prompt("hi"))) == str(len(made))
    sections = [settings.document["backends"]["openai"]["models"]["a"] for settings in made]
    assert sections == [
        {"enabled": True},
        {"enabled": True, "meta": {"temperature": 0}},
        {"enabled": True, "meta": {"max_tokens": 9}, "use_max_completion_tokens": True},
    ]


def test_what_is_available() -> None:
    models = ValidatorModels(lambda: LLM, lambda settings: Service(""))
    known = {(model.provider, model.model): (there, usable) for model, there, usable in models.known()}
    assert known == {
        ("default", "default"): (True, True),
        ("openai", "a"): (True, True),
        ("openai", "b"): (True, True),
        ("keyless", "c"): (False, False),
    }
    assert models.available(Model("openai", "new")) == (True, True)
    assert models.available(Model("keyless", "c")) == (False, False)
