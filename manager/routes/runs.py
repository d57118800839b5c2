"""``/genvm``: runs (spec modules/04 §6)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from pygenvm.executor.host_protocol.codec import ProtocolViolation
from pygenvm.executor.host_protocol.endpoint import UnixEndpoint
from pygenvm.executor.host_protocol.result import decode_result
from pygenvm.executor.host_protocol.server import listen
from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.manager import limits
from pygenvm.manager.core import Manager
from pygenvm.manager.errors import RequestError
from pygenvm.manager.executions.backend import Job, Notes
from pygenvm.manager.executions.registry import Run
from pygenvm.manager.requests import (
    TIMESTAMP_HEADER,
    Members,
    answer,
    deployment_time,
    parse_object,
    read_body,
    read_json,
)
from pygenvm.manager.schema_host import SOCKET_FOLDER, SchemaHost
from pygenvm.manager.temporary import temporary_folder

_U32_MAX = (1 << 32) - 1
#: Reading, calling and nondet blocks (spec executor/10 "run").
READ_ONLY = "rcn"
_SCHEMA_SECONDS = 60.0
_NO_ADDRESS = Address(bytes(20))


def add_routes(app: web.Application, manager: Manager) -> None:
    runs = _Runs(manager)
    app.router.add_post("/genvm/run", runs.run)
    app.router.add_post("/genvm/run/readonly", runs.run_read_only)
    # Not for HEAD: reading a status removes it.
    app.router.add_get("/genvm/{id:[0-9]{1,18}}", runs.get, allow_head=False)
    app.router.add_delete("/genvm/{id:[0-9]{1,18}}", runs.delete)


class _Runs:
    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def run(self, request: web.Request) -> web.Response:
        body = await read_json(request)
        run = await self._start(body, body.time("timestamp"), None)
        return answer({"result": "started", "id": run.id})

    async def run_read_only(self, request: web.Request) -> web.Response:
        code = await read_body(request)
        # A request body of /genvm/run is a JSON object, which no contract is.
        if code.lstrip()[:1] != b"{":
            return answer(await self._schema(code, deployment_time(request)))
        body = await parse_object(code)
        run = await self._start(body, body.time("timestamp", request.headers.get(TIMESTAMP_HEADER)), READ_ONLY)
        return answer({"result": "started", "id": run.id})

    async def _start(self, body: Members, moment: datetime, permissions: str | None) -> Run:
        major = body.number("major", 0, _U32_MAX)
        message = json.dumps(body.get("message", dict), ensure_ascii=False, separators=(",", ":"))
        extra = _words(body.get("extra_args", list, []))
        if permissions is not None:
            extra = _restricted(extra, permissions)
        minutes = body.number("max_execution_minutes", 0, (1 << 64) - 1, limits.EXECUTION_MINUTES)
        manager = self._manager
        number, cookie = manager.executions.next_id()
        notes = Notes()
        job = Job(
            executor=manager.executors.choose(major, moment),
            message=_word("message", message),
            host=_word("host", body.get("host", str)),
            host_data=_word("host_data", body.get("host_data", str)),
            cookie=cookie,
            sync=body.get("is_sync", bool),
            extra=extra,
            capture_output=body.get("capture_output", bool),
            on_log=manager.log_of_run(number, cookie, notes),
            notes=notes,
        )
        size = sum(len(word.encode()) for word in job.words())
        if size > limits.COMMAND_LINE_BYTES:
            raise RequestError(f"the run has {size} bytes, which is more than a command line takes")
        manager.warn_of_missing_modules()
        return await manager.executions.start(job, number, minutes)

    async def get(self, request: web.Request) -> web.Response:
        number = int(request.match_info["id"])
        run = self._manager.executions.collect(number)
        if run is None or run.ended is None or run.ended_at is None:
            return answer({"genvm_id": number, "status": None})
        status = {
            "finished_at": max(0, int((time.monotonic() - run.ended_at) * 1000)),
            "stdout": run.ended.stdout,
            "stderr": run.ended.stderr,
        }
        return answer({"genvm_id": number, "status": status})

    async def delete(self, request: web.Request) -> web.Response:
        number = int(request.match_info["id"])
        text = request.query.get("wait_timeout_ms", str(limits.DELETE_WAIT_MS))
        if not (text.isascii() and text.isdigit()):
            raise RequestError(f"wait_timeout_ms must be a whole number of milliseconds, not {text[:40]!r}")
        # One that leaves does not take the end of the run with him.
        stopping = asyncio.ensure_future(self._manager.executions.stop(number, int(text[:12])))
        if await asyncio.shield(stopping):
            return answer({"result": "shutdown_completed", "genvm_id": number})
        return answer({"error": f"GenVM with id {number} not found", "genvm_id": number})

    async def _schema(self, code: bytes, moment: datetime) -> Any:
        """What the contract answers to ``#get-schema``; this manager is the host."""
        manager = self._manager
        _, executor = manager.executors.probe(moment)
        message = {
            "contract_address": _NO_ADDRESS.as_b64,
            "sender_address": _NO_ADDRESS.as_b64,
            "origin_address": _NO_ADDRESS.as_b64,
            "chain_id": "0",
            "value": None,
            "is_init": False,
            "datetime": moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        number, cookie = manager.executions.next_id()
        host, notes = SchemaHost(code), Notes()
        try:
            async with _serving(host) as address:
                job = Job(
                    executor=executor,
                    message=json.dumps(message),
                    host=address,
                    host_data='{"node_address":"0x","tx_id":"0x"}',
                    cookie=cookie,
                    sync=True,
                    extra=("--permissions", "r"),
                    capture_output=True,
                    on_log=manager.log_of_run(number, cookie, notes),
                    notes=notes,
                )
                run = await manager.executions.start(job, number, 1)
                try:
                    async with asyncio.timeout(_SCHEMA_SECONDS):
                        await run.done.wait()
                except TimeoutError:
                    pass
                finally:
                    await asyncio.shield(asyncio.ensure_future(manager.executions.stop(number, 0)))
                    manager.executions.collect(number)
        except OSError as error:
            raise RequestError(f"no socket for the executor can be made: {error}") from error
        return _schema_of(host.result, run)


@asynccontextmanager
async def _serving(host: SchemaHost) -> AsyncIterator[str]:
    """Its address.

    :raises OSError: there is no place for a socket.
    """
    with temporary_folder(SOCKET_FOLDER) as folder:
        address = str(UnixEndpoint(str(folder / "host.sock")))
        async with listen(lambda: host, address):
            yield address


def _schema_of(result: bytes | None, run: Run) -> Any:
    if result is None:
        said = (run.ended.stderr.strip().splitlines() or [""])[-1] if run.ended else ""
        raise RequestError(f"the executor ended without a result{': ' if said else ''}{said[:500]}")
    try:
        outcome = decode_result(result).outcome
    except ProtocolViolation as error:
        raise RequestError(f"the executor's result cannot be read: {error}") from error
    if not isinstance(outcome, Return):
        raise RequestError(f"the contract has no schema: {outcome}")
    try:
        schema = calldata.decode(outcome.calldata)
    except ValueError as error:
        raise RequestError(f"the contract's schema cannot be read: {error}") from error
    if isinstance(schema, str):
        try:
            return json.loads(schema)
        except ValueError:
            pass
    return schema


def _words(values: list[Any]) -> tuple[str, ...]:
    if len(values) > limits.ARGUMENTS_MAX:
        raise RequestError(f"extra_args has more than {limits.ARGUMENTS_MAX} words")
    for value in values:
        if not isinstance(value, str):
            raise RequestError("extra_args must be an array of texts")
    return tuple(_word("extra_args", value) for value in values)


def _word(name: str, text: str) -> str:
    """Fits a command line.

    :raises RequestError: it does not.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise RequestError(f"{name} has half a character in it") from None
    if size >= limits.ARGUMENT_BYTES:
        raise RequestError(f"{name} has {size} bytes, which is more than a command line takes")
    if "\0" in text:
        raise RequestError(f"{name} has a zero character in it")
    return text


def _restricted(words: tuple[str, ...], allowed: str) -> tuple[str, ...]:
    """``words`` with a ``--permissions`` that is at most ``allowed``.

    :raises RequestError: they ask for more.
    """
    kept: list[str] = []
    asked = allowed
    rest = iter(words)
    for word in rest:
        name, given, value = word.partition("=")
        if name != "--permissions":
            kept.append(word)
            continue
        asked = value if given else next(rest, "")
        if not set(asked) <= set(allowed):
            raise RequestError(f"a read-only run may have the permissions {allowed}, and not {asked[:20]!r}")
    return (*kept, "--permissions", asked)
