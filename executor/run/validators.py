"""Which validators of nondet blocks have to run (spec executor/04)."""

from __future__ import annotations

from typing import Protocol


class ValidatorGate(Protocol):
    """Asked by each validator's task before it begins, on its thread."""

    def validates(self, call_no: int, lowest: int | None) -> bool:
        """Whether the validator of a block has to run; ``lowest`` is the lowest block that disagreed so far."""
        ...


class UntilDisagreement:
    """Blocks behind one that disagreed do not matter any more."""

    def validates(self, call_no: int, lowest: int | None) -> bool:
        return lowest is None or call_no < lowest
