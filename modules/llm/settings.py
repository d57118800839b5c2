"""Configuration of the LLM module (spec modules/02 §9); ``default.yaml`` explains every key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pygenvm.modules import limits
from pygenvm.modules.config import ConfigError, Fields

#: Values of ``provider``. The last two ask nobody: written answers, and a model in this process.
PROVIDERS: Final = ("openai-compatible", "ollama", "anthropic", "google", "mock", "local")
_REMOTE: Final = PROVIDERS[:4]
#: Keys of ``prompt_templates``, and what each must substitute to be of use.
TEMPLATES: Final = {
    "eq_comparative": ("leader_answer", "validator_answer", "principle"),
    "eq_non_comparative_leader": ("task", "criteria", "input"),
    "eq_non_comparative_validator": ("task", "criteria", "input", "output"),
}
_NOT_ENABLED: Final = "it is not enabled"
_DEFAULT_FILE: Final = Path(__file__).parent / "default.yaml"


@dataclass(frozen=True)
class Price:
    """What a model costs, in whatever currency the budget has: per million tokens, per request, per image."""

    input: float = 0.0
    output: float = 0.0
    request: float = 0.0
    image: float = 0.0

    @property
    def is_free(self) -> bool:
        return not (self.input or self.output or self.request or self.image)


@dataclass(frozen=True)
class Model:
    """One model of a backend. ``meta`` is for scripts. ``file``, ``threads`` and ``context_tokens``: local models."""

    name: str
    supports_json: bool = False
    supports_image: bool = False
    use_max_completion_tokens: bool = False
    meta: Any = None
    text_content: str = "parts"
    concurrency: int = limits.LLM_CONCURRENCY
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    price: Price = Price()
    file: str = ""
    threads: int | None = None
    context_tokens: int = limits.LOCAL_CONTEXT_TOKENS

    def for_scripts(self) -> dict[str, Any]:
        """The configuration as scripts see it; they index ``meta``, so it is always a table."""
        return {
            "supports_json": self.supports_json,
            "supports_image": self.supports_image,
            "use_max_completion_tokens": self.use_max_completion_tokens,
            "meta": {} if self.meta is None else self.meta,
        }


@dataclass(frozen=True)
class Retry:
    """``attempts`` counts the first one; waits double from ``base_seconds`` to ``max_seconds``.

    A server that asks to come back later (Retry-After) than after ``retry_after_seconds`` is not asked again.
    """

    attempts: int = limits.LLM_ATTEMPTS
    base_seconds: float = 0.5
    max_seconds: float = 8.0
    retry_after_seconds: float = 30.0


@dataclass(frozen=True)
class Backend:
    """One entry of ``backends``; ``models`` in the order of the file."""

    name: str
    provider: str
    host: str
    key: str = field(repr=False)
    models: Mapping[str, Model]
    weight: float | None = None
    timeout_seconds: float = limits.LLM_CALL_SECONDS
    queue_seconds: float = limits.LLM_QUEUE_SECONDS
    retry: Retry = Retry()
    file: str = ""


@dataclass(frozen=True)
class Template:
    system: str
    user: str


@dataclass(frozen=True)
class Budget:
    """What may be spent; None: as much as one likes. ``file`` keeps what the day has cost over a restart."""

    session: float | None = None
    day: float | None = None
    file: str = ""


@dataclass(frozen=True)
class Settings:
    """``warnings``: what was left out and why, in the order of the file."""

    backends: Mapping[str, Backend]
    templates: Mapping[str, Template]
    budget: Budget
    gen_per_cost: float
    seed: int | None
    warnings: tuple[str, ...] = ()


def default_document() -> dict[str, Any]:
    """The shipped configuration, with its placeholders."""
    from pygenvm.executor.config import parse_yaml

    document: dict[str, Any] = parse_yaml(_DEFAULT_FILE.read_bytes())
    return document


def read_settings(document: Mapping[str, Any], *, allow_empty_backends: bool = False) -> Settings:
    """:raises ConfigError: a key is missing or wrong, or no backend is left that could be used."""
    fields = Fields(document)
    backends, left_out = backends_of(document)
    warnings = [f"backend {name} is disabled: {why}" for name, (_, why) in left_out.items() if why != _NOT_ENABLED]
    if not backends and not allow_empty_backends:
        reasons = "".join(f"; {warning}" for warning in warnings)
        remedy = "set a key in the environment, or a backend of your own; --allow-empty-backends starts without one"
        raise ConfigError(f"no valid backend detected{reasons}", key=("backends",), remedy=remedy)
    templates = fields.section("prompt_templates")
    budget = fields.section("budget", {})
    return Settings(
        backends=backends,
        templates={name: _template(templates.section(name), holes) for name, holes in TEMPLATES.items()},
        budget=Budget(budget.number("session", None), budget.number("day", None), budget.text("file", "")),
        gen_per_cost=_finite(fields, "gen_per_cost", 0.0),
        seed=fields.integer("seed", None),
        warnings=tuple(warnings),
    )


def usable_backends(document: Mapping[str, Any]) -> list[str]:
    """Names of the backends that are not left out, in the order of the file.

    :raises ConfigError: a key is missing or wrong.
    """
    return list(backends_of(document)[0])


def backends_of(document: Mapping[str, Any]) -> tuple[dict[str, Backend], dict[str, tuple[str, str]]]:
    """The backends that can be used, in the order of the file, and provider and reason for each that cannot.

    :raises ConfigError: a key is missing or wrong.
    """
    found: dict[str, Backend] = {}
    left_out: dict[str, tuple[str, str]] = {}
    for name, section in Fields(document).sections("backends").items():
        if not section.boolean("enabled", True):
            left_out[name] = section.text("provider", ""), _NOT_ENABLED
            continue
        backend, why = _backend(name, section)
        if why:
            left_out[name] = backend.provider, why
        else:
            found[name] = backend
    return found, left_out


def _backend(name: str, section: Fields) -> tuple[Backend, str]:
    """The backend, and why it cannot be used."""
    provider = section.text("provider", choices=PROVIDERS)
    is_remote = provider in _REMOTE
    host = section.text("host") if is_remote else section.text("host", "")
    if is_remote and not host.startswith(("http://", "https://")):
        raise section.error("host", "must begin with http:// or https://")
    key, why = _key(section) if is_remote else ("", "")
    models = _models(section, provider)
    retry = section.section("retry", {})
    backend = Backend(
        name=name,
        provider=provider,
        host=host.rstrip("/"),
        key=key,
        models=models,
        weight=section.number("weight", None, low=0, high=limits.LLM_WEIGHT),
        timeout_seconds=section.number("timeout_seconds", limits.LLM_CALL_SECONDS, low=0.01, high=86400),
        queue_seconds=section.number("queue_seconds", limits.LLM_QUEUE_SECONDS, high=86400),
        retry=Retry(
            attempts=retry.integer("attempts", Retry.attempts, low=1, high=limits.LLM_ATTEMPTS_MAX),
            base_seconds=retry.number("base_seconds", Retry.base_seconds, high=3600),
            max_seconds=retry.number("max_seconds", Retry.max_seconds, high=3600),
            retry_after_seconds=retry.number("retry_after_seconds", Retry.retry_after_seconds, high=3600),
        ),
        file=section.text("file") if provider == "mock" else "",
    )
    return backend, why if models else "it has no models"


def _key(section: Fields) -> tuple[str, str]:
    """The API key, which may come from a file, and why there is none."""
    if "key_file" not in section:
        key = section.text("key").strip()
        return key, "" if key else "its key is empty"
    if "key" in section and section.text("key"):
        raise section.error("key_file", "stands beside key; only one of the two is allowed")
    path = Path(section.text("key_file")).expanduser()
    try:
        with path.open("rb") as file:
            data = file.read(limits.KEY_FILE_BYTES + 1)
        if len(data) > limits.KEY_FILE_BYTES:
            return "", f"the key file {path} has more than {limits.KEY_FILE_BYTES} bytes"
        key = data.decode("ascii").strip()
    except OSError as error:
        return "", f"the key file {path}: {error.strerror}"
    except UnicodeDecodeError:
        return "", f"the key file {path} is not ASCII text"
    return key, "" if key else f"the key file {path} is empty"


def _models(section: Fields, provider: str) -> dict[str, Model]:
    found = {}
    for name, fields in section.sections("models").items():
        if not fields.boolean("enabled", True):
            continue
        price = fields.section("price", {})
        found[name] = Model(
            name=name,
            supports_json=fields.boolean("supports_json", False),
            supports_image=fields.boolean("supports_image", False),
            use_max_completion_tokens=fields.boolean("use_max_completion_tokens", False),
            meta=fields.raw("meta", None),
            text_content=fields.text("text_content", "parts", choices=("parts", "string")),
            concurrency=fields.integer("concurrency", limits.LLM_CONCURRENCY, low=1, high=limits.LLM_CONCURRENCY_MAX),
            requests_per_minute=fields.integer("requests_per_minute", None, low=1, high=limits.LLM_RATE),
            tokens_per_minute=fields.integer("tokens_per_minute", None, low=1),
            price=Price(*(_finite(price, what, 0.0) for what in ("input", "output", "request", "image"))),
            file=fields.text("file") if provider == "local" else "",
            threads=fields.integer("threads", None, low=1, high=1024),
            context_tokens=fields.integer("context_tokens", limits.LOCAL_CONTEXT_TOKENS, low=64, high=1 << 24),
        )
    return found


def _template(section: Fields, holes: tuple[str, ...]) -> Template:
    template = Template(section.text("system"), section.text("user"))
    for name in holes:
        if f"#{{{name}}}" not in template.user:
            raise section.error("user", f"must have #{{{name}}} somewhere, or the model never sees it")
    return template


def _finite(section: Fields, name: str, default: float) -> float:
    value = section.number(name, default)
    if not math.isfinite(value):
        raise section.error(name, "must be a finite number")
    return value
