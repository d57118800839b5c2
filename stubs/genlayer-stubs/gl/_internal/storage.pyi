# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Storage of the running contract, kept by the host."""
__all__ = ('STORAGE_MANAGER', 'HostManager')
import typing
from collections.abc import Callable
from typing_extensions import Buffer
import _genlayer_wasi as wasi
from ...py.storage import Root
from ...py.storage._internal.core import Manager, Slot

class HostManager(Manager):
    """One access, one request."""
    writes: int

    def __init__(self) -> None:
        ...

    def get_store_slot(self, slot_id: bytes, /) -> Slot:
        ...

    def do_read(self, slot_id: bytes, off: int, length: int, /) -> bytes:
        ...

    def do_write(self, slot_id: bytes, off: int, what: Buffer, /) -> None:
        ...

    def __reduce__(self) -> tuple[Callable[[], typing.Any], tuple[()]]:
        ...
STORAGE_MANAGER = HostManager()
