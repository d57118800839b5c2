"""A provider on loopback that speaks real HTTP, configurations for tests, and what a module logs."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from pygenvm.modules.http import HttpClient
from pygenvm.modules.llm.calls import Caller, Calls
from pygenvm.modules.llm.prompt import Prompt
from pygenvm.modules.llm.settings import read_settings
from pygenvm.modules.log import Logger, Secrets
from pygenvm.modules.metrics import Metrics

KEY = "sk-secret-0123456789abcdef"
PNG = b"\x89PNG\r\n\x1a\n rest"
JPEG = b"\xff\xd8\xff\xe0 rest"


@dataclass
class Got:
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class Provider:
    """Answers with what is next in ``answers``, and with the last one from then on."""

    answers: list[Any] = field(default_factory=list)
    got: list[Got] = field(default_factory=list)
    host: str = ""
    at_once: int = 0
    most_at_once: int = 0
    seconds: float = 0.0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "HEAD":
            return web.Response()
        self.got.append(Got(request.path_qs, request.headers.copy(), json.loads(await request.read())))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if callable(answer):
                made = answer(request)
                response: web.StreamResponse = await made if asyncio.iscoroutine(made) else made
                return response
            return web.json_response(answer)
        finally:
            self.at_once -= 1


@asynccontextmanager
async def serving(*answers: Any) -> Any:
    """A provider; answers are documents (status 200), or functions that get the request and make a response."""
    provider = Provider(list(answers))
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", provider.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()


def status(code: int, body: Any = None, **headers: str) -> Callable[[web.Request], web.StreamResponse]:
    """A JSON answer with another status."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request: web.json_response({"error": "no"} if body is None else body, status=code, headers=fields)


def raw(code: int, text: str, content_type: str = "text/html") -> Callable[[web.Request], web.StreamResponse]:
    return lambda _request: web.Response(status=code, text=text, content_type=content_type)


async def never(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


def chat(text: Any, **usage: int) -> dict[str, Any]:
    """What an OpenAI-compatible server says."""
    document: dict[str, Any] = {"choices": [{"message": {"role": "assistant", "content": text}}]}
    return document | ({"usage": usage} if usage else {})


# --- configuration --------------------------------------------------------------------------------

TEMPLATES = {
    "eq_comparative": {"system": "compare", "user": "#{leader_answer} | #{validator_answer} | #{principle}"},
    "eq_non_comparative_leader": {"system": "lead", "user": "#{task} | #{criteria} | #{input}"},
    "eq_non_comparative_validator": {"system": "judge", "user": "#{task} | #{criteria} | #{input} | #{output}"},
}


def backend(host: str, provider: str = "openai-compatible", **more: Any) -> dict[str, Any]:
    """A backend with one model ``m`` that can do everything; keys of the model are given as ``model``."""
    model = {"supports_json": True, "supports_image": True} | more.pop("model", {})
    retry = {"attempts": 1, "base_seconds": 0.02, "max_seconds": 0.05}
    return {"host": host, "provider": provider, "key": KEY, "models": {"m": model}, "retry": retry} | more


def document(*, more: Mapping[str, Any] | None = None, **backends: Any) -> dict[str, Any]:
    return {"backends": backends, "prompt_templates": TEMPLATES, "seed": 1, **(more or {})}


# --- calls ----------------------------------------------------------------------------------------


class Records:
    """The log of a module."""

    def __init__(self, path: Path, secrets: Secrets) -> None:
        self._path = path
        self._fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND)
        self.log = Logger(fd=self._fd, level="trace", secrets=secrets)

    def close(self) -> None:
        os.close(self._fd)

    @property
    def text(self) -> str:
        return self._path.read_text()

    def all(self, message: str | None = None) -> list[dict[str, Any]]:
        records = [json.loads(line) for line in self.text.splitlines()]
        return [record for record in records if message is None or record["message"] == message]


@dataclass
class Running:
    """Calls of a configuration, without scripts."""

    calls: Calls
    records: Records
    metrics: Metrics
    caller: Caller

    async def ask(self, backend: str = "a", format: Any = "text", caller: Caller | None = None, **prompt: Any) -> Any:
        made = Prompt(**({"user_message": "hi"} | prompt))
        return (await self.calls.ask(caller or self.caller, backend, "m", made, format)).data

    def another(self) -> Caller:
        return Caller(self.records.log)


@asynccontextmanager
async def calling(path: Path, config: Mapping[str, Any]) -> Any:
    secrets = Secrets()
    records = Records(path / "log", secrets)
    settings = read_settings(config)
    for one in settings.backends.values():
        secrets.add(one.key)
    http, metrics = HttpClient(), Metrics("llm")
    calls = Calls(settings, http=http, secrets=secrets, log=records.log, metrics=metrics)
    try:
        await calls.start()
        yield Running(calls, records, metrics, Caller(records.log))
    finally:
        await calls.close()
        await http.close()
        records.close()
