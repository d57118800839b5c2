"""What executors write: read from pipes by the event loop, without tasks or buffers of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from pygenvm.manager import limits


class Pipe:
    """Gives what is written into ``write_fd`` to ``take``, from :meth:`watch` on; all of it at :meth:`finish`.

    All methods belong to one event loop.
    """

    def __init__(self, take: Callable[[bytes], None], *, at_once: int = limits.PIPE_READ_BYTES) -> None:
        """
        :param at_once: bytes that are read at a time; others have their turn then.
        :raises OSError: there are too many open files.
        """
        self._take = take
        self._at_once = at_once
        self._loop = asyncio.get_running_loop()
        self._watching = False
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)

    def watch(self) -> None:
        """Read whenever there is something."""
        if self._read_fd >= 0:
            self._watching = True
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
        self._close_read_end()

    def _close_read_end(self) -> None:
        if self._read_fd >= 0:
            if self._watching:
                self._loop.remove_reader(self._read_fd)
            os.close(self._read_fd)
            self._read_fd = -1

    def _read(self) -> int:
        """How many bytes there were; closes the pipe at its end."""
        try:
            data = os.read(self._read_fd, self._at_once)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        if not data:
            self._close_read_end()
            return 0
        self._take(data)
        return len(data)


class Lines:
    """Gives each line of a log to ``on_line``.

    One that is too long is cut. Of a log that is too big the end is given, after a line that says how much is missing.
    """

    def __init__(self, on_line: Callable[[bytes], None]) -> None:
        self._on_line = on_line
        self._left = limits.LOG_RUN_BYTES
        self._rest = b""
        #: The beginning of this line has been given.
        self._in_long_line = False
        self._dropped = 0

    def feed(self, data: bytes) -> None:
        if self._left > 0:
            self._give_lines(data)
            return
        self._rest += data
        surplus = len(self._rest) - limits.LOG_END_BYTES
        if surplus > 0:
            self._rest = self._rest[surplus:]
            self._dropped += surplus

    def _give_lines(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._give(line)
            self._in_long_line = False
        if len(rest) > limits.LOG_LINE_BYTES:
            self._give(rest)
            self._in_long_line, rest = True, b""
        self._rest = rest

    def end(self) -> None:
        rest = self._rest
        if self._dropped:
            # The first line of the end has lost its beginning.
            part, _, rest = rest.partition(b"\n")
            self._in_long_line = False
            self._give(b"%d bytes of the log left out" % (self._dropped + len(part)))
        for line in rest.split(b"\n"):
            if line:
                self._give(line)

    def _give(self, line: bytes) -> None:
        self._left -= len(line) + limits.LOG_LINE_COST
        if not self._in_long_line:
            with contextlib.suppress(Exception):
                self._on_line(line[: limits.LOG_LINE_BYTES])
