"""The service as a process: listens, makes blocks, is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from pygenvm.modules.listening import Address, ListenError, listen
from pygenvm.modules.log import Logger
from pygenvm.settlement.blocks.view import Genesis
from pygenvm.settlement.engine.tasks import CommitmentVerifier
from pygenvm.settlement.service import limits
from pygenvm.settlement.service.app import make_app
from pygenvm.settlement.service.metrics import Metrics
from pygenvm.settlement.service.node import Node
from pygenvm.settlement.service.prompts import Prompts

LOG_TARGET: Final = "genvm_settlement::serve"


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

    :raises ListenError: it cannot listen, or somebody else has written to the state.
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
        raise ListenError(node.broken.result())
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
        listening = _url(await listen(runner, address, "service"))
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


def _url(address: Address) -> str:
    return str(address) if address.path is not None else f"http://{address}"
