"""Commands for people are ended by SIGTERM and SIGHUP as by Ctrl-C: what they have made for themselves is removed.

An interrupt may arrive anywhere in the code of others, which makes other errors of it: a lock that is released without
having been taken, a child that has died. So a command asks whether it was interrupted before it tells of an error.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import NoReturn

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def interrupting() -> Iterator[Callable[[], bool]]:
    """The first signal raises ``KeyboardInterrupt`` inside; later ones do not disturb the end. Main thread only.

    Ctrl-C raises it as often as it is pressed. The value tells whether anything did; what arrives here afterwards is
    ``KeyboardInterrupt``, whatever became of it.
    """
    before = {number: signal.getsignal(number) for number in (*_SIGNALS, signal.SIGINT)}
    # What the caller has told us to ignore, as `nohup` does, stays so.
    taken = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    interrupted = False

    def interrupt(_number: int, _frame: object) -> NoReturn:
        nonlocal interrupted
        interrupted = True
        for number in taken.keys() - {signal.SIGINT}:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

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
