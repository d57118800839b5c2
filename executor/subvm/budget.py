"""RAM accounting: one pool per mode, charged by all live VMs of that mode (spec executor/08).

Linear memories are limited by the engine, which knows one number per store. So the number is set
again whenever something else is charged and whenever another VM starts or stops running: only the
innermost VM of a stack can grow its memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from executor import limits
from executor.outcome import OutOfMemory

if TYPE_CHECKING:
    from wasmtime import Store

    from executor.subvm.memory import GuestMemory


class RamPool:
    """The pool of one mode. ``charged`` counts everything but live linear memories."""

    __slots__ = ("charged", "total", "vms")

    def __init__(self, total: int = limits.RAM_POOL_BYTES) -> None:
        self.total = total
        self.charged = 0
        self.vms: list[VmBudget] = []

    def memories(self) -> int:
        """Bytes of all linear memories of live VMs."""
        return sum(vm.memory_bytes() for vm in self.vms)

    def left(self) -> int:
        return self.total - self.charged - self.memories()

    def charge_for_ever(self, amount: int) -> None:
        """A charge that no VM gives back (locked slots, spec executor/08)."""
        if amount > self.left():
            raise OutOfMemory(f"{amount} bytes wanted, {self.left()} left")
        self.charged += amount


class VmBudget:
    """What one VM has charged to its pool; all of it is returned by :meth:`close`."""

    __slots__ = ("_charged", "_memories", "_pool", "_store")

    def __init__(self, pool: RamPool) -> None:
        self._pool = pool
        self._charged = 0
        self._memories: list[GuestMemory] = []
        self._store: Store | None = None
        pool.vms.append(self)

    def memory_bytes(self) -> int:
        return sum(memory.size() for memory in self._memories)

    def charge(self, amount: int) -> None:
        """:raises OutOfMemory: the pool of this mode has less than ``amount`` bytes left."""
        left = self._pool.left()
        if amount > left:
            raise OutOfMemory(f"{amount} bytes wanted, {left} left")
        self._pool.charged += amount
        self._charged += amount
        self.arm()

    def release(self, amount: int) -> None:
        self._pool.charged -= amount
        self._charged -= amount
        self.arm()

    def attach_store(self, store: Store) -> None:
        self._store = store
        self.arm()

    def attach_memory(self, memory: GuestMemory) -> None:
        """Count a linear memory from now on. Its size must fit: see :meth:`require`."""
        self._memories.append(memory)
        self.arm()

    def require(self, amount: int) -> None:
        """Check that ``amount`` bytes of initial memory fit, without charging them.

        :raises OutOfMemory: they do not; a growth from size 0 is a VM error (spec executor/08).
        """
        left = self._pool.left()
        if amount > left:
            raise OutOfMemory(f"{amount} bytes of initial memory wanted, {left} left")

    def arm(self) -> None:
        """Tell the engine how far this VM's memory may grow."""
        if self._store is None:
            return
        largest = max((memory.size() for memory in self._memories), default=0)
        self._store.set_limits(
            memory_size=max(0, self._pool.left() + largest),
            instances=limits.INSTANCES_PER_VM,
            tables=limits.TABLES_PER_VM,
            memories=limits.MEMORIES_PER_VM,
        )

    def close(self) -> None:
        """Give everything back."""
        self._pool.charged -= self._charged
        self._charged = 0
        self._memories.clear()
        self._store = None
        self._pool.vms.remove(self)
