"""The image of a contract: what its program did before it was told its message (:mod:`executor.run.images`).

A program that has images exports, beside its entry, a function that does all of its start that needs no message and
returns, and its stack pointer. After that only its memory, its file table and its randomness are other than in a new
VM. An image is that difference. It is laid over a new instance, and the entry goes on from there.

The stack pointer is where it was when a function has returned, and nobody reads what is below it: that is left out.

In bytes, all numbers u32 and little-endian: the size of the memory; the length of the file table; the
state of the randomness; how many numbers were freed, and these; how many runs of pages of the memory, and start and
length of each; the content of the runs.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import sys
import threading
import weakref
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from pygenvm.executor import limits
from pygenvm.executor.frozen import Frozen
from pygenvm.executor.machine import map_over, memory_at
from pygenvm.executor.outcome import InstallationFault
from pygenvm.executor.subvm.random import STATE_WORDS

if TYPE_CHECKING:
    from pygenvm.executor.subvm.memory import GuestMemory

#: What programs export that have images.
IMAGE_FUNCTION = "image"
IMAGE_STACK_POINTER = "__stack_pointer"

_HEAD = struct.Struct(f"<II{STATE_WORDS}I")
_U32 = struct.Struct("<I")
if sys.platform == "linux":
    _SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Image(metaclass=Frozen):
    """``runs`` are bytes of the memory by their place, none of which overlap."""

    memory_bytes: int
    files: int
    """Length of the file table."""
    freed: tuple[int, ...]
    random: tuple[int, ...]
    runs: tuple[tuple[int, memoryview], ...]

    def to_bytes(self) -> bytes:
        head = _HEAD.pack(self.memory_bytes, self.files, *self.random)
        runs = [number for start, data in self.runs for number in (start, len(data))]
        return b"".join((head, _numbers(self.freed), _numbers(runs), *(data for _, data in self.runs)))

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> Image:
        """:raises ValueError: malformed."""
        try:
            memory_bytes, files, *random = _HEAD.unpack_from(data)
            freed, at = _read_numbers(data, _HEAD.size)
            runs, at = _read_numbers(data, at)
        except struct.error as error:
            raise ValueError(f"not an image: {error}") from None
        content = memoryview(data)[at:]
        found = []
        for start, length in zip(runs[::2], runs[1::2], strict=True):
            found.append((start, content[:length]))
            content = content[length:]
        return cls(memory_bytes, files, freed, tuple(random), tuple(found))


class Overlay:
    """An image as this process lays it over memories. May be used from several threads.

    At first its pages are copied, each of which is touched for the first time then. Once a process has copied as much
    as whole pieces of memory would take, it makes these pieces: pages of the image and what lies between them in a new
    instance. From then on they are mapped, and only what the contract writes to is copied, by the system. The content
    is the same in both ways.
    """

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

    def lay_over(self, address: int, size: int) -> bool:
        """Over a new memory at ``address``, which has the right ``size``; whether it was mapped.

        :raises InstallationFault: the machine refuses.
        """
        if self._joined is not None:
            self._map(address, self._joined)
            return True
        whole = memory_at(address, size)
        for start, data in self.image.runs:
            whole[start : start + len(data)] = data
        self._left -= self._copied_bytes
        if self._left <= 0 and self._joining.acquire(blocking=False):
            # Once: where that is not possible it is not tried again, and copied.
            self._joined = self._join(whole)
        return False

    def _map(self, address: int, joined: int) -> None:
        offset = 0
        for start, end in self._pieces:
            try:
                map_over(address + start, end - start, joined, offset)
            except OSError as error:
                raise InstallationFault(f"the machine maps no {end - start} bytes: {error}") from None
            offset += end - start

    def _join(self, whole: memoryview) -> int | None:
        """``whole`` is a memory over which the image was laid, and nothing has happened to it since."""
        if sys.platform != "linux" or len(files_to_map) >= limits.IMAGES_JOINED_MAX:
            return None
        try:
            joined = os.memfd_create("image", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError:
            return None
        files_to_map.add(joined)
        closed = weakref.finalize(self, _close, joined)
        try:
            for start, end in self._pieces:
                while start < end:
                    start += os.write(joined, whole[start:end])
            fcntl.fcntl(joined, fcntl.F_ADD_SEALS, _SEALS)
        except OSError:
            closed()
            return None
        return joined


#: Descriptors of what this process maps. Threads that add one at the same time may exceed the limit by as many.
files_to_map: set[int] = set()


def _close(joined: int) -> None:
    files_to_map.discard(joined)
    os.close(joined)


def beginning_of_page(at: int) -> int:
    """Of that in which a byte of a memory is."""
    return at - at % limits.IMAGE_PAGE_BYTES


def changed_runs(before: bytes, memory: GuestMemory, start: int) -> list[tuple[int, memoryview]] | None:
    """Where ``memory``, from ``start`` on, differs from ``before``, and from zeros behind that; whole pages together.

    ``start`` is the beginning of a page. None if that is more than an image may have.
    """
    pages: list[int] = []
    now = memory.whole()[start:]
    for piece in _changed(before, now, 0, len(now), limits.IMAGE_LOOK_BYTES):
        pages.extend(_changed(before, now, piece, piece + limits.IMAGE_LOOK_BYTES, limits.IMAGE_PAGE_BYTES))
        if len(pages) * limits.IMAGE_PAGE_BYTES > limits.IMAGE_BYTES_MAX:
            return None
    borders = [i for i, (page, after) in enumerate(pairwise(pages), 1) if after != page + limits.IMAGE_PAGE_BYTES]
    runs = []
    for first, last in pairwise((0, *borders, len(pages)) if pages else ()):
        begin, end = pages[first], pages[last - 1] + limits.IMAGE_PAGE_BYTES
        runs.append((start + begin, memoryview(bytes(now[begin:end]))))
    return runs


def _changed(before: bytes, now: memoryview, start: int, end: int, size: int) -> Iterator[int]:
    """Begins of the pieces of ``size`` bytes between ``start`` and ``end`` that differ."""
    zeros = bytes(size)
    for at in range(start, min(end, len(now)), size):
        piece = bytes(now[at : at + size])
        # Pages are in ``before`` as a whole or not at all. A larger piece that is not counts as different.
        if piece != (before[at : at + size] or zeros):
            yield at


def _numbers(numbers: tuple[int, ...] | list[int]) -> bytes:
    return struct.pack(f"<I{len(numbers)}I", len(numbers), *numbers)


def _read_numbers(data: bytes | memoryview, at: int) -> tuple[tuple[int, ...], int]:
    (count,) = _U32.unpack_from(data, at)
    at += _U32.size
    return struct.unpack_from(f"<{count}I", data, at), at + _U32.size * count
