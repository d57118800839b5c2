"""What the page is told (:mod:`manager.feed`)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from pathlib import Path

import pytest

from pygenvm.manager import limits
from pygenvm.manager.executions.backend import Ended, Job
from pygenvm.manager.executions.registry import Run
from pygenvm.manager.feed import Feed
from pygenvm.manager.versions import InstalledExecutor
from pygenvm.pages import stream
from pygenvm.pages.stream import TooManyWatchers
from tests.manager.live import live_manager
from tests.support.running import until


def waiting_run(number: int) -> Run:
    job = Job(
        executor=InstalledExecutor("v0.2.16", ("genvm",), own=False),
        message="{}",
        host="unix:///x",
        host_data="{}",
        cookie=f"{number + 1:x}",
        sync=False,
        extra=(),
        capture_output=True,
        on_log=lambda line: None,
    )
    return Run(number, job.cookie, job, time.monotonic())


def end(run: Run, stdout: str = "executed with `Return(null)`\n", status: int = 0) -> Run:
    run.started_at = run.started_at or time.monotonic()
    run.ended_at = time.monotonic()
    run.ended = Ended(status, stdout, "", run.ended_at)
    return run


async def test_of_a_run_only_the_latest_state_is_told() -> None:
    feed = Feed()
    watcher = feed.watchers.watch()
    first, second = waiting_run(1), waiting_run(3)
    feed.run_changed(first)
    feed.run_changed(second)
    feed.run_changed(end(first))
    events, lost = await watcher.next()
    assert not lost
    told = events.decode().split("\n\n")[:-1]
    assert len(told) == 2
    assert '"id": 3' in told[0]
    assert '"id": 1' in told[1]
    assert '"outcome": "return"' in told[1]


async def test_who_does_not_keep_up_is_told_that_something_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "WATCHER_EVENTS", 3)
    feed = Feed()
    watcher = feed.watchers.watch()
    for number in range(4):
        feed.logged({"message": str(number)})
    events, lost = await watcher.next()
    assert lost
    assert events.count(b"event: log") == 1
    feed.logged({"message": "later"})
    assert (await watcher.next())[1] is False


async def test_nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.01)
    watcher = Feed().watchers.watch()
    assert await watcher.next() == (b"", False)


async def test_the_end_wakes_who_watches() -> None:
    feed = Feed()
    watcher = feed.watchers.watch()
    waiting = asyncio.create_task(watcher.next())
    await asyncio.sleep(0)
    feed.watchers.close()
    await waiting
    assert watcher.closed


async def test_watchers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "WATCHERS", 1)
    feed = Feed()
    watcher = feed.watchers.watch()
    with pytest.raises(TooManyWatchers):
        feed.watchers.watch()
    feed.watchers.leave(watcher)
    feed.watchers.watch()


def test_the_past_is_bounded_and_keeps_what_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RECENT_RUNS", 3)
    feed = Feed()
    feed.run_changed(waiting_run(1))
    for number in (3, 5, 7, 9):
        feed.run_changed(end(waiting_run(number)))
    assert sorted(feed.runs) == [1, 7, 9]
    assert sum(sum(outcomes.values()) for outcomes in feed.rates.values()) == 4
    assert {name for outcomes in feed.rates.values() for name in outcomes} == {"return"}


def test_seconds_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RATE_SECONDS", 2)
    feed = Feed()
    for seconds in (30, 20, 10, 0):
        run = end(waiting_run(seconds * 2 + 1))
        assert run.ended_at is not None
        run.ended_at -= seconds
        feed.run_changed(run)
    assert len(feed.rates) == 2
    assert min(feed.rates) >= int(time.time()) - 12


def test_who_reads_nothing_gives_the_place_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "WRITE_SECONDS", 0.3)
    with live_manager(tmp_path) as live, contextlib.ExitStack() as stack:
        host, _, port = live.url.removeprefix("http://").rpartition(":")
        for _ in range(3):
            silent = stack.enter_context(socket.socket())
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            silent.connect((host, int(port)))
            silent.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        feed = live.manager.feed
        until(lambda: len(feed.watchers) == 3, "they do not watch")

        def told() -> bool:
            live.call(lambda: feed.logged({"message": "x" * 1_000_000}))
            return len(feed.watchers) == 0

        until(told, "they hold their places")
