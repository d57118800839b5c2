"""The output of this process: whatever happens to it, a command does its work and its exit code tells of that.

A transaction is committed before it is told. So text that the encoding of a stream does not have is written with
escapes, and what cannot be written at all is dropped, and remembered: a command that is done, but could not print
everything, has an exit code of its own.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Done, but the output could not be written.
EXIT_UNPRINTED = 4


class _Descriptor(io.RawIOBase):
    """A descriptor whose errors are kept instead of raised; after one, what comes is dropped.

    One that nobody opened is kept open to nowhere, and what is written to it fails.
    """

    def __init__(self, number: int, *, closed: bool) -> None:
        self._number = number
        self._closed = closed
        self.failure: OSError | None = None

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        while self.failure is None:
            if self._closed:
                self.failure = OSError(errno.EBADF, "stdout is closed")
                break
            try:
                return os.write(self._number, data)
            except BlockingIOError:
                # Somebody who shares it made it so; nothing is lost for that.
                from select import select

                select([], [self._number], [])
            except OSError as error:
                self.failure = error
        return memoryview(data).nbytes


_descriptors: list[_Descriptor] = []


def take_over(closed: Collection[int] = ()) -> None:
    """Replace both output streams of this process.

    :param closed: descriptors that nobody opened. Without a stderr we say nothing, and that is meant so.
    """
    sys.stdout, sys.stderr = _stream(1, sys.stdout, closed=1 in closed), _stream(2, sys.stderr, closed=False)


def _stream(number: int, old: TextIO | None, *, closed: bool) -> TextIO:
    descriptor = _Descriptor(number, closed=closed)
    _descriptors.append(descriptor)
    return io.TextIOWrapper(
        io.BufferedWriter(descriptor),
        # Of a descriptor that nobody opened Python makes no stream.
        encoding=old.encoding if old is not None else "utf-8",
        errors="backslashreplace",
        # As Python's own. What there was before may have been another process's, who has handed this command over.
        line_buffering=number == 2 or os.isatty(number),
        write_through=getattr(old, "write_through", False),
    )


def settled(status: int, *, changes: bool = False) -> int:
    """The exit code of a command that would end with ``status``; all that can be printed is, when this returns.

    :param changes: the command has changed something, so it tells even if the reader has gone.
    """
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except KeyboardInterrupt:
        # Nobody reads, and somebody does not want to wait for that.
        for descriptor in _descriptors:
            descriptor.failure = descriptor.failure or InterruptedError(errno.EINTR, "interrupted")
    failure = next((descriptor.failure for descriptor in _descriptors if descriptor.failure is not None), None)
    if failure is None:
        return status
    # Whoever has seen enough, as `head` and `less` have, need not be told.
    if changes or not isinstance(failure, BrokenPipeError):
        done = "" if status else "done, but "
        print(f"genvm: {done}the output could not be printed: {failure.strerror}", file=sys.stderr, flush=True)
    return status or EXIT_UNPRINTED
