"""HTTP: where what is asked, who may ask, and how much at a time.

======================= ===========================================================================================
``POST /api``, ``/``    JSON-RPC
``GET /``               the page
``GET /page/…``         its files and its stream, and ``/pages/…`` those that all our pages share
``GET /events``         what happens, as server-sent events
``GET /ws``             the same for web front ends, as a WebSocket
``GET /health``         whether the network is there
======================= ===========================================================================================
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from pygenvm import pages
from pygenvm.localnet import limits
from pygenvm.localnet.rpc.envelope import answer, write_json
from pygenvm.localnet.rpc.errors import INVALID_REQUEST
from pygenvm.localnet.rpc.methods import METHODS
from pygenvm.localnet.rpc.origins import Origins
from pygenvm.localnet.rpc.registry import Node
from pygenvm.localnet.rpc.streams import Streams, TooManyListeners

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STREAMS: Final = web.AppKey("streams", Streams)
_ELSEWHERE: Final = ": JSON-RPC is POST /api, and the page GET /"
_MAX_AGE: Final = "600"


def make_app(node: Node, origins: Origins) -> web.Application:
    app = web.Application(client_max_size=limits.RPC_BODY_BYTES, middlewares=[_middleware(origins)])
    app[_STREAMS] = Streams(node.network)
    routes = _Routes(node, app[_STREAMS])
    for path in ("/api", "/api/", "/"):
        app.router.add_post(path, routes.rpc)
    app.router.add_get("/health", routes.health)
    app.router.add_get("/ws", routes.websocket)
    app.router.add_get("/events", routes.events)
    node.feed.add_routes(app)
    app.on_shutdown.append(_end_streams)
    return app


async def _end_streams(app: web.Application) -> None:
    app[_STREAMS].close()


def _middleware(origins: Origins) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        refused = origins.refuses_host(host)
        if refused is not None:
            return _text(refused, 403)
        origin = request.headers.get("Origin")
        if origin is not None and not origins.allows(origin, host):
            text = f"web pages of {origin[:80]!r} may not use this network; --cors {origin[:80]} lets them"
            return _text(text, 403)
        if request.method == "OPTIONS":
            response: web.StreamResponse = web.Response(status=204, headers=_preflight(request))
        else:
            try:
                response = await handler(request)
            except web.HTTPException as error:
                response = _text(f"{error.reason}{_ELSEWHERE if error.status in (404, 405) else ''}", error.status)
        if origin is not None and not response.prepared:
            response.headers.update(_cors(origin))
        return response

    return middleware


def _cors(origin: str) -> dict[str, str]:
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


def _preflight(request: web.Request) -> dict[str, str]:
    headers = {"Access-Control-Allow-Methods": "GET, POST, OPTIONS", "Access-Control-Max-Age": _MAX_AGE}
    headers["Access-Control-Allow-Headers"] = request.headers.get("Access-Control-Request-Headers", "content-type")
    if request.headers.get("Access-Control-Request-Private-Network") == "true":
        headers["Access-Control-Allow-Private-Network"] = "true"
    return headers


def _text(text: str, status: int) -> web.Response:
    """Of what is no JSON-RPC, as such a client can still read it."""
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": INVALID_REQUEST, "message": text}}
    return web.Response(body=write_json(error), status=status, content_type="application/json")


class _Routes:
    def __init__(self, node: Node, streams: Streams) -> None:
        self._node = node
        self._streams = streams
        self._held = 0

    async def rpc(self, request: web.Request) -> web.StreamResponse:
        body = bytearray()
        try:
            async with asyncio.timeout(limits.RPC_BODY_SECONDS):
                async for data in request.content.iter_any():
                    body += data
                    self._held += len(data)
                    if len(body) > limits.RPC_BODY_BYTES:
                        return _text(f"a request has at most {limits.RPC_BODY_BYTES} bytes", 413)
                    if self._held > limits.RPC_BODIES_BYTES:
                        return _text("requests take too much memory already; try again later", 503)
            reply = await answer(bytes(body), self._call)
        except TimeoutError:
            return _text(f"the body has not arrived within {limits.RPC_BODY_SECONDS:g} s", 408)
        finally:
            self._held -= len(body)
        if not reply.body:
            return web.Response(status=reply.status)
        return web.Response(body=reply.body, status=reply.status, content_type="application/json", charset="utf-8")

    async def _call(self, method: str, params: Any) -> Any:
        return await METHODS.call(self._node, method, params)

    async def health(self, request: web.Request) -> web.StreamResponse:
        number = await self._node.network.block_number()
        document = {"status": "healthy", "version": self._node.version, "block": number}
        return web.Response(text=json.dumps(document), content_type="application/json")

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return _text("this is a WebSocket: connect with ws://", 426)
        try:
            return await self._streams.websocket(request)
        except TooManyListeners as error:
            return _text(str(error), 503)

    async def events(self, request: web.Request) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        try:
            return await self._streams.events(request, {**pages.HEADERS, **(_cors(origin) if origin else {})})
        except TooManyListeners as error:
            return _text(str(error), 503)
