"""Who gets which part of a payment (spec settlement/04 §6)."""

from __future__ import annotations

from typing import Final, NamedTuple

_WHOLE_BPS: Final = 10_000


class Split(NamedTuple):
    provider: int
    treasury: int
    miner: int


#: Shares in basis points of the code of the reference; its documents name others.
AI_BPS: Final = Split(8500, 1000, 500)
QUANTUM_BPS: Final = Split(8000, 1500, 500)


def split(total: int, shares: Split) -> Split:
    """Each part rounded down; what is left over goes to the provider. ``ValueError`` unless the shares are a whole."""
    if sum(shares) != _WHOLE_BPS or min(shares) < 0:
        raise ValueError(f"shares of {sum(shares)} basis points are no whole")
    treasury, miner = (total * bps // _WHOLE_BPS for bps in shares[1:])
    return Split(total - treasury - miner, treasury, miner)
