"""States that contracts run on: what was committed at one moment, whatever is committed after it."""

from __future__ import annotations

from dataclasses import dataclass

from pygenvm.executor.primitives.abi import CODE_SLOT
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.chain.database import Lock, StateView
from pygenvm.localnet.chain.model import ContractInfo
from pygenvm.localnet.chain.network.store import NetworkStore


@dataclass(frozen=True, slots=True)
class Earlier:
    """What history does not know of a contract before one of its transactions."""

    contract: Address
    nonce: int | None
    deployed: bool
    """Whether there was one."""


class NetworkView(StateView):
    """The accepted state after commit :attr:`at`, or the final one; it remembers whose state it was asked for."""

    def __init__(
        self,
        store: NetworkStore,
        reading: Lock,
        *,
        final: bool = False,
        at: int | None = None,
        earlier: Earlier | None = None,
    ) -> None:
        """
        :param final: of each contract what is final.
        :param at: a commit, by default the last one.
        """
        super().__init__(store, reading)
        self._network = store
        self._final = final
        self._earlier = earlier
        self._finals: dict[Address, int] = {}
        self._final_view: NetworkView | None = None
        self.at = store.commits if at is None else at
        self.epoch = store.epoch
        self.storage_read: set[Address] = set()
        self.balances_read: set[Address] = set()

    @property
    def oldest(self) -> int:
        """What was overwritten after this commit must be kept for this view."""
        if self._final or self._final_view is not None:
            return 0
        return self.at

    def final(self) -> NetworkView:
        """The final state of this moment."""
        if self._final:
            return self
        if self._final_view is None:
            self._final_view = NetworkView(self._network, self.reading, final=True)
        return self._final_view

    def balance(self, address: Address) -> int:
        self.balances_read.add(address)
        return self._network.balance_at(address, self._boundary(address))

    def nonce(self, address: Address) -> int:
        earlier = self._earlier
        if earlier is not None and address == earlier.contract and earlier.nonce is not None:
            return earlier.nonce
        return self._network.nonce(address)

    def contract(self, address: Address) -> ContractInfo | None:
        self.storage_read.add(address)
        if self._earlier is not None and address == self._earlier.contract and not self._earlier.deployed:
            return None
        # One that is not final has a code already (spec localnet-rpc/02 §4.1).
        return self._network.contract_at(address, self._network.commits if self._final else self.at)

    def pages(self, address: Address, slot: bytes, first: int, last: int) -> dict[int, bytes]:
        self.storage_read.add(address)
        if self._final and slot == CODE_SLOT:
            return self._network.pages(address, slot, first, last)
        return self._network.pages_at(address, slot, first, last, self._boundary(address))

    def storage_of(self, address: Address, count: int) -> tuple[dict[tuple[bytes, int], bytes], bool]:
        # What is here is not what the state of this moment has; whoever needs a page asks for it.
        return {}, False

    def _boundary(self, address: Address) -> int:
        if self._final:
            if address not in self._finals:
                self._finals[address] = self._network.final_at(address)
            return self._finals[address]
        return self.at
