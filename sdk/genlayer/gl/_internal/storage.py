"""Storage of the running contract, kept by the host."""

__all__ = ("STORAGE_MANAGER", "HostManager")

import typing
from collections.abc import Buffer, Callable

import _genlayer_wasi as wasi

from ...py.storage import Root
from ...py.storage._internal.core import Manager, Slot


def _get(slot_id: bytes, off: int, length: int, /) -> bytes:
    buf = bytearray(length)
    wasi.storage_read(slot_id, off, buf)
    return bytes(buf)


# The module of the sandbox can do that at once; stand-ins that tools bring along cannot.
_get = getattr(wasi, "storage_get", _get)


class _HostSlot(Slot):
    """Does itself what the manager does."""

    __slots__ = ()

    manager: "HostManager"
    # how a TreeMap whose nodes are in the slot searches them, if not itself
    find_node: typing.ClassVar[Callable[..., int | None] | None] = getattr(wasi, "storage_find_node", None)

    def read(self, off: int, length: int, /) -> bytes:
        return _get(self.id, off, length)

    def write(self, off: int, what: Buffer, /) -> None:
        self.manager.writes += 1
        wasi.storage_write(self.id, off, what)


class HostManager(Manager):
    """One access, one request."""

    writes: int
    _slots: dict[bytes, Slot]

    def __init__(self) -> None:
        self.writes = 0
        self._slots = {}

    def get_store_slot(self, slot_id: bytes, /) -> Slot:
        slot = self._slots.get(slot_id)
        if slot is None:
            slot = self._slots[slot_id] = _HostSlot(slot_id, self)
        return slot

    def do_read(self, slot_id: bytes, off: int, length: int, /) -> bytes:
        return _get(slot_id, off, length)

    def do_write(self, slot_id: bytes, off: int, what: Buffer, /) -> None:
        self.writes += 1
        wasi.storage_write(slot_id, off, what)

    def __reduce__(self) -> tuple[Callable[[], typing.Any], tuple[()]]:
        import warnings

        warnings.warn("Detected pickling storage class. Reading storage in nondet mode is not supported", stacklevel=2)
        return (_storage_manager, ())


def _storage_manager() -> HostManager:
    return STORAGE_MANAGER


STORAGE_MANAGER = HostManager()
Root.MANAGER = STORAGE_MANAGER
