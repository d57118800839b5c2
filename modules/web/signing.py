"""Signed requests: a web server can tell that a node asks, which one, and for which transaction (spec modules/03 §6).

The signature is an HTTP message signature (RFC 9421) made by the node's signer, which gets the text to sign and keeps
the key. It covers the first hop only.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from pygenvm.modules import limits
from pygenvm.modules.errors import ModuleError
from pygenvm.modules.http import HttpClient, Url, checked_headers, parse_url
from pygenvm.modules.templating import UnknownVariable, expand_session

#: Fields that only the node itself may send, and those of the connection.
_RESERVED = frozenset(("content-length", "host", "genlayer-node-address", "genlayer-tx-id", "genlayer-salt"))

_COVERED = ("@method", "@authority", "@path", "genlayer-node-address", "genlayer-tx-id", "genlayer-salt")


def normalised(headers: Mapping[str, str | bytes]) -> dict[str, str | bytes]:
    """Lower-case names, without those that a contract could forge (spec modules/03 §5)."""
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: value for name, value in lower.items() if name not in _RESERVED and name[:1] != "@"}


class Signer:
    """The node's signer, as the configuration names it; its URL and headers may hold ``#{name}`` of the host data."""

    def __init__(
        self,
        http: HttpClient,
        url: str,
        headers: Mapping[str, str],
        *,
        seconds: float = limits.SIGNER_SECONDS,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._http = http
        self._url = url
        self._headers = dict(headers)
        self._seconds = seconds
        self._clock = clock
        self._random = random

    async def sign(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str | bytes],
        body: bytes | None,
        host_data: Mapping[str, Any],
    ) -> dict[str, str]:
        """The headers to send: those given, normalised, with the identity of the node and its signature.

        :raises ModuleError: ``SIGN_URL_…``, ``RANDOM_GENERATION`` (fatal), ``ABSENT_HEADER`` (not fatal).
        """
        try:
            target = parse_url(url)
        except ValueError as error:
            raise ModuleError("SENDING_REQUEST", ctx={"rust_error": f"builder error: {error}"}) from None
        sent = checked_headers(normalised(headers) | self._identity(host_data))
        if body is not None:
            sent["content-digest"] = f"sha-256=:{_base64(hashlib.sha256(body).digest())}:"
        components = covered(sent, target)
        parameters = f'({" ".join(map(_quoted, components))});created={int(self._clock())};alg="ES256K"'
        base = signature_base(method, target, sent, components, parameters)
        signature = await self._ask(base.encode(), {k: v for k, v in host_data.items() if isinstance(v, str)})
        return sent | {
            "signature-input": f"genvm={parameters}",
            "signature": f"genvm=:{_base64(signature)}:",
        }

    def _identity(self, host_data: Mapping[str, Any]) -> dict[str, str]:
        identity = {}
        for header, key in (("genlayer-node-address", "node_address"), ("genlayer-tx-id", "tx_id")):
            value = host_data.get(key)
            if not isinstance(value, str):
                raise ModuleError("ABSENT_HEADER", fatal=False, ctx={"header": header})
            identity[header] = value
        try:
            return identity | {"genlayer-salt": _base64(self._random(32))}
        except (OSError, NotImplementedError) as error:
            raise ModuleError("RANDOM_GENERATION", ctx={"rust_error": str(error)}) from None

    async def _ask(self, base: bytes, values: Mapping[str, str]) -> bytes:
        try:
            url = expand_session(self._url, values, strict=True)
            headers = {name: expand_session(value, values, strict=True) for name, value in self._headers.items()}
        except UnknownVariable as error:
            raise ModuleError("SIGN_URL_PATCH_FAILED", ctx={"rust_error": str(error)}) from None
        try:
            answer = await self._http.request(
                "POST", url, headers=headers, body=base, seconds=self._seconds, body_max=limits.SIGNATURE_BYTES
            )
        except ModuleError as error:
            cause = "SIGN_URL_READ_FAILED" if error.causes[0] == "READING_BODY" else "SIGN_URL_SEND_FAILED"
            raise ModuleError(cause, ctx={"rust_error": error.ctx.get("rust_error", str(error))}) from None
        if answer.status != 200:
            raise ModuleError("SIGN_URL_BAD_STATUS", ctx={"status": _status_text(answer.status)})
        return answer.body


def covered(headers: Mapping[str, str], url: Url) -> list[str]:
    """The components that the signature covers, in order."""
    components = list(_COVERED)
    if "content-digest" in headers:
        components.append("content-digest")
    if url.query is not None:
        components.append("@query")
    return components


def signature_base(method: str, url: Url, headers: Mapping[str, str], components: list[str], parameters: str) -> str:
    """The text that is signed (RFC 9421 §2.5); without an LF at its end."""
    derived = {
        "@method": method.upper(),
        "@authority": url.authority.lower(),
        "@path": url.path,
        "@query": f"?{url.query}",
    }
    lines = [f"{_quoted(name)}: {derived[name] if name[0] == '@' else headers[name]}" for name in components]
    return "\n".join([*lines, f'"@signature-params": {parameters}'])


def _quoted(name: str) -> str:
    return f'"{name}"'


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _status_text(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} <unknown status code>"
