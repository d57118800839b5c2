"""What an operator asks of a settlement service. Answers are read as hostile input: bounded, and of the right kinds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp

from pygenvm.executor.json_text import parse_json
from pygenvm.settlement.types.words import Hash

_PREFIX: Final = "/v1/settlement"
_ANSWER_BYTES: Final = 16 << 20
_EVENT_BYTES: Final = 1 << 20
_DEPTH: Final = 16
_SECONDS: Final = 30.0
#: The service says something every 10 s.
_SILENCE_SECONDS: Final = 60.0


class ServiceError(Exception):
    """The service refused, or what it said makes no sense.

    :param status: of HTTP; 0 where there was no answer.
    :param name: of the refusal, where it has one.
    """

    def __init__(self, text: str, status: int = 0, name: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.name = name


class Client:
    """:param rpc: ``http://…``, ``https://…`` or ``unix:///path``."""

    def __init__(self, rpc: str, token: str | None = None) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        connector = aiohttp.UnixConnector(rpc.removeprefix("unix://")) if rpc.startswith("unix://") else None
        self._base = "http://localhost" if connector else rpc.rstrip("/")
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, trust_env=False)

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """:raises ServiceError: it does not answer, refuses, or answers no JSON object."""
        return await self._asked("GET", path, params=query)

    async def submit(self, transaction: bytes, prompt: bytes | None = None) -> None:
        """:param prompt: with an intent, what its prompt hash is of.

        :raises ServiceError: as with :meth:`get`.
        """
        members = {"transaction": "0x" + transaction.hex()}
        if prompt is not None:
            members["prompt"] = "0x" + prompt.hex()
        await self._asked("POST", "/transactions", json=members)

    async def events(self) -> AsyncIterator[str]:
        """The names of events as they come.

        :raises ServiceError: the stream broke off.
        """
        silence = aiohttp.ClientTimeout(total=None, sock_connect=_SECONDS, sock_read=_SILENCE_SECONDS)
        try:
            async with self._session.get(
                self._base + _PREFIX + "/events", timeout=silence, read_bufsize=_EVENT_BYTES, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise ServiceError("the service gives no events", response.status)
                async for line in response.content:
                    if line.startswith(b"event: "):
                        yield line[7:].decode("utf-8", "replace").strip()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ServiceError(f"the event stream broke off: {error or type(error).__name__}") from error
        raise ServiceError("the event stream has ended")

    async def _asked(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        try:
            async with self._session.request(
                method, self._base + _PREFIX + path, timeout=timeout, allow_redirects=False, **options
            ) as response:
                status, data = response.status, bytearray()
                async for piece in response.content.iter_any():
                    data += piece
                    if len(data) > _ANSWER_BYTES:
                        raise ServiceError("the answer is too big", status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceError(f"the service does not answer: {error or type(error).__name__}") from error
        try:
            answer = parse_json(data.decode(), max_chars=_ANSWER_BYTES, max_depth=_DEPTH)
        except (ValueError, RecursionError) as error:
            raise ServiceError(f"the service answers no JSON: {error}", status) from error
        if not isinstance(answer, dict):
            raise ServiceError("the service answers no JSON object", status)
        if status not in (200, 202):
            name = answer.get("name")
            text = str(answer.get("error", json.dumps(answer)))[:500]
            raise ServiceError(text, status, name if isinstance(name, str) else None)
        return answer


def hash_in(found: dict[str, Any], name: str) -> Hash:
    data = bytes_in(found, name)
    if len(data) != 32:
        raise ServiceError(f"{name} in an answer of the service is not 32 bytes")
    return Hash(data)


def bytes_in(found: dict[str, Any], name: str) -> bytes:
    text = found.get(name)
    try:
        if isinstance(text, str) and text.startswith("0x"):
            return bytes.fromhex(text[2:])
    except ValueError:
        pass
    raise ServiceError(f"{name} in an answer of the service is no hexadecimal text")


def number_in(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise ServiceError(f"{name} in an answer of the service is no number")
    return value


def list_in(found: dict[str, Any], name: str) -> list[Any]:
    value = found.get(name)
    if not isinstance(value, list):
        raise ServiceError(f"{name} in an answer of the service is no list")
    return value
