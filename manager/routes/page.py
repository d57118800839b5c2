"""``/``: the page for people, and the stream of events that it lives on."""

from __future__ import annotations

import asyncio
import time
from functools import cache
from typing import Any

from aiohttp import web

from pygenvm import pages
from pygenvm.manager.core import Manager
from pygenvm.manager.errors import RequestError
from pygenvm.manager.modules import MODULES
from pygenvm.manager.requests import answer
from pygenvm.pages.stream import TooManyWatchers, event, serve


def add_routes(app: web.Application, manager: Manager) -> None:
    page = _Page(manager)
    app.router.add_get("/", page.page)
    app.router.add_get("/docs", page.docs)
    app.router.add_get("/openapi.json", page.document)
    app.router.add_get("/page/{name}", page.own_file)
    app.router.add_get("/pages/{name}", page.shared_file)
    app.router.add_get("/events", page.events)
    app.router.add_get("/page-state", page.state)


class _Page:
    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def page(self, request: web.Request) -> web.Response:
        return _file("pygenvm.manager", "page", "page.html")

    async def docs(self, request: web.Request) -> web.Response:
        return _file("pygenvm.manager", "page", "docs.html")

    async def own_file(self, request: web.Request) -> web.Response:
        return _file("pygenvm.manager", "page", request.match_info["name"])

    async def shared_file(self, request: web.Request) -> web.Response:
        return _file("pygenvm.pages", ".", request.match_info["name"])

    async def document(self, request: web.Request) -> web.Response:
        return answer(await asyncio.to_thread(_document))

    async def state(self, request: web.Request) -> web.Response:
        """All that the page shows."""
        return answer(self._state())

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: ``state`` first, then ``status``, ``run`` and ``log`` as they change.

        A client that does not keep up is given ``state`` again instead of what it missed.
        """
        watchers = self._manager.feed.watchers
        try:
            watcher = watchers.watch()
        except TooManyWatchers as error:
            raise RequestError(str(error)) from error
        told: dict[str, Any] = {}

        async def state() -> dict[str, Any]:
            nonlocal told
            whole = self._state()
            told = whole["status"]
            return whole

        def status() -> bytes:
            nonlocal told
            if (now := self._status()) == told:
                return b""
            told = now
            return event("status", now)

        try:
            return await serve(request, watcher, state, status)
        finally:
            watchers.leave(watcher)

    def _state(self) -> dict[str, Any]:
        feed = self._manager.feed
        return {
            "now": time.time_ns() // 1_000_000,
            "status": self._status(),
            "runs": list(feed.runs.values()),
            "log": list(feed.log),
            "rates": [[second, outcomes] for second, outcomes in feed.rates.items()],
        }

    def _status(self) -> dict[str, Any]:
        modules = self._manager.modules
        failures = modules.failures()
        return {
            **self._manager.status(),
            "closing": self._manager.closing,
            "modules": {
                name: {
                    "state": modules.state(name),
                    "restarts": modules.restarts(name),
                    "failure": failures.get(name, ""),
                }
                for name in MODULES
            },
        }


@cache
def _document() -> Any:
    from pygenvm.schemas import load_yaml

    return load_yaml("manager-api")


def _file(package: str, folder: str, name: str) -> web.Response:
    try:
        file = pages.read(package, folder, name)
    except FileNotFoundError:
        raise web.HTTPNotFound from None
    return web.Response(body=file.data, content_type=file.content_type, charset="utf-8", headers=pages.HEADERS)
