"""What a node lends to an executor that is to answer questions for storage itself (:mod:`executor.pool.series`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeAlias

from pygenvm.executor.frozen import Frozen
from pygenvm.executor.primitives.address import Address

#: Pages of one address by slot and number, without their trailing zeros.
Pages: TypeAlias = Mapping[tuple[bytes, int], bytes]


class Lent(metaclass=Frozen):
    """Storage and calldata of a run."""

    contract: bytes
    """Its address."""
    calldata: bytes
    pages: Pages
    """Of the contract's storage, as it was before the run."""
    whole: bool
    """There are no others."""
    written: Pages
    """Those that count as written by the run already."""
    bytes_written: int
    read_only: bool
    """Every write is refused."""
    read_bytes_max: int
    pages_max: int
    wants_fingerprint: bool
    """Without, the results of failures have none: to hash a memory takes as long as a short run."""

    def packed(self) -> list[Any]:
        """As :meth:`unpacked` takes it."""
        contract, calldata, pages, whole, written, *others = (getattr(self, name) for name in self.__match_args__)
        return [contract, calldata, listed(pages), whole, listed(written), *others]

    @classmethod
    def unpacked(cls, fields: list[Any]) -> Lent:
        """The reverse."""
        contract, calldata, pages, whole, written, *others = fields
        return cls(contract, calldata, by_slot(pages), whole, by_slot(written), *others)


class Lender(Protocol):
    """A host (:class:`executor.host_protocol.host.Host`) with a method ``lend`` has these too."""

    async def lend(self) -> Lent:
        """What the executor answers for itself."""
        ...

    async def storage_of(self, address: Address) -> tuple[Pages, bool]:
        """Pages of an address as they were before the run, and whether those are all."""
        ...

    async def pages(self, address: Address, slot: bytes, first: int, last: int) -> Mapping[int, bytes]:
        """Pages ``first`` to ``last`` of a slot as they were before the run, those that were ever written."""
        ...

    async def take_back(self, pages: Pages, bytes_written: int) -> None:
        """All pages that count as written by the run now.

        :raises ValueError: no run can have done that.
        """
        ...


def listed(pages: Pages) -> list[tuple[bytes, int, bytes]]:
    """Pages as arrays of slot, number and content."""
    return [(slot, page, data) for (slot, page), data in pages.items()]


def by_slot(pages: Iterable[Any]) -> dict[tuple[bytes, int], bytes]:
    """The reverse of :func:`listed`.

    :raises ValueError, TypeError: not that.
    """
    found: dict[tuple[bytes, int], bytes] = {}
    for slot, page, data in pages:
        if not (isinstance(slot, bytes) and type(page) is int and isinstance(data, bytes)):
            raise TypeError("not a page")
        found[slot, page] = data
    return found
