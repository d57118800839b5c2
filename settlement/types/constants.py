"""Constants of the engine (spec settlement/01 §2). Nothing configures them, but the cooldown (docs/settlement.md)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from pygenvm.settlement.types.words import MAX_U64, Address

MIN_N: Final = 3
MAX_N: Final = 256
MIN_PROVIDER_BOND: Final = 1_000_000_000_000_000_000
SLASH_PER_OPERATOR: Final = 100_000_000_000_000_000
REQUEST_FEE_PER_OPERATOR: Final = 10_000_000_000_000_000
REQUEST_MARGIN_FLOOR: Final = 2
REQUEST_MARGIN_BPS: Final = 5000
COMMIT_BLOCKS: Final = 30
REVEAL_BLOCKS: Final = 30
UNBOND_COOLDOWN_BLOCKS: Final = 60
#: The last height of a request whose deadlines and settlement still fit 64 bits.
MAX_HEIGHT: Final = MAX_U64 - COMMIT_BLOCKS - REVEAL_BLOCKS - 1

#: The only account that keeps other people's money.
ESCROW_ACCOUNT: Final = Address(b"\xa1" * 20)
#: Is never debited.
BURN_ADDRESS: Final = Address(bytes(18) + b"\xde\xad")


class TaskState(IntEnum):
    """State byte of a task; heights tell the commit window from the reveal window (spec settlement/01 §2)."""

    NONE = 0
    COMMITTING = 1
    SETTLED = 2
    FAILED = 3


class ReceiptStatus(IntEnum):
    """Status byte of a receipt; the engine only ever writes the third and the fourth (spec settlement/01 §2)."""

    UNKNOWN = 0
    PENDING = 1
    COMPLETED = 2
    FAILED = 3
    CHALLENGED = 4
