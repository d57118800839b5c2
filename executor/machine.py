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
_mmap, _munmap = _library.mmap, _library.munmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_FAILED = ctypes.c_void_p(-1).value
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
    first = _mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED | _POPULATE, descriptor, 0)
    if first == _FAILED:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    content = _Content.from_address(first)
    _mapped[first] = weakref.ref(content, lambda _: _unmap(first, size))
    return memoryview(content).cast("B").toreadonly()[:size]


def map_over(address: int, size: int, descriptor: int, offset: int) -> None:
    """Put content of a file that nobody changes in place of memory that begins at ``address``. Writes to it are not
    seen in the file. All numbers are multiples of the size of a page.

    :raises InstallationFault: the machine refuses; then nobody may look at that memory any more.
    """
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    if _mmap(address, size, protection, mmap.MAP_PRIVATE | _FIXED, descriptor, offset) == _FAILED:
        error = ctypes.get_errno()
        raise InstallationFault(f"the machine maps no {size} bytes: {os.strerror(error)}")


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
