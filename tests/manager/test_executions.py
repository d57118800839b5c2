"""Runs by their ids: deadlines, records, and permits whatever happens (spec modules/04 §6.4 to §6.6)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pygenvm.manager import limits
from pygenvm.manager.errors import RequestError
from pygenvm.manager.executions.backend import Backend, Ended, Execution, Job
from pygenvm.manager.executions.local import LocalExecutors
from pygenvm.manager.executions.registry import Executions, Run
from pygenvm.manager.permits import Permits
from pygenvm.manager.versions import InstalledExecutor


def job(script: str = ":", **others: Any) -> Job:
    """A run of a shell script instead of an executor."""
    values: dict[str, Any] = {
        "executor": InstalledExecutor("test", ("/bin/sh", "-c", script), own=False),
        "message": "{}",
        "host": "unix:///nonexistent",
        "host_data": "{}",
        "cookie": "2",
        "sync": False,
        "extra": (),
        "capture_output": True,
        "on_log": lambda _: None,
    }
    return Job(**{**values, **others})


@contextlib.asynccontextmanager
async def executions(backend: Backend | None = None, permits: int = 4) -> AsyncIterator[tuple[Executions, Permits]]:
    admitted = Permits(permits)
    made = Executions(backend or LocalExecutors(idle=0), admitted, lambda _: None)
    yield made, admitted
    await made.close()
    assert (admitted.used, admitted.waiting, made.running) == (0, 0, [])


async def started(runs: Executions, script: str = ":", minutes: int = 1) -> Run:
    number, cookie = runs.next_id()
    return await runs.start(job(script, cookie=cookie), number, minutes)


async def test_one_that_ignores_its_deadline_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EXECUTION_MINUTES_MAX", 0.5 / 60)
    monkeypatch.setattr(limits, "DEADLINE_GRACE_SECONDS", 0.3)
    async with executions() as (runs, _):
        run = await started(runs, "trap 'echo asked' TERM; while :; do sleep 0.1; done", minutes=50)
        await run.done.wait()
        assert run.ended is not None
        assert (run.ended.status, run.stopped, run.ended.stdout) == (-9, "deadline", "asked\n")


async def test_ids_go_up_by_two() -> None:
    async with executions() as (runs, _):
        assert [runs.next_id() for _ in range(6)] == [
            (1, "2"), (3, "4"), (5, "6"), (7, "8"), (9, "a"), (11, "c")
        ]  # fmt: skip


async def test_a_record_is_forgotten_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    async with executions() as (runs, _):
        first = await started(runs)
        await first.done.wait()
        runs.forget_old()
        assert await runs.stop(first.id, 20)
        monkeypatch.setattr(limits, "RETENTION_SECONDS", -1.0)
        runs.forget_old()
        assert not await runs.stop(first.id, 20)
        assert runs.collect(first.id) is None


async def test_records_are_bounded_in_number_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten first; the last one is always there."""
    monkeypatch.setattr(limits, "RECORDS_MAX", 3)
    async with executions() as (runs, _):
        made = [await started(runs, "echo x") for _ in range(2)]
        for run in made:
            await run.done.wait()
        for _ in range(2):
            made.append(await started(runs, "echo x"))
            await made[-1].done.wait()
        assert [runs.collect(run.id) is not None for run in made[1:]] == [True] * 3
        assert runs.collect(made[0].id) is None
        monkeypatch.setattr(limits, "RECORDS_BYTES", 100_000)
        big = [await started(runs, "head -c 60000 /dev/zero") for _ in range(2)]
        for run in big:
            await run.done.wait()
        kept = [run for run in big if runs.collect(run.id) is not None]
        assert len(kept) == 1
        assert runs._ended_bytes == 0


async def test_what_is_kept_has_no_message() -> None:
    async with executions() as (runs, _):
        number, cookie = runs.next_id()
        run = await runs.start(job(message="x" * 100_000, cookie=cookie), number, 1)
        await run.done.wait()
        assert (run.job.message, run.execution) == ("", None)


class _Slow:
    """A backend that takes its time to start, as a pool does that is not ready yet."""

    def __init__(self, fails: bool = False) -> None:
        self.go = asyncio.Event()
        self.killed: list[bool] = []
        self._fails = fails

    async def start(self, job: Job) -> Execution:
        await self.go.wait()
        if self._fails:
            raise RequestError("no luck")
        return _Endless(self.killed)

    def environment_changed(self) -> None:
        """It has none."""

    async def close(self) -> None:
        self.go.set()


class _Endless:
    pid = None

    def __init__(self, killed: list[bool]) -> None:
        self._killed = killed
        self._end = asyncio.Event()

    def terminate(self) -> None:
        """It does not mind."""

    def kill(self) -> None:
        self._killed.append(True)
        self._end.set()

    async def wait(self) -> Ended:
        await self._end.wait()
        return Ended(-9, "", "", time.monotonic())


@pytest.mark.parametrize("fails", [False, True])
async def test_a_client_that_leaves_while_its_executor_starts(fails: bool) -> None:
    """Nobody could ever ask for that run: it is ended, and holds its permits until then."""
    backend = _Slow(fails)
    async with executions(backend) as (runs, permits):
        starting = asyncio.create_task(started(runs))
        await asyncio.sleep(0.05)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert permits.used == 2
        backend.go.set()
        async with asyncio.timeout(10):
            while permits.used:
                await asyncio.sleep(0.01)
        assert backend.killed == ([] if fails else [True])


async def test_one_that_cannot_be_started_gives_its_permits_back() -> None:
    backend = _Slow(fails=True)
    backend.go.set()
    async with executions(backend) as (runs, permits):
        with pytest.raises(RequestError, match="no luck"):
            await started(runs)
        assert permits.used == 0


async def test_deleting_waits_as_long_as_it_was_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DELETE_WAIT_MIN_MS", 0)
    async with executions() as (runs, _):
        run = await started(runs, "trap : TERM; echo ready; while :; do sleep 0.05; done")
        await asyncio.sleep(0.3)
        begun = time.monotonic()
        assert await runs.stop(run.id, 400)
        assert 0.4 <= time.monotonic() - begun < 10
        assert run.ended is not None
        assert run.ended.status == -9
