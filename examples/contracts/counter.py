# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

from genlayer import *


class Counter(gl.Contract):
    """Integers of every kind: fixed width, signed, and without a limit."""

    steps: u32
    low: i64
    total: u256
    product: bigint

    def __init__(self, start: int = 1):
        self.product = bigint(start)

    @gl.public.write
    def add(self, amount: int) -> int:
        """Leaves the total as it is when the new one does not fit 256 bits: the storage refuses it."""
        self.total = u256(self.total + amount)
        self.low = i64(self.low - 1)
        self.steps = u32(self.steps + 1)
        return self.total

    @gl.public.write
    def multiply(self, factor: int) -> int:
        self.product = bigint(self.product * factor)
        self.steps = u32(self.steps + 1)
        return self.product

    @gl.public.view
    def get(self) -> dict[str, int]:
        return {"steps": self.steps, "low": self.low, "total": self.total, "product": self.product}
