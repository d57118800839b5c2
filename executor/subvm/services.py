"""What a sub-VM asks of the world: everything that is not computed from its own memory and files."""

from __future__ import annotations

from typing import Protocol

from pygenvm.executor.subvm.random import RandomSource


class Entropy(Protocol):
    """What no two runs agree on. Deterministic VMs get nothing of it."""

    def random(self) -> RandomSource:
        """A source of random bytes for one new nondet VM (spec executor/06 "Random"); asked once per VM."""
        ...

    def runtime(self, microseconds: int) -> int:
        """The age of a VM as its contract is told it, where ``microseconds`` have passed (spec executor/04 "Trace")."""
        ...
