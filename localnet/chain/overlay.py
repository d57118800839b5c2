"""Effects of a running transaction, in memory over the committed state."""

from __future__ import annotations

from typing import Protocol

from pygenvm.executor.host_protocol.paged import PagedStorage
from pygenvm.executor.limits import CONTRACT_FILE_BYTES
from pygenvm.executor.primitives.abi import CODE_SLOT
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits


class Committed(Protocol):
    """The state below an overlay: a :class:`localnet.chain.database.StateView`, or a store."""

    def balance(self, address: Address) -> int:
        """Balance of any address."""
        ...

    def pages(self, address: Address, slot: bytes, first: int, last: int) -> dict[int, bytes]:
        """Pages ``first`` to ``last`` of a slot that were ever written, without their trailing zeros."""
        ...

    def storage_of(self, address: Address, count: int) -> tuple[dict[tuple[bytes, int], bytes], bool]:
        """At most ``count`` pages of an address by slot and number, and whether those are all."""
        ...


class Overlay(PagedStorage):
    """Storage and balances as a transaction sees them. Nothing reaches the database."""

    def __init__(self, state: Committed) -> None:
        super().__init__(state.pages, read_bytes_max=limits.STORAGE_READ_BYTES, pages_max=limits.STORAGE_PAGES_WRITTEN)
        self._state = state
        self._balances: dict[Address, int] = {}

    # --- code -------------------------------------------------------------------------------------

    def code(self, address: Address) -> bytes:
        """The code of a contract; empty where there is none."""
        return self.read(address, CODE_SLOT, 4, self.code_size(address))

    def code_size(self, address: Address) -> int:
        """Bytes of :meth:`code`."""
        return min(int.from_bytes(self.read(address, CODE_SLOT, 0, 4), "little"), CONTRACT_FILE_BYTES)

    def write_code(self, address: Address, code: bytes) -> None:
        """The two writes that a node makes before a deployment (spec modules/04 §8)."""
        self.write(address, CODE_SLOT, 0, len(code).to_bytes(4, "little"))
        self.write(address, CODE_SLOT, 4, code)

    # --- balances ---------------------------------------------------------------------------------

    def balance(self, address: Address) -> int:
        """Balance with the movements of this transaction."""
        return self._balances.get(address, self._state.balance(address))

    def add(self, address: Address, amount: int) -> None:
        """Moves ``amount``, which may be negative, to an address.

        :raises ValueError: the balance would be negative.
        """
        balance = self.balance(address) + amount
        if balance < 0:
            raise ValueError(f"{address!s} has {self.balance(address)}, less than {-amount}")
        self._balances[address] = balance

    # --- what is to be committed ------------------------------------------------------------------

    def written_slots(self) -> int:
        """How many slots were written."""
        return len({key[:2] for key in self._pages})

    def overfull(self) -> Address | None:
        """An address to which more was moved than a balance can be.

        There is one in databases that were changed by hand only, where all balances together are more.
        """
        return next((address for address, balance in self._balances.items() if balance > limits.VALUE_MAX), None)

    def changed_balances(self) -> dict[Address, int]:
        """New balances that differ from the database's."""
        return {
            address: balance for address, balance in self._balances.items() if balance != self._state.balance(address)
        }
