"""Open files of one VM and the numbers they get (spec executor/06 "File table").

The numbers are part of what guests see, and so of memory fingerprints: which one comes next is fixed
to the last detail. Each kind of open file carries the errnos of the operations that it refuses, so
that a handler asks for the kind it serves and otherwise returns what the kind says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final, final

from pygenvm.executor.primitives.abi import MemoryLimiterConsts
from pygenvm.executor.subvm.wasip1.abi import (
    ACCES,
    BADF,
    FDSTAT,
    FILESTAT,
    FILETYPE_CHARACTER_DEVICE,
    FILETYPE_DIRECTORY,
    FILETYPE_REGULAR_FILE,
    FILETYPE_UNKNOWN,
    ISDIR,
    NOTSUP,
    RIGHTS_DIRECTORY,
    RIGHTS_FILE,
    RIGHTS_OUTPUT,
    ROFS,
    SPIPE,
)
from pygenvm.executor.subvm.wasip1.fs import Directory

if TYPE_CHECKING:
    from pygenvm.executor.subvm.budget import VmBudget

_NUMBER_COST: Final = int(MemoryLimiterConsts.FD_ALLOCATION)


class OpenFile:
    """What a file descriptor stands for. The defaults are those of a number that is not open."""

    __slots__ = ()

    #: Errnos of what this kind cannot do.
    read_error: ClassVar[int] = BADF
    write_error: ClassVar[int] = BADF
    pwrite_error: ClassVar[int] = BADF
    seek_error: ClassVar[int] = BADF
    change_error: ClassVar[int] = BADF
    #: The record of fd_fdstat_get; None: not open.
    fdstat: ClassVar[bytes | None] = None
    #: The type that fd_filestat_get reports.
    filetype: ClassVar[int] = FILETYPE_UNKNOWN

    def filestat(self) -> bytes:
        """The record of fd_filestat_get."""
        return filestat(self.filetype, 0, links=1)


@final
class Output(OpenFile):
    """stdout or stderr: a sink for the bytes that the guest writes."""

    __slots__ = ("write",)

    read_error = ACCES
    pwrite_error = NOTSUP
    seek_error = SPIPE
    change_error = ROFS
    fdstat = FDSTAT.pack(FILETYPE_UNKNOWN, 0, RIGHTS_OUTPUT, RIGHTS_OUTPUT)
    filetype = FILETYPE_CHARACTER_DEVICE

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write


@final
class RegularFile(OpenFile):
    """A file opened for reading; ``charged`` bytes go back to the RAM budget when it is closed."""

    __slots__ = ("charged", "content", "position")

    write_error = ROFS
    pwrite_error = NOTSUP
    change_error = ROFS
    fdstat = FDSTAT.pack(FILETYPE_REGULAR_FILE, 0, RIGHTS_FILE, RIGHTS_FILE)
    filetype = FILETYPE_REGULAR_FILE

    def __init__(self, content: bytes | memoryview, charged: int = 0) -> None:
        self.content = content
        self.position = 0
        self.charged = charged

    def filestat(self) -> bytes:
        return filestat(FILETYPE_REGULAR_FILE, len(self.content), links=1)


@final
class OpenDirectory(OpenFile):
    """A directory, as a place to look up paths from and to list."""

    __slots__ = ("directory",)

    read_error = ISDIR
    write_error = ROFS
    pwrite_error = NOTSUP
    seek_error = NOTSUP
    change_error = ROFS
    fdstat = FDSTAT.pack(FILETYPE_DIRECTORY, 0, RIGHTS_DIRECTORY, RIGHTS_DIRECTORY)
    filetype = FILETYPE_DIRECTORY

    def __init__(self, directory: Directory) -> None:
        self.directory = directory


_NOT_OPEN: Final = OpenFile()


def filestat(filetype: int, size: int, *, links: int) -> bytes:
    """The 64-byte record of ``fd_filestat_get`` and ``path_filestat_get``; device, inode and times are 0."""
    return FILESTAT.pack(0, 0, filetype, links, size, 0, 0, 0)


@final
class FileTable:
    """Open files by number.

    A list and not a map, and contents as they are: an open file takes no more of the host's memory than its
    number costs the guest.
    """

    __slots__ = ("_budget", "_files", "_first", "_freed")

    def __init__(
        self,
        message: bytes,
        root: Directory,
        budget: VmBudget,
        stdout: Callable[[bytes], None],
        stderr: Callable[[bytes], None],
    ) -> None:
        self._budget = budget
        # The message was never charged, so closing fd 0 returns nothing: a pool never exceeds its total.
        self._files: list[OpenFile] = [RegularFile(message), Output(stdout), Output(stderr), OpenDirectory(root)]
        #: Those that are open from the start.
        self._first = self._files[:]
        self._freed: list[int] = []

    def __getitem__(self, fd: int) -> OpenFile:
        """The open file, or a plain :class:`OpenFile` when ``fd`` (not negative) is not open."""
        return self._files[fd] if fd < len(self._files) else _NOT_OPEN

    def reserve(self) -> int:
        """Take the number that comes next: the one freed last, or a new one, which costs RAM.

        It stays taken, whether or not something is ever put there.

        :raises OutOfMemory: a new number is needed and the budget refuses it.
        """
        if self._freed:
            return self._freed.pop()
        self._budget.charge(_NUMBER_COST)
        self._files.append(_NOT_OPEN)
        return len(self._files) - 1

    def put(self, fd: int, file: OpenFile) -> None:
        """Open ``file`` under a reserved number."""
        self._files[fd] = file

    def open_result(self, content: bytes) -> int:
        """Open a result of ``gl_call`` for reading. Its length is charged until it is closed.

        :raises OutOfMemory: nothing is charged and no number taken then.
        """
        if self._freed:
            self._budget.charge(len(content))
            fd = self._freed.pop()
        else:
            self._budget.charge(len(content) + _NUMBER_COST)
            fd = len(self._files)
            self._files.append(_NOT_OPEN)
        self._files[fd] = RegularFile(content, charged=len(content))
        return fd

    def untouched(self) -> bool:
        """Whether the files are open that a VM begins with, and no others; not others under their numbers either."""
        count = len(self._first)
        return self._files[:count] == self._first and all(file is _NOT_OPEN for file in self._files[count:])

    @property
    def numbers(self) -> tuple[int, tuple[int, ...]]:
        """How many numbers there are, and which of them have been freed, the one that comes next last."""
        return len(self._files), tuple(self._freed)

    def go_on_from(self, count: int, freed: tuple[int, ...]) -> None:
        """Take over the :attr:`numbers` of another, untouched table; this one is new.

        :raises OutOfMemory: the budget refuses the new ones.
        """
        more = count - len(self._files)
        self._budget.charge(more * _NUMBER_COST)
        self._files.extend([_NOT_OPEN] * more)
        self._freed.extend(freed)

    def close(self, fd: int) -> bool:
        """Close a file of any kind and free its number; False: it is not open."""
        file = self[fd]
        if file is _NOT_OPEN:
            return False
        self._files[fd] = _NOT_OPEN
        self._freed.append(fd)
        if isinstance(file, RegularFile) and file.charged:
            self._budget.release(file.charged)
        return True
