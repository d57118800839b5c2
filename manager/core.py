"""The manager itself: what its routes share, and what happens beside requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

from pygenvm.executor.config import LOG_LEVELS
from pygenvm.manager import limits
from pygenvm.manager.environment import Environment
from pygenvm.manager.executions.backend import Backend, Notes
from pygenvm.manager.executions.registry import Executions, Run
from pygenvm.manager.feed import Feed
from pygenvm.manager.log import ManagerLog
from pygenvm.manager.metrics import Metrics
from pygenvm.manager.modules import MODULES, ModuleProcesses
from pygenvm.manager.permits import Permits
from pygenvm.manager.versions import Executors

LOG_TARGET = "genvm_modules::manager"


class Manager:
    """Executors, permits, runs and modules. All of it belongs to one event loop."""

    def __init__(
        self, *, executors: Executors, permits: Permits, backend: Backend, modules: ModuleProcesses, log: ManagerLog
    ) -> None:
        self.executors = executors
        self.permits = permits
        self.modules = modules
        self.log = log
        self.environment = Environment(log.secrets)
        self.metrics = Metrics()
        self.feed = Feed()
        self.executions = Executions(backend, permits, self._run_changed)
        self.started_at = time.time()
        self.closing = False
        self._housekeeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._housekeeper = asyncio.create_task(self._keep_house())

    async def close(self) -> None:
        """Ends runs first, then modules."""
        self.closing = True
        self.permits.close()
        await self.executions.close()
        await self.modules.close()
        self.feed.watchers.close()
        if self._housekeeper is not None:
            self._housekeeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._housekeeper

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(limits.HOUSEKEEPING_SECONDS)
            self.executions.forget_old()

    # --- what routes tell -------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """The body of ``GET /status``; it has more than the specification's two members."""
        return {
            **{f"{name}_module": self.modules.state(name) for name in MODULES},
            "permits": self.permits.total,
            "permits_used": self.permits.used,
            "waiting": self.permits.waiting,
            "running": len(self.executions.running),
        }

    def problems(self) -> list[str]:
        """Why it would not carry out a run properly just now."""
        found = ["the manager is shutting down"] if self.closing else []
        return found + [f"the {name} module has failed: {why}" for name, why in self.modules.failures().items()]

    def warn_of_missing_modules(self) -> None:
        missing = [name for name in MODULES if self.modules.state(name) != "running"]
        if missing:
            self.log.warn("modules are not running", modules=missing)

    # --- logs -------------------------------------------------------------------------------------

    def set_log_level(self, level: str, target: str | None = None) -> None:
        """From now on; for all targets, or for ``target`` and what is below it.

        :raises RequestError: too many targets have a level of their own, or this is none.
        """
        self.log.set_level(level, target)

    def log_of_run(self, number: int, cookie: str, notes: Notes) -> Callable[[bytes], None]:
        """Takes the lines of an executor's log into ours, and what they tell of the run into ``notes``."""
        log = self.log.bound(cookie=cookie, genvm_id=number)

        def relay(line: bytes) -> None:
            text = line.decode("utf-8", "replace").strip()
            if not text:
                return
            try:
                record = json.loads(text)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                log.info("genvm log raw", log=text)
                return
            level = record.get("level")
            if record.get("message") == "metrics":
                notes.blame = _blame(record)
            index = LOG_LEVELS.index(level if level in LOG_LEVELS else "info")
            log.write(index, LOG_TARGET, "genvm log", {"log": record}, "manager/core.py:0")

        return relay

    # --- runs -------------------------------------------------------------------------------------

    def _run_changed(self, run: Run) -> None:
        self.metrics.run_changed(run)
        self.feed.run_changed(run)
        if run.state == "running":
            self.log.info("genvm started", genvm_id=run.id, cookie=run.cookie, executor=run.job.executor.name)
        elif run.ended is not None:
            self.log.info(
                "genvm ended", genvm_id=run.id, cookie=run.cookie, exit_status=run.ended.status, stopped=run.stopped
            )


def _blame(record: dict[str, Any]) -> str | None:
    """``metrics.gvm.internal_error`` of an executor's last record (:mod:`executor.run.metrics`)."""
    value: Any = record
    for name in ("metrics", "gvm", "internal_error"):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None
