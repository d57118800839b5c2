"""Commands for people are ended by SIGTERM and SIGHUP as by Ctrl-C: what they have made for themselves is removed.

An interrupt may arrive anywhere in the code of others, which makes other errors of it: a lock that is released without
having been taken, a child that has died. So a command asks whether it was interrupted before it tells of an error. And
it may arrive in a finalizer or a callback of the garbage collector, where Python drops what is raised: it is raised
again then.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import TYPE_CHECKING, TypeAlias

# The module around it takes longer to load than to use.
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None

#: Besides Ctrl-C.
ENDING = (signal.SIGTERM, signal.SIGHUP)
#: What they do in a process that has not taken them over.
USUAL: dict[int, Handler] = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(ENDING, signal.SIG_DFL)}
#: Until an interrupt that got lost is raised again: long enough to be out of what has lost it.
_AGAIN_SECONDS = 0.002


@contextlib.contextmanager
def interrupting(
    afterwards: Mapping[int, Handler] | None = None, hold_off: Callable[[], bool] = lambda: False
) -> Iterator[Callable[[], bool]]:
    """The first signal raises ``KeyboardInterrupt`` inside; later ones do not disturb the end. Main thread only.

    Ctrl-C raises it as often as it is pressed. The value tells whether anything did; what arrives here afterwards is
    ``KeyboardInterrupt``, whatever became of it.

    :param afterwards: what the signals do at the end, if that is not what they do now.
    :param hold_off: asked before it is raised, and true if whoever says so raises it in a moment.
    """
    before = {number: signal.getsignal(number) for number in (*ENDING, signal.SIGINT)}
    # What the caller has told us to ignore, as `nohup` does, stays so.
    taken: dict[int, Handler] = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}
    taken |= afterwards or {}
    interrupted = False

    def interrupt(_number: int, _frame: object) -> None:
        nonlocal interrupted
        interrupted = True
        for number in taken.keys() - {signal.SIGINT}:
            signal.signal(number, signal.SIG_IGN)
        if not hold_off():
            raise KeyboardInterrupt

    def again(_number: int, frame: FrameType | None) -> None:
        if _is_in(frame, dropped):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        else:
            raise KeyboardInterrupt

    def dropped(what: sys.UnraisableHookArgs) -> None:
        if interrupted and isinstance(what.exc_value, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        else:
            hook(what)

    alarm = signal.signal(signal.SIGALRM, again)
    hook, sys.unraisablehook = sys.unraisablehook, dropped
    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield lambda: interrupted
    except Exception as error:
        if interrupted:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook
        signal.signal(signal.SIGALRM, alarm)


def _is_in(frame: FrameType | None, function: Callable[..., object]) -> bool:
    """Whether this frame belongs to a call of ``function``."""
    while frame is not None:
        if frame.f_code is function.__code__:
            return True
        frame = frame.f_back
    return False
