"""Whether a file is still the one that was looked at, without reading it."""

from __future__ import annotations

import os


def file_state(status: os.stat_result) -> str:
    """A text that changes when the file is replaced or written to.

    The time of the last change of the inode cannot be set by anybody; the others alone can be forged.
    """
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
