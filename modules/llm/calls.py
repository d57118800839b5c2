"""One prompt to one backend: its turn, its budget, its attempts, and what it cost.

Scripts decide which backend (``__llm.exec_prompt_in_provider``); everything that must hold whatever a script does is
here. Each attempt that fails is one log record, in the order in which they happen.
"""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import Counter, Gauge, Histogram

from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import HttpClient
from pygenvm.modules.limits import LLM_SHOWN_CHARS
from pygenvm.modules.llm.prompt import Format, Prompt
from pygenvm.modules.llm.providers import provider_for
from pygenvm.modules.llm.providers.base import Asker, Provider, Reply, Usage, answer_of
from pygenvm.modules.llm.settings import Backend, Model, Retry, Settings
from pygenvm.modules.llm.spending import Purse, Treasury, cost_of, estimated_usage, gen_of
from pygenvm.modules.llm.turns import Turns
from pygenvm.modules.log import Logger, Secrets
from pygenvm.modules.metrics import Metrics

LOG_TARGET = "genvm_modules::llm"

#: A provider that answers so has too much to do (spec modules/02 §3.3).
OVERLOADED: Final = frozenset({408, 429, 503, 504, 529})
#: Statuses that may be others in a moment.
_PASSING: Final = OVERLOADED | {425, 500, 502}
_TIMED_OUT: Final = "operation timed out"
_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)


class UnknownBackend(LookupError):
    """A script names what the configuration does not have."""


@dataclass
class Caller:
    """What one session is to this module; sessions with the same cookie, those of one run, share a purse."""

    log: Logger
    cookie: str = ""
    purse: Purse = field(default_factory=Purse)
    asker: Asker = field(default_factory=Asker)
    requests_count: int = 0
    requests_time_us: int = 0


@dataclass(frozen=True)
class Outcome:
    """``data`` as the format wants it, numbers as the model wrote them."""

    data: str | dict[str, Any] | bool
    consumed_gen: int


