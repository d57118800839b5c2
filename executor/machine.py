"""What a run takes from the machine. If there is none left, that is an internal error and never a contract's affair.

The interpreter survives a refusal, the engine does not always: where it finds no memory it aborts the process. So we
look whether there is some before the engine, or a new thread, needs it.
"""

from __future__ import annotations

import contextlib
import mmap
import sys
import threading
from collections.abc import Iterator

from pygenvm.executor import limits
from pygenvm.executor.outcome import InstallationFault

#: As stacks of threads are asked for: a machine need not have at once what may never be touched. Python knows no name
#: for it before 3.13; this is the number on x86-64 and 64-bit Arm.
_NO_RESERVE = 0x4000 if sys.platform == "linux" else 0
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


@contextlib.contextmanager
def stacks_of(size: int) -> Iterator[None]:
    """Threads that are started inside get stacks of that size.

    :raises InstallationFault: the machine refuses one.
    """
    with _starting:
        # A thread that finds no memory to begin with would be waited for in vain.
        require_memory(size + limits.SPARE_BYTES)
        before = threading.stack_size(size)
        try:
            yield
        except RuntimeError as error:
            raise InstallationFault(f"the machine refuses a thread: {error}") from None
        finally:
            threading.stack_size(before)
