"""Reading requests: bounded bodies, JSON with named members, and errors that say what is wrong (spec modules/04 §2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from aiohttp import web

from pygenvm.executor.json_text import parse_json
from pygenvm.manager import limits
from pygenvm.manager.errors import RequestError
from pygenvm.manager.versions import parse_time

T = TypeVar("T")
TIMESTAMP_HEADER: Final = "Deployment-Timestamp"
_REQUIRED: Final[Any] = object()
_NAMES: Final = {str: "a text", int: "a whole number", bool: "true or false", dict: "an object", list: "an array"}


def answer(value: Any, status: int = 200) -> web.Response:
    """JSON."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8")


class Bodies:
    """How much the bodies take of the requests that are under way, those of waiting runs too."""

    def __init__(self) -> None:
        self.held = 0

    def take(self, request: web.Request, size: int) -> None:
        """:raises RequestError: all of them together are too big."""
        if self.held + size > limits.BODIES_BYTES:
            raise RequestError(f"requests take {limits.BODIES_BYTES} bytes already; try again later")
        self.held += size
        request[_HELD] = request.get(_HELD, 0) + size

    def release(self, request: web.Request) -> None:
        self.held -= request.pop(_HELD, 0)


BODIES: Final = web.AppKey("bodies", Bodies)
_HELD: Final = web.RequestKey("held", int)


async def read_body(request: web.Request) -> bytes:
    """Once for each request.

    :raises RequestError: it is too big, does not arrive, or is not what its headers say.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(limits.REQUEST_SECONDS):
            async for data in request.content.iter_any():
                body += data
                if len(body) > limits.BODY_BYTES:
                    raise RequestError(f"the body has more than {limits.BODY_BYTES} bytes")
                request.app[BODIES].take(request, len(data))
    except TimeoutError:
        raise RequestError(f"the body has not arrived within {limits.REQUEST_SECONDS:g} s") from None
    except web.RequestPayloadError as error:
        raise RequestError(f"the body cannot be read: {error}") from None
    return bytes(body)


async def read_json(request: web.Request) -> Members:
    """The body as a JSON object, whatever its content type says.

    :raises RequestError: it is none.
    """
    return await parse_object(await read_body(request))


async def parse_object(body: bytes) -> Members:
    """:raises RequestError: it is no JSON object, or a very big one."""
    if len(body) > limits.JSON_BYTES:
        raise RequestError(f"the body has more than {limits.JSON_BYTES} bytes, which is too much for JSON")
    try:
        if len(body) > limits.JSON_THREAD_BYTES:
            value = await asyncio.to_thread(_parse, body)
        else:
            value = _parse(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RequestError(f"the body must be a JSON object, not {_kind(value)}")
    return Members(value)


def _parse(body: bytes) -> Any:
    return parse_json(body.decode("utf-8"), max_chars=limits.JSON_BYTES, max_depth=limits.JSON_DEPTH)


class Members:
    """The members of a JSON object; others than are asked for are ignored."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def get(self, name: str, kind: type[T], default: T | None = _REQUIRED) -> T:
        """:raises RequestError: it is missing, or something else."""
        value = self._values.get(name)
        if value is None:
            if default is _REQUIRED:
                raise RequestError(f"{name} is missing; it must be {_NAMES[kind]}")
            return default  # type: ignore[return-value]
        if type(value) is not kind:
            raise RequestError(f"{name} must be {_NAMES[kind]}, not {_kind(value)}")
        return value

    def number(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """:raises RequestError: missing, no whole number, or out of range."""
        value: int = self.get(name, int, _REQUIRED if default is None else default)
        if not low <= value <= high:
            raise RequestError(f"{name} must be from {low} to {high}, not {_shown(value)}")
        return value

    def time(self, name: str, header: str | None = None) -> datetime:
        """An RFC 3339 text; that of ``header`` where the member is missing.

        :raises RequestError: it is missing, or none.
        """
        text = self.get(name, str) if header is None else self.get(name, str, header)
        try:
            return parse_time(text)
        except ValueError as error:
            raise RequestError(f"{name}: {error}") from error


def deployment_time(request: web.Request) -> datetime:
    """The time in the header of requests whose body is contract code.

    :raises RequestError: it is missing or malformed.
    """
    text = request.headers.get(TIMESTAMP_HEADER)
    if text is None:
        raise RequestError(f"the header {TIMESTAMP_HEADER} is missing; it must be an RFC 3339 date and time")
    try:
        return parse_time(text)
    except ValueError as error:
        raise RequestError(f"{TIMESTAMP_HEADER}: {error}") from error


def _shown(value: int) -> str:
    return str(value) if abs(value) < 1 << 128 else f"a number of {value.bit_length()} bits"


def _kind(value: Any) -> str:
    return "null" if value is None else _NAMES.get(type(value), "a number with a fraction")
