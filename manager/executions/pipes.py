"""What executors write: read from pipes by the event loop, without tasks or buffers of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from pygenvm.manager import limits


class Pipe:
    """Gives what is written into ``write_fd`` to ``take``. All methods belong to one event loop."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        """:raises OSError: there are too many open files."""
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._loop.add_reader(self._read_fd, self._read)

    def close_write_end(self) -> None:
        """Ours, once the executor has its copy."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    def finish(self) -> None:
        """Take what is there, and close; whoever still has the other end is not waited for."""
        # One that writes all the time does not keep us here.
        left = limits.PIPE_BYTES
        while self._read_fd >= 0 and left > 0:
            taken = self._read()
            if not taken:
                break
            left -= taken
        self.close()

    def close(self) -> None:
        self.close_write_end()
        if self._read_fd >= 0:
            self._loop.remove_reader(self._read_fd)
            os.close(self._read_fd)
            self._read_fd = -1

    def _read(self) -> int:
        """How many bytes there were; closes the pipe at its end."""
        try:
            data = os.read(self._read_fd, limits.PIPE_READ_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._read_fd)
            os.close(self._read_fd)
            self._read_fd = -1
            return 0
        self._take(data)
        return len(data)


class Lines:
    """Gives each line to ``on_line``; one that is too long is cut."""

    def __init__(self, on_line: Callable[[bytes], None]) -> None:
        self._on_line = on_line
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._give(line)
            self._skipping = False
        if len(rest) > limits.LOG_LINE_BYTES:
            self._give(rest)
            self._skipping, rest = True, b""
        self._rest = rest

    def end(self) -> None:
        if self._rest:
            self._give(self._rest)
            self._rest = b""

    def _give(self, line: bytes) -> None:
        # The beginning of a line that is too long has been given already.
        if not self._skipping:
            with contextlib.suppress(Exception):
                self._on_line(line[: limits.LOG_LINE_BYTES])
