"""``/``: the page for people, and the stream of events that it lives on."""

from __future__ import annotations

import json
from importlib.resources import files

from aiohttp import web

from pygenvm.manager.core import Manager
from pygenvm.manager.errors import RequestError
from pygenvm.manager.feed import TooManyWatchers
from pygenvm.manager.requests import answer

#: What the page is made of; nothing else is served.
_FILES = {
    "page.html": "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "plot.js": "text/javascript",
    "docs.html": "text/html",
    "docs.js": "text/javascript",
}
#: Only our own files, and no requests elsewhere.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def add_routes(app: web.Application, manager: Manager) -> None:
    page = _Page(manager)
    app.router.add_get("/", page.page)
    app.router.add_get("/docs", page.docs)
    app.router.add_get("/openapi.json", page.document)
    app.router.add_get("/page/{name}", page.file)
    app.router.add_get("/events", page.events)
    app.router.add_get("/page-state", page.state)


class _Page:
    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def page(self, request: web.Request) -> web.Response:
        return _file("page.html")

    async def docs(self, request: web.Request) -> web.Response:
        return _file("docs.html")

    async def file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _FILES:
            raise web.HTTPNotFound
        return _file(name)

    async def document(self, request: web.Request) -> web.Response:
        from pygenvm.schemas import load_yaml

        return answer(load_yaml("manager-api"))

    async def state(self, request: web.Request) -> web.Response:
        """All that the page shows; later changes come as events."""
        feed = self._manager.feed
        return answer({"status": self._manager.status(), "runs": list(feed.runs.values()), "log": list(feed.log)})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events ``status``, ``run``, ``log`` and ``lost``."""
        feed = self._manager.feed
        try:
            watcher = feed.watch()
        except TooManyWatchers as error:
            raise RequestError(str(error)) from error
        try:
            response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(f"event: status\ndata: {json.dumps(self._manager.status())}\n\n".encode())
            while not watcher.closed:
                await response.write(await watcher.next())
        except ConnectionError:
            pass
        finally:
            feed.leave(watcher)
        return response


def _file(name: str) -> web.Response:
    data = (files("pygenvm.manager") / "page" / name).read_bytes()
    return web.Response(body=data, content_type=_FILES[name], charset="utf-8", headers=_HEADERS)
