"""Effects of a running transaction, in memory over the committed state."""

from __future__ import annotations

from typing import Protocol

from pygenvm.executor.host_protocol.host import HostErrorReply
from pygenvm.executor.limits import CONTRACT_FILE_BYTES
from pygenvm.executor.primitives.abi import CODE_SLOT, HostErrorCode
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits

PAGE_BYTES = 4096
SLOT_SPACE = 1 << 32


class Committed(Protocol):
    """The state below an overlay: a :class:`localnet.chain.database.StateView`, or a store."""

    def balance(self, address: Address) -> int:
        """Balance of any address."""
        ...

    def pages(self, address: Address, slot: bytes, first: int, last: int) -> dict[int, bytes]:
        """Pages ``first`` to ``last`` of a slot that were ever written, without their trailing zeros."""
        ...


class Overlay:
    """Storage and balances as a transaction sees them. Nothing reaches the database."""

    def __init__(self, state: Committed) -> None:
        self._state = state
        self._pages: dict[tuple[bytes, bytes, int], bytearray] = {}
        self._balances: dict[Address, int] = {}
        self.bytes_written = 0

    # --- storage ----------------------------------------------------------------------------------

    def read(self, address: Address, slot: bytes, index: int, length: int) -> bytes:
        """``length`` bytes from byte ``index``; zeros where nothing was written.

        :raises HostErrorReply: ``FORBIDDEN`` for a range over the end of the slot, or too large.
        """
        if index + length > SLOT_SPACE or length > limits.STORAGE_READ_BYTES:
            raise HostErrorReply(HostErrorCode.FORBIDDEN)
        if not length:
            return b""
        first, last = index // PAGE_BYTES, (index + length - 1) // PAGE_BYTES
        found: dict[int, bytes | bytearray] = dict(self._state.pages(address, slot, first, last))
        if self._pages:
            for page in range(first, last + 1):
                if (address.as_bytes, slot, page) in self._pages:
                    found[page] = self._pages[address.as_bytes, slot, page]
        result = bytearray(length)
        for page, content in found.items():
            start = page * PAGE_BYTES - index
            piece = content[max(0, -start) : length - start]
            result[max(0, start) : max(0, start) + len(piece)] = piece
        return bytes(result)

    def write(self, address: Address, slot: bytes, index: int, data: bytes) -> None:
        """Writes ``data`` at byte ``index``.

        :raises HostErrorReply: ``FORBIDDEN`` over the end of the slot, ``OUT_OF_STORAGE_GAS`` for too many pages.
        """
        if index + len(data) > SLOT_SPACE:
            raise HostErrorReply(HostErrorCode.FORBIDDEN)
        written = 0
        while written < len(data):
            number, start = divmod(index + written, PAGE_BYTES)
            piece = data[written : written + PAGE_BYTES - start]
            page = self._page(address, slot, number)
            page.extend(bytes(max(0, start + len(piece) - len(page))))
            page[start : start + len(piece)] = piece
            written += len(piece)
        self.bytes_written += len(data)

    def _page(self, address: Address, slot: bytes, number: int) -> bytearray:
        key = (address.as_bytes, slot, number)
        if key not in self._pages:
            if len(self._pages) >= limits.STORAGE_PAGES_WRITTEN:
                raise HostErrorReply(HostErrorCode.OUT_OF_STORAGE_GAS)
            self._pages[key] = bytearray(self._state.pages(address, slot, number, number).get(number, b""))
        return self._pages[key]

    # --- code -------------------------------------------------------------------------------------

    def code(self, address: Address) -> bytes:
        """The code of a contract; empty where there is none."""
        length = int.from_bytes(self.read(address, CODE_SLOT, 0, 4), "little")
        return self.read(address, CODE_SLOT, 4, min(length, CONTRACT_FILE_BYTES))

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

    def written_pages(self) -> dict[tuple[bytes, bytes, int], bytes]:
        """Every written page, in the form the store keeps."""
        return {key: bytes(page).rstrip(b"\0") for key, page in self._pages.items()}

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
