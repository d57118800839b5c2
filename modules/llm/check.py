"""Whether backends can be used: ``genvm modules check``, and ``/llm/check`` of a manager (spec modules/04 §9)."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pygenvm.modules import limits
from pygenvm.modules.config import ConfigError, Fields
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import HttpClient
from pygenvm.modules.llm.prompt import BadPrompt, Format, Prompt, read_prompt
from pygenvm.modules.llm.providers import provider_for
from pygenvm.modules.llm.providers.base import Asker, Provider, answer_of
from pygenvm.modules.llm.settings import PROVIDERS, Backend, Model, Price, Retry, backends_of
from pygenvm.modules.log import Secrets
from pygenvm.modules.templating import UnknownVariable, expand_config

#: Short enough to cost next to nothing, long enough for models that think first.
_TOKENS: Final = 200
_TEXT: Final = Prompt("Answer with the single word OK.", temperature=0.0, max_tokens=_TOKENS)
_JSON: Final = Prompt(
    'Answer with this JSON object: {"result": true}',
    system_message="Answer with one valid JSON object and nothing else.",
    temperature=0.0,
    max_tokens=_TOKENS,
)


@dataclass(frozen=True)
class Check:
    """What became of one model. ``json`` and ``image``: whether that works, None if it is not configured."""

    backend: str
    provider: str
    model: str
    state: Literal["ok", "failed", "skipped"]
    latency_seconds: float | None = None
    json: bool | None = None
    image: bool | None = None
    price: str = ""
    error: str = ""
    remedy: str = ""


async def check_backends(
    document: Mapping[str, Any], *, http: HttpClient | None = None, seconds: float = limits.CHECK_SECONDS
) -> list[Check]:
    """Every model of every enabled backend, in the order of the file, each asked for what it is configured for.

    :param document: the configuration with its placeholders replaced.
    :raises ConfigError: a key is missing or wrong.
    """
    client = http or HttpClient()
    secrets = Secrets()
    usable, left_out = backends_of(document)
    for backend in usable.values():
        secrets.add(backend.key)
    try:
        checks = await asyncio.gather(
            *(_check_backend(backend, client, secrets, seconds) for backend in usable.values())
        )
    finally:
        if http is None:
            await client.close()
    found = {backend.name: models for backend, models in zip(usable.values(), checks, strict=True)}
    for name, (provider, why) in left_out.items():
        found[name] = [Check(name, provider, "", "skipped", error=why, remedy=_REMEDIES.get(why.partition(":")[0], ""))]
    order = [name for name in Fields(document).section("backends") if name in found]
    return [check for name in order for check in found[name]]


_REMEDIES: Final = {
    "its key is empty": "set the environment variable that `key` names, or `key_file`, or `enabled: false`",
    "it has no models": "name one under `models`",
    "it is not enabled": "`enabled: true` switches it on",
}


async def _check_backend(backend: Backend, http: HttpClient, secrets: Secrets, seconds: float) -> list[Check]:
    provider = provider_for(backend, http=http, secrets=secrets)
    try:
        await provider.start()
    except ConfigError as error:
        why, remedy = error.what, error.remedy
        return [_failed(backend, model, why, remedy) for model in backend.models.values()]
    try:
        # One after the other: limits per minute hold for whole accounts.
        return [await _check_model(backend, provider, model, seconds) for model in backend.models.values()]
    finally:
        await provider.close()


async def _check_model(backend: Backend, provider: Provider, model: Model, seconds: float) -> Check:
    began = time.monotonic()
    error = await _failure(provider, model, _TEXT, "text", seconds)
    latency = time.monotonic() - began
    if error is not None:
        return _failed(backend, model, _told(error), _remedy(error, backend))
    json_error = await _failure(provider, model, _JSON, "json", seconds) if model.supports_json else None
    picture = Prompt(_TEXT.user_message, None, 0.0, _TOKENS, images=(_dot(),))
    image_error = await _failure(provider, model, picture, "text", seconds) if model.supports_image else None
    problems = [f"{what}: {_told(bad)}" for what, bad in (("json", json_error), ("image", image_error)) if bad]
    return Check(
        backend.name,
        backend.provider,
        model.name,
        "failed" if problems else "ok",
        latency_seconds=round(latency, 3),
        json=json_error is None if model.supports_json else None,
        image=image_error is None if model.supports_image else None,
        price=_shown(model.price),
        error="; ".join(problems),
        remedy="set supports_json or supports_image to false where it does not work" if problems else "",
    )


async def _failure(
    provider: Provider, model: Model, prompt: Prompt, format: Format, seconds: float
) -> ModuleError | None:
    try:
        async with asyncio.timeout(seconds):
            answer_of(await provider.ask(model, prompt, format, Asker()), format)
    except ModuleError as error:
        return error
    except TimeoutError:
        return ModuleError("SENDING_REQUEST", ctx={"rust_error": f"no answer within {seconds:g} s"})
    return None


def _failed(backend: Backend, model: Model, error: str, remedy: str) -> Check:
    price = _shown(model.price)
    return Check(backend.name, backend.provider, model.name, "failed", price=price, error=error, remedy=remedy)


def _told(error: ModuleError) -> str:
    """A failure in one line."""
    status = error.ctx.get("status")
    parts = [error.causes[0], f"status {status}" if status is not None else ""]
    body = error.ctx.get("body")
    said = body.get("error", body) if isinstance(body, dict) else body
    said = said.get("message", said) if isinstance(said, dict) else said
    parts += [str(error.ctx[name]) for name in ("rust_error", "problem", "prompt") if name in error.ctx]
    parts += [str(said)] if said is not None else []
    return " ".join(": ".join(filter(None, parts)).split())[: limits.LLM_SHOWN_CHARS]


def _remedy(error: ModuleError, backend: Backend) -> str:
    match error.causes[0], error.ctx.get("status"):
        case _, 401 | 403:
            return "the provider does not accept the key"
        case _, 404:
            return "host or name of the model may be wrong; host has neither /v1 nor a slash at its end"
        case _, 402 | 429:
            return "the account has no money left, or too many requests"
        case "SENDING_REQUEST", _:
            return f"nothing answers at {backend.host}" if backend.host else ""
        case "READING_BODY", _:
            return "this is no server of this provider; look at host"
        case "NO_MOCK_FOR_PROMPT", _:
            return "no pattern of the file matches, which is fine if your prompts match"
    return ""


def _shown(price: Price) -> str:
    if price.is_free:
        return ""
    parts = [f"{price.input:g} in, {price.output:g} out per million"] if price.input or price.output else []
    parts += [f"{price.request:g} per request"] if price.request else []
    parts += [f"{price.image:g} per image"] if price.image else []
    return "; ".join(parts)


def _dot() -> bytes:
    """A white picture of 8 by 8: some models refuse smaller ones."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = (8).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    rows = b"".join(b"\0" + b"\xff" * 8 for _ in range(8))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# --- /llm/check -----------------------------------------------------------------------------------


