"""Servers in processes of their own for benchmarks of the modules: ``python -m benchmarks.servers KIND ARGUMENT``.

* ``page SECONDS``: answers everything with the same page, after so long;
* ``model SECONDS``: a language model behind the protocol of OpenAI, which takes so long;
* ``json TEXT``: answers everything with that JSON document;
* ``proxy URL``: as little as one can write with aiohttp that asks somebody else: the body of a POST goes to ``URL``, a
  GET is a GET there, each with a connection of its own or (with a POST) one that is kept, and the answer comes back.

Prints its port, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web

PAGE = b"<!doctype html><p>" + b"lorem ipsum dolor sit amet " * 80
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "yes"}}], "usage": {"prompt_tokens": 9}}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _page(seconds: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(float(seconds))
        return web.Response(body=PAGE, content_type="text/html")

    return handler


def _model(seconds: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            await request.json()
        await asyncio.sleep(float(seconds))
        return web.json_response(ANSWER)

    return handler


def _json(text: str) -> Handler:
    document = json.loads(text)

    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response(document)

    return handler


def _proxy(url: str) -> Handler:
    sessions: dict[str, aiohttp.ClientSession] = {}

    def session(method: str) -> aiohttp.ClientSession:
        if method not in sessions:
            # As the web service does it: no connection outlives its request.
            connector = aiohttp.TCPConnector(force_close=method == "GET")
            sessions[method] = aiohttp.ClientSession(connector=connector)
        return sessions[method]

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            async with session("GET").get(url) as answer:
                return web.Response(status=answer.status, body=await answer.read())
        async with session("POST").post(url, json=await request.json()) as answer:
            return web.json_response(await answer.json(), status=answer.status)

    return handler


_KINDS: dict[str, Callable[[str], Handler]] = {"page": _page, "model": _model, "json": _json, "proxy": _proxy}


async def _serve(kind: str, argument: str) -> None:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", _KINDS[kind](argument))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    ended: Any = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await ended


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
