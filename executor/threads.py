"""Threads and their stacks. A machine that gives no more of them ends a run as internal error."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from pygenvm.executor.outcome import InternalErrorRaised

#: The size of stacks is the process's, not the thread's that is about to start another.
_starting = threading.Lock()


@contextlib.contextmanager
def stacks_of(stack_bytes: int) -> Iterator[None]:
    """Threads that are started inside get stacks of that size.

    :raises InternalErrorRaised: the machine refuses one.
    """
    with _starting:
        before = threading.stack_size(stack_bytes)
        try:
            yield
        except RuntimeError as error:
            raise InternalErrorRaised(
                f"the machine refuses a thread with {stack_bytes} bytes of stack: {error}"
            ) from None
        finally:
            threading.stack_size(before)