async def check_configs(configs: Any, prompts: Any, environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """Each prompt with each configuration, in text mode, in this order (spec modules/04 §9).

    :param configs: a list of ``{host, provider, model, key}``, in whose texts ``${ENV[NAME]}`` is replaced.
    :param prompts: a list of internal prompts (spec modules/02 §4).
    :raises ConfigError: they are something else. What providers do is no exception: it stands in the answer.
    """
    for name, value in (("configs", configs), ("test_prompts", prompts)):
        if not isinstance(value, list):
            raise ConfigError("must be a list", key=(name,))
    if len(configs) * len(prompts) > limits.LLM_CHECK_PAIRS:
        raise ConfigError(f"more than {limits.LLM_CHECK_PAIRS} pairs of configurations and prompts")
    backends = [_config(config, index, environ) for index, config in enumerate(configs)]
    wanted = [_prompt(prompt, index) for index, prompt in enumerate(prompts)]
    http, results = HttpClient(), []
    try:
        for config_index, backend in enumerate(backends):
            for prompt_index, prompt in enumerate(wanted):
                pair = {"config_index": config_index, "prompt_index": prompt_index}
                results.append(pair | await _answer(backend, prompt, http))
    finally:
        await http.close()
    return results


async def _answer(backend: Backend, prompt: Prompt, http: HttpClient) -> dict[str, Any]:
    secrets = Secrets([backend.key])
    provider = provider_for(backend, http=http, secrets=secrets)
    (model,) = backend.models.values()
    try:
        async with asyncio.timeout(limits.LLM_CALL_SECONDS):
            answer = answer_of(await provider.ask(model, prompt, "text", Asker()), "text")
    except ModuleError as error:
        return {"available": False, "error": _told(error), "response": None}
    except TimeoutError:
        return {"available": False, "error": "no answer in time", "response": None}
    return {"available": True, "error": None, "response": answer}


def _config(value: Any, index: int, environ: Mapping[str, str]) -> Backend:
    key = ("configs", index)
    try:
        fields = Fields(expand_config(value, {}, environ, keys=False), key)
    except UnknownVariable as error:
        raise ConfigError(str(error), key=key) from None
    provider = fields.text("provider", choices=PROVIDERS[:4])
    name = fields.text("model")
    host, secret = fields.text("host").rstrip("/"), fields.text("key").strip()
    return Backend(str(index), provider, host, secret, {name: Model(name)}, retry=Retry(attempts=1))


def _prompt(value: Any, index: int) -> Prompt:
    try:
        if isinstance(value, Mapping) and isinstance(value.get("images"), list):
            value = {**value, "images": [_bytes(image) for image in value["images"]]}
        return read_prompt(value)
    except (BadPrompt, ValueError) as error:
        raise ConfigError(str(error), key=("test_prompts", index)) from None


def _bytes(value: Any) -> Any:
    """A picture in JSON is a list of numbers."""
    return bytes(value) if isinstance(value, list) and all(type(item) is int for item in value) else value
