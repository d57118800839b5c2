"""A service as a process: start, check, signals, and the end (spec modules/01 §3).

:class:`Hosted` is a service with what is behind it, for any event loop: several may live in one process, as they do in
a manager. :func:`run` is the process of one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from pygenvm.executor.module_protocol.codec import Hello
from pygenvm.modules import limits
from pygenvm.modules.config import CommonSettings, common_settings
from pygenvm.modules.log import Logger, Secrets, take_over_logging
from pygenvm.modules.metrics import Metrics
from pygenvm.modules.service import Service, Session, State, chain

LOG_TARGET = "genvm_modules::process"


@dataclass(frozen=True)
class Setup:
    """What a part is made from. ``document`` has its placeholders replaced, so there may be keys in it."""

    document: Mapping[str, Any]
    settings: CommonSettings
    log: Logger
    metrics: Metrics
    secrets: Secrets


class Part(Protocol):
    """What is behind a service: its scripts, its providers, its browser."""

    async def start(self) -> None:
        """:raises ConfigError: it cannot work with this configuration."""
        ...

    async def open_session(self, hello: Hello) -> Session:
        """What one connection is to the part."""
        ...

    async def check(self) -> None:
        """Whether what it needs from elsewhere can be reached; raises what is wrong, which is logged and no more."""
        ...

    async def stop(self) -> None:
        """After a start that failed too."""
        ...


MakePart: TypeAlias = Callable[[Setup], Part]


class Hosted:
    """A part behind its service."""

    def __init__(self, name: str, document: Mapping[str, Any], make: MakePart, *, log: Logger) -> None:
        """``document`` has its placeholders replaced.

        :raises ConfigError: the document will not do.
        """
        settings = common_settings(document)
        self._log = log
        log.secrets.add(settings.path_token)
        log.secrets.add_headers(settings.signer_headers)
        metrics = Metrics(name)
        self._part = make(Setup(document, settings, log, metrics, log.secrets))
        self.service = Service(name, settings, self._part.open_session, log=log, metrics=metrics)
        self.grace_seconds = settings.grace_seconds
        self.blocking_threads = settings.blocking_threads
        self._checking: asyncio.Task[None] | None = None
        self._part_runs = False

    @property
    def state(self) -> State:
        """Of the service."""
        return self.service.state

    @property
    def address(self) -> str:
        """Of the service."""
        return self.service.address

    async def start(self) -> None:
        """Listens when this returns; the check goes on in the background.

        :raises ConfigError: the part cannot work with its configuration, or the address is in use.
        """
        self._part_runs = True
        try:
            await self._part.start()
            await self.service.start()
        except BaseException:
            await self.stop(0)
            raise
        self._checking = asyncio.create_task(self._check())

    async def _check(self) -> None:
        try:
            async with asyncio.timeout(limits.CHECK_SECONDS):
                await self._part.check()
        except Exception as error:
            why = chain(error)
            self.service.check = {"ok": False, "error": why[: limits.LOGGED_ERROR_CHARS]}
            self._log.warn("the check at start failed", error=why)
        else:
            self.service.check = {"ok": True}
            self._log.info("the check at start succeeded")

    async def stop(self, grace: float) -> None:
        """Sessions have ``grace`` seconds to finish; a second call, while the first one waits, can have less."""
        if self._checking is not None:
            self._checking.cancel()
        await self.service.stop(grace)
        if self._part_runs:
            self._part_runs = False
            await self._part.stop()


# --- a process ------------------------------------------------------------------------------------


class Running(Protocol):
    """What a process runs until it is told to end."""

    @property
    def address(self) -> str: ...
    async def start(self) -> None: ...
    async def stop(self, grace: float) -> None: ...


def run(
    running: Callable[[], Running],
    *,
    log: Logger,
    grace: float,
    parent: int | None = None,
    threads: int = 4,
    on_listening: Callable[[str], None] = lambda _address: None,
) -> None:
    """Run it until SIGTERM or SIGINT, or the end of the parent process.

    Sessions have ``grace`` seconds then; a second signal breaks them off.

    :param parent: the parent process whose end is that of this one, as it was when this one began: it may have ended
        since then. None: none is.
    :param on_listening: told the address as soon as it can be used.
    :raises ConfigError: it cannot start.
    """
    take_over_logging(log.rationed(limits.LOG_LIBRARY_BYTES))
    allow_descriptors()
    try:
        asyncio.run(_run(running, log, grace, parent, threads, on_listening))
    finally:
        log.flush()


async def _run(
    running: Callable[[], Running],
    log: Logger,
    grace: float,
    parent: int | None,
    threads: int,
    on_listening: Callable[[str], None],
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="worker"))
    told: asyncio.Queue[str] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.put_nowait, number.name)
    watching = asyncio.create_task(_watch_parent(parent, told)) if parent is not None else None
    this = running()
    starting = asyncio.create_task(this.start())
    hearing = asyncio.create_task(told.get())
    await asyncio.wait((starting, hearing), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait((starting,))
        log.info("stopped before it was started", reason=hearing.result())
        return
    try:
        starting.result()
        log.info("listening", address=shown_address(this.address), pid=os.getpid())
        on_listening(this.address)
        log.info("stopping", reason=await hearing)
    finally:
        hearing.cancel()
        stopping = asyncio.create_task(this.stop(grace))
        hearing = asyncio.create_task(told.get())
        await asyncio.wait((stopping, hearing), return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            log.warn("breaking off", reason=hearing.result())
            await this.stop(0)
        hearing.cancel()
        await stopping
        if watching is not None:
            watching.cancel()
    log.info("stopped")


def shown_address(address: str) -> str:
    """A URL without its path, which may be a token."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


async def _watch_parent(parent: int, told: asyncio.Queue[str]) -> None:
    """Tell when the parent process is another one than it was."""
    ended = asyncio.Event()
    with contextlib.ExitStack() as stack:
        # At once where the system can tell; the signal that a kernel sends for this comes with the thread that
        # started us, and it may end before its process does.
        with contextlib.suppress(OSError, AttributeError):
            descriptor = os.pidfd_open(parent)
            stack.callback(os.close, descriptor)
            loop = asyncio.get_running_loop()
            loop.add_reader(descriptor, ended.set)
            stack.callback(loop.remove_reader, descriptor)
        while os.getppid() == parent and not ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), limits.PARENT_SECONDS)
    told.put_nowait("the parent process has ended")


def allow_descriptors() -> None:
    """As many as the system lets us have: each session or request takes some."""
    if sys.platform != "linux":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.DESCRIPTORS if hard == resource.RLIM_INFINITY else min(limits.DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
