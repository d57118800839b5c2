"""A service in this process, on a socket; and what its document says of an answer."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from pygenvm.modules.log import Logger
from pygenvm.settlement.blocks.signatures import Secp256k1Key
from pygenvm.settlement.blocks.transactions import Call, sign
from pygenvm.settlement.service.app import make_app
from pygenvm.settlement.service.metrics import Metrics
from pygenvm.settlement.service.node import Node, signed_is_committed
from pygenvm.settlement.service.prompts import Prompts
from tests.settlement.chains import GENESIS
from tests.settlement.engines import A_CHAIN


class Live:
    def __init__(self, node: Node, app: web.Application, port: int, http: aiohttp.ClientSession) -> None:
        self.node = node
        self.app = app
        self.port = port
        self.http = http

    async def ask(
        self, method: str, path: str, body: object = None, *, data: bytes | None = None, **headers: str
    ) -> tuple[int, str]:
        data = json.dumps(body).encode() if body is not None else data
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.http.request(method, url, data=data, headers=headers) as response:
            return response.status, await response.text()

    async def engine(self, path: str) -> Any:
        """The answer of a route of the engine, as the document has it."""
        status, text = await self.ask("GET", "/v1/settlement" + path)
        assert status == 200, text
        return json.loads(text)

    async def submit(self, key: Secp256k1Key, call: Call, **members: str) -> str:
        account = await self.engine(f"/accounts/0x{key.address.hex()}")
        transaction = "0x" + sign(key, A_CHAIN, account["nextNonce"], call).encode().hex()
        status, text = await self.ask("POST", "/v1/settlement/transactions", {"transaction": transaction, **members})
        assert status == 202, text
        conforms(json.loads(text), "Submitted")
        return str(json.loads(text)["id"])

    async def blocks(self, count: int = 1) -> Any:
        status, text = await self.ask("POST", "/v1/settlement/blocks", {"count": count})
        assert status == 200, text
        conforms(json.loads(text), "MadeBlocks")
        return json.loads(text)["blocks"]


@asynccontextmanager
async def live(
    folder: Path, *, state: str | None = None, on_demand: bool = True, token: str | None = None
) -> AsyncIterator[Live]:
    log = Logger(fd=os.open(os.devnull, os.O_WRONLY))
    name = state or str(folder / "state.db")
    node = Node(name, GENESIS, Prompts(folder / "prompts"), verifier=signed_is_committed, log=log)
    await node.start()
    app = make_app(node, Metrics(node), log, on_demand=on_demand, token=token)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as http:
            yield Live(node, app, runner.addresses[0][1], http)
    finally:
        node.feed.close()
        await runner.cleanup()
        await node.close()


@cache
def document() -> dict[str, Any]:
    text = (files("pygenvm.schemas") / "settlement-api.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def conforms(value: object, schema: str) -> None:
    _conforms(value, document()["components"]["schemas"][schema], schema)


_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def _conforms(value: Any, schema: dict[str, Any], where: str) -> None:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _conforms(value, document()["components"]["schemas"][name], f"{where}:{name}")
    if "const" in schema or "enum" in schema:
        assert value in schema.get("enum", [schema.get("const")]), where
        return None
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert any(type(value) in _KINDS[kind] for kind in kinds), f"{where}: {value!r}"
    if isinstance(value, str) and "pattern" in schema:
        assert re.search(schema["pattern"], value), f"{where}: {value!r}"
    if isinstance(value, int):
        assert schema.get("minimum", value) <= value <= schema.get("maximum", value), where
    if isinstance(value, list):
        for item in value:
            _conforms(item, schema["items"], where + "[]")
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema["required"]) <= set(value) <= set(schema["properties"]), f"{where}: {sorted(value)}"
        for name, item in value.items():
            _conforms(item, schema["properties"][name], f"{where}.{name}")
    return None
