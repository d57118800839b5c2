"""Coroutines without an event loop, for commands that do one thing after the other.

Loading the event loop takes longer than most of what such a command does. So whatever would let others run meanwhile
asks here how to wait; a command that needs nothing of the kind says so (:func:`turn_on`), and then it simply waits.
"""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

T = TypeVar("T")

#: The thread that waits, 0 if there is none.
_thread = 0
_is_held_off = _was_interrupted = False
#: By descriptor what is done when something comes there while the command waits for its executor.
watched: dict[int, Callable[[], object]] = {}


def turn_on() -> None:
    """Coroutines of this thread are carried out without an event loop from here on."""
    global _thread
    _thread = get_ident()


def is_on() -> bool:
    """Whether that is so in this thread."""
    return _thread == get_ident()


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits for another one."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    raise RuntimeError("this waits for something that only an event loop knows of")


def lock() -> AbstractAsyncContextManager[None]:
    """Held by one coroutine at a time."""
    if is_on():
        return _Lock()
    import asyncio

    return asyncio.Lock()


class _Lock(AbstractAsyncContextManager[None]):
    """Where there is nobody to wait for."""

    _held = False

    async def __aenter__(self) -> None:
        assert not self._held
        self._held = True

    async def __aexit__(self, *_: object) -> None:
        self._held = False


def undisturbed(work: Callable[[], T]) -> T:
    """Carries ``work`` to its end. If the command is interrupted meanwhile, that takes effect after it."""
    global _is_held_off, _was_interrupted
    _is_held_off = True
    try:
        return work()
    finally:
        _is_held_off = False
        if _was_interrupted:
            _was_interrupted = False
            raise KeyboardInterrupt


def hold_off() -> bool:
    """For who interrupts a command: whether that is done later."""
    global _was_interrupted
    _was_interrupted = _is_held_off
    return _is_held_off
