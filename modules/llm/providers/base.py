"""What all providers are to :mod:`calls`, and the wire that four of them share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import HttpClient
from pygenvm.modules.llm.answers import checked_object, malformed, object_answer, text_answer, verdict
from pygenvm.modules.llm.prompt import Format, Prompt
from pygenvm.modules.llm.settings import Backend, Model
from pygenvm.modules.log import Secrets


@dataclass(frozen=True)
class Usage:
    """Tokens of one call; None where the provider does not tell."""

    input: int | None = None
    output: int | None = None


@dataclass(frozen=True)
class Reply:
    """What a provider said: ``content`` is a text, or for tools the object itself.

    With a ``problem`` there is none of use, and what was used is to be paid all the same.
    """

    usage: Usage
    content: Any = None
    problem: ModuleError | None = None


@dataclass(frozen=True)
class Asker:
    """Who asks, for providers that look: ``texts`` are the forms of the contract's request (:mod:`modules.mocks`)."""

    texts: tuple[str, ...] = ()
    node: str = ""


class Provider(Protocol):
    """One backend."""

    is_remote: bool
    """Whether its calls count as HTTP calls of the session."""

    async def ask(self, model: Model, prompt: Prompt, format: Format, asker: Asker) -> Reply:
        """:raises ModuleError: it failed."""

    async def start(self) -> None:
        """:raises ConfigError: it cannot be used."""

    async def close(self) -> None: ...


def answer_of(reply: Reply, format: Format) -> str | dict[str, Any] | bool:
    """The answer in the reply, as far as it can be used.

    :raises ModuleError: ``MALFORMED_ANSWER``.
    """
    if reply.problem is not None:
        raise reply.problem
    if format == "text":
        return text_answer(reply.content)
    found = checked_object(reply.content) if isinstance(reply.content, dict) else object_answer(reply.content)
    return verdict(found) if format == "bool" else found


# --- HTTP -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WireRequest:
    """A POST; ``path`` comes behind the host."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


class WireFormat(Protocol):
    """A protocol without I/O: a module with these functions."""

    def request(self, model: Model, prompt: Prompt, format: Format, key: str) -> WireRequest: ...

    def usage(self, document: Any) -> Usage: ...

    def content(self, document: Any, format: Format) -> Any:
        """The text, or an object that came as one. :raises ModuleError: the document has none."""


class HttpProvider:
    """A backend that is asked over HTTP."""

    is_remote = True

    def __init__(self, backend: Backend, wire: WireFormat, http: HttpClient, secrets: Secrets) -> None:
        self._backend = backend
        self._wire = wire
        self._http = http
        self._secrets = secrets

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def ask(self, model: Model, prompt: Prompt, format: Format, asker: Asker) -> Reply:
        request = self._wire.request(model, prompt, format, self._backend.key)
        try:
            document = await self._post(request)
        except ModuleError as error:
            # A server may say the key back, and scripts see what it says.
            raise ModuleError(error.causes, fatal=error.fatal, ctx=self._secrets.mask(error.ctx)) from None
        document = self._secrets.mask(document)
        usage = self._wire.usage(document)
        try:
            return Reply(usage, self._wire.content(document, format))
        except ModuleError as problem:
            return Reply(usage, problem=problem)

    async def _post(self, request: WireRequest) -> Any:
        """The document that comes back with the status 200 (table in spec modules/02 §5)."""
        response = await self._http.request(
            "POST",
            self._backend.host + request.path,
            headers={"content-type": "application/json", **request.headers},
            body=json.dumps(request.body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"),
            seconds=self._backend.timeout_seconds,
            body_max=limits.LLM_ANSWER_BYTES,
        )
        ctx = {"url": response.url, "status": response.status, "headers": response.headers}
        try:
            document = json.loads(response.body)
        except (ValueError, RecursionError) as error:
            problem = f"error decoding response body: {error}"
            raise ModuleError("READING_BODY", ctx={**ctx, "rust_error": problem}) from None
        if response.status != 200:
            raise ModuleError("STATUS_NOT_OK", ctx={**ctx, "body": document})
        return document


def member(document: Any, *path: str | int) -> Any:
    """What stands at ``path`` in a provider's document.

    :raises ModuleError: nothing does.
    """
    value = document
    for index, step in enumerate(path):
        try:
            value = value[step]
        except (LookupError, TypeError):
            shown = ".".join(map(str, path[: index + 1]))
            raise malformed(f"the answer has no {shown}", text=json.dumps(document, ensure_ascii=False)) from None
    return value


def usage_of(document: Any, *path: str, input: str, output: str) -> Usage:
    """Token counts at ``path``: nobody fails because they are missing or strange."""
    for step in path:
        document = document.get(step) if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping):
        return Usage()
    return Usage(_count(document.get(input)), _count(document.get(output)))


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 53 else None
