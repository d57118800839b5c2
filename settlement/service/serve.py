"""The service as a process: listens, makes blocks, is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import signal
import socket
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from pygenvm.modules.log import Logger
from pygenvm.settlement.blocks.view import Genesis
from pygenvm.settlement.engine.tasks import CommitmentVerifier
from pygenvm.settlement.service import limits
from pygenvm.settlement.service.app import make_app
from pygenvm.settlement.service.metrics import Metrics
from pygenvm.settlement.service.node import Node
from pygenvm.settlement.service.prompts import Prompts

LOG_TARGET: Final = "genvm_settlement::serve"


class ServeError(Exception):
    """It cannot listen, or cannot go on; the text says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: a TCP address, or the path of a Unix socket."""

    host: str = "127.0.0.1"
    port: int = 0
    path: Path | None = None

    @property
    def private(self) -> bool:
        """Only this machine reaches it."""
        return self.path is not None or ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix://{self.path}"
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Options:
    """:param state: None: in a folder that is gone with the process.
    :param block_seconds: 0: blocks are made when clients ask for them.
    """

    genesis: Genesis
    verifier: CommitmentVerifier
    state: str | None = None
    prompts: Path | None = None
    block_seconds: float = 1.0
    token: str | None = None


async def serve(options: Options, address: Address, log: Logger, ready: Callable[[str], None] = lambda _: None) -> None:
    """Serves until a signal comes.

    :raises ServeError: it cannot listen, or somebody else has written to the state.
    :raises StoreError: the state cannot be opened.
    :raises BlockError: it is another chain's.
    """
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="genvm-settlement-") as folder:
        state = options.state or str(Path(folder) / "state.db")
        prompts = Prompts(options.prompts or Path(f"{state}.prompts"))
        node = Node(state, options.genesis, prompts, verifier=options.verifier, log=log)
        try:
            await node.start()
            await _listen_until_told(node, options, address, log, ready, stop)
        finally:
            await node.close()
    if node.broken.done():
        raise ServeError(node.broken.result())
    log.info("settlement ended")


async def _listen_until_told(
    node: Node, options: Options, address: Address, log: Logger, ready: Callable[[str], None], stop: asyncio.Event
) -> None:
    metrics = Metrics(node)
    loopback = address.path is None and address.private
    app = make_app(node, metrics, log, on_demand=not options.block_seconds, token=options.token, loopback=loopback)
    runner = web.AppRunner(
        app,
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=limits.SHUTDOWN_SECONDS,
        keepalive_timeout=limits.KEEP_ALIVE_SECONDS,
    )
    await runner.setup()
    bound = False
    clock: asyncio.Task[None] | None = None
    try:
        listening = await _listen(runner, address)
        bound = True
        if options.block_seconds:
            clock = asyncio.create_task(node.make_blocks(options.block_seconds))
        log.info("settlement listening", address=listening, height=node.height)
        if options.token is None and not address.private:
            log.warn("whoever reaches this address may use the service; set --token-file")
        ready(listening)
        node.broken.add_done_callback(lambda _: stop.set())
        await stop.wait()
    finally:
        if clock is not None:
            clock.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await clock
        node.feed.close()
        await runner.cleanup()
        # Another service's is left alone.
        if bound and address.path is not None:
            with contextlib.suppress(OSError):
                address.path.unlink()


async def _listen(runner: web.AppRunner, address: Address) -> str:
    """The address at which it listens; a port 0 has been replaced."""
    try:
        if address.path is not None:
            _remove_dead(address.path)
            # Nobody else before the mode is set.
            before = os.umask(0o177)
            try:
                await web.UnixSite(runner, str(address.path)).start()
            finally:
                os.umask(before)
            return str(address)
        await web.TCPSite(runner, address.host, address.port, reuse_address=True).start()
    except OSError as error:
        why = str(error) if error.errno is None else os.strerror(error.errno)
        remedy = "`--socket` chooses another path" if address.path is not None else "`--port` chooses another port"
        remedy = f"is another service running? {remedy}" if error.errno == errno.EADDRINUSE else remedy
        raise ServeError(f"cannot listen at {address}: {why}; {remedy}") from error
    return str(Address(address.host, runner.addresses[0][1]))


def _remove_dead(path: Path) -> None:
    """A socket that nobody listens at any more is in the way.

    :raises ServeError: something else is there, or somebody listens.
    """
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
