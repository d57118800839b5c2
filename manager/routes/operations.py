"""Status, settings at run time, modules, health and metrics (spec modules/04 §3 to §5, §7, §9)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from pygenvm.executor.config import LOG_LEVELS
from pygenvm.manager import limits
from pygenvm.manager.core import Manager
from pygenvm.manager.errors import RequestError
from pygenvm.manager.modules import MODULES, ModuleName
from pygenvm.manager.requests import Members, answer, read_json
from pygenvm.modules.config import ConfigError


def add_routes(app: web.Application, manager: Manager) -> None:
    operations = _Operations(manager)
    app.router.add_get("/status", operations.status)
    app.router.add_post("/module/start", operations.start_module)
    app.router.add_post("/module/stop", operations.stop_module)
    app.router.add_post("/log/level", operations.log_level)
    app.router.add_post("/manifest/reload", operations.reload_manifest)
    app.router.add_post("/env", operations.set_environment)
    app.router.add_get("/permits", operations.get_permits)
    app.router.add_post("/permits", operations.set_permits)
    app.router.add_post("/llm/check", operations.check_llm)
    app.router.add_get("/health/live", operations.live)
    app.router.add_get("/health/ready", operations.ready)
    app.router.add_get("/metrics", operations.metrics)


class _Operations:
    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    async def status(self, request: web.Request) -> web.Response:
        return answer(self._manager.status())

    # --- modules ----------------------------------------------------------------------------------

    async def start_module(self, request: web.Request) -> web.Response:
        body = await read_json(request)
        name = _module(body)
        config = body.get("config", dict, None)
        await self._manager.modules.start(name, config, allow_empty=body.get("allow_empty_backends", bool, False))
        return answer({"result": "module_started"})

    async def stop_module(self, request: web.Request) -> web.Response:
        stopped = await self._manager.modules.stop(_module(await read_json(request)))
        return answer({"result": "module_stopped" if stopped else "module_not_running"})

    async def check_llm(self, request: web.Request) -> web.Response:
        from pygenvm.modules.llm.check import check_configs

        body = await read_json(request)
        try:
            results: Any = await check_configs(body.get("configs", list), body.get("test_prompts", list), os.environ)
        except (ConfigError, ValueError) as error:
            raise RequestError(str(error)) from error
        return answer(results)

    # --- settings ---------------------------------------------------------------------------------

    async def log_level(self, request: web.Request) -> web.Response:
        body = await read_json(request)
        with _called("invalid log level"):
            level = body.get("level", str).lower()
            level = "warn" if level == "warning" else level
            if level not in LOG_LEVELS:
                raise RequestError(f"there are {', '.join(LOG_LEVELS)}")
        self._manager.set_log_level(level, body.get("target", str, None))
        return answer({"result": "log_level_set", "level": level})

    async def reload_manifest(self, request: web.Request) -> web.Response:
        try:
            self._manager.executors.reload()
        except ConfigError as error:
            raise RequestError(str(error)) from error
        return answer({"result": "manifest_reloaded"})

    async def set_environment(self, request: web.Request) -> web.Response:
        body = await read_json(request)
        with _called("invalid env var key"):
            name = body.get("key", str)
        with _called("invalid env var value"):
            value = body.get("value", str)
        self._manager.environment.set(name, value)
        self._manager.executions.environment_changed()
        return answer({"result": "env_var_set", "key": name})

    async def get_permits(self, request: web.Request) -> web.Response:
        return answer({"permits": self._manager.permits.total})

    async def set_permits(self, request: web.Request) -> web.Response:
        body = await read_json(request)
        with _called("invalid permits"):
            number = body.number("permits", 0, limits.PERMITS_MAX)
        return answer({"result": "permits_set", "permits": self._manager.permits.resize(number)})

    # --- health -----------------------------------------------------------------------------------

    async def live(self, request: web.Request) -> web.Response:
        return answer({"alive": True})

    async def ready(self, request: web.Request) -> web.Response:
        problems = self._manager.problems()
        return answer({"ready": not problems, "problems": problems}, 503 if problems else 200)

    async def metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._manager.metrics.exposition(self._manager)
        return web.Response(body=body, headers={"Content-Type": content_type})


@contextmanager
def _called(name: str) -> Iterator[None]:
    """What is refused within has the text that the specification gives it, and then the reason."""
    try:
        yield
    except RequestError as error:
        raise RequestError(f"{name}: {error}") from error


def _module(body: Members) -> ModuleName:
    name = body.get("module_type", str).lower()
    for known in MODULES:
        if known == name:
            return known
    raise RequestError(f"module_type must be one of {', '.join(MODULES)}, not {name[:40]!r}")
