"""A folder of files that can be made again, filled by several processes at once.

A file is never changed under its name: it is written under another one and gets its name by a rename. Names say what
the content was made from, so it does not matter which process is the last to write it.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from pygenvm.executor import limits

_UNFINISHED = "new-"


class CacheFolder:
    """``path`` need not exist; it is made by the first file that is written. May be used from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, content: bytes) -> Path:
        """Put a file into the folder, readable by its owner only.

        :raises OSError: that is not possible.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        unfinished = self.path / f"{_UNFINISHED}{os.urandom(8).hex()}"
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
            path = self.path / name
            os.replace(unfinished, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(unfinished)
            raise
        return path

    def sweep(self) -> None:
        """Remove what processes left that were killed while they wrote.

        :raises OSError: the folder cannot be changed.
        """
        for path in self.path.glob(f"{_UNFINISHED}*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > limits.UNFINISHED_FILE_SECONDS:
                    path.unlink()

    def trim(self, files: int) -> None:
        """Remove the older half if there are more than ``files``.

        :raises OSError: the folder cannot be changed.
        """
        with contextlib.suppress(FileNotFoundError):
            found = [entry.path for entry in os.scandir(self.path)]
            if len(found) > files:
                found.sort(key=lambda path: (os.stat(path).st_mtime_ns, path))
                for path in found[: len(found) // 2]:
                    os.unlink(path)
