"""RAM accounting: one pool per mode, charged by all live VMs of that mode (spec executor/08).

What host functions charge is charged here. Linear memories grow without calling anybody, so they take what they grow by
from a counter inside the VM (:mod:`executor.subvm.wasm.growth`). While code of the VM runs, the counter is settled with
the pool whenever something else is charged and whenever another VM begins: only the innermost VM of a stack can grow
its memory.
A pool and its VMs belong to one thread.
"""

from __future__ import annotations

from pygenvm.executor import limits
from pygenvm.executor.outcome import OutOfMemory
from pygenvm.executor.subvm.wasmtime_c import I64, Global, Store


class RamPool:
    """The pool of one mode; ``vms`` are its live ones, innermost last."""

    __slots__ = ("charged", "total", "vms")

    def __init__(self, total: int = limits.RAM_POOL_BYTES) -> None:
        self.total = total
        self.charged = 0
        self.vms: list[VmBudget] = []

    def left(self) -> int:
        return self.total - self.charged

    def settled(self) -> int:
        """What is charged now, growth of memories included."""
        if self.vms:
            self.vms[-1].settle()
        return self.charged

    def instances(self) -> int:
        """Modules that the live VMs have instantiated."""
        return sum(vm.instances for vm in self.vms)

    def charge(self, amount: int) -> None:
        """A charge that no VM gives back, unless its budget does (locked slots, spec executor/08).

        :raises OutOfMemory: less than ``amount`` bytes are left.
        """
        if amount > self.left():
            raise OutOfMemory(f"{amount} bytes wanted, {self.left()} left")
        self.charged += amount


class VmBudget:
    """What one VM has charged to its pool; all of it is returned by :meth:`close`, except for what is kept."""

    __slots__ = ("_charged", "_counter", "_pool", "_runs", "instances")

    def __init__(self, pool: RamPool) -> None:
        if pool.vms:
            pool.vms[-1].settle()
        self._pool = pool
        self._charged = 0
        self._counter: _Counter | None = None
        #: Whether code of the VM has begun, and not ended; nobody takes from the counter otherwise.
        self._runs = False
        #: Modules of the VM that are instantiated.
        self.instances = 0
        pool.vms.append(self)

    def charge(self, amount: int) -> None:
        """:raises OutOfMemory: the pool of this mode has less than ``amount`` bytes left."""
        self.settle()
        self._pool.charge(amount)
        self._charged += amount
        self._arm()

    def affords(self, amount: int) -> bool:
        """Whether :meth:`charge` would succeed."""
        self.settle()
        return amount <= self._pool.left()

    def release(self, amount: int) -> None:
        self.settle()
        self._pool.charged -= amount
        self._charged -= amount
        self._arm()

    def keep(self, amount: int) -> None:
        """Leave ``amount`` charged bytes to the pool for good: somebody needs them to the end of the run."""
        self._charged -= amount

    def counter(self, store: Store) -> Global:
        """The global of ``store`` that its memories charge their growth to (i64, mutable)."""
        self._counter = _Counter(store)
        return self._counter.item

    def begin(self) -> None:
        """Code of the VM begins to run."""
        self._runs = True
        self._arm()

    def end(self) -> None:
        """It has ended."""
        self.settle()
        self._runs = False

    def settle(self) -> None:
        """Take over what memories have grown by since the counter was set."""
        if self._runs and self._counter is not None:
            grown = self._counter.taken()
            self._pool.charged += grown
            self._charged += grown

    def _arm(self) -> None:
        if self._runs and self._counter is not None:
            self._counter.set(self._pool.left())

    def close(self) -> None:
        """Give everything back. The store must still be open."""
        self.settle()
        self._counter = None
        self._pool.charged -= self._charged
        self._charged = 0
        self._pool.vms.remove(self)


class _Counter:
    """Bytes that the memories of one store may still grow by."""

    __slots__ = ("_last", "item")

    def __init__(self, store: Store) -> None:
        self.item = Global(store, I64, 0)
        self._last = 0

    def set(self, left: int) -> None:
        if left != self._last:
            self._last = left
            self.item.set(left)

    def taken(self) -> int:
        """What was taken from the counter since it was last set or asked."""
        before, self._last = self._last, self.item.get()
        return before - self._last
