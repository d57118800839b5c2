"""Files and folders that only their owner reads, whatever the umask is.

In a network's files are the keys of its validators, and what contracts and prompts were about. A file or folder that is
there already keeps its mode: whoever has made it readable for others wants that.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO

_FILE, _FOLDER = 0o600, 0o700


def make_folder(path: Path) -> None:
    """Makes a folder, and those above it, where there are none.

    :raises OSError: that is not possible.
    """
    for folder in reversed((path, *path.parents)):
        if not folder.exists():
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=_FOLDER)


def make_file(path: Path) -> None:
    """Makes an empty file where there is none.

    :raises OSError: that is not possible.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE))


def open_to_append(path: Path) -> IO[bytes]:
    """A file, made where there is none.

    :raises OSError: that is not possible.
    """
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags, _FILE))


def write_file(path: Path, data: bytes) -> None:
    """Writes a new file.

    :raises OSError: that is not possible, or there is one.
    """
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, _FILE)) as file:
        file.write(data)
