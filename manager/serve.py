"""The manager as a process: listens, is told to end, ends its runs first (spec modules/04 §1)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from pygenvm.executor.config import executable_dir
from pygenvm.executor.runner.version import Version
from pygenvm.manager import limits
from pygenvm.manager.app import make_app, quiet_access_log
from pygenvm.manager.core import Manager
from pygenvm.manager.executions.local import LocalExecutors
from pygenvm.manager.log import ManagerLog
from pygenvm.manager.modules import ModuleProcesses
from pygenvm.manager.permits import Permits, default_total
from pygenvm.manager.schema_host import SOCKET_FOLDER
from pygenvm.manager.settings import Settings, is_loopback, read_token
from pygenvm.manager.temporary import remove_left_over
from pygenvm.manager.versions import Executors
from pygenvm.modules.config import ConfigError
from pygenvm.modules.process import allow_descriptors

LOG_TARGET = "genvm_modules::manager"


class ServeError(Exception):
    """It cannot listen; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: a TCP address, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: Path | None = None

    @property
    def private(self) -> bool:
        """Only this machine reaches it."""
        return self.path is not None or is_loopback(self.host)

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix://{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def serve(
    settings: Settings,
    address: Address,
    *,
    reroute: str | None,
    log: ManagerLog,
    own_version: Version,
    parent: int | None,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serves until a signal comes, or ``parent`` is no longer the parent process.

    :raises ConfigError: the manifest, the token or the certificate cannot be used.
    :raises ServeError: it cannot listen.
    """
    allow_descriptors()
    root = executable_dir().parent
    remove_left_over(SOCKET_FOLDER)
    token = None if settings.token_file is None else read_token(settings.token_file)
    if token is not None:
        log.secrets.add(token)
    executors = Executors(root, own_version, settings.manifest_path, reroute)
    options = () if settings.executor_config is None else (f"--config={settings.executor_config}",)
    backend = LocalExecutors(idle=settings.idle_executors, options=options)
    permits = Permits(default_total() if settings.permits is None else settings.permits)
    modules = ModuleProcesses(log)
    manager = Manager(executors=executors, permits=permits, backend=backend, modules=modules, log=log)
    log.observe(manager.feed.logged)
    quiet_access_log()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = make_app(manager, token=token, loopback=address.path is None and address.private)
    runner = web.AppRunner(
        app,
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=limits.SHUTDOWN_REQUEST_SECONDS,
        keepalive_timeout=limits.KEEP_ALIVE_SECONDS,
    )
    await runner.setup()
    bound = False
    try:
        listening = await _listen(runner, address, _tls(settings))
        bound = True
        manager.start()
        backend.warm_up()
        log.info("manager listening", address=listening, permits=permits.total, executors=_described(executors))
        if token is None and not address.private:
            log.warn("whoever reaches this address may use the manager; set token_file and tls_certificate")
        ready(listening)
        await _until_told(stop, parent)
        log.info("manager is shutting down", running=len(manager.executions.running))
        await _stop_listening(runner)
        await manager.close()
    finally:
        await manager.close()
        await runner.cleanup()
        # Another manager's is left alone.
        if bound and address.path is not None:
            with contextlib.suppress(OSError):
                address.path.unlink()
    log.info("manager ended")


async def _listen(runner: web.AppRunner, address: Address, tls: ssl.SSLContext | None) -> str:
    """The address at which it listens; a port 0 has been replaced."""
    try:
        if address.path is not None:
            _remove_dead(address.path)
            # Nobody else before the mode is set.
            before = os.umask(0o177)
            try:
                await web.UnixSite(runner, str(address.path), ssl_context=tls).start()
            finally:
                os.umask(before)
            return str(address)
        await web.TCPSite(runner, address.host, address.port, ssl_context=tls, reuse_address=True).start()
    except OSError as error:
        # asyncio has texts of its own.
        why = str(error) if error.errno is None else os.strerror(error.errno)
        remedy = "is another manager running? " if error.errno == errno.EADDRINUSE else ""
        remedy += "`--socket` chooses another path" if address.path is not None else "`--port` chooses another port"
        raise ServeError(f"cannot listen at {address}: {why}; {remedy}") from error
    return str(Address(address.host, runner.addresses[0][1]))


def _remove_dead(path: Path) -> None:
    """A socket that nobody listens at any more is in the way.

    :raises ServeError: something else is there, or somebody listens.
    """
    import socket

    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ServeError(f"{path} is there and is no socket; remove it, or choose another path")
    with socket.socket(socket.AF_UNIX) as probe:
        # One that is too busy to accept is alive.
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass
    raise ServeError(f"another process listens at {path}")


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{settings.tls_certificate}: the certificate cannot be used: {error}") from error
    return context


async def _until_told(stop: asyncio.Event, parent: int | None) -> None:
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), limits.PARENT_SECONDS)
        if parent is not None and os.getppid() != parent:
            return


async def _stop_listening(runner: web.AppRunner) -> None:
    for site in list(runner.sites):
        await site.stop()


def _described(executors: Executors) -> dict[str, Any]:
    if executors.reroute is not None:
        return {"rerouted_to": executors.reroute}
    return {"versions": [str(version) for version in sorted(executors.manifest.versions)]}
