"""How far a guest's memory was never touched from its beginning.

A module's stack lies at the beginning of its memory, 8 MiB of which a call uses a few pages. To read the rest takes a
page fault for each, which is longer than everything else that is done with them. The system knows which pages of a
mapping without a file are not there: those are zeros.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from array import array
from functools import cache

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_ENTRY_BYTES = 8
#: Bits of an entry of pagemap: the page is in memory, or in swap.
_TOUCHED = 0b11 << 62
#: The last field of a line of maps for a mapping of no file.
_INODE = 4


def untouched_bytes(address: int, size: int) -> int:
    """How many bytes from ``address`` on, at most ``size``, are zeros because nobody has touched them.

    0 where the system does not tell.
    """
    return _untouched_bytes(address, size) if _is_told() else 0


@cache
def _is_told() -> bool:
    """Whether the system says it of memory of which we know: a hash must not depend on one that says something else."""
    with contextlib.closing(mmap.mmap(-1, 3 * _PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)) as known:
        place = ctypes.c_char.from_buffer(known)
        first = ctypes.addressof(place)
        del place
        before = _untouched_bytes(first, _PAGE_BYTES)
        known[_PAGE_BYTES] = 1
        return before == _untouched_bytes(first, 3 * _PAGE_BYTES) == _PAGE_BYTES


def _untouched_bytes(address: int, size: int) -> int:
    try:
        end = min(_end_of_private_mapping(address), address + size)
        count = (end - address) // _PAGE_BYTES
        if count <= 0 or address % _PAGE_BYTES:
            return 0
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            file.seek(address // _PAGE_BYTES * _ENTRY_BYTES)
            entries = array("Q", file.read(count * _ENTRY_BYTES))
    except (OSError, ValueError):
        return 0
    untouched = next((index for index, entry in enumerate(entries) if entry & _TOUCHED), len(entries))
    return untouched * _PAGE_BYTES


def _end_of_private_mapping(address: int) -> int:
    """The end of the mapping at ``address``, if it is private and of no file; 0 otherwise.

    :raises OSError, ValueError: nobody knows.
    """
    with open("/proc/self/maps", "rb") as file:
        for line in file:
            begin, _, rest = line.partition(b"-")
            if int(begin, 16) > address:
                break
            end = int(rest[: rest.index(b" ")], 16)
            if address < end:
                words = line.split()
                return end if words[1].endswith(b"p") and words[_INODE:] == [b"0"] else 0
    return 0
