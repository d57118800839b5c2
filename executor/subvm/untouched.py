"""How far a guest's memory was never touched from its beginning.

A module's stack lies at the beginning of its memory, 8 MiB of which a call uses a few pages. To read the rest takes a
page fault for each, which is longer than everything else that is done with them. The system knows which pages of a
mapping without a file are not there: those are zeros.
"""

from __future__ import annotations

from pygenvm.executor import pagemap


def untouched_bytes(address: int, size: int) -> int:
    """How many bytes from ``address`` on, at most ``size``, are zeros because nobody has touched them.

    0 where the system does not tell.
    """
    if address % pagemap.PAGE_BYTES or not pagemap.is_reliable():
        return 0
    try:
        end = min(_end_of_private_mapping(address), address + size)
        whole = (end - address) // pagemap.PAGE_BYTES * pagemap.PAGE_BYTES
        first, _ = next(pagemap.runs_there(address, whole), (whole, whole)) if whole > 0 else (0, 0)
    except (OSError, ValueError):
        return 0
    return first


def _end_of_private_mapping(address: int) -> int:
    """The end of the mapping at ``address``, if it is private and of no file; 0 otherwise.

    :raises OSError, ValueError: nobody knows.
    """
    for begin, end, rights, inode in pagemap.mappings():
        if begin > address:
            break
        if address < end:
            return end if rights.endswith(b"p") and inode == b"0" else 0
    return 0