class Calls:
    """All backends of one module."""

    def __init__(
        self, settings: Settings, *, http: HttpClient, secrets: Secrets, log: Logger, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._log = log
        self._counted = _Counted(metrics)
        self._treasury = Treasury(settings.budget)
        self._random = random.Random(settings.seed)
        self._providers: dict[str, Provider] = {}
        self._turns: dict[tuple[str, str], Turns] = {}
        for backend in settings.backends.values():
            self._providers[backend.name] = provider_for(backend, http=http, secrets=secrets, seed=settings.seed)
            for model in backend.models.values():
                self._turns[backend.name, model.name] = Turns(model, backend.queue_seconds)
        self._counted.spent_today.set_function(lambda: self._treasury.spent_today)

    async def start(self) -> None:
        """:raises ConfigError: a backend or the budget's file cannot be used."""
        self._treasury.start()
        for provider in self._providers.values():
            await provider.start()

    async def close(self) -> None:
        for provider in self._providers.values():
            await provider.close()

    def join(self, cookie: str) -> Caller:
        """A session begins; :meth:`leave` ends it."""
        return Caller(self._log.of_session(cookie), cookie, self._treasury.purse(cookie))

    def leave(self, caller: Caller) -> None:
        self._treasury.give_back(caller.cookie)

    def order(self, names: Iterable[str]) -> list[str]:
        """The backends among ``names`` in the order to try them.

        That of the configuration; if one of them has a weight, each place is drawn by weight from those that are left.
        """
        wanted = set(names)
        backends = [backend for backend in self._settings.backends.values() if backend.name in wanted]
        if all(backend.weight is None for backend in backends):
            return [backend.name for backend in backends]
        order: list[str] = []
        while backends:
            weights = [1.0 if backend.weight is None else backend.weight for backend in backends]
            # Those without weight come last, in order.
            drawn = self._random.choices(backends, weights)[0] if any(weights) else backends[0]
            backends.remove(drawn)
            order.append(drawn.name)
        return order

    async def ask(self, caller: Caller, backend: str, model: str, prompt: Prompt, format: Format) -> Outcome:
        """The answer of one model, after as many attempts as its backend allows.

        :raises UnknownBackend: there is no such backend or model.
        :raises ModuleError: the last attempt's failure.
        """
        if backend not in self._settings.backends:
            raise UnknownBackend(f"absent provider_id `{backend}`")
        chosen = self._settings.backends[backend]
        if model not in chosen.models:
            raise UnknownBackend(f"absent model `{model}` of provider_id `{backend}`")
        return await self._attempts(caller, chosen, chosen.models[model], prompt, format)

    async def _attempts(
        self, caller: Caller, backend: Backend, model: Model, prompt: Prompt, format: Format
    ) -> Outcome:
        names = {"provider": backend.name, "model": model.name}
        total = 0.0
        for attempt in range(1, backend.retry.attempts + 1):
            began = time.monotonic()
            try:
                reply, cost = await self._attempt(caller, backend, model, prompt, format)
                total += cost
                data = answer_of(reply, format)
            except ModuleError as error:
                self._counted.attempt(names, error.causes[0], time.monotonic() - began)
                wait = self._wait_after(error, attempt, backend.retry)
                self._log_failure(caller, error, attempt, backend, model, wait)
                if wait is None:
                    consumed = gen_of(total, self._settings.gen_per_cost)
                    ctx = {**error.ctx, "consumed_gen": consumed} if consumed else error.ctx
                    raise ModuleError(error.causes, fatal=error.fatal, ctx=ctx) from None
                await asyncio.sleep(wait)
                continue
            seconds = time.monotonic() - began
            self._counted.attempt(names, "ok", seconds)
            record = {"format": format, "attempt": attempt, "seconds": round(seconds, 3), "cost": total}
            tokens = {"input_tokens": reply.usage.input, "output_tokens": reply.usage.output}
            caller.log.info("prompt answered", **names, **record, **tokens)
            return Outcome(data, gen_of(total, self._settings.gen_per_cost))
        raise AssertionError("the last attempt has no wait")

    async def _attempt(
        self, caller: Caller, backend: Backend, model: Model, prompt: Prompt, format: Format
    ) -> tuple[Reply, float]:
        """One attempt, with its turn and its part of the budget: what was said, and what that cost."""
        at_most = estimated_usage(prompt)
        async with self._turns[backend.name, model.name].one(_total(at_most)) as turn:
            reserved = cost_of(at_most, len(prompt.images), model.price)
            self._treasury.reserve(caller.purse, reserved)
            cost = 0.0
            try:
                with self._counted.in_flight.labels(backend.name, model.name).track_inprogress():
                    reply = await self._timed(caller, backend, model, prompt, format)
                usage = _completed(reply, prompt)
                turn.tokens = _total(usage)
                cost = cost_of(usage, len(prompt.images), model.price)
                self._counted.used(backend.name, model.name, usage, cost)
            finally:
                try:
                    self._treasury.settle(caller.purse, reserved, cost)
                except OSError as error:
                    caller.log.error("the budget's file cannot be written", error=error)
            return reply, cost

    async def _timed(self, caller: Caller, backend: Backend, model: Model, prompt: Prompt, format: Format) -> Reply:
        provider = self._providers[backend.name]
        began = time.perf_counter()
        try:
            if provider.is_remote:
                # The client keeps the time, and knows more about where it went.
                return await provider.ask(model, prompt, format, caller.asker)
            async with asyncio.timeout(backend.timeout_seconds):
                return await provider.ask(model, prompt, format, caller.asker)
        except TimeoutError:
            raise ModuleError("SENDING_REQUEST", ctx={"rust_error": _TIMED_OUT}) from None
        finally:
            if provider.is_remote:
                caller.requests_count += 1
                caller.requests_time_us += int((time.perf_counter() - began) * 1e6)

    def _wait_after(self, error: ModuleError, attempt: int, retry: Retry) -> float | None:
        """Seconds until the next attempt; None: there is none."""
        if attempt >= retry.attempts or not _may_pass(error):
            return None
        backoff: float = min(retry.base_seconds * 2 ** (attempt - 1), retry.max_seconds)
        wait = backoff * self._random.uniform(0.5, 1.0)
        later = _retry_after(error)
        if later is None:
            return wait
        return None if later > retry.retry_after_seconds else max(later, wait)

    def _log_failure(
        self, caller: Caller, error: ModuleError, attempt: int, backend: Backend, model: Model, wait: float | None
    ) -> None:
        status = error.ctx.get("status")
        record = {
            "provider": backend.name,
            "model": model.name,
            "attempt": attempt,
            "attempts": backend.retry.attempts,
            "cause": error.causes[0],
            "status": status,
            "detail": _detail(error),
            "wait_seconds": None if wait is None else round(wait, 3),
        }
        log = caller.log.warn if status in OVERLOADED else caller.log.error
        log("provider failed", **record)


class _Counted:
    """Metrics of the calls; labels are names of the configuration, which are few."""

    def __init__(self, metrics: Metrics) -> None:
        prefix, names, registry = "genvm_module_llm", ["provider", "model"], metrics.registry
        self._attempts = Counter(
            f"{prefix}_attempts", "Attempts by cause of failure, or ok", [*names, "outcome"], registry=registry
        )
        self._seconds = Histogram(
            f"{prefix}_attempt_seconds",
            "Seconds of one attempt, with its turn",
            names,
            buckets=_SECONDS,
            registry=registry,
        )
        self._tokens = Counter(f"{prefix}_tokens", "Tokens", [*names, "direction"], registry=registry)
        self._cost = Counter(f"{prefix}_cost", "Cost, in the currency of the prices", names, registry=registry)
        self.in_flight = Gauge(f"{prefix}_in_flight", "Calls that are being answered", names, registry=registry)
        self.spent_today = Gauge(f"{prefix}_spent_today", "Cost of this day (UTC)", registry=registry)

    def attempt(self, names: dict[str, str], outcome: str, seconds: float) -> None:
        # Written answers may have any cause.
        known = outcome if outcome in _OUTCOMES else "other"
        self._attempts.labels(**names, outcome=known).inc()
        self._seconds.labels(**names).observe(seconds)

    def used(self, provider: str, model: str, usage: Usage, cost: float) -> None:
        self._tokens.labels(provider, model, "input").inc(usage.input or 0)
        self._tokens.labels(provider, model, "output").inc(usage.output or 0)
        self._cost.labels(provider, model).inc(cost)


_OUTCOMES: Final = frozenset(
    {
        "ok",
        "SENDING_REQUEST",
        "READING_BODY",
        "STATUS_NOT_OK",
        "MALFORMED_ANSWER",
        "RATE_LIMITED",
        "BUDGET_EXHAUSTED",
        "INVALID_IMAGE",
        "NO_MOCK_FOR_PROMPT",
        "LOCAL_MODEL_FAILED",
    }
)


def _completed(reply: Reply, prompt: Prompt) -> Usage:
    """The tokens of a call; estimated where the provider does not tell."""
    estimate = estimated_usage(prompt, reply.content if isinstance(reply.content, str) else str(reply.content))
    given = reply.usage
    return Usage(
        estimate.input if given.input is None else given.input,
        estimate.output if given.output is None else given.output,
    )


def _total(usage: Usage) -> int:
    return (usage.input or 0) + (usage.output or 0)


def _may_pass(error: ModuleError) -> bool:
    """Whether the same request may succeed in a moment."""
    if error.causes[0] not in ("SENDING_REQUEST", "READING_BODY", "STATUS_NOT_OK"):
        return False
    status = error.ctx.get("status")
    if isinstance(status, int) and status != 200:
        return status in _PASSING
    return error.ctx.get("rust_error") != _TIMED_OUT


def _retry_after(error: ModuleError) -> float | None:
    """Seconds that the server asks for, in either form of the header."""
    headers = error.ctx.get("headers")
    value = headers.get("retry-after") if isinstance(headers, dict) else None
    if not isinstance(value, bytes):
        return None
    text = value.decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return max(moment.timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None


def _detail(error: ModuleError) -> str:
    """What an operator needs besides cause and status, in a line."""
    for name in ("rust_error", "problem", "body", "scope", "prompt"):
        if name in error.ctx:
            return f"{name}: {error.ctx[name]}"[:LLM_SHOWN_CHARS]
    return "" if len(error.causes) < 2 else ": ".join(error.causes[1:])[:LLM_SHOWN_CHARS]
