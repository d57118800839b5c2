"""Numbers and record layouts of WASI preview 1, as far as they are used (spec executor/06).

All records are little-endian and their padding is zero. Results are written through the ``put_*``
functions, which abort the VM when a pointer to a typed value is misaligned or out of range.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from pygenvm.executor.outcome import GuestFault
from pygenvm.executor.primitives.abi import WasiErrno

if TYPE_CHECKING:
    from pygenvm.executor.subvm.memory import GuestMemory

# Errnos, as plain numbers: they are packed into the result of every call.
SUCCESS: Final = WasiErrno.SUCCESS.value
ACCES: Final = WasiErrno.ACCES.value
BADF: Final = WasiErrno.BADF.value
ILSEQ: Final = WasiErrno.ILSEQ.value
INVAL: Final = WasiErrno.INVAL.value
ISDIR: Final = WasiErrno.ISDIR.value
NOENT: Final = WasiErrno.NOENT.value
NOTSUP: Final = WasiErrno.NOTSUP.value
OVERFLOW: Final = WasiErrno.OVERFLOW.value
ROFS: Final = WasiErrno.ROFS.value
SPIPE: Final = WasiErrno.SPIPE.value

# File types.
FILETYPE_UNKNOWN: Final = 0
FILETYPE_CHARACTER_DEVICE: Final = 2
FILETYPE_DIRECTORY: Final = 3
FILETYPE_REGULAR_FILE: Final = 4

# Rights that fd_fdstat_get reports.
RIGHTS_OUTPUT: Final = 0x40
RIGHTS_FILE: Final = 0x24E0B7
RIGHTS_DIRECTORY: Final = 0x24E002

# Valid bits of flag arguments and numbers of cases of enum arguments.
FDFLAGS: Final = 0b1_1111
FSTFLAGS: Final = 0b1111
LOOKUPFLAGS: Final = 0b1
OFLAGS: Final = 0b1111
RIFLAGS: Final = 0b11
SDFLAGS: Final = 0b11
RIGHTS: Final = (1 << 30) - 1
ADVICES: Final = 6
CLOCKS: Final = 4
SIGNALS: Final = 31
WHENCES: Final = 3

WHENCE_CUR: Final = 1
WHENCE_END: Final = 2

#: pointer u32, length u32
IOVEC: Final = Struct("<II")
#: file type u8, flags u16, rights base u64, rights inheriting u64; 24 bytes
FDSTAT: Final = Struct("<BxH4xQQ")
#: device u64, inode u64, file type u8, links u64, size u64, access, modification and change times u64; 64 bytes
FILESTAT: Final = Struct("<QQB7xQQQQQ")
#: tag u8 (0: directory), length of the name u32; 8 bytes
PRESTAT: Final = Struct("<B3xI")
#: next cookie u64, inode u64, length of the name u32, file type u8; 24 bytes
DIRENT: Final = Struct("<QQIB3x")

U32_MAX: Final = (1 << 32) - 1
U64_MAX: Final = (1 << 64) - 1


def signed64(value: int) -> int:
    """The i64 that arrived as its unsigned bit pattern."""
    return value - (1 << 64) if value >> 63 else value


def check_alignment(ptr: int, alignment: int) -> None:
    """:raises GuestFault: ``ptr`` is not a multiple of ``alignment``, a power of two."""
    if ptr & (alignment - 1):
        raise GuestFault(f"guest pointer {ptr:#x} is not aligned to {alignment} bytes")


def put_u32(memory: GuestMemory, ptr: int, value: int) -> None:
    """:raises GuestFault: bad pointer."""
    if ptr & 3:
        check_alignment(ptr, 4)
    memory.write_u32(ptr, value)


def put_u64(memory: GuestMemory, ptr: int, value: int) -> None:
    """:raises GuestFault: bad pointer."""
    if ptr & 7:
        check_alignment(ptr, 8)
    memory.write_u64(ptr, value)


def put_record(memory: GuestMemory, ptr: int, record: bytes) -> None:
    """Write a record whose widest field has 64 bits.

    :raises GuestFault: bad pointer.
    """
    if ptr & 7:
        check_alignment(ptr, 8)
    memory.write(ptr, record)


def vectors(memory: GuestMemory, ptr: int, count: int) -> memoryview:
    """The array of ``count`` iovecs at ``ptr``, for :meth:`IOVEC.iter_unpack`.

    The array must lie inside the memory, which bounds the number of vectors of one call.

    :raises GuestFault: bad pointer.
    """
    if ptr & 3:
        check_alignment(ptr, 4)
    return memory.view(ptr, 8 * count)
