"""A private folder for profiles and sockets, which does not outlive the service for long."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

_PREFIX = "genvm-webdriver-"
#: A folder without a lock may be one that is just being made.
_YOUNG_SECONDS = 60


class PrivateFolder:
    """Made by the constructor; gone after :meth:`close`, or when the next service starts after one was killed."""

    def __init__(self, parent: Path | None = None) -> None:
        """``parent``: where it is made and others are looked for, if not in the system's folder for such things."""
        parent = parent or Path(tempfile.gettempdir())
        _remove_left_behind(parent)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        self._lock = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _remove_left_behind(parent: Path) -> None:
    for path in parent.glob(_PREFIX + "*"):
        with contextlib.suppress(OSError):
            info = path.lstat()
            if info.st_uid == os.getuid() and path.is_dir() and not path.is_symlink() and not _is_used(path, info):
                shutil.rmtree(path, ignore_errors=True)


def _is_used(path: Path, info: os.stat_result) -> bool:
    try:
        lock = os.open(path / "lock", os.O_RDWR)
    except FileNotFoundError:
        return time.time() - info.st_mtime < _YOUNG_SECONDS
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
