"""Frames and descriptors over a Unix stream socket."""

from __future__ import annotations

import contextlib
import os
import socket
from array import array
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from pygenvm.executor import limits
from pygenvm.executor.pool.frames import Frame, FrameDecoder, FrameError, encode_frame

_ANCILLARY_BYTES = socket.CMSG_SPACE(limits.POOL_DESCRIPTORS_AT_ONCE * array("i").itemsize)


class Received(NamedTuple):
    """A frame and the descriptors that came with it; they belong to the receiver, and no program inherits them."""

    frame: Frame
    descriptors: tuple[int, ...]


class Channel:
    """One end of a connected, blocking socket. One thread may send while another one receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._decoder = FrameDecoder()
        self._descriptors: deque[int] = deque()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, frame: Frame, descriptors: Sequence[int] = ()) -> None:
        """Send a frame, and copies of ``descriptors`` with it.

        :raises FrameError: it is too long; nothing was sent.
        :raises OSError: the other side is gone.
        """
        assert len(descriptors) == frame.descriptors
        data = memoryview(encode_frame(frame))
        if descriptors:
            # They travel with the first byte, so whoever has the whole frame has them too.
            data = data[socket.send_fds(self._socket, [data], descriptors) :]
        if data:
            # Not for nothing: that fails if the receiver has all it needs and is gone, and would look like a loss.
            self._socket.sendall(data)

    def fill(self) -> bool:
        """Wait for bytes and take what there is; False at the end of the stream.

        :raises FrameError: descriptors were lost, because this process has too many.
        :raises OSError: the connection broke.
        """
        # Not socket.recv_fds: it drops the flags, and programs would inherit the descriptors.
        data, ancillary, flags, _ = self._socket.recvmsg(
            limits.POOL_READ_BYTES, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
        )
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array("i")
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
                self._descriptors += numbers
        if flags & socket.MSG_CTRUNC:
            raise FrameError("descriptors were lost: too many files are open")
        self._decoder.feed(data)
        return bool(data)

    def next(self) -> Received | None:
        """The next frame that is complete, if there is one.

        :raises FrameError: what arrived is none, or lacks its descriptors.
        """
        frame = self._decoder.next_frame()
        if frame is None:
            return None
        if len(self._descriptors) < frame.descriptors:
            raise FrameError(f"a {type(frame).__name__} without its descriptors")
        return Received(frame, tuple(self._descriptors.popleft() for _ in range(frame.descriptors)))

    def receive(self) -> Received | None:
        """Wait for the next frame; None at the end of the stream.

        :raises FrameError, OSError: as :meth:`fill` and :meth:`next`.
        """
        while (received := self.next()) is None:
            if not self.fill():
                return None
        return received

    def shut_down(self) -> None:
        """End the stream in both directions; a thread that waits in :meth:`fill` returns."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give back the socket, and the bytes and descriptors that nobody has taken."""
        self._socket.close()
        self._decoder = FrameDecoder()
        while self._descriptors:
            os.close(self._descriptors.popleft())
