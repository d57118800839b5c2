"""Descriptors that the process was started without."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def take_closed(descriptors: Iterable[int]) -> list[int]:
    """Let descriptors that nobody opened lead nowhere: the next socket would get their numbers, and what is written.

    The value is which they were.
    """
    closed = []
    for number in descriptors:
        try:
            os.fstat(number)
        except OSError:
            closed.append(number)
            nothing = os.open(os.devnull, os.O_RDWR)
            if nothing != number:
                # Above what the process may open, where no socket comes either.
                try:  # noqa: SIM105 (contextlib is not loaded)
                    os.dup2(nothing, number)
                except OSError:
                    pass
                os.close(nothing)
    return closed
