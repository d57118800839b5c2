"""Storage in pages: what a run has written, over what was there before.

The local network keeps the effects of a transaction like this, and so does an executor to which the storage was lent
(:mod:`executor.pool.series`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from pygenvm.executor.host_protocol.codec import SLOT_BYTES
from pygenvm.executor.host_protocol.host import HostErrorReply
from pygenvm.executor.primitives.abi import HostErrorCode
from pygenvm.executor.primitives.address import Address

PAGE_BYTES = 4096
SLOT_SPACE = 1 << 32
#: Pages of a slot.
SLOT_PAGES = SLOT_SPACE // PAGE_BYTES

#: Pages from one to another of a slot that were ever written, without their trailing zeros.
Below: TypeAlias = Callable[[Address, bytes, int, int], Mapping[int, bytes]]


class PagedStorage:
    """Writes stay here, in memory; what nobody has written here is read from ``below``."""

    def __init__(self, below: Below, *, read_bytes_max: int, pages_max: int) -> None:
        """
        :param read_bytes_max: of one read.
        :param pages_max: that may be written to.
        """
        self._below = below
        self._read_bytes_max = read_bytes_max
        self._pages_max = pages_max
        self._pages: dict[tuple[bytes, bytes, int], bytearray] = {}
        self.bytes_written = 0

    def read(self, address: Address, slot: bytes, index: int, length: int) -> bytes:
        """``length`` bytes from byte ``index``; zeros where nothing was written.

        :raises HostErrorReply: ``FORBIDDEN`` for a range over the end of the slot, or too large.
        """
        if index + length > SLOT_SPACE or length > self._read_bytes_max:
            raise HostErrorReply(HostErrorCode.FORBIDDEN)
        if not length:
            return b""
        result = bytearray(length)
        for page, content in self.pages(address, slot, index // PAGE_BYTES, (index + length - 1) // PAGE_BYTES).items():
            start = page * PAGE_BYTES - index
            piece = content[max(0, -start) : length - start]
            result[max(0, start) : max(0, start) + len(piece)] = piece
        return bytes(result)

    def pages(self, address: Address, slot: bytes, first: int, last: int) -> Mapping[int, bytes | bytearray]:
        """Pages ``first`` to ``last`` of a slot that were ever written, here or below."""
        below = self._below(address, slot, first, last)
        if not self._pages:
            return below
        found: dict[int, bytes | bytearray] = dict(below)
        for page in range(first, last + 1):
            if (address.as_bytes, slot, page) in self._pages:
                found[page] = self._pages[address.as_bytes, slot, page]
        return found

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
            if len(self._pages) >= self._pages_max:
                raise HostErrorReply(HostErrorCode.OUT_OF_STORAGE_GAS)
            self._pages[key] = bytearray(self._below(address, slot, number, number).get(number, b""))
        return self._pages[key]

    def written_pages(self) -> dict[tuple[bytes, bytes, int], bytes]:
        """Every written page by address, slot and number, without trailing zeros."""
        return {key: bytes(page).rstrip(b"\0") for key, page in self._pages.items()}

    def adopt(self, address: Address, pages: Mapping[tuple[bytes, int], bytes], bytes_written: int) -> None:
        """Counts pages of one contract, by slot and number, as written; elsewhere somebody has, on top of these.

        :raises ValueError: they are no pages, or too many.
        """
        if len(pages) > self._pages_max or bytes_written < self.bytes_written:
            raise ValueError("more or less than a run can write")
        for (slot, page), data in pages.items():
            if len(slot) != SLOT_BYTES or not 0 <= page < SLOT_PAGES or len(data) > PAGE_BYTES:
                raise ValueError(f"page {page} with {len(data)} bytes")
            self._pages[address.as_bytes, slot, page] = bytearray(data)
        self.bytes_written = bytes_written
