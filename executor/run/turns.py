"""Whose turn it is among the nondet VMs of a run.

Nondet blocks wait for pages and prompts, and validators of several blocks do so at the same time. But each has a right
to the whole nondet RAM pool, as if they ran one after the other (spec executor/04), and while a guest computes nobody
can make its memory wait. So one at a time computes, and lends its turn to others while it waits for a module, unless
what it holds meanwhile is big. Together they never hold much more than one alone may: the worst case of spec
executor/08, and a bounded number of the memory maps that a machine gives to a process. No verdict depends on any of it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from pygenvm.executor import limits
from pygenvm.executor.subvm.budget import RamPool


class Turns:
    """One turn, which threads take."""

    def __init__(self) -> None:
        self._turn = threading.Lock()

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """The calling thread runs nondet VMs, once its turn has come."""
        with self._turn:
            yield

    @contextlib.contextmanager
    def lent(self, pool: RamPool) -> Iterator[None]:
        """The calling thread, whose turn it is, waits for something; its VMs live in ``pool``."""
        if pool.settled() > limits.LENT_RAM_BYTES or pool.instances() > limits.LENT_INSTANCES:
            yield
            return
        self._turn.release()
        try:
            yield
        finally:
            self._turn.acquire()
