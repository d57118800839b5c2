"""What people watch: the latest runs and log lines, and a stream of what changes (server-sent events)."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import Any

from pygenvm.manager import limits
from pygenvm.manager.executions.registry import Run
from pygenvm.manager.outcomes import outcome_of
from pygenvm.pages.stream import Watchers


class Feed:
    """Remembers a bounded past, and gives whoever watches what is new."""

    def __init__(self) -> None:
        self.runs: OrderedDict[int, dict[str, Any]] = OrderedDict()
        #: How many runs ended in which second, by outcome.
        self.rates: OrderedDict[int, dict[str, int]] = OrderedDict()
        self.log: deque[dict[str, Any]] = deque(maxlen=limits.RECENT_LOG_LINES)
        self.watchers = Watchers()
        self._clock_offset = time.time() - time.monotonic()

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
        self.watchers.tell(run.id, "run", shown)

    def logged(self, record: dict[str, Any]) -> None:
        self.log.append(record)
        # Each is told, so its key is one of its own.
        self.watchers.tell(object(), "log", record)

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
