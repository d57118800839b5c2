"""Access to a guest's linear memory from host functions.

A 32-bit memory has a reservation of 4 GiB, so its base never moves while the store lives; only its
length grows. One memoryview over it is kept and refreshed when a range lies beyond it.
"""

from __future__ import annotations

import ctypes
import struct

from pygenvm.executor import limits
from pygenvm.executor.outcome import GuestFault, InstallationFault
from pygenvm.executor.subvm.types import U256, Buffer, Slot
from pygenvm.executor.subvm.wasmtime_c import Memory, WasmtimeError

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_WORD_BYTES = 32


class GuestMemory:
    """Bounds-checked view of one linear memory. Dead as soon as its store is closed."""

    __slots__ = ("_memory", "_size", "_view", "address", "size")

    def __init__(self, memory: Memory) -> None:
        #: Current length in bytes.
        self.size = memory.size
        self._memory = memory
        #: Of its first byte.
        self.address = memory.address()
        self._size = 0
        self._view = memoryview(b"")

    def _refresh(self, ptr: int, size: int) -> None:
        """Widen the view to the memory's current length.

        :raises GuestFault: the range is outside the memory (spec executor/04, 06).
        """
        self._size = self.size()
        if self._size:
            self._view = memoryview((ctypes.c_char * self._size).from_address(self.address)).cast("B")
        if ptr + size > self._size:
            raise GuestFault(f"guest pointer out of bounds: {size} bytes at {ptr:#x}, memory has {self._size} bytes")

    def view(self, ptr: int, size: int) -> memoryview:
        """Writable view of ``[ptr, ptr + size)``; must not be kept over the host call."""
        if ptr + size > self._size:
            self._refresh(ptr, size)
        return self._view[ptr : ptr + size]

    def read(self, ptr: int, size: int) -> bytes:
        if ptr + size > self._size:
            self._refresh(ptr, size)
        if size < limits.GUEST_COPY_BYTES:
            return bytes(self._view[ptr : ptr + size])
        # New and not yet known to anybody, so it may be filled; other threads of the executor go on meanwhile.
        copy = bytes(size)
        ctypes.memmove(copy, self.address + ptr, size)  # type: ignore[arg-type]
        return copy

    def slice(self, ptr: int, size: int) -> Buffer:
        """``[ptr, ptr + size)`` to look at during the host call: a copy if that is small, otherwise a view."""
        return self.read(ptr, size) if size < limits.GUEST_COPY_BYTES else self.view(ptr, size)

    def read_slot(self, ptr: int) -> Slot:
        """The id of a slot."""
        end = ptr + _WORD_BYTES
        if end > self._size:
            self._refresh(ptr, _WORD_BYTES)
        return Slot(bytes(self._view[ptr:end]))

    def write(self, ptr: int, data: bytes | memoryview) -> None:
        end = ptr + len(data)
        if end > self._size:
            self._refresh(ptr, len(data))
        self._view[ptr:end] = data

    def write_u32(self, ptr: int, value: int) -> None:
        if ptr + 4 > self._size:
            self._refresh(ptr, 4)
        _U32.pack_into(self._view, ptr, value)

    def write_u64(self, ptr: int, value: int) -> None:
        if ptr + 8 > self._size:
            self._refresh(ptr, 8)
        _U64.pack_into(self._view, ptr, value)

    def write_u256(self, ptr: int, value: U256) -> None:
        """32 bytes, little-endian."""
        self.write(ptr, value.to_bytes(_WORD_BYTES, "little"))

    def whole(self) -> memoryview:
        """The entire current content."""
        self._refresh(0, 0)
        return self._view[: self._size] if self._size else memoryview(b"")

    def grow(self, size: int) -> None:
        """Make it longer by ``size`` bytes, whole pages of wasm; nothing is charged.

        :raises InstallationFault: the machine refuses.
        """
        try:
            self._memory.grow(size)
        except WasmtimeError as error:
            raise InstallationFault(f"a memory cannot grow by {size} bytes: {error}") from None

    def drop(self) -> None:
        """Forget the view; to be called before the store is closed."""
        self._size = 0
        self._view = memoryview(b"")
