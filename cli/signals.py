"""Commands for people are ended by SIGTERM and SIGHUP as by Ctrl-C: what they have made for themselves is removed."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import NoReturn

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def interrupting() -> Iterator[None]:
    """The first signal raises ``KeyboardInterrupt`` inside; later ones do not disturb the end. Main thread only."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    # What the caller has told us to ignore, as `nohup` does, stays so.
    taken = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}

    def interrupt(_number: int, _frame: object) -> NoReturn:
        for number in taken:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)
