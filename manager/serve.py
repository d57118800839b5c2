"""The manager as a process: listens, is told to end, ends its runs first (spec modules/04 §1)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
from collections.abc import Callable
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
from pygenvm.manager.settings import Settings, read_token
from pygenvm.manager.temporary import remove_left_over
from pygenvm.manager.versions import Executors
from pygenvm.modules.config import ConfigError
from pygenvm.modules.listening import Address, listen
from pygenvm.modules.process import allow_descriptors

LOG_TARGET = "genvm_modules::manager"


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
    :raises ListenError: it cannot listen.
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
        listening = str(await listen(runner, address, "manager", _tls(settings)))
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
