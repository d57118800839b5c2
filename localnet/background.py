"""An event loop in a thread of its own, for callers that are no coroutines or must not use the loop they have."""

from __future__ import annotations

import contextlib
import os
from _thread import allocate_lock, get_ident
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from pygenvm.localnet import direct

# Loaded with the first loop: commands that need none do not wait for that.
if TYPE_CHECKING:
    import asyncio
    import signal
    from concurrent.futures import Future
else:
    import _signal as signal

T = TypeVar("T")

#: How often whoever waits looks for signals.
_LOOK_SECONDS = 0.1
_INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Waits for a coroutine and gives its result, whether the calling thread has an event loop or not.

    All threads of a process share one loop, which lasts as long as the process, but for the thread that has none
    (:mod:`localnet.direct`). If the caller is interrupted (``KeyboardInterrupt``) the coroutine is cancelled, and has
    ended when this raises.

    :raises RuntimeError: called from a coroutine of that very loop, which would wait for itself.
    """
    return direct.run(work) if direct.is_on() else run_in_loop(work)


def run_in_loop(work: Coroutine[Any, Any, T]) -> T:
    """As :func:`run`, in any case in the loop."""
    try:
        loop = _the_loop()
    except BaseException:
        work.close()
        raise
    if loop.is_ours():
        work.close()
        raise RuntimeError("this would wait for itself: coroutines use pygenvm.localnet.chain, not LocalNet")
    return loop.run(work)


class _Loop:
    def __init__(self) -> None:
        import asyncio
        import selectors
        import socket
        import threading

        # What it takes: without that its own constructor leaves half a loop, which complains when it is collected.
        for taken in (*socket.socketpair(), selectors.DefaultSelector()):
            taken.close()
        # Half of one complains too.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTING)
        try:
            self._loop = asyncio.new_event_loop()
        finally:
            # Not held back from the thread: what that starts would never get them.
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        # A daemon: it is idle when the program ends, and must not keep it from ending.
        self._thread = threading.Thread(target=self._loop.run_forever, name="local network", daemon=True)
        self._thread.start()

    def is_ours(self) -> bool:
        return self._thread.ident == get_ident()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        from concurrent.futures import Future

        outcome: Future[T] = Future()
        tasks: list[asyncio.Task[None]] = []

        async def carry_out() -> None:
            try:
                outcome.set_result(await work)
            except BaseException as error:  # KeyboardInterrupt and SystemExit would end the loop
                outcome.set_exception(error)

        self._loop.call_soon_threadsafe(lambda: tasks.append(self._loop.create_task(carry_out())))
        try:
            # A signal that comes just before a wait begins, or to another thread, does not end the wait.
            while not outcome.done():
                with contextlib.suppress(TimeoutError):
                    outcome.exception(_LOOK_SECONDS)
            return outcome.result()
        except BaseException:
            if not outcome.done():
                # After the first step of the task: one that never began would not say that it has ended.
                self._loop.call_soon_threadsafe(lambda: self._loop.call_soon(tasks[0].cancel))
                outcome.exception()
            raise


_lock = allocate_lock()
_loop: _Loop | None = None


def _the_loop() -> _Loop:
    global _loop
    with _lock:
        if _loop is None:
            _loop = _Loop()
        return _loop


def _forget() -> None:
    """A forked process has the loop, but not its thread."""
    global _lock, _loop
    _lock, _loop = allocate_lock(), None


os.register_at_fork(after_in_child=_forget)
