"""JSON-RPC 2.0: bytes in, bytes out, no sockets (spec localnet-rpc/01 §1).

Whoever calls gets an answer for each request with an ``id``, whatever JSON that is; without one it is a notification,
which is carried out and not answered. The entries of a batch are carried out in their order, so that a client may put
transactions with successive nonces into one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeAlias

from pygenvm.executor.json_text import TooManyValues, parse_json
from pygenvm.localnet import limits
from pygenvm.localnet.rpc.errors import INVALID_REQUEST, PARSE_ERROR, RpcError, rpc_error

#: Carries out one method; ``params`` is a list or a dict.
Call: TypeAlias = Callable[[str, Any], Awaitable[Any]]

_MISSING: Final = object()


class Reply(NamedTuple):
    """``body`` is empty where nothing is to be said."""

    status: int
    body: bytes


async def answer(body: bytes, call: Call) -> Reply:
    """What to say to a request, or to a batch of them.

    Errors of methods have status 200, as clients want it; 400 is for what is no request at all.
    """
    try:
        request = await _parsed(body)
    except TooManyValues as error:
        return _refused(INVALID_REQUEST, f"the body is too much: {error}")
    except (ValueError, RecursionError) as error:
        return _refused(PARSE_ERROR, f"the body is not JSON: {error}")
    if isinstance(request, list):
        if not request:
            return _refused(INVALID_REQUEST, "a batch has at least one request")
        if len(request) > limits.RPC_BATCH:
            return _refused(INVALID_REQUEST, f"a batch has at most {limits.RPC_BATCH} requests, not {len(request)}")
        answers = [one for entry in request if (one := await _one(entry, call)) is not None]
        return Reply(200, write_json(answers)) if answers else Reply(204, b"")
    if not isinstance(request, dict):
        return _refused(INVALID_REQUEST, "a request is a JSON object, or an array of them")
    found = await _one(request, call)
    return Reply(204, b"") if found is None else Reply(200, write_json(found))


async def _one(request: Any, call: Call) -> dict[str, Any] | None:
    """The answer to one request; None to a notification."""
    if not isinstance(request, dict):
        return _error(None, RpcError(INVALID_REQUEST, "a request is a JSON object"))
    number = request.get("id", _MISSING)
    known = None if number is _MISSING else number
    method, params = request.get("method"), request.get("params")
    if not isinstance(method, str):
        return _error(known, RpcError(INVALID_REQUEST, "`method` must be the name of a method"))
    if params is None:
        params = []
    if not isinstance(params, list | dict):
        return _error(known, RpcError(INVALID_REQUEST, "`params` must be an array or an object"))
    try:
        result = await call(method, params)
    except Exception as error:
        found = _error(known, rpc_error(error))
    else:
        found = {"jsonrpc": "2.0", "id": known, "result": result}
    return None if number is _MISSING else found


def _error(number: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": error.to_json()}


def _refused(code: int, text: str) -> Reply:
    return Reply(400, write_json(_error(None, RpcError(code, text))))


async def _parsed(body: bytes) -> Any:
    return await asyncio.to_thread(_parse, body) if len(body) > limits.RPC_THREAD_BYTES else _parse(body)


def _parse(body: bytes) -> Any:
    text = body.decode("utf-8")
    return parse_json(
        text,
        max_chars=limits.RPC_BODY_BYTES,
        max_depth=limits.RPC_DEPTH,
        max_values=limits.RPC_VALUES,
        finite=True,
    )


def write_json(value: Any) -> bytes:
    """Texts of contracts may have surrogates, which UTF-8 has not."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
