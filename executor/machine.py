"""What a run takes from the machine. If there is none left, that is an internal error and never a contract's affair.

The interpreter survives a refusal, the engine does not always: where it finds no memory it aborts the process. So we
look whether there is some before the engine, or a new thread, needs it.
"""

from __future__ import annotations

import _thread
import ctypes
import mmap
import os
import sys
import threading
import weakref
from collections.abc import Callable
from functools import cache
from typing import NoReturn

from pygenvm.executor import limits
from pygenvm.executor.outcome import InstallationFault

#: As stacks of threads are asked for: a machine need not have at once what may never be touched. Python knows no name
#: for it before 3.13; this is the number on x86-64 and 64-bit Arm.
_NO_RESERVE = 0x4000 if sys.platform == "linux" else 0
#: One call to the system in place of one for each few pages.
_POPULATE = getattr(mmap, "MAP_POPULATE", 0)
#: The same number on all systems; Python knows no name for it.
_FIXED = 0x10
_library = ctypes.CDLL(None, use_errno=True)
_mmap, _munmap, _mprotect, _madvise = _library.mmap, _library.munmap, _library.mprotect, _library.madvise
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_mprotect.argtypes = _madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_FAILED = ctypes.c_void_p(-1).value
#: Python knows no name for it before 3.13.
_NO_ACCESS = 0
#: Exit code of a process that an exception between the engine and what it calls has ended.
EXIT_ESCAPED = 70
_LIMIT_OF_ADDRESSES = 9 if sys.platform == "linux" else 5
_LIMIT_OF_DATA = 2
#: At least, on all systems.
_UNLIMITED = (1 << 63) - 1
_ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
#: Of any size: there would be a type for each, and ctypes keeps them all.
_Content = ctypes.c_char * (1 << 40)
#: What is mapped, by its address.
_mapped: dict[int, weakref.ref[ctypes.Array[ctypes.c_char]]] = {}
#: The size of stacks is the process's, not the thread's that is about to start another.
_starting = threading.Lock()


def take_memory(size: int) -> mmap.mmap:
    """Memory that nobody writes to; closing it gives it back.

    :raises InstallationFault: the machine has not as much.
    """
    try:
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE)
    except OSError as error:
        raise InstallationFault(f"the machine has no {size} bytes of memory: {error}") from None


def require_memory(size: int = limits.SPARE_BYTES) -> None:
    """Make sure that there is some.

    :raises InstallationFault: the machine has not as much.
    """
    take_memory(size).close()


def mapped_file(descriptor: int) -> memoryview:
    """The content of a file that nobody changes, as the system has it in memory: nothing is copied.

    It is there as long as somebody looks at it. :mod:`mmap` would keep a descriptor for each.

    :raises OSError: it cannot be mapped.
    """
    size = os.fstat(descriptor).st_size
    if not size:
        return memoryview(b"")
    first = _mapped_at(None, size, mmap.PROT_READ, mmap.MAP_SHARED | _POPULATE, descriptor, 0)
    content = _Content.from_address(first)
    _mapped[first] = weakref.ref(content, lambda _: _unmap(first, size))
    return memoryview(content).cast("B").toreadonly()[:size]


@cache
def addresses_are_limited() -> bool:
    """Whether this process may use some of its addresses only, or write to some only (``ulimit -v`` and ``-d``)."""
    # Not by the module `resource`, which would be loaded for that by every run.
    found = (ctypes.c_ulong * 2)()
    limits_of_it = (_LIMIT_OF_ADDRESSES, _LIMIT_OF_DATA)
    return any(_library.getrlimit(limit, found) or found[0] < _UNLIMITED for limit in limits_of_it)


def reserve_addresses(size: int) -> int:
    """The first of ``size`` addresses that nobody may use before :func:`allow`. They take no memory.

    :raises OSError: the machine refuses.
    """
    return _mapped_at(None, size, _NO_ACCESS, _ANONYMOUS, -1, 0)


