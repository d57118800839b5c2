# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Descriptor of ``datetime.datetime`` (spec sdk/02 §4); imported only by contracts that store one."""
__all__ = ('DateTimeDesc',)
import datetime
import struct
from .core import Slot
from .desc_base_types import _FixedDesc

class DateTimeDesc(_FixedDesc):
    """25 bytes. A naive value leaves the 12 offset bytes as they were. Dates before 1970 raise OverflowError."""

    def __init__(self) -> None:
        ...

    def from_place(self, raw: bytes, _slot: Slot, _off: int, /) -> datetime.datetime:
        ...

    def set(self, slot: Slot, off: int, val: datetime.datetime, /) -> None:
        ...
