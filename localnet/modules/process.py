"""The process of one service: ready for whoever knows its note, until nobody has needed it for a while.

The job comes on stdin (:mod:`localnet.modules.processes`), and one line of JSON about the start goes to ``--ready-fd``.
The log is what is written to stdout and stderr.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from pygenvm.localnet import limits
from pygenvm.modules.config import ConfigError, common_settings
from pygenvm.modules.log import Logger
from pygenvm.modules.process import Hosted, Part, Setup, run
from pygenvm.modules.service import chain

LOG_TARGET = "genvm_modules::localnet"


def main(arguments: Sequence[str]) -> int:
    """The process; its parent ends as soon as it runs on its own."""
    (option,) = arguments
    ready = int(option.removeprefix("--ready-fd="))
    os.set_inheritable(ready, False)
    job = json.loads(sys.stdin.buffer.read(limits.MODULE_DOCUMENT_BYTES))
    if os.fork():
        os._exit(0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    with open(ready, "wb", buffering=0) as telling:
        try:
            _run(job, telling)
        except Exception as error:
            _tell(telling, {"error": str(error) if isinstance(error, ConfigError) else chain(error)})
            raise
    return 0


def _run(job: dict[str, Any], telling: IO[bytes]) -> None:
    document = {**job["document"], "bind_address": "127.0.0.1:0"}
    document["path_token"] = secrets.token_urlsafe(limits.TOKEN_BYTES)
    settings = common_settings(document)
    log = Logger(level=settings.log_level, disabled=settings.log_disable)

    def running() -> _Shared:
        return _Shared(Hosted(job["name"], document, _PARTS[job["name"]], log=log), job, log, telling)

    run(running, log=log, grace=limits.MODULE_GRACE_SECONDS, die_with_parent=False, threads=settings.blocking_threads)


def _llm(setup: Setup) -> Part:
    from pygenvm.modules.llm.module import LlmModule

    return LlmModule(setup)


def _web(setup: Setup) -> Part:
    from pygenvm.modules.web.module import WebModule

    return WebModule(setup)


_PARTS = {"llm": _llm, "web": _web}


class _Shared:
    """A service with its note, and an eye on whether somebody needs it."""

    def __init__(self, hosted: Hosted, job: dict[str, Any], log: Logger, telling: IO[bytes]) -> None:
        self._hosted = hosted
        self._note = Path(job["note"])
        self._idle: float = job["idle"]
        self._log = log
        self._telling = telling
        self._noted: IO[bytes] | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        return self._hosted.address

    async def start(self) -> None:
        await self._hosted.start()
        self._noted = _write_note(self._note, {"pid": os.getpid(), "address": self.address})
        self._watching = asyncio.create_task(self._end_when_idle())
        _tell(self._telling, {"address": self.address})
        self._telling.close()

    async def _end_when_idle(self) -> None:
        needed = time.monotonic()
        while time.monotonic() < needed + self._idle:
            await asyncio.sleep(min(1.0, self._idle / 4))
            if self._hosted.service.sessions:
                needed = time.monotonic()
        self._log.info("nobody needs it", idle_seconds=self._idle)
        signal.raise_signal(signal.SIGTERM)

    async def stop(self, grace: float) -> None:
        if self._watching is not None:
            self._watching.cancel()
        # Before the last session ends: whoever finds no note starts another one.
        if self._noted is not None:
            self._note.unlink(missing_ok=True)
        await self._hosted.stop(grace)


def _write_note(path: Path, content: dict[str, Any]) -> IO[bytes]:
    """The file, locked as long as this process lives."""
    unfinished = path.with_suffix(f".{secrets.token_hex(8)}")
    file = os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write(json.dumps(content).encode())
    file.flush()
    os.replace(unfinished, path)
    return file


def _tell(telling: IO[bytes], message: dict[str, Any]) -> None:
    if not telling.closed:
        telling.write(json.dumps(message).encode()[: limits.MODULE_NOTE_BYTES])
