"""Where the host of a run is, and where its output goes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from pygenvm.executor import limits
from pygenvm.executor.host_protocol.client import HostClient
from pygenvm.executor.machine import start_thread
from pygenvm.executor.outcome import InternalErrorRaised
from pygenvm.executor.run import termination

if TYPE_CHECKING:
    from pygenvm.executor.observer import Observer
    from pygenvm.executor.run.ending import Ending


class Outside:
    """A process that is there for one run: its host is where the options say, its streams are its own."""

    #: Whether the host reads where a run has failed.
    wants_fingerprint = True

    def connect(self, address: str, observer: Observer, ending: Ending) -> HostClient:
        """:raises InternalErrorRaised: there is no host."""
        return HostClient.connect(address, observer, ending)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """Some of ``data`` to stdout (1) or stderr (2); how much.

        :raises OSError: nobody can read it any more.
        """
        return os.write(fd, data)

    def print_aside(self, write: Callable[[], None]) -> Printing:
        """Begin something that may block for ever, in a full pipe that nobody reads."""
        return OutputThread(write)


class Printing:
    """Something that is being written; here it is done."""

    def wait(self, seconds: float | None) -> None:
        """Returns when it is done, or after ``seconds``."""


class OutputThread(Printing):
    """Writes something on a thread of its own."""

    def __init__(self, write: Callable[[], None]) -> None:
        self._done = threading.Event()

        def run() -> None:
            try:
                write()
            finally:
                self._done.set()

        try:
            with termination.held_back():
                start_thread(run, limits.SIDE_THREAD_STACK_BYTES)
        except (InternalErrorRaised, MemoryError):
            # What is written for people is lost then; the host still gets the result.
            self._done.set()

    def wait(self, seconds: float | None) -> None:
        self._done.wait(seconds)


#: Of the process of a node.
PROCESS = Outside()
