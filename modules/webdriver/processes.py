"""The browser's processes as the system sees them: which they are, what memory they have, how they end."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import defaultdict
from pathlib import Path

_PROC = Path("/proc")


def tree(pid: int) -> list[int]:
    """The process and all that descend from it; without ``/proc`` only itself."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for folder in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name stands in parentheses and may contain anything.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            children[int(fields[1])].append(int(folder.name))
    found = [pid]
    for one in found:
        found += children[one]
    return found


def memory(pid: int) -> int:
    """Bytes that the process would give back, its share of shared ones included; 0 if it is gone."""
    for name, key in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with contextlib.suppress(OSError, ValueError):
            for line in (_PROC / str(pid) / name).read_text().splitlines():
                if line.startswith(key):
                    return int(line.split()[1]) << 10
    return 0


def is_renderer(pid: int) -> bool:
    """Whether it runs pages, and nothing that others need."""
    try:
        return b"--type=renderer" in (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return False


def kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Whether it runs; a dead one that nobody has waited for does not."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False
