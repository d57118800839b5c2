"""Functions on paths. The tree is read-only (spec executor/06 "Function by function", rows path_*)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pygenvm.executor import limits
from pygenvm.executor.subvm.wasip1.abi import (
    BADF,
    FDFLAGS,
    FILETYPE_DIRECTORY,
    FILETYPE_REGULAR_FILE,
    ILSEQ,
    INVAL,
    LOOKUPFLAGS,
    NOENT,
    OFLAGS,
    RIGHTS,
    ROFS,
    SUCCESS,
    put_record,
    put_u32,
)
from pygenvm.executor.subvm.wasip1.files import OpenDirectory, RegularFile, filestat
from pygenvm.executor.subvm.wasip1.fs import Directory

if TYPE_CHECKING:
    from pygenvm.executor.subvm.wasip1.fs import Node
    from pygenvm.executor.subvm.wasip1.state import Guest


def path_open(
    vm: Guest,
    dir_fd: int,
    lookup_flags: int,
    path: int,
    path_size: int,
    open_flags: int,
    rights: int,
    rights_inheriting: int,
    fd_flags: int,
    opened: int,
) -> int:
    """Open a file at position 0, or a directory; the new number as u32 at ``opened``.

    Flags and rights must be valid and have no effect. The number is taken before anything is looked
    at and stays taken: every call that fails burns one for good.

    :raises OutOfMemory: a new number is needed and the RAM budget refuses it.
    """
    files = vm.wasi.files
    fd = files.reserve()
    if (
        lookup_flags > LOOKUPFLAGS
        or open_flags > OFLAGS
        or rights > RIGHTS
        or rights_inheriting > RIGHTS
        or fd_flags > FDFLAGS
    ):
        return INVAL
    node = _look_up(vm, dir_fd, path, path_size)
    if isinstance(node, int):
        return node
    files.put(fd, OpenDirectory(node) if isinstance(node, Directory) else RegularFile(node))
    put_u32(vm.memory, opened, fd)
    return SUCCESS


def path_filestat_get(vm: Guest, dir_fd: int, lookup_flags: int, path: int, path_size: int, result: int) -> int:
    """The 64-byte filestat of what is at ``path``; the number of links is 0. Checked: ``lookup_flags``."""
    if lookup_flags > LOOKUPFLAGS:
        return INVAL
    node = _look_up(vm, dir_fd, path, path_size)
    if isinstance(node, int):
        return node
    if isinstance(node, Directory):
        put_record(vm.memory, result, filestat(FILETYPE_DIRECTORY, 0, links=0))
    else:
        put_record(vm.memory, result, filestat(FILETYPE_REGULAR_FILE, len(node), links=0))
    return SUCCESS


def path_readlink(vm: Guest, dir_fd: int, path: int, path_size: int, buffer: int, size: int, used: int) -> int:
    """There are no symbolic links."""
    return BADF


def path_change(vm: Guest, *args: int) -> int:
    """Any function that would change the tree; nothing is checked."""
    return ROFS


def _look_up(vm: Guest, dir_fd: int, path: int, path_size: int) -> Node | int:
    """What is at the ``path_size`` bytes of UTF-8 at ``path``, seen from ``dir_fd``; or an errno."""
    text = vm.memory.view(path, path_size)
    if path_size > limits.WASI_PATH_BYTES:
        return NOENT
    try:
        name = str(text, "utf-8")
    except UnicodeDecodeError:
        return ILSEQ
    start = vm.wasi.files[dir_fd]
    return start.directory.lookup(name) if isinstance(start, OpenDirectory) else BADF
