"""What a run prints: the start and the end of each stream are kept."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pygenvm.executor import limits
from pygenvm.executor.frozen import Frozen

if TYPE_CHECKING:
    import asyncio


class Captured(metaclass=Frozen):
    """One output stream of a run: its start, its end, and how many bytes between them were dropped."""

    head: bytes = b""
    tail: bytes = b""
    dropped: int = 0

    def text(self) -> str:
        """As UTF-8, with a line that says how much is missing."""
        if not self.dropped:
            return (self.head + self.tail).decode("utf-8", "replace")
        gap = f"\n… {self.dropped} bytes left out …\n"
        return self.head.decode("utf-8", "replace") + gap + self.tail.decode("utf-8", "replace")

    def without_end(self, end: bytes) -> Captured:
        """This stream without ``end``, which its producer wrote last; of a long one only the end of ``end`` was kept.

        A stream that does not end like that is left as it is.
        """
        kept = self.tail if self.dropped else self.head + self.tail
        if not kept.endswith(end) and not (self.dropped and end.endswith(kept)):
            return self
        left = len(self.head) + self.dropped + len(self.tail) - len(end)
        if left <= len(self.head):
            return Captured(self.head[:left])
        left -= len(self.head)
        if left <= self.dropped:
            return Captured(self.head, b"", left)
        return Captured(self.head, self.tail[: left - self.dropped], self.dropped)


class Output:
    """Keeps the start and the end of a stream, at most ``head`` and ``tail`` bytes."""

    def __init__(self, head: int = limits.OUTPUT_HEAD_BYTES, tail: int = limits.OUTPUT_TAIL_BYTES) -> None:
        self._head_max, self._tail_max = head, tail
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def feed(self, data: bytes) -> None:
        room = self._head_max - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        surplus = len(self._tail) - self._tail_max
        if surplus > 0:
            del self._tail[:surplus]
            self._dropped += surplus

    def captured(self) -> Captured:
        return Captured(bytes(self._head), bytes(self._tail), self._dropped)


class OutputPipe:
    """A pipe for one stream of a process, read as it fills. It belongs to the running event loop.

    ``write_fd`` is for the process; the parent closes its own copy (:meth:`started`) once that has started.
    """

    def __init__(self) -> None:
        # Loaded here: commands that need no event loop need not wait for that.
        import asyncio

        # One of our own: asyncio's would make the end of the process wait for everybody who holds it, and its
        # transports cost a run more than what it prints.
        self._read_fd, self.write_fd = os.pipe()
        self._output = Output()
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._read_fd, self._read)

    def _read(self) -> None:
        # It is only called when there is something, or nobody can write any more.
        if data := os.read(self._read_fd, limits.OUTPUT_READ_BYTES):
            self._output.feed(data)
        else:
            self.close()

    def started(self) -> None:
        """Closes our copy of ``write_fd``."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    async def captured(self) -> Captured:
        """What was written, once nobody can write any more or the pipe is closed."""
        await self._ended
        return self._output.captured()

    def close(self) -> None:
        """Reads no more."""
        self.started()
        if self._read_fd < 0:
            return
        self._loop.remove_reader(self._read_fd)
        os.close(self._read_fd)
        self._read_fd = -1
        if not self._ended.done():
            self._ended.set_result(None)


@contextlib.contextmanager
def output_pipes(count: int) -> Iterator[list[OutputPipe]]:
    """Pipes that are read until the context is left."""
    with contextlib.ExitStack() as opened:
        pipes = []
        for _ in range(count):
            pipes.append(OutputPipe())
            opened.callback(pipes[-1].close)
        yield pipes
