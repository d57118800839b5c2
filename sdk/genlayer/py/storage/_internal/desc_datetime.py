"""Descriptor of ``datetime.datetime`` (spec sdk/02 §4); imported only by contracts that store one."""

__all__ = ("DateTimeDesc",)

import datetime
import struct

from .core import Slot
from .desc_base_types import _FixedDesc

# seconds, micros, has_tz, then the offset as days, seconds, micros
_AWARE = struct.Struct("<QI?iii")
_NAIVE = struct.Struct("<QI?")


class DateTimeDesc(_FixedDesc):
    """25 bytes. A naive value leaves the 12 offset bytes as they were. Dates before 1970 raise OverflowError."""

    __slots__ = ()

    def __init__(self) -> None:
        _FixedDesc.__init__(self, _AWARE.size)

    def from_place(self, raw: bytes, _slot: Slot, _off: int, /) -> datetime.datetime:
        seconds, micros, has_tz, off_days, off_seconds, off_micros = _AWARE.unpack(raw)
        if not has_tz:
            return datetime.datetime.fromtimestamp(seconds).replace(microsecond=micros)
        offset = datetime.timedelta(off_days, off_seconds, off_micros)
        utc = datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(microsecond=micros)
        return utc.astimezone(datetime.timezone(offset))

    def set(self, slot: Slot, off: int, val: datetime.datetime, /) -> None:
        seconds = int(val.timestamp())
        if seconds < 0:
            raise OverflowError("can't convert negative int to unsigned")
        offset = val.utcoffset()
        if offset is None:
            slot.write(off, _NAIVE.pack(seconds, val.microsecond, False))
        else:
            slot.write(
                off,
                _AWARE.pack(seconds, val.microsecond, True, offset.days, offset.seconds, offset.microseconds),
            )
