"""A pool that a command of ``genvm local`` leaves behind: whoever has typed one soon types another.

It is ``genvm pool --until-idle``, of the same program with the same variables, and belongs to no terminal. Nothing is
left behind where nobody sits at one, where programs run each other (``CI``), and where ``PYGENVM_POOL_IDLE`` is 0, or
cannot be read.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING

from pygenvm.cli.signals import ENDING
from pygenvm.executor import limits
from pygenvm.executor.cache_root import make_private
from pygenvm.executor.pool import handover

if TYPE_CHECKING:
    import signal
else:
    import _signal as signal

#: Seconds without a command after which it ends.
IDLE_VARIABLE = "PYGENVM_POOL_IDLE"
_STDERR = 2


def leave() -> None:
    """Start one for the commands that follow this one, if that is wanted. It is not waited for."""
    # With a configuration that the command line names it would be another pool.
    options = handover.global_options(sys.argv)
    if os.environ.get("CI") or options is None or options[1] is not None or not os.isatty(_STDERR):
        return
    if not _is_own_command_line():
        return
    # Whatever it lacks, the next command takes as long as this one; and what this one did is done and told.
    with contextlib.suppress(OSError, NotImplementedError, MemoryError):
        try:
            seconds = idle_seconds()
        except ValueError as error:
            os.write(_STDERR, f"genvm local: no pool is left behind: {error}\n".encode())
            return
        if seconds and _is_first():
            _start(seconds)


def _is_own_command_line() -> bool:
    """Whether this process has been started with the words that it carries out.

    A program that has put others in their place would be started a second time.
    """
    return sys.orig_argv[len(sys.orig_argv) - len(sys.argv) + 1 :] == sys.argv[1:]


def idle_seconds() -> float:
    """How long it waits; 0 if there shall be none.

    :raises ValueError: the variable has no such number; its text tells that to the user.
    """
    text = os.environ.get(IDLE_VARIABLE)
    if not text:
        return limits.POOL_UNTIL_IDLE_SECONDS
    with contextlib.suppress(ValueError):
        if 0 <= (seconds := float(text)) <= limits.POOL_UNTIL_IDLE_SECONDS_MAX:
            return seconds
    most = f"{limits.POOL_UNTIL_IDLE_SECONDS_MAX:g}"
    raise ValueError(f"{IDLE_VARIABLE} is {text[:40]!a}, which is no number of seconds from 0 (never) to {most}")


def _is_first() -> bool:
    """Whether no other command has tried that in the last minute; the next ones must not."""
    place = handover.folder()
    if place is None:
        return False
    # Where others may write to a folder above it, nothing in the cache would be believed from now on.
    make_private(place)
    mark = os.path.join(place, f"{handover.socket_name(handover.identity(), None)}.started")
    with contextlib.suppress(FileNotFoundError):
        if abs(time.time() - os.stat(mark).st_mtime) < limits.POOL_RETRY_SECONDS:
            return False
    # Whatever lies there, it is not waited for.
    how = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(mark, how, 0o600)
    try:
        os.utime(descriptor)
    finally:
        os.close(descriptor)
    return True


def _start(seconds: float) -> None:
    # As this process was started: what it is called and where it finds its modules must be the same.
    own = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]
    words = [sys.executable, *own, "--log-level=error", "pool", "--idle=1", f"--until-idle={seconds:g}"]
    nothing = [(os.POSIX_SPAWN_OPEN, standard, os.devnull, os.O_RDWR, 0) for standard in range(3)]
    # Somebody may be waiting for the end of a pipe that was given to this process.
    inherited = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > _STDERR]
    leftover = [(os.POSIX_SPAWN_CLOSE, number) for number in inherited if _is_inheritable(number)]
    # Variables without a name are inherited, and cannot be handed on.
    variables = {name: value for name, value in os.environb.items() if name}
    # What this process was told to ignore, by `nohup` say, ends a pool as any other.
    heard = (signal.SIGINT, *ENDING)
    os.posix_spawn(sys.executable, words, variables, file_actions=nothing + leftover, setsid=True, setsigdef=heard)


def _is_inheritable(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False  # The one by which the folder was read.
