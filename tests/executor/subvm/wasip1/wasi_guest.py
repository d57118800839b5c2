"""A VM stand-in for handler tests: a flat memory without an engine behind it."""

from __future__ import annotations

import struct

from pygenvm.executor.outcome import GuestFault
from pygenvm.executor.subvm.budget import RamPool, VmBudget
from pygenvm.executor.subvm.random import DetRandom, RandomSource
from pygenvm.executor.subvm.wasip1 import FUNCTIONS, WasiState

HANDLERS = {function.name: function for function in FUNCTIONS}
MASKS = {"i": (1 << 32) - 1, "I": (1 << 64) - 1}

SUCCESS, ACCES, BADF, ILSEQ, INVAL, ISDIR = 0, 2, 8, 25, 28, 31
NOENT, NOTSUP, OVERFLOW, ROFS, SPIPE = 44, 58, 61, 69, 70

MEMORY_BYTES = 4096
#: What untouched memory holds, so that a byte that was not written is seen.
FILLER = 0xA5
#: Where paths, results, iovecs and buffers of these tests lie.
PATH, RESULT, IOVECS, BUFFER = 64, 512, 1024, 2048


class FlatMemory:
    """The interface of GuestMemory over a bytearray."""

    def __init__(self, size: int = MEMORY_BYTES) -> None:
        self.data = bytearray([FILLER]) * size

    def view(self, ptr: int, size: int) -> memoryview:
        if ptr < 0 or ptr + size > len(self.data):
            raise GuestFault(f"out of bounds: {size} bytes at {ptr}")
        return memoryview(self.data)[ptr : ptr + size]

    def read(self, ptr: int, size: int) -> bytes:
        return bytes(self.view(ptr, size))

    def write(self, ptr: int, data: bytes | memoryview) -> None:
        self.view(ptr, len(data))[:] = data

    def write_u32(self, ptr: int, value: int) -> None:
        self.view(ptr, 4)[:] = struct.pack("<I", value)

    def write_u64(self, ptr: int, value: int) -> None:
        self.view(ptr, 8)[:] = struct.pack("<Q", value)


class StandInVm:
    """A VM with fd 0 holding ``message`` and the files of ``files``."""

    def __init__(
        self,
        message: bytes = b"message",
        files: dict[str, bytes] | None = None,
        *,
        clock_ns: int = 0,
        random: RandomSource | None = None,
        ram: int = 1 << 20,
    ) -> None:
        self.pool = RamPool(ram)
        self.stdout: list[bytes] = []
        self.stderr: list[bytes] = []
        self.memory = FlatMemory()
        self.wasi = WasiState(
            message=message,
            random=random or DetRandom(),
            clock_ns=clock_ns,
            budget=VmBudget(self.pool),
            stdout=self.stdout.append,
            stderr=self.stderr.append,
        )
        for path, content in (files or {}).items():
            self.wasi.fs.map_file(path, content)

    def call(self, name: str, *args: int) -> int:
        """Call a handler the way the engine does: numbers arrive unsigned, in the width of their type."""
        function = HANDLERS[name]
        assert len(args) == len(function.params)
        return function.call(self, *(arg & MASKS[kind] for arg, kind in zip(args, function.params, strict=True)))

    def put_iovecs(self, *pairs: tuple[int, int]) -> tuple[int, int]:
        """Write iovecs; the two arguments that describe them."""
        self.memory.write(IOVECS, b"".join(struct.pack("<II", *pair) for pair in pairs))
        return IOVECS, len(pairs)

    def put_path(self, path: str | bytes) -> tuple[int, int]:
        raw = path.encode() if isinstance(path, str) else path
        self.memory.write(PATH, raw)
        return PATH, len(raw)

    def open(self, path: str | bytes, dir_fd: int = 3) -> int:
        """The fd of a path_open that has to succeed."""
        assert self.try_open(path, dir_fd) == SUCCESS
        return self.read_u32(RESULT)

    def try_open(self, path: str | bytes, dir_fd: int = 3) -> int:
        return self.call("path_open", dir_fd, 0, *self.put_path(path), 0, 0, 0, 0, RESULT)

    def read(self, fd: int, size: int = 256) -> bytes:
        """What one fd_read of ``size`` bytes gives."""
        assert self.call("fd_read", fd, *self.put_iovecs((BUFFER, size)), RESULT) == SUCCESS
        return self.memory.read(BUFFER, self.read_u32(RESULT))

    def read_u32(self, ptr: int) -> int:
        return int.from_bytes(self.memory.read(ptr, 4), "little")

    def result(self, size: int) -> str:
        """The bytes at RESULT in hex, after a check that nothing was written behind them."""
        assert self.memory.data[RESULT + size] == FILLER
        return self.memory.read(RESULT, size).hex()
