"""How a process lays the image of a contract over the memory of a new instance (:mod:`executor.subvm.image`).

At first its pages are copied, each of which is touched for the first time then. Once a process has copied as much as
one whole piece of memory would take, it makes that piece: pages of the image and what lies between them in a new
instance. From then on it is mapped, and only what the contract writes to is copied, by the system. The content is the
same in both ways.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING

from pygenvm.executor import limits
from pygenvm.executor.machine import map_over

if TYPE_CHECKING:
    from pygenvm.executor.subvm.image import Image
    from pygenvm.executor.subvm.memory import GuestMemory

if sys.platform == "linux":
    _SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Overlay:
    """An image in this process. May be used from several threads."""

    def __init__(self, image: Image) -> None:
        self.image = image
        #: Begin and end in the memory of what is mapped together.
        self._pieces: list[tuple[int, int]] = []
        for start, data in image.runs:
            # Pages of this machine may be larger than those of images.
            begin = start - start % mmap.PAGESIZE
            end = start + len(data) + -(start + len(data)) % mmap.PAGESIZE
            if self._pieces and begin - self._pieces[-1][1] <= limits.IMAGE_GAP_BYTES:
                begin = self._pieces.pop()[0]
            self._pieces.append((begin, end))
        self._joined_bytes = sum(end - start for start, end in self._pieces)
        self._copied_bytes = sum(len(data) for _, data in image.runs)
        #: What may still be copied before it is mapped.
        self._left = self._joined_bytes
        self._joining = threading.Lock()
        #: Of a file that has the pieces one behind the other.
        self._joined: int | None = None

    @property
    def bytes(self) -> int:
        """What it may take of the memory of this process."""
        return self._copied_bytes + self._joined_bytes

    def lay_over(self, memory: GuestMemory) -> None:
        """Over the memory of a new instance, which has the right size.

        :raises InstallationFault: the machine refuses.
        """
        if self._joined is not None:
            self._map(memory, self._joined)
            return
        whole = memory.whole()
        for start, data in self.image.runs:
            whole[start : start + len(data)] = data
        self._left -= self._copied_bytes
        if self._left <= 0 and self._joining.acquire(blocking=False):
            # Once: where that is not possible it is not tried again, and copied.
            self._joined = self._join(whole)

    def _map(self, memory: GuestMemory, joined: int) -> None:
        begin = memory.address
        offset = 0
        for start, end in self._pieces:
            map_over(begin + start, end - start, joined, offset)
            offset += end - start

    def _join(self, whole: memoryview) -> int | None:
        """``whole`` is a memory over which the image was laid, and nothing has happened to it since."""
        if sys.platform != "linux":
            return None
        try:
            joined = os.memfd_create("image", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError:
            return None
        closed = weakref.finalize(self, os.close, joined)
        try:
            for start, end in self._pieces:
                while start < end:
                    start += os.write(joined, whole[start:end])
            fcntl.fcntl(joined, fcntl.F_ADD_SEALS, _SEALS)
        except OSError:
            closed()
            return None
        return joined
