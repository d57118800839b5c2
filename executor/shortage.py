"""What this process lacks where an error says that something has run out, and what to do about it.

Telling takes something too: Python reads a file for each module that it has not loaded yet. So commands keep one
descriptor back for that.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

_NO_MEMORY = "there is no memory left: end other programs, or allow more with `ulimit -d` and `ulimit -v`"
_NO_THREADS = "there can be no more threads or processes: end other programs, or allow more with `ulimit -u`"
_FULL = "there is no space left: make room on that device"
_ADVICE = {
    errno.ENFILE: "the machine has no more open files: end programs that hold many, or allow more (fs.file-max)",
    errno.ENOMEM: _NO_MEMORY,
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
}

_kept_back: list[int] = []


def keep_back() -> None:
    """Keep a descriptor for the end, if there is one."""
    if not _kept_back:
        with contextlib.suppress(OSError):
            _kept_back.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))


def advice(error: BaseException) -> str | None:
    """What has run out and what to do about it, if that is what led to ``error``."""
    for one in _chain(error):
        if found := _advice(one):
            return found
    return None


def advice_on(text: str) -> str | None:
    """The same for what a process that this one has started says of an error of the system."""
    import re

    found = re.search(r"\[Errno (\d+)\]|\(os error (\d+)\)", text)
    return _advice(OSError(int(found[1] or found[2]), "")) if found else None


def explained(error: BaseException) -> str:
    """The text of ``error``, with :func:`advice` where there is some."""
    text, what_to_do = str(error), advice(error)
    return f"{text}; {what_to_do}" if text and what_to_do else what_to_do or text


def _advice(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return _NO_MEMORY
    if isinstance(error, RuntimeError) and str(error) == "can't start new thread":
        return _NO_THREADS
    if not isinstance(error, OSError):
        return None
    if error.errno != errno.EMFILE:
        return _ADVICE.get(error.errno or 0)
    while _kept_back:
        os.close(_kept_back.pop())
    import resource

    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"this process may have no more than {most} files open: allow more with `ulimit -n 1024`"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    next_: BaseException | None = error
    while next_ is not None and id(next_) not in seen:
        seen.add(id(next_))
        yield next_
        next_ = next_.__cause__ or next_.__context__
