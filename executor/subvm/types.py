"""Values whose Python type says too little of them; checked by mypy, plain values at run time."""

from __future__ import annotations

from typing import NewType, TypeAlias

#: Bytes of a guest: a copy, or a view that is only good during the host call.
Buffer: TypeAlias = bytes | memoryview

#: Id of a slot of a contract's storage: exactly 32 bytes (spec executor/03).
Slot = NewType("Slot", bytes)

#: An integer from 0 to 2**256 - 1: amounts, balances, salts.
U256 = NewType("U256", int)
