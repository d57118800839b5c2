"""SIGTERM and SIGINT as a request to end early (spec executor/10 "Signals").

Signals belong to the process, so this is a module and not a class. A handler runs between any two
instructions of the main thread, another handler's included: it may take no lock, not even that of a
:class:`threading.Event`. So there is a plain flag, and a queue that may be used from handlers to wake
the main thread.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from queue import Empty, SimpleQueue

SIGNALS = (signal.SIGTERM, signal.SIGINT)

_wakings: SimpleQueue[None] = SimpleQueue()
_requested = False


def install() -> None:
    """Take over the signals. Only from the main thread, as early as possible: until then they kill the process."""
    for number in SIGNALS:
        signal.signal(number, _on_signal)


def _on_signal(_number: int, _frame: object) -> None:
    global _requested
    _requested = True
    _wakings.put(None)


def requested() -> bool:
    """A signal has arrived. Never taken back."""
    return _requested


def wake() -> None:
    """End one :func:`wait` of the main thread, the current or the next one; from any thread."""
    _wakings.put(None)


def wait(seconds: float | None = None) -> None:
    """Sleep until a signal arrives, :func:`wake` is called or ``seconds`` have passed. Only for the main thread."""
    with contextlib.suppress(Empty):
        _wakings.get(timeout=seconds)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Threads and processes started inside never get the signals, so they always wake the main thread."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
