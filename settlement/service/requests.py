"""Reading requests and writing answers: bounded bodies, JSON with named members, hexadecimal of known widths."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from pygenvm.executor.json_text import parse_json
from pygenvm.settlement.service import limits
from pygenvm.settlement.types.words import MAX_U64, Address, Hash


class RequestError(Exception):
    """The request cannot be answered; the text says why."""

    def __init__(self, text: str, status: int = 400, name: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.name = name


def answer(value: Any, status: int = 200) -> web.Response:
    """JSON."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8")


def refused(text: str, status: int, name: str | None = None) -> web.Response:
    return answer({"error": text} if name is None else {"error": text, "name": name}, status)


async def read_body(request: web.Request) -> bytes:
    """:raises RequestError: it is too big, or does not arrive."""
    try:
        async with asyncio.timeout(limits.REQUEST_SECONDS):
            return await request.read()
    except TimeoutError:
        raise RequestError(f"the body has not arrived within {limits.REQUEST_SECONDS:g} s", 408) from None
    except web.HTTPRequestEntityTooLarge:
        raise RequestError(f"the body has more than {limits.BODY_BYTES} bytes", 413) from None
    except web.RequestPayloadError as error:
        raise RequestError(f"the body cannot be read: {error.__cause__ or error}") from error


async def read_object(request: web.Request) -> dict[str, Any]:
    """The body as a JSON object, whatever its content type says.

    :raises RequestError: it is none.
    """
    body = await read_body(request)
    try:
        value = parse_json(body.decode("utf-8"), max_chars=limits.BODY_BYTES, max_depth=limits.JSON_DEPTH)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RequestError("the body must be a JSON object")
    return value


def data_of(members: dict[str, Any], name: str, most: int) -> bytes | None:
    """Bytes in hexadecimal; None where the member is missing or null."""
    text = members.get(name)
    if text is None:
        return None
    if not isinstance(text, str):
        raise RequestError(f"{name} must be a hexadecimal text with 0x")
    return _hex(text, name, most=most)


def hash_of(text: str, what: str) -> Hash:
    return Hash(_hex(text, what, size=32))


def address_of(text: str, what: str) -> Address:
    return Address(_hex(text, what, size=20))


def number_of(text: str, what: str, most: int = MAX_U64) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 20 else -1
    if not 0 <= number <= most:
        raise RequestError(f"{what} must be a number from 0 to {most}")
    return number


def _hex(text: str, what: str, *, size: int | None = None, most: int | None = None) -> bytes:
    if most is not None and len(text) > 2 + 2 * most:
        raise RequestError(f"{what} has more than {most} bytes", 413)
    digits = text[2:]
    if not text.startswith("0x") or (digits and not digits.isalnum()):
        raise RequestError(f"{what} must be a hexadecimal text with 0x")
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        raise RequestError(f"{what} must be a hexadecimal text with 0x") from None
    if size is not None and len(data) != size:
        raise RequestError(f"{what} must be {size} bytes")
    return data
