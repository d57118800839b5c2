"""``rs.request``: HTTP for scripts (spec modules/02 §6.2, modules/03 §5 and §6)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import HttpClient, Response
from pygenvm.modules.scripting.frames import LuaValue, ScriptError, text
from pygenvm.modules.scripting.surface import parse_json


@dataclass
class SessionContext:
    """What the host functions of a session know of it."""

    cookie: str
    host_data: Mapping[str, Any]
    #: HTTP calls that were made for it, ``rs.request`` among them, and how long they took (GetStats).
    requests_count: int = 0
    requests_time_us: int = 0
    #: For the owner of the session.
    state: dict[str, Any] = field(default_factory=dict)


#: ``(context, method, url, headers, body)``: the headers to send. Names are lower case.
Signer: TypeAlias = Callable[
    [SessionContext, str, str, dict[str, "str | bytes"], "bytes | None"], Awaitable[Mapping[str, "str | bytes"]]
]

_METHODS: Final = frozenset(("GET", "POST", "HEAD", "DELETE", "OPTIONS", "PATCH"))

#: A contract could forge these (spec modules/03 §5); so could it names with ``@`` in front.
_DROPPED: Final = frozenset(("content-length", "host", "genlayer-node-address", "genlayer-tx-id", "genlayer-salt"))


class Requests:
    """The host function, with what it needs of the service."""

    def __init__(self, http: HttpClient, sign: Signer | None, *, seconds: float, body_bytes: int) -> None:
        self._http = http
        self._sign = sign
        self._seconds = seconds
        self._body_bytes = body_bytes

    async def request(self, context: SessionContext, request: LuaValue = None) -> LuaValue:
        """``{status, headers, body}``.

        :raises ModuleError: ``SENDING_REQUEST``, ``READING_BODY``, ``STATUS_NOT_OK``, ``DESERIALIZING`` and those of
            the signer, all fatal.
        :raises ScriptError: the argument is no request.
        """
        if not isinstance(request, dict):
            raise ScriptError("request: a table {method, url, headers, …} is expected")
        method, url = text(_string(request, "method")), text(_string(request, "url"))
        if method not in _METHODS:
            raise ScriptError(f"request: unknown method `{method[:32]}`")
        body = None if request.get(b"body") is None else _string(request, "body")
        headers = _headers(request.get(b"headers"))
        if request.get(b"sign"):
            if self._sign is None:
                raise ScriptError("request: this module does not sign")
            headers = dict(await self._sign(context, method, url, headers, body))
        begin = time.monotonic()
        try:
            response = await self._http.request(
                method, url, headers=headers, body=body, seconds=self._seconds, body_max=self._body_bytes
            )
        finally:
            context.requests_count += 1
            context.requests_time_us += int((time.monotonic() - begin) * 1e6)
        content: Any = response.body
        if request.get(b"json"):
            content = _parsed(response)
        if request.get(b"error_on_status") and response.status != 200:
            if len(response.body) > limits.SCRIPT_ERROR_BODY_BYTES:
                content = response.body[: limits.SCRIPT_ERROR_BODY_BYTES]
            raise ModuleError("STATUS_NOT_OK", ctx={**_facts(response), "body": content})
        return {"status": response.status, "headers": response.headers, "body": content}


def _headers(value: LuaValue) -> dict[str, str | bytes]:
    if value == []:
        value = {}
    if not isinstance(value, dict):
        raise ScriptError("request: `headers` must be a table of strings")
    headers: dict[str, str | bytes] = {}
    for key, item in value.items():
        name = text(key).lower()
        if name in _DROPPED or name.startswith("@"):
            continue
        if isinstance(item, int | float) and not isinstance(item, bool):
            item = str(item).encode()
        if not isinstance(item, bytes):
            raise ScriptError(f"request: the header `{name[:64]}` is no string")
        headers[name] = item
    return headers


def _string(request: dict[Any, Any], name: str) -> bytes:
    value = request.get(name.encode())
    if not isinstance(value, bytes):
        raise ScriptError(f"request: `{name}` must be a string")
    return value


def _parsed(response: Response) -> Any:
    try:
        return parse_json(response.body)
    except ValueError as error:
        raise ModuleError("READING_BODY", ctx={**_facts(response), "rust_error": str(error)}) from None


def _facts(response: Response) -> dict[str, Any]:
    return {"url": response.url, "status": response.status, "headers": dict(response.headers)}
