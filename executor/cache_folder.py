"""A folder of files that can be made again, filled by several processes at once.

A file is never changed under its name: it is written under another one and gets its name by a rename. Names say what
the content was made from, so it does not matter which process is the last to write it.

What lies in such a folder is believed, native code included. So it is only used where nobody but this user and root can
have put it there: every folder on the way belongs to one of them and lets nobody else write, as far as that gives
power over what is inside (in a folder like ``/tmp`` everybody may write, but only owners may rename).
"""

from __future__ import annotations

import contextlib
import os
import stat
import time

from pygenvm.executor import limits
from pygenvm.executor.cache_root import make_private, way_to
from pygenvm.executor.log import Remarks
from pygenvm.executor.machine import mapped_file

_log = Remarks("executor.cache_folder")

_UNFINISHED = "new-"
_SECONDS_PER_LOOK = 3600


class UntrustedFolder(OSError):
    """Somebody else could have changed what lies in a folder; the text says which one and what to do."""


class CacheFolder:
    """``path`` need not exist; it is made by the first file that is written. May be used from several threads.

    Where the folder cannot be trusted there is no file in it, and none is written; a warning in the log says so once.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._trusted: bool | None = None

    def read(self, name: str) -> bytes:
        """Content of a file.

        :raises FileNotFoundError: there is none, or none that can be trusted.
        :raises OSError: it cannot be read.
        """
        with open(self.open(name), "rb") as file:
            return file.read()

    def mapped(self, name: str) -> memoryview:
        """As :meth:`read`, without a copy: files do not change, and the system keeps what several processes look at.

        :raises FileNotFoundError, OSError: as that.
        """
        descriptor = self.open(name)
        try:
            return mapped_file(descriptor)
        finally:
            os.close(descriptor)

    def open(self, name: str) -> int:
        """A descriptor of a file; never of what a link leads to, or of what somebody else owns.

        :raises FileNotFoundError: there is none, or none that can be trusted.
        :raises OSError: it cannot be opened.
        """
        if not self._is_trusted():
            raise FileNotFoundError(f"{self.path} is not used")
        path = os.path.join(self.path, name)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _check(os.fstat(descriptor), path)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def write(self, name: str, content: bytes) -> str:
        """Put a file into the folder, readable by its owner only.

        :raises OSError: that is not possible.
        """
        self.make()
        unfinished = os.path.join(self.path, f"{_UNFINISHED}{os.urandom(8).hex()}")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
            path = os.path.join(self.path, name)
            os.replace(unfinished, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(unfinished)
            raise
        return path

    def make(self) -> None:
        """Make the folder, and those above it, for this user only.

        :raises OSError: that is not possible, or what is there cannot be trusted.
        """
        if not os.path.isdir(self.path):
            self._trusted = None
            make_private(self.path)
        if not self._is_trusted():
            raise UntrustedFolder(f"{self.path} is not used")

    def touch(self, name: str) -> None:
        """Note that a file is in use; :meth:`trim` removes those first that were not used for long."""
        path = os.path.join(self.path, name)
        with contextlib.suppress(OSError):
            if time.time() - os.stat(path).st_mtime > _SECONDS_PER_LOOK:
                os.utime(path)

    def sweep(self) -> None:
        """Remove what processes left that were killed while they wrote.

        :raises OSError: the folder cannot be changed.
        """
        for name in os.listdir(self.path) if os.path.isdir(self.path) else ():
            if name.startswith(_UNFINISHED):
                path = os.path.join(self.path, name)
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - os.stat(path).st_mtime > limits.UNFINISHED_FILE_SECONDS:
                        os.unlink(path)

    def trim(self, files: int, size: int) -> None:
        """Remove the files that were not used for longest if there are more than ``files`` or ``size`` bytes: half.

        :raises OSError: the folder cannot be changed.
        """
        with contextlib.suppress(FileNotFoundError):
            found = [_Found.of(entry) for entry in os.scandir(self.path) if entry.is_file(follow_symlinks=False)]
            total = sum(item.size for item in found)
            if len(found) <= files and total <= size:
                return
            found.sort()
            count = len(found)
            for item in found:
                if count <= files // 2 and total <= size // 2:
                    return
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(item.path)
                count -= 1
                total -= item.size

    def _is_trusted(self) -> bool:
        if self._trusted is None:
            try:
                check_trusted(self.path)
            except FileNotFoundError:
                # Not made yet, so there is nothing in it; it is looked at again when it is made.
                return True
            except OSError as error:
                _log.warning("the cache is not used: %s", error)
                self._trusted = False
            else:
                self._trusted = True
        return self._trusted


class _Found(tuple[int, str, int]):
    """Sorts by time of last use."""

    @classmethod
    def of(cls, entry: os.DirEntry[str]) -> _Found:
        state = entry.stat(follow_symlinks=False)
        return cls((state.st_mtime_ns, entry.path, state.st_size))

    @property
    def path(self) -> str:
        return self[1]

    @property
    def size(self) -> int:
        return self[2]


def check_trusted(path: str | os.PathLike[str]) -> None:
    """Looks at a file or folder, and at every folder and link on the way to it.

    :raises UntrustedFolder: somebody else than this user and root could have changed one of them.
    :raises OSError: one is not there, or cannot be looked at.
    """
    if _check_way(path):
        _check_way(os.path.realpath(path))


def _check_way(path: str | os.PathLike[str]) -> bool:
    """Looks at ``path`` and all folders above it, as it is written; whether one is a link, which may lead elsewhere."""
    linked = False
    for place in way_to(path):
        state = os.lstat(place)
        _check(state, place)
        linked |= stat.S_ISLNK(state.st_mode)
    return linked


def _check(state: os.stat_result, path: str) -> None:
    """:raises UntrustedFolder: somebody else than this user and root can have changed what is at ``path``."""
    if state.st_uid not in (0, os.geteuid()):
        raise UntrustedFolder(f"{path} belongs to user {state.st_uid}; make it yours or choose another folder")
    # Anybody may write to a link, says its mode; that means nothing.
    writable = 0 if stat.S_ISLNK(state.st_mode) else state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if writable & stat.S_IWGRP and _is_own_group(state.st_gid):
        writable &= ~stat.S_IWGRP
    if writable and not (stat.S_ISDIR(state.st_mode) and state.st_mode & stat.S_ISVTX):
        raise UntrustedFolder(f"others may write to {path}; say `chmod go-w {path}` if what is in it is yours")


def _is_own_group(group: int) -> bool:
    """Whether it is the group that many systems give each user for himself."""
    import grp
    import pwd

    try:
        entry, user = grp.getgrgid(group), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return entry.gr_name == user.pw_name and user.pw_gid == group and set(entry.gr_mem) <= {user.pw_name}
