"""How far a guest's memory was never touched from its beginning.

A module's stack lies at the beginning of its memory, 8 MiB of which a call uses a few pages. To read the rest takes a
page fault for each, which is longer than everything else that is done with them. The system knows which pages of a
mapping without a file are not there: those are zeros.
"""

from __future__ import annotations

import os
from array import array

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
