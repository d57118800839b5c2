"""What the system tells of the pages of this process's memory: ``/proc/self/maps`` and ``/proc/self/pagemap``."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import re
import sys
from collections.abc import Iterator
from functools import cache

PAGE_BYTES = mmap.PAGESIZE
_ENTRY_BYTES = 8
#: States of pages by the last byte of their entries: there, in memory or in swap; there, and of no file: such a page of
#: a private mapping was written to. Compiled by those who look.
_THERE = rb"[\x40-\xff]+"
_WRITTEN = rb"[\x40-\x9f\xc0-\xff]+"


def runs_there(address: int, size: int) -> Iterator[tuple[int, int]]:
    """Begin and end of what is there between ``address`` and ``size`` bytes behind it, counted from ``address``.

    Whole pages, also as arguments. So is :func:`runs_written`.

    :raises OSError: the system does not tell.
    """
    return _runs(_THERE, address, size)


def runs_written(address: int, size: int) -> Iterator[tuple[int, int]]:
    """The same of what is not as in the file of a private mapping, or not as in a new one without a file.

    :raises OSError: the system does not tell.
    """
    return _runs(_WRITTEN, address, size)


def _runs(states: bytes, address: int, size: int) -> Iterator[tuple[int, int]]:
    for run in re.finditer(states, _states(address, size)):
        yield run.start() * PAGE_BYTES, run.end() * PAGE_BYTES


def _states(address: int, size: int) -> bytes:
    count = size // PAGE_BYTES
    with open("/proc/self/pagemap", "rb", buffering=0) as file:
        file.seek(address // PAGE_BYTES * _ENTRY_BYTES)
        entries = file.read(count * _ENTRY_BYTES)
    if len(entries) != count * _ENTRY_BYTES:
        raise OSError("the system tells of some pages only")
    return entries[_ENTRY_BYTES - 1 :: _ENTRY_BYTES]


def mappings() -> Iterator[tuple[int, int, bytes, bytes]]:
    """Begin and end of each mapping, in order, its rights, as in ``rw-p``, and the number of its file, ``0`` if none.

    :raises OSError: the system does not tell.
    """
    with open("/proc/self/maps", "rb") as file:
        for line in file:
            place, rights, _, _, inode, *_ = line.split(None, 5)
            begin, _, end = place.partition(b"-")
            yield int(begin, 16), int(end, 16), rights, inode


@cache
def is_reliable() -> bool:
    """Whether the system tells the truth of pages that we know: no result may depend on a system that does not.

    False where it does not tell.
    """
    if sys.platform != "linux":
        return False
    try:
        return _tells_of(-1, []) and _tells_of_file()
    except OSError:
        return False


def _tells_of_file() -> bool:
    descriptor = os.memfd_create("pages", os.MFD_CLOEXEC)
    try:
        os.truncate(descriptor, 3 * PAGE_BYTES)
        return _tells_of(descriptor, [(0, PAGE_BYTES)])
    finally:
        os.close(descriptor)


def _tells_of(descriptor: int, once_read: list[tuple[int, int]]) -> bool:
    """``once_read`` is what is there of three new pages when the first was read that comes from a file."""
    flags = mmap.MAP_PRIVATE | (mmap.MAP_ANONYMOUS if descriptor == -1 else 0)
    with contextlib.closing(mmap.mmap(descriptor, 3 * PAGE_BYTES, flags=flags)) as known:
        place = ctypes.c_char.from_buffer(known)
        address = ctypes.addressof(place)
        del place
        if [*runs_there(address, 3 * PAGE_BYTES)]:
            return False
        if once_read and (known[0] or [*runs_there(address, PAGE_BYTES)] != once_read):
            return False
        known[PAGE_BYTES] = 1
        written = [(PAGE_BYTES, 2 * PAGE_BYTES)]
        return [*runs_written(address, 3 * PAGE_BYTES)] == written and ([*runs_there(address, PAGE_BYTES)] == once_read)
