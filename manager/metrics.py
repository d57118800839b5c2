"""What the manager counts, as Prometheus reads it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pygenvm.executor.outcome import Blame
from pygenvm.manager.executions.registry import Run
from pygenvm.manager.outcomes import outcome_of

if TYPE_CHECKING:
    from pygenvm.manager.core import Manager

_SECONDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 60.0, 300.0, 1200.0, 3600.0)


class Metrics:
    """Counters of one manager, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        own = self.registry
        self._runs = Counter(
            "genvm_manager_runs", "Runs that ended, by outcome and blame", ["outcome", "blame"], registry=own
        )
        self._waits = Histogram(
            "genvm_manager_wait_seconds",
            "From a request to the start of its executor",
            buckets=_SECONDS,
            registry=own,
        )
        self._durations = Histogram(
            "genvm_manager_run_seconds", "From the start of an executor to its end", buckets=_SECONDS, registry=own
        )
        self._requests = Counter(
            "genvm_manager_requests", "Requests by route and status", ["route", "status"], registry=own
        )
        self._running = Gauge("genvm_manager_running", "Runs that are under way", registry=own)
        self._waiting = Gauge("genvm_manager_waiting", "Runs that wait for permits", registry=own)
        self._permits = Gauge("genvm_manager_permits", "Permits in all", registry=own)
        self._used = Gauge("genvm_manager_permits_used", "Permits that runs hold", registry=own)
        self._memory = Gauge("genvm_manager_resident_bytes", "Resident memory of the manager itself", registry=own)
        self._runs_memory = Gauge(
            "genvm_manager_runs_resident_bytes", "Resident memory of running executors", registry=own
        )
        self._modules = Gauge("genvm_manager_module_running", "1 while the module listens", ["module"], registry=own)
        self._restarts = Gauge(
            "genvm_manager_module_restarts", "How often it was started again", ["module"], registry=own
        )
        self._uptime = Gauge("genvm_manager_uptime_seconds", "Since the manager was started", registry=own)

    def run_changed(self, run: Run) -> None:
        if run.state == "running" and run.started_at is not None:
            self._waits.observe(run.started_at - run.requested_at)
        elif run.state == "ended":
            outcome, _ = outcome_of(run)
            blame = run.job.notes.blame or ""
            # What an executor says is no label before it is known to be one of a few.
            self._runs.labels(outcome, blame if blame in set(Blame) else "").inc()
            if run.ended is not None and run.started_at is not None and run.ended_at is not None:
                self._durations.observe(run.ended_at - run.started_at)

    def answered(self, route: str, status: int) -> None:
        """``route`` is the pattern of a known route, or ``other``."""
        self._requests.labels(route, str(status)).inc()

    def exposition(self, manager: Manager) -> tuple[bytes, str]:
        """The text, and its content type."""
        running = manager.executions.running
        self._running.set(len(running))
        self._waiting.set(manager.permits.waiting)
        self._permits.set(manager.permits.total)
        self._used.set(manager.permits.used)
        self._memory.set(resident_bytes("self"))
        pids = [run.execution.pid for run in running if run.execution is not None]
        self._runs_memory.set(sum(resident_bytes(str(pid)) for pid in pids if pid is not None))
        self._uptime.set(time.time() - manager.started_at)
        for name, state in manager.modules.states().items():
            self._modules.labels(name).set(state == "running")
            self._restarts.labels(name).set(manager.modules.restarts(name))
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


def resident_bytes(pid: str) -> int:
    """0 where nobody knows."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


_PAGE: Final = 4096
