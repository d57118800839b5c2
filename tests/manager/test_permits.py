"""Permits: first come, first served, by weight, whatever happens to those who wait (spec modules/04 §7)."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from pygenvm.manager.errors import RequestError
from pygenvm.manager.permits import Permit, Permits, default_total


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_whoever_came_first_goes_first_though_others_would_fit() -> None:
    permits = Permits(4)
    first = await permits.acquire(2)
    await permits.acquire(1)
    order: list[str] = []

    async def wait(name: str, weight: int) -> Permit:
        permit = await permits.acquire(weight)
        order.append(name)
        return permit

    big = asyncio.create_task(wait("big", 2))
    small = asyncio.create_task(wait("small", 1))
    await settle()
    assert (order, permits.used, permits.waiting) == ([], 3, 2)
    first.release()
    await settle()
    assert order == ["big", "small"]
    assert permits.used == 4
    (await big).release()
    (await small).release()
    assert permits.used == 1


async def test_a_permit_is_given_back_once() -> None:
    permits = Permits(2)
    permit = await permits.acquire(2)
    permit.release()
    permit.release()
    assert permits.used == 0


async def test_who_stops_waiting_leaves_the_queue_to_the_others() -> None:
    permits = Permits(2)
    held = await permits.acquire(1)
    big = asyncio.create_task(permits.acquire(2))
    small = asyncio.create_task(permits.acquire(1))
    await settle()
    assert permits.waiting == 2
    big.cancel()
    await settle()
    assert small.done()
    assert permits.used == 2
    held.release()
    (await small).release()
    assert (permits.used, permits.waiting) == (0, 0)


async def test_being_cancelled_when_it_was_granted_gives_it_back() -> None:
    permits = Permits(2)
    held = await permits.acquire(2)
    waiting = asyncio.create_task(permits.acquire(2))
    await settle()
    held.release()  # the permit is on its way
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert permits.used == 0


async def test_a_lower_total_holds_for_those_who_come() -> None:
    permits = Permits(8)
    held = [await permits.acquire(2) for _ in range(4)]
    assert permits.resize(4) == 4
    waiting = asyncio.create_task(permits.acquire(2))
    held[0].release()
    held[1].release()
    await settle()
    assert not waiting.done()
    held[2].release()
    await settle()
    assert waiting.done()
    assert permits.resize(1) == 4
    assert permits.resize(6) == 6


async def test_a_higher_total_admits_at_once() -> None:
    permits = Permits(2)
    await permits.acquire(2)
    waiting = [asyncio.create_task(permits.acquire(2)) for _ in range(3)]
    await settle()
    permits.resize(6)
    await settle()
    assert [task.done() for task in waiting] == [True, True, False]
    waiting[2].cancel()


async def test_too_many_who_wait_and_shutdown_are_refused() -> None:
    permits = Permits(2, waiting_max=1)
    await permits.acquire(2)
    waiting = asyncio.create_task(permits.acquire(2))
    await settle()
    with pytest.raises(RequestError, match="1 runs wait for permits already"):
        await permits.acquire(2)
    permits.close()
    with pytest.raises(RequestError, match="shutting down"):
        await waiting
    with pytest.raises(RequestError, match="shutting down"):
        await permits.acquire(1)


async def test_who_has_left_takes_no_place_of_those_who_wait() -> None:
    permits = Permits(2, waiting_max=2)
    held = await permits.acquire(2)
    for _ in range(10):
        waiting = asyncio.create_task(permits.acquire(2))
        await settle()
        assert permits.waiting == 1
        waiting.cancel()
        await settle()
        assert permits.waiting == 0
    held.release()
    assert permits.used == 0


@pytest.mark.parametrize("seed", range(20))
async def test_nothing_is_lost_whatever_happens(seed: int) -> None:
    """Random comings, goings and sizes: those who wait are served in order, and all is back at the end."""
    random_ = random.Random(seed)
    permits = Permits(6)
    granted: list[int] = []

    async def client(number: int) -> None:
        weight = random_.choice((1, 2))
        waits = permits.waiting > 0 or permits.used + weight > permits.total
        permit = await permits.acquire(weight)
        if waits:
            granted.append(number)
        try:
            for _ in range(random_.randrange(4)):
                await asyncio.sleep(0)
        finally:
            permit.release()

    tasks = []
    for number in range(60):
        tasks.append(asyncio.create_task(client(number)))
        await asyncio.sleep(0)
        if random_.random() < 0.2:
            random_.choice(tasks).cancel()
        if random_.random() < 0.1:
            permits.resize(random_.choice((4, 6, 8)))
    await asyncio.gather(*tasks, return_exceptions=True)
    assert granted == sorted(granted)
    assert (permits.used, permits.waiting) == (0, 0)


@pytest.mark.parametrize(
    ("text", "total"),
    [
        ("MemAvailable: 33554432 kB\nSwapFree: 0 kB\n", 8),
        ("MemAvailable: 33554431 kB\nSwapFree: 1048576 kB\n", 8),
        ("MemAvailable: 1048576 kB\nSwapFree: 0 kB\n", 2),
        ("MemAvailable: 16777216 kB\nSwapFree: 16777216 kB\n", 8),
    ],
)
def test_the_default_is_a_quarter_of_the_free_gibibytes(tmp_path: Path, text: str, total: int) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 99999999 kB\n" + text)
    assert default_total(tmp_path / "meminfo") == total
