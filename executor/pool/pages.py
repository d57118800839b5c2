"""Memory of a fork.

A fork copies each page at its first write, and to Python a look at an object is a write. Each copy costs some
microseconds of whoever waits, most of them for the fault.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
from array import array
from collections.abc import Iterator

_MADV_POPULATE_WRITE = 23
_PRESENT = 1 << 63
_ENTRY_BYTES = 8

_madvise = ctypes.CDLL(None, use_errno=True).madvise
_madvise.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]


def own_all() -> None:
    """Copy all pages now that this process may write, and that are there. Does nothing where the system cannot.

    Takes some milliseconds, and as much memory as the pages have.
    """
    with contextlib.suppress(OSError):
        _own_all()


def _own_all() -> None:
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        for start, end in list(_writable()):
            pagemap.seek(start // mmap.PAGESIZE * _ENTRY_BYTES)
            entries = array("Q", pagemap.read((end - start) // mmap.PAGESIZE * _ENTRY_BYTES))
            for first, last in _present(entries):
                _madvise(start + first * mmap.PAGESIZE, (last - first) * mmap.PAGESIZE, _MADV_POPULATE_WRITE)


def _writable() -> Iterator[tuple[int, int]]:
    """Start and end of the private mappings that may be written, but for those that guests have as memory."""
    with open("/proc/self/maps", "rb") as maps:
        for line in maps:
            place, rights, *_ = line.split(None, 2)
            start, end = (int(number, 16) for number in place.split(b"-"))
            if rights == b"rw-p" and end - start < _GUEST_BYTES:
                yield start, end


_GUEST_BYTES = 1 << 30


def _present(entries: array[int]) -> Iterator[tuple[int, int]]:
    """First and behind the last of each sequence of pages that are there."""
    first = None
    for number, entry in enumerate(entries):
        if entry & _PRESENT:
            first = number if first is None else first
        elif first is not None:
            yield first, number
            first = None
    if first is not None:
        yield first, len(entries)
