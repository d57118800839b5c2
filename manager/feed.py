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
    """One client, and what has changed since it was told last: of each run only its latest state."""

    def __init__(self) -> None:
        self._events: dict[object, bytes] = {}
        self._wake = asyncio.Event()
        self._lost = False
        self.closed = False

    def put(self, key: object, event: bytes) -> None:
        """``event`` takes the place of one with the same key that was not told yet."""
        self._events.pop(key, None)
        if len(self._events) >= limits.WATCHER_EVENTS:
            self._events.clear()
            self._lost = True
        self._events[key] = event
        self._wake.set()

    def forget(self) -> None:
        """What has come until now is known."""
        self._events.clear()
        self._lost = False

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def next(self) -> tuple[bytes, bool]:
        """The events since the last call, nothing after a second without any; and whether there were too many."""
        try:
            async with asyncio.timeout(limits.WATCHER_LOOK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return b"", False
        self._wake.clear()
        events, lost = b"".join(self._events.values()), self._lost
        self.forget()
        return events, lost


class Feed:
    """Remembers a bounded past, and gives whoever watches what is new."""

    def __init__(self) -> None:
        self.runs: OrderedDict[int, dict[str, Any]] = OrderedDict()
        #: How many runs ended in which second, by outcome.
        self.rates: OrderedDict[int, dict[str, int]] = OrderedDict()
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

    def run_changed(self, run: Run) -> None:
        shown = self._shown(run)
        self.runs[run.id] = shown
        self.runs.move_to_end(run.id)
        while len(self.runs) > limits.RECENT_RUNS:
            # Those that go on stay on the page, however old they are.
            oldest = next((number for number, one in self.runs.items() if one["state"] == "ended"), None)
            del self.runs[next(iter(self.runs)) if oldest is None else oldest]
        if shown["ended_at"] is not None:
            counts = self.rates.setdefault(shown["ended_at"] // 1000, {})
            counts[shown["outcome"]] = counts.get(shown["outcome"], 0) + 1
            while len(self.rates) > limits.RATE_SECONDS:
                self.rates.popitem(last=False)
        self._tell(run.id, "run", shown)

    def logged(self, record: dict[str, Any]) -> None:
        self.log.append(record)
        # Each is told, so its key is one of its own.
        self._tell(object(), "log", record)

    def close(self) -> None:
        for watcher in self._watchers:
            watcher.close()

    def _tell(self, key: object, name: str, value: dict[str, Any]) -> None:
        if self._watchers:
            told = event(name, value)
            for watcher in self._watchers:
                watcher.put(key, told)

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


def event(name: str, value: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return f"event: {name}\ndata: {json.dumps(value, ensure_ascii=False, default=str)}\n\n".encode("utf-8", "replace")
