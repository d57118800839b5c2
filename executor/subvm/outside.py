"""What a run takes from outside besides its host and its modules; records and replays have their own."""

from __future__ import annotations

from contextvars import ContextVar

from pygenvm.executor.subvm.random import RandomSource, os_random

#: Call number of the nondet block whose validator runs on this thread; None elsewhere.
validated_block: ContextVar[int | None] = ContextVar("validated_block", default=None)


class Outside:
    """The real thing. Called from all threads of a run."""

    def random(self) -> RandomSource:
        """Random bytes of one nondet VM (spec executor/06 "Random")."""
        return os_random

    def runtime(self, microseconds: int) -> int:
        """The age of a VM, where a contract may see it (spec executor/04 "Trace")."""
        return microseconds

    def validates(self, call_no: int, lowest: int | None) -> bool:
        """Whether the validator of a block has to run; ``lowest`` is the lowest block that disagreed so far."""
        return lowest is None or call_no < lowest
