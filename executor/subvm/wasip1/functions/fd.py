"""Functions on open files (spec executor/06 "Function by function", rows fd_*)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor import limits
from pygenvm.executor.subvm.wasip1.abi import (
    ADVICES,
    BADF,
    DIRENT,
    FDFLAGS,
    FSTFLAGS,
    INVAL,
    IOVEC,
    NOTSUP,
    OVERFLOW,
    PRESTAT,
    RIGHTS,
    ROFS,
    SUCCESS,
    U32_MAX,
    WHENCE_CUR,
    WHENCE_END,
    WHENCES,
    check_alignment,
    put_record,
    put_u32,
    put_u64,
    signed64,
    vectors,
)
from pygenvm.executor.subvm.wasip1.files import OpenDirectory, Output, RegularFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from pygenvm.executor.subvm.memory import GuestMemory
    from pygenvm.executor.subvm.wasip1.state import Guest


def fd_advise(vm: Guest, fd: int, offset: int, size: int, advice: int) -> int:
    """Nothing to do. Checked: ``advice``."""
    return INVAL if advice >= ADVICES else SUCCESS


def fd_allocate(vm: Guest, fd: int, offset: int, size: int) -> int:
    """Files are read-only; nothing is checked."""
    return ROFS


def fd_close(vm: Guest, fd: int) -> int:
    """Close any file; its number is the next one to be handed out."""
    return SUCCESS if vm.wasi.files.close(fd) else BADF


def fd_sync(vm: Guest, fd: int) -> int:
    """``fd_sync`` and ``fd_datasync``: nothing to do; ``fd`` is not checked."""
    return SUCCESS


def fd_fdstat_get(vm: Guest, fd: int, result: int) -> int:
    """The 24-byte fdstat."""
    record = vm.wasi.files[fd].fdstat
    if record is None:
        return BADF
    put_record(vm.memory, result, record)
    return SUCCESS


def fd_fdstat_set_flags(vm: Guest, fd: int, flags: int) -> int:
    """Flags are fixed. Checked: ``flags``."""
    return INVAL if flags > FDFLAGS else ROFS


def fd_fdstat_set_rights(vm: Guest, fd: int, rights: int, rights_inheriting: int) -> int:
    """Rights are fixed. Checked: both sets of rights."""
    return INVAL if rights > RIGHTS or rights_inheriting > RIGHTS else ROFS


def fd_filestat_get(vm: Guest, fd: int, result: int) -> int:
    """The 64-byte filestat; the number of links is 1."""
    file = vm.wasi.files[fd]
    if file.fdstat is None:
        return BADF
    put_record(vm.memory, result, file.filestat())
    return SUCCESS


def fd_filestat_set_size(vm: Guest, fd: int, size: int) -> int:
    """Files are read-only."""
    return vm.wasi.files[fd].change_error


def fd_filestat_set_times(vm: Guest, fd: int, access: int, modification: int, flags: int) -> int:
    """Files are read-only. Checked: ``flags``."""
    return INVAL if flags > FSTFLAGS else vm.wasi.files[fd].change_error


def fd_read(vm: Guest, fd: int, iovecs: int, count: int, result: int) -> int:
    """Fill ``count`` vectors from the current position and move it; bytes read as u32, 0 at the end."""
    file = vm.wasi.files[fd]
    if not isinstance(file, RegularFile):
        return file.read_error
    memory = vm.memory
    size = _fill(memory, file.content, file.position, iovecs, count)
    file.position += size
    put_u32(memory, result, size)
    return SUCCESS


def fd_pread(vm: Guest, fd: int, iovecs: int, count: int, offset: int, result: int) -> int:
    """As ``fd_read``, from ``offset`` and without moving the position; beyond the end nothing is read."""
    file = vm.wasi.files[fd]
    if not isinstance(file, RegularFile):
        return file.read_error
    memory = vm.memory
    put_u32(memory, result, _fill(memory, file.content, offset, iovecs, count))
    return SUCCESS


def fd_write(vm: Guest, fd: int, iovecs: int, count: int, result: int) -> int:
    """Write ``count`` vectors to stdout or stderr; bytes written as u32.

    Vectors of more bytes than the result can hold are refused as a whole (INVAL).
    """
    file = vm.wasi.files[fd]
    if not isinstance(file, Output):
        return file.write_error
    memory = vm.memory
    array = vectors(memory, iovecs, count)
    size = 0
    for start, length in IOVEC.iter_unpack(array):
        memory.view(start, length)
        size += length
    if size > U32_MAX:
        return INVAL
    _emit(memory, array, file.write)
    put_u32(memory, result, size)
    return SUCCESS


def fd_pwrite(vm: Guest, fd: int, iovecs: int, count: int, offset: int, result: int) -> int:
    """Nothing can be written at a position."""
    return vm.wasi.files[fd].pwrite_error


def fd_seek(vm: Guest, fd: int, offset: int, whence: int, result: int) -> int:
    """Move to ``offset`` (i64) from the start or from the position, within 0 and the size; position as u64.

    Seeking from the end is not supported. Checked: ``whence``.
    """
    if whence >= WHENCES:
        return INVAL
    file = vm.wasi.files[fd]
    if not isinstance(file, RegularFile):
        return file.seek_error
    if whence == WHENCE_END:
        return NOTSUP
    position = signed64(offset)
    if whence == WHENCE_CUR:
        position += file.position
    file.position = min(max(position, 0), len(file.content))
    put_u64(vm.memory, result, file.position)
    return SUCCESS


def fd_tell(vm: Guest, fd: int, result: int) -> int:
    """The position as u64."""
    file = vm.wasi.files[fd]
    if not isinstance(file, RegularFile):
        return file.seek_error
    put_u64(vm.memory, result, file.position)
    return SUCCESS


def fd_prestat_get(vm: Guest, fd: int, result: int) -> int:
    """The 8-byte prestat of any open directory: tag 0, length of its name."""
    file = vm.wasi.files[fd]
    if not isinstance(file, OpenDirectory):
        return BADF
    check_alignment(result, 4)
    vm.memory.write(result, PRESTAT.pack(0, len(file.directory.name)))
    return SUCCESS


def fd_prestat_dir_name(vm: Guest, fd: int, buffer: int, size: int) -> int:
    """The name of any open directory, without a NUL."""
    file = vm.wasi.files[fd]
    if not isinstance(file, OpenDirectory):
        return BADF
    if size < len(file.directory.name):
        return OVERFLOW
    vm.memory.write(buffer, file.directory.name)
    return SUCCESS


def fd_readdir(vm: Guest, fd: int, buffer: int, size: int, cookie: int, used: int) -> int:
    """Records of 24 bytes and a name, after the first ``cookie`` ones, cut at the end of the buffer.

    Bytes written as u32 at ``used``; fewer than ``size`` only when the listing ends.
    """
    file = vm.wasi.files[fd]
    if not isinstance(file, OpenDirectory):
        return BADF
    memory = vm.memory
    target = memory.view(buffer, size)
    listing = file.directory.listing()
    filled = 0
    for index in range(cookie, len(listing)):
        if filled == size:
            break
        name, filetype = listing[index]
        record = (DIRENT.pack(index + 1, 0, len(name), filetype) + name)[: size - filled]
        target[filled : filled + len(record)] = record
        filled += len(record)
    put_u32(memory, used, filled)
    return SUCCESS


def fd_renumber(vm: Guest, fd: int, to: int) -> int:
    """Numbers cannot be chosen."""
    return NOTSUP


def _fill(memory: GuestMemory, content: bytes | memoryview, position: int, iovecs: int, count: int) -> int:
    """Copy ``content`` from ``position`` on into the vectors, in order; the number of bytes copied."""
    start = position
    for target, length in IOVEC.iter_unpack(vectors(memory, iovecs, count)):
        piece = content[position : position + length]
        if len(piece) < length:
            # The whole vector must lie in the memory, filled or not.
            memory.view(target, length)
        memory.write(target, piece)
        position += len(piece)
    return position - start


def _emit(memory: GuestMemory, array: memoryview, write: Callable[[bytes], None]) -> None:
    """Hand the vectors over, small ones together and large ones in pieces."""
    pending = bytearray()
    for start, length in IOVEC.iter_unpack(array):
        for offset in range(0, length, limits.OUTPUT_CHUNK_BYTES):
            piece = min(length - offset, limits.OUTPUT_CHUNK_BYTES)
            if len(pending) + piece > limits.OUTPUT_CHUNK_BYTES:
                write(bytes(pending))
                pending.clear()
            pending += memory.view(start + offset, piece)
    if pending:
        write(bytes(pending))
