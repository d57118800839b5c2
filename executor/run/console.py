"""Where things go that contracts write for people (spec executor/10 "Output on stdout / stderr", "Log")."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from pygenvm.executor import limits

if TYPE_CHECKING:
    from pygenvm.executor.log import Logger

LOG_TARGET = "executor::supervisor"


class ProcessConsole:
    """The streams of this process, and its log (:class:`executor.subvm.services.Console`). From any thread."""

    def __init__(
        self, log: Logger, write: Callable[[int, memoryview], int] = os.write, *, keeps_stderr: bool = False
    ) -> None:
        # Contracts can fill it as fast as it takes them.
        self._log = log.rationed(limits.LOG_CONTRACT_BYTES)
        self._write = write
        #: What contracts wrote to stderr, if somebody wants it at the end.
        self.kept_stderr: bytearray | None = bytearray() if keeps_stderr else None

    def write(self, fd: int, data: bytes) -> None:
        """Straight to the process's stream; its errors are only logged."""
        if fd == 2 and self.kept_stderr is not None:
            self.kept_stderr += data[: limits.STDERR_KEPT_BYTES - len(self.kept_stderr)]
        view = memoryview(data)
        try:
            while view:
                view = view[self._write(fd, view) :]
        except OSError as error:
            self._log.warn("contract output lost", fd=fd, error=str(error))

    def trace(self, text: str, since_start: int, since_last: int) -> None:
        self._log.info("trace", text=text, elapsed_us=since_start, since_last_us=since_last)
