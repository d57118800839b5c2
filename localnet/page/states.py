"""What transactions changed in the decoded storage of contracts, as far as somebody was watching.

Decoding is a read of the contract (:mod:`localnet.chain.state`). It is made when a transaction of the contract begins
to be executed, unless the storage is known, and when it has been accepted.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.chain.network import Network
from pygenvm.localnet.errors import LocalNetError

CONTRACTS_KEPT: Final = 100
CHANGES_KEPT: Final = 200
#: Contracts that are read at a time: transactions go first.
_READS: Final = 2


class States:
    """The last decoded storage of each contract, and the pairs around the latest transactions."""

    def __init__(self, network: Network, on_change: Callable[[bytes], None]) -> None:
        """:param on_change: told of a transaction whose changes are known now."""
        self._network = network
        self._on_change = on_change
        self._known: OrderedDict[Address, Any] = OrderedDict()
        self._changes: OrderedDict[bytes, tuple[Any, Any]] = OrderedDict()
        #: Transactions whose effects are to be read, by contract; None for a first look.
        self._due: dict[Address, bytes | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading = asyncio.Semaphore(_READS)

    def changes(self, id: bytes) -> tuple[Any, Any] | None:
        """The fields before and after a transaction, None where they are not known."""
        return self._changes.get(id)

    def begins(self, contract: Address) -> None:
        """A transaction of ``contract`` begins to be executed."""
        if contract not in self._known and contract not in self._due:
            self._read_later(contract, None)

    def is_new(self, contract: Address) -> None:
        """``contract`` is being deployed: it has no fields yet."""
        self._know(contract, {})

    def accepted(self, contract: Address, id: bytes) -> None:
        """A transaction of ``contract`` has been accepted."""
        self._read_later(contract, id)

    def forget(self) -> None:
        """All contracts may be as they never were."""
        self._known.clear()
        self._changes.clear()
        self._due.clear()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _read_later(self, contract: Address, id: bytes | None) -> None:
        is_under_way = contract in self._due
        # What several transactions did is the last one's: nobody has seen the storage between them.
        self._due[contract] = id if id is not None else self._due.get(contract)
        if not is_under_way:
            task = asyncio.create_task(self._read(contract))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _read(self, contract: Address) -> None:
        async with self._reading:
            try:
                while contract in self._due:
                    id = self._due[contract]
                    try:
                        fields = (await self._network.state(contract)).fields
                    except LocalNetError:
                        return
                    if self._due.get(contract) != id:
                        continue
                    del self._due[contract]
                    before = self._known.get(contract)
                    self._know(contract, fields)
                    if id is not None and before is not None and fields is not None:
                        # After an appeal it is accepted again, and the storage is the same as before that.
                        self._changes[id] = self._changes.get(id, (before, None))[0], fields
                        while len(self._changes) > CHANGES_KEPT:
                            self._changes.popitem(last=False)
                        self._on_change(id)
            finally:
                self._due.pop(contract, None)

    def _know(self, contract: Address, fields: Any) -> None:
        self._known[contract] = fields
        self._known.move_to_end(contract)
        while len(self._known) > CONTRACTS_KEPT:
            self._known.popitem(last=False)