def allow(address: int, size: int) -> None:
    """Let memory be read and written that was reserved. So far it is zeros.

    :raises OSError: the machine refuses.
    """
    if _mprotect(address, size, mmap.PROT_READ | mmap.PROT_WRITE):
        _refused()


def keep_small(address: int, size: int) -> None:
    """Let each page of memory be there for itself, also where the system would give many at once to who touches one."""
    if sys.platform == "linux":
        _madvise(address, size, mmap.MADV_NOHUGEPAGE)


def take_back(address: int, size: int) -> None:
    """Let go of the content of memory that was reserved; nobody may use it any more.

    :raises OSError: the machine refuses.
    """
    _mapped_at(address, size, _NO_ACCESS, _ANONYMOUS | _FIXED, -1, 0)


def clear(address: int, size: int) -> None:
    """Write zeros."""
    ctypes.memset(address, 0, size)


def give_addresses_back(address: int, size: int) -> None:
    """What :func:`reserve_addresses` has given is free for others."""
    _munmap(address, size)


def map_over(address: int, size: int, descriptor: int, offset: int) -> None:
    """Put content of a file that nobody changes in place of memory that begins at ``address``. Writes to it are not
    seen in the file. All numbers are multiples of the size of a page.

    :raises OSError: the machine refuses; then nobody may look at that memory any more.
    """
    _mapped_at(address, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | _FIXED, descriptor, offset)


def memory_at(address: int, size: int) -> memoryview:
    """To be read and written as long as there is memory at these addresses."""
    return memoryview(_Content.from_address(address)).cast("B")[:size]


def _mapped_at(address: int | None, size: int, protection: int, flags: int, descriptor: int, offset: int) -> int:
    first: int = _mmap(address, size, protection, flags, descriptor, offset)
    if first == _FAILED:
        _refused()
    return first


def _refused() -> NoReturn:
    error = ctypes.get_errno()
    raise OSError(error, os.strerror(error))


def _unmap(first: int, size: int) -> None:
    del _mapped[first]
    _munmap(first, size)


def start_thread(work: Callable[[], None], stack_bytes: int) -> None:
    """Run ``work`` on a thread of its own, which does not keep the process from ending.

    :raises InstallationFault: the machine refuses one, or the memory with which it would begin.
    """
    begun = _thread.allocate_lock()
    begun.acquire()

    def begin() -> None:
        begun.release()
        work()

    with _starting:
        require_memory(stack_bytes + limits.SPARE_BYTES)
        before = threading.stack_size(stack_bytes)
        try:
            # Not by `threading`, which waits for ever for a thread that finds no memory to begin with.
            _thread.start_new_thread(begin, ())
        except RuntimeError as error:
            raise InstallationFault(f"the machine refuses a thread: {error}") from None
        finally:
            threading.stack_size(before)
    if not begun.acquire(timeout=limits.THREAD_BEGIN_SECONDS):
        raise InstallationFault(f"a thread has not begun after {limits.THREAD_BEGIN_SECONDS:g} s")


class SignalStack:
    """A stack for signals that arrive on the calling thread, which must be the one that lets go of it.

    The engine makes one for each thread that runs a guest, and aborts the process where there is no memory for it. But
    it takes one that is there.
    """

    def __init__(self) -> None:
        """:raises InstallationFault: the machine has no memory for it."""
        if sys.platform != "linux":
            return
        self._memory = take_memory(limits.SIGNAL_STACK_BYTES)
        first = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        _sigaltstack(ctypes.byref(_Stack(first, 0, limits.SIGNAL_STACK_BYTES)), None)

    def __del__(self) -> None:
        if hasattr(self, "_memory"):
            _sigaltstack(ctypes.byref(_Stack(None, _SS_DISABLE, 0)), None)


class _Stack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (("first", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


_SS_DISABLE = 2
_sigaltstack = ctypes.CDLL(None).sigaltstack
