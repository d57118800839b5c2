"""What a run prints: the start and the end of each stream are kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

from pygenvm.executor import limits


@dataclass(frozen=True, slots=True)
class Captured:
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


async def capture(stream: asyncio.StreamReader, output: Output | None = None) -> Captured:
    """Reads a stream to its end."""
    output = output or Output()
    while data := await stream.read(limits.OUTPUT_READ_BYTES):
        output.feed(data)
    return output.captured()


@dataclass(frozen=True, slots=True)
class Pipe:
    """``write_fd`` is for the process; the parent closes its own copy once that has started."""

    reader: asyncio.StreamReader
    write_fd: int


@contextlib.asynccontextmanager
async def output_pipe() -> AsyncIterator[Pipe]:
    """A pipe for one stream of a process."""
    # One of our own: asyncio's would make the end of the process wait for everybody who holds it.
    read_fd, write_fd = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_fd, "rb")
    )
    try:
        yield Pipe(reader, write_fd)
    finally:
        transport.close()
