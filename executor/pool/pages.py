"""Memory of a fork.

A fork copies each page at its first write, and to Python a look at an object is a write. Each copy costs some
microseconds of whoever waits, most of them for the fault.
"""

from __future__ import annotations

import contextlib
import ctypes

from pygenvm.executor import pagemap

_MADV_POPULATE_WRITE = 23
#: Larger mappings were only reserved, and nearly nothing of them is there.
_MAPPING_BYTES_MAX = 1 << 30

_madvise = ctypes.CDLL(None, use_errno=True).madvise
_madvise.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]


def own_all() -> None:
    """Copy all pages now that this process may write, and that are there. Does nothing where the system cannot.

    Takes some milliseconds, and as much memory as the pages have.
    """
    with contextlib.suppress(OSError):
        _own_all()


def _own_all() -> None:
    for start, end, rights, _ in list(pagemap.mappings()):
        if rights == b"rw-p" and end - start < _MAPPING_BYTES_MAX:
            for first, last in pagemap.runs_there(start, end - start):
                _madvise(start + first, last - first, _MADV_POPULATE_WRITE)
