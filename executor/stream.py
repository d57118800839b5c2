"""Streams: the parts of a run between which there is no order.

The deterministic part of a run and the validator of each of its nondet blocks run on threads of their own (spec
executor/04 "RunNondet"). What one of them asks the host and the modules has an order of its own; how they interleave is
chance. So whoever notes or compares what a run does, does it for each stream alone, and everything below the
supervisor, which knows nothing of blocks, finds out here on whose behalf it runs.
"""

from __future__ import annotations

from contextvars import ContextVar

#: Call number of the nondet block whose validator runs on this thread; None on every other thread. Set when a
#: validator's task begins (:mod:`executor.run.validators`); its thread does nothing else until the next task.
validated_block: ContextVar[int | None] = ContextVar("validated_block", default=None)
