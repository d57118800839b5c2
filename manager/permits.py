"""How many runs may be under way (spec modules/04 §7): a counting semaphore, first come, first served, by weight.

A lowered total holds at once for whoever comes; what is under way goes on, and the difference is taken out as runs
end. All methods belong to one event loop.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from pygenvm.manager import limits
from pygenvm.manager.errors import RequestError

#: A run that takes leader results over as they are costs less than one that also starts validators of its own.
SYNC_WEIGHT = 1
WEIGHT = 2
PERMITS_MIN = 2
_GIB = 1 << 30
_GIB_PER_PERMIT = 4


class Permit:
    """What a run holds; given back once, however often it is released."""

    def __init__(self, permits: Permits, weight: int) -> None:
        self._permits = permits
        self.weight = weight

    def release(self) -> None:
        weight, self.weight = self.weight, 0
        if weight:
            self._permits._give_back(weight)


class Permits:
    """``total`` permits, of which ``used`` are held and for which ``waiting`` runs wait."""

    def __init__(self, total: int, *, waiting_max: int = limits.WAITING_RUNS) -> None:
        self.total = max(PERMITS_MIN, total)
        self.used = 0
        self._waiting_max = waiting_max
        #: In the order of their coming; each with its weight.
        self._waiting: dict[asyncio.Future[Permit], int] = {}
        self._closed = False

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def acquire(self, weight: int) -> Permit:
        """Waits behind all who came before. Being cancelled leaves the queue, and what was granted meanwhile.

        :raises RequestError: too many wait already, or nothing is started any more.
        """
        if self._closed:
            raise RequestError("the manager is shutting down")
        if not self._waiting and self.used + weight <= self.total:
            return self._grant(weight)
        if len(self._waiting) >= self._waiting_max:
            raise RequestError(f"{len(self._waiting)} runs wait for permits already; try again later")
        future: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._waiting[future] = weight
        try:
            return await future
        except asyncio.CancelledError:
            if self._waiting.pop(future, None) is not None:
                # Whoever stands behind may fit now.
                self._admit()
            elif not future.cancelled() and future.exception() is None:
                future.result().release()
            raise

    def resize(self, total: int) -> int:
        """Sets the total; below 2 nothing is changed. Returns the total that holds."""
        if total >= PERMITS_MIN:
            self.total = total
            self._admit()
        return self.total

    def close(self) -> None:
        """Refuses those who wait and whoever comes."""
        self._closed = True
        waiting, self._waiting = self._waiting, {}
        for future in waiting:
            # Its task may be on its way out.
            if not future.done():
                future.set_exception(RequestError("the manager is shutting down"))

    def _grant(self, weight: int) -> Permit:
        self.used += weight
        return Permit(self, weight)

    def _give_back(self, weight: int) -> None:
        self.used -= weight
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            future, weight = next(iter(self._waiting.items()))
            # One that is done was cancelled, and its task has not run since.
            if not future.done():
                if self.used + weight > self.total:
                    return
                future.set_result(self._grant(weight))
            del self._waiting[future]


def default_total(meminfo: Path = Path("/proc/meminfo")) -> int:
    """One permit for each 4 GiB of free memory and swap, at least 2."""
    try:
        free = {
            name: int(value.split()[0]) << 10
            for name, _, value in (line.partition(":") for line in meminfo.read_text("ascii").splitlines())
            if name in ("MemAvailable", "SwapFree")
        }
    except (OSError, ValueError, IndexError):
        free = {"MemAvailable": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")}
    gib = free.get("MemAvailable", 0) // _GIB + free.get("SwapFree", 0) // _GIB
    return max(PERMITS_MIN, gib // _GIB_PER_PERMIT)
