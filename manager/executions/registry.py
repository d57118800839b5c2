"""Runs by their ids: permits, deadlines, and what is kept of those that have ended (spec modules/04 §6)."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

from pygenvm.manager import limits
from pygenvm.manager.errors import RequestError
from pygenvm.manager.executions.backend import Backend, Ended, Execution, Job
from pygenvm.manager.permits import SYNC_WEIGHT, WEIGHT, Permit, Permits

#: What is being ended tells why.
Stopped = Literal["", "deadline", "deleted", "shutdown"]


@dataclass(eq=False, slots=True)
class Run:
    """One run, from the request on. Times are of the monotonic clock, in seconds."""

    id: int
    cookie: str
    job: Job
    requested_at: float
    started_at: float | None = None
    ended_at: float | None = None
    ended: Ended | None = None
    execution: Execution | None = None
    stopped: Stopped = ""
    failure: str = ""
    """Why it could not be started."""
    collected: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def state(self) -> Literal["waiting", "running", "ended"]:
        return "waiting" if self.started_at is None else "running" if self.ended_at is None else "ended"


class Executions:
    """All runs of this manager. Ids are never used twice."""

    def __init__(self, backend: Backend, permits: Permits, on_change: Callable[[Run], None]) -> None:
        """:param on_change: told whenever a run begins to wait, starts, ends, or is given up."""
        self._backend = backend
        self._permits = permits
        self._on_change = on_change
        self._number = -1
        self._running: dict[int, Run] = {}
        self._ended: OrderedDict[int, Run] = OrderedDict()
        self._ended_bytes = 0
        self._watching: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> list[Run]:
        return list(self._running.values())

    def environment_changed(self) -> None:
        """This process's variables are others than before."""
        self._backend.environment_changed()

    def next_id(self) -> tuple[int, str]:
        """An id, and the cookie that belongs to it: 1 and "2", 3 and "4", …"""
        self._number += 2
        return self._number, f"{self._number + 1:x}"

    async def start(self, job: Job, number: int, minutes: int) -> Run:
        """Waits for permits and starts the run; being cancelled leaves nothing behind.

        :raises RequestError: it cannot be started.
        """
        run = Run(number, job.cookie, job, time.monotonic())
        self._on_change(run)
        permit: Permit | None = None
        try:
            permit = await self._permits.acquire(SYNC_WEIGHT if job.sync else WEIGHT)
            starting = asyncio.ensure_future(self._backend.start(job))
            try:
                execution = await asyncio.shield(starting)
            except asyncio.CancelledError:
                # It may be there already, and nobody will ever ask for it; it holds its permit until it is gone.
                self._spawn(_unwanted(starting, permit))
                permit = None
                raise
        except BaseException as error:
            if permit is not None:
                permit.release()
            run.started_at = run.ended_at = time.monotonic()
            run.failure = "the client left" if isinstance(error, asyncio.CancelledError) else str(error)
            self._on_change(run)
            raise
        run.execution = execution
        run.started_at = time.monotonic()
        self._running[number] = run
        self._on_change(run)
        self._spawn(self._watch(run, execution, permit, min(minutes, limits.EXECUTION_MINUTES_MAX) * 60.0))
        return run

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _watch(self, run: Run, execution: Execution, permit: Permit, seconds: float) -> None:
        try:
            ended = await self._ended_in_time(run, execution, seconds)
        finally:
            permit.release()
            del self._running[run.id]
        run.ended_at, run.ended = ended.at, ended
        run.execution, run.job = None, run.job.without_payload()
        self._keep(run)
        run.done.set()
        self._on_change(run)

    async def _ended_in_time(self, run: Run, execution: Execution, seconds: float) -> Ended:
        """Waits for the end; a run whose deadline passes is asked to end first, and killed after a grace."""
        try:
            async with asyncio.timeout(seconds):
                return await execution.wait()
        except TimeoutError:
            run.stopped = run.stopped or "deadline"
        execution.terminate()
        try:
            async with asyncio.timeout(limits.DEADLINE_GRACE_SECONDS):
                return await execution.wait()
        except TimeoutError:
            execution.kill()
        return await execution.wait()

    def collect(self, number: int) -> Run | None:
        """The run of that id, if it has ended; it is forgotten."""
        run = self._ended.pop(number, None)
        if run is not None:
            self._ended_bytes -= _size(run)
            run.collected = True
        return run

    async def stop(self, number: int, wait_ms: int) -> bool:
        """Ends a run if it has not ended, and returns when it is gone; False if there is none of that id."""
        run = self._running.get(number)
        if run is None:
            return number in self._ended
        # Nodes ask for it after every run, right after the result.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.DELETE_PATIENCE_SECONDS):
                await run.done.wait()
        execution = run.execution
        if execution is None:
            return True
        run.stopped = run.stopped or "deleted"
        # The watcher of the run goes on, and keeps the record.
        execution.terminate()
        wait_ms = min(max(wait_ms, limits.DELETE_WAIT_MIN_MS), limits.DELETE_WAIT_MAX_MS)
        try:
            async with asyncio.timeout(wait_ms / 1000):
                await run.done.wait()
        except TimeoutError:
            execution.kill()
            await run.done.wait()
        return True

    async def close(self) -> None:
        """Ends all runs: asked first, then killed."""
        for run in self.running:
            run.stopped = run.stopped or "shutdown"
            if run.execution is not None:
                run.execution.terminate()
        if self._watching:
            await asyncio.wait(list(self._watching), timeout=limits.SHUTDOWN_RUN_SECONDS)
        await self._backend.close()
        if self._watching:
            await asyncio.wait(list(self._watching))

    def forget_old(self) -> None:
        """Drops the records of runs that nobody asked for."""
        before = time.monotonic() - limits.RETENTION_SECONDS
        while self._ended:
            oldest = next(iter(self._ended.values()))
            if oldest.ended_at is None or oldest.ended_at > before:
                return
            self.collect(oldest.id)

    def _keep(self, run: Run) -> None:
        self._ended[run.id] = run
        self._ended_bytes += _size(run)
        while len(self._ended) > limits.RECORDS_MAX or (
            self._ended_bytes > limits.RECORDS_BYTES and len(self._ended) > 1
        ):
            self.collect(next(iter(self._ended)))


async def _unwanted(starting: asyncio.Future[Execution], permit: Permit) -> None:
    """Ends an execution as soon as it has been started."""
    try:
        with contextlib.suppress(RequestError):
            execution = await starting
            execution.kill()
            await execution.wait()
    finally:
        permit.release()


def _size(run: Run) -> int:
    """Memory that its output takes."""
    return 0 if run.ended is None else sys.getsizeof(run.ended.stdout) + sys.getsizeof(run.ended.stderr)
