"""SIGTERM and SIGINT as a request to end early (spec executor/10 "Signals").

Signals belong to the process, so this is a module and not a class. A handler runs between any two
instructions of the main thread, another handler's included: it may take no lock, not even that of a
:class:`threading.Event`. So there is a plain flag.

Nor does a handler wake the main thread: Python calls it when the main thread executes the next
instruction, and one that sleeps does not, if the signal came just before it fell asleep. That takes as
long as another thread keeps it waiting for the interpreter. What wakes it is a byte, which the system's
own handler writes to a socket.
"""

from __future__ import annotations

import _socket
import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

# What is behind the module of this name: that takes longer to load than to use.
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

SIGNALS = (signal.SIGTERM, signal.SIGINT)

#: Wakings that one wait takes, so that they do not pile up.
_AT_ONCE = 4096

#: What ends a wait is received from the first and sent over the second.
_wakings: tuple[_socket.socket, _socket.socket] | None = None
_requested = False
#: In a process that has no run yet, whether one has come.
_has_come: Callable[[], object] | None = None


def install() -> None:
    """Take over the signals. Only from the main thread, as early as possible: until then they kill the process."""
    for number in SIGNALS:
        signal.signal(number, _on_signal)


def _on_signal(number: int, _frame: object) -> None:
    global _requested
    if _has_come is not None and not _has_come():
        # Nobody's run: the next one would be told that its time is over.
        _end(number)
    _requested = True


def _end(number: int) -> None:
    """As if the signal had not been taken over."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


@contextlib.contextmanager
def without_run(descriptor: int) -> Iterator[Callable[[], object]]:
    """Until something has come through ``descriptor``, a signal means this process, and ends it; an earlier one too.

    A run is told to end after it was sent, so what comes behind it means the run. What is given waits for something to
    come. Only for the main thread.
    """
    global _has_come
    import select

    # Two, for one cannot be asked in a handler while it waits.
    waiting, looking = select.poll(), select.poll()
    for poll in (waiting, looking):
        poll.register(descriptor, select.POLLIN)
    _has_come = partial(looking.poll, 0)
    if _requested and not _has_come():
        _end(signal.SIGTERM)
    try:
        yield waiting.poll
    finally:
        _has_come = None


def requested() -> bool:
    """A signal has arrived. Never taken back."""
    return _requested


def open_wakings() -> None:
    """Make what ends a :func:`wait`; once per process, before the first one. Only from the main thread.

    :raises OSError: the system has no room for it.
    """
    global _wakings
    if _wakings is not None:
        return
    hears, tells = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    # Where there is no room for one more there is more than enough to wake anybody.
    tells.setblocking(False)
    signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
    _wakings = hears, tells


def wake() -> None:
    """End one :func:`wait` of the main thread, the current or the next one; from any thread."""
    assert _wakings is not None
    with contextlib.suppress(BlockingIOError):
        _wakings[1].send(b"\0")


def wait(seconds: float | None = None) -> None:
    """Sleep until a signal arrives, :func:`wake` is called or ``seconds`` have passed. Only for the main thread.

    It may end for nothing.
    """
    assert _wakings is not None
    _wakings[0].settimeout(None if seconds is None else max(seconds, 0.0))
    with contextlib.suppress(TimeoutError, BlockingIOError):
        _wakings[0].recv(_AT_ONCE)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Threads and processes started inside never get the signals, so they always wake the main thread."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
