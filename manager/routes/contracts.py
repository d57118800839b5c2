"""``/contract``: what a node asks before a deployment (spec modules/04 §8)."""

from __future__ import annotations

import asyncio

from aiohttp import web

from pygenvm.manager import contracts
from pygenvm.manager.core import Manager
from pygenvm.manager.errors import RequestError
from pygenvm.manager.requests import answer, deployment_time, read_body


def add_routes(app: web.Application, manager: Manager) -> None:
    async def detect_version(request: web.Request) -> web.Response:
        moment = deployment_time(request)
        major = await contracts.detect_major(manager.executors, await read_body(request), moment)
        return answer({"specified_major": major})

    async def pre_deploy_writes(request: web.Request) -> web.Response:
        moment = deployment_time(request)
        form = request.query.get("bytes", "base64")
        if form not in ("base64", "array"):
            raise RequestError(f"bytes must be base64 or array, not {form[:40]!r}")
        code = await read_body(request)
        if await contracts.detect_major(manager.executors, code, moment) != 0:
            raise RequestError("only major version 0 is supported for now")
        writes = contracts.deploy_writes(code)
        body = await asyncio.to_thread(contracts.as_json, writes, arrays=form == "array")
        return web.Response(body=body, content_type="application/json", charset="utf-8")

    app.router.add_post("/contract/detect-version", detect_version)
    app.router.add_post("/contract/pre-deploy-writes", pre_deploy_writes)
