"""What people watch: the latest runs and log lines, and a stream of what changes (server-sent events)."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict, deque
from typing import Any

from pygenvm.manager import limits
from pygenvm.manager.executions.registry import Run
from pygenvm.manager.outcomes import outcome_of


class TooManyWatchers(Exception):
    """No further one is admitted."""


class Watcher:
    """One client. What it does not read in time is dropped, and told by a ``lost`` event."""

    def __init__(self) -> None:
        self._events: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._lost = False
        self.closed = False

    def put(self, event: bytes) -> None:
        if len(self._events) >= limits.WATCHER_EVENTS:
            self._events.clear()
            self._lost = True
        self._events.append(event)
        self._wake.set()

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def next(self) -> bytes:
        """What has come since, all in one piece; a heartbeat if nothing has for a while, nothing after the end."""
        with_timeout = asyncio.timeout(limits.HEARTBEAT_SECONDS)
        try:
            async with with_timeout:
                await self._wake.wait()
        except TimeoutError:
            return b": still here\n\n"
        self._wake.clear()
        events = b"".join(self._events)
        self._events.clear()
        if self._lost:
            self._lost = False
            return _event("lost", {}) + events
        return events


class Feed:
    """Remembers a bounded past, and gives whoever watches what is new."""

    def __init__(self) -> None:
        self.runs: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self.log: deque[dict[str, Any]] = deque(maxlen=limits.RECENT_LOG_LINES)
        self._watchers: set[Watcher] = set()
        self._clock_offset = time.time() - time.monotonic()

    def watch(self) -> Watcher:
        """:raises TooManyWatchers: there are as many as may be."""
        if len(self._watchers) >= limits.WATCHERS:
            raise TooManyWatchers(f"{limits.WATCHERS} clients watch already")
        watcher = Watcher()
        self._watchers.add(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    def run_changed(self, run: Run, status: dict[str, Any]) -> None:
        shown = self._shown(run)
        self.runs[run.id] = shown
        self.runs.move_to_end(run.id)
        while len(self.runs) > limits.RECENT_RUNS:
            # Those that go on stay on the page, however old they are.
            oldest = next((number for number, one in self.runs.items() if one["state"] == "ended"), None)
            del self.runs[next(iter(self.runs)) if oldest is None else oldest]
        self._tell("run", shown)
        self._tell("status", status)

    def status_changed(self, status: dict[str, Any]) -> None:
        self._tell("status", status)

    def logged(self, record: dict[str, Any]) -> None:
        self.log.append(record)
        self._tell("log", record)

    def close(self) -> None:
        for watcher in self._watchers:
            watcher.close()

    def _tell(self, name: str, value: dict[str, Any]) -> None:
        if self._watchers:
            event = _event(name, value)
            for watcher in self._watchers:
                watcher.put(event)

    def _shown(self, run: Run) -> dict[str, Any]:
        def wall(moment: float | None) -> int | None:
            return None if moment is None else int((moment + self._clock_offset) * 1000)

        outcome, detail = outcome_of(run)
        return {
            "id": run.id,
            "cookie": run.cookie,
            "state": run.state,
            "executor": run.job.executor.name,
            "sync": run.job.sync,
            "requested_at": wall(run.requested_at),
            "started_at": wall(run.started_at),
            "ended_at": wall(run.ended_at),
            "outcome": outcome,
            "detail": detail,
            "stopped": run.stopped,
            "collected": run.collected,
        }


def _event(name: str, value: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(value, ensure_ascii=False, default=str)}\n\n".encode("utf-8", "replace")
