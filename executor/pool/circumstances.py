"""What a process has from whoever started it, besides its command line, variables and descriptors.

Two processes of one program for which this is equal may carry out a run for each other: nobody can tell them apart by
what they may do, by what they may use up or by what they see of the machine.
"""

from __future__ import annotations

import os

#: Users, groups, capabilities, filters, cores, whether somebody traces it; not what changes while it runs.
_STATUS = tuple(
    b"Umask TracerPid Uid Gid Groups Cap NoNewPrivs Seccomp Speculation Cpus_allowed: Mems_allowed: THP_".split()
)
# Only what one process of a user may read of another, whatever a system forbids debuggers.
_FILES = ("limits", "cgroup", "oom_score_adj")
_LINKS = ("root", "ns/cgroup", "ns/ipc", "ns/mnt", "ns/net", "ns/pid", "ns/time", "ns/user", "ns/uts")
#: Fields of ``stat`` behind the name of the program: priority, nice value; real-time priority, policy.
_SCHEDULING = (15, 16, 37, 38)


def of(pid: int) -> bytes:
    """:raises OSError: there is no such process, or it may not be looked at."""
    folder = f"/proc/{pid}/"
    status = [line for line in _read(folder + "status").split(b"\n") if line.startswith(_STATUS)]
    scheduling = _read(folder + "stat").rpartition(b")")[2].split()
    links = [os.readlink(folder + name).encode() for name in _LINKS]
    files = [_read(folder + name) for name in _FILES]
    return b"\n".join((*status, *(scheduling[number] for number in _SCHEDULING), *links, *files))


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 1 << 16)
    finally:
        os.close(descriptor)
