"""``genvm local serve``: the network as a process that listens until it is told to end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from aiohttp import web

from pygenvm.localnet import limits
from pygenvm.localnet.building import BeforeRun, build_for, needs_nothing
from pygenvm.localnet.chain.network.network import Network
from pygenvm.localnet.chain.network.types import NetworkOptions
from pygenvm.localnet.errors import BadRequest, DatabaseError
from pygenvm.localnet.executors.base import Executor
from pygenvm.localnet.executors.pooled import many_runs
from pygenvm.localnet.lint_settings import installed_runners
from pygenvm.localnet.modules import Choices, modules_of_author
from pygenvm.localnet.modules.validators import ValidatorModels
from pygenvm.localnet.private_files import make_folder
from pygenvm.localnet.rpc.app import make_app
from pygenvm.localnet.rpc.origins import Origins, is_origin
from pygenvm.localnet.rpc.registry import Node
from pygenvm.localnet.rpc.remote import read_file
from pygenvm.localnet.rpc.running import Running, announced, server_of
from pygenvm.modules.listening import Address, ListenError, listen
from pygenvm.modules.process import allow_descriptors

_LOOPBACK = {"127.0.0.1": "::1", "::1": "127.0.0.1"}


@dataclass(frozen=True, slots=True)
class Serving:
    """How to serve."""

    path: Path
    address: Address
    origins: Origins
    options: NetworkOptions
    version: str
    project: bool
    """The file is a project's own, so commands in its folder find the server."""
    fork: Path | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """What is told when it listens."""

    url: str
    chain_id: int
    validators: int
    finality_window: float
    path: Path

    def to_json(self) -> dict[str, object]:
        return {
            "ok": True,
            "url": self.url,
            "rpc": f"{self.url}/api",
            "chain_id": self.chain_id,
            "validators": self.validators,
            "finality_window": self.finality_window,
            "database": str(self.path),
        }


def run(options: argparse.Namespace, database: Path, ready: Callable[[Ready], None]) -> int:
    """Serves until a signal comes.

    :param database: the project's, if ``--db`` does not name another.
    :raises BadRequest: an option cannot be used. :raises ListenError: it cannot listen.
    """
    from importlib.metadata import PackageNotFoundError, version

    try:
        own_version = version("pygenvm")
    except PackageNotFoundError:
        own_version = ""
    serving = Serving(
        path=options.db or database,
        address=_address(options.host, options.port),
        origins=_origins(options),
        options=NetworkOptions(
            chain_id=options.chain_id,
            validators=options.validators,
            finality_window=options.finality_window,
            timeout=options.timeout,
        ),
        version=own_version,
        project=options.db is None,
        fork=options.fork,
    )
    choices = Choices(options.mocks, {"llm": options.llm_config, "web": options.web_config})
    models = ValidatorModels()
    modules = modules_of_author(options.config, choices, validators=models, on_start=_starting, on_warning=_complain)
    allow_descriptors()
    if not installed_runners():
        _complain("no runners are built yet, so no contract can run: `genvm runners build` (a few minutes, once)")
    with modules as words, many_runs(words, idle=max(1, options.validators)) as executor:
        asyncio.run(serve(serving, executor, models, ready, functools.partial(build_for, options.config)))
    return 0


def _starting(name: str) -> None:
    print(f"starting the {name} module", file=sys.stderr, flush=True)


def _complain(text: str) -> None:
    print(f"genvm local serve: {text}", file=sys.stderr, flush=True)


def _address(host: str, port: int) -> Address:
    name = "127.0.0.1" if host == "localhost" else host
    try:
        ip_address(name)
    except ValueError:
        raise BadRequest(f"--host: {host[:80]!r} is no IP address (0.0.0.0 is every one of this machine)") from None
    return Address(name, port)


def _origins(options: argparse.Namespace) -> Origins:
    for origin in options.cors:
        if not is_origin(origin):
            raise BadRequest(f"--cors: {origin[:80]!r} is no origin; write it like https://studio.example:8080, or '*'")
    loopback = ip_address(_address(options.host, 0).host).is_loopback
    return Origins(cors=frozenset(options.cors), loopback=loopback, hosts=frozenset(options.allow_host))


async def serve(
    serving: Serving,
    executor: Executor,
    models: ValidatorModels,
    ready: Callable[[Ready], None],
    before_run: BeforeRun = needs_nothing,
) -> None:
    """Serves until SIGTERM, SIGINT or SIGHUP.

    :raises BadRequest: there is nothing to fork. :raises DatabaseError: the file cannot be used.
    :raises ListenError: it cannot listen.
    """
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop.set)
    fork = None if serving.fork is None else _read_fork(serving)
    folder = serving.path.parent
    make_folder(folder)
    async with contextlib.AsyncExitStack() as stack:
        network = Network(serving.path, executor=executor, options=serving.options, models=models, on_error=_complain)
        node = Node(network, serving.version, instance=secrets.token_hex(8), database=str(serving.path))
        node.before_run = before_run
        runner = web.AppRunner(
            make_app(node, serving.origins),
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=limits.RPC_SHUTDOWN_SECONDS,
            keepalive_timeout=limits.RPC_KEEP_ALIVE_SECONDS,
        )
        announcement = None
        if serving.project:
            _check_alone(folder)
            announcement = stack.enter_context(announced(folder, Running("", node.instance, os.getpid())))
        await network.start()
        stack.push_async_callback(network.close)
        if fork is not None:
            await network.load(fork)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        address = await listen(runner, serving.address, "genvm local serve", backlog=limits.RPC_BACKLOG)
        await _listen_beside(runner, address)
        url = f"http://{_reachable(address)}"
        if announcement is not None:
            announcement.listening(url)
        validators, window = len(await network.validators()), await network.finality_window()
        if not ip_address(address.host).is_loopback:
            _complain(f"whoever reaches this machine at port {address.port} may do everything: there are no passwords")
        if not validators:
            _complain("there are no validators, so transactions wait until there are (`sim_createValidator`)")
        ready(Ready(url, network.chain_id, validators, window, serving.path))
        await stop.wait()
        for site in list(runner.sites):
            await site.stop()


def _check_alone(folder: Path) -> None:
    """:raises DatabaseError: the project has a server."""
    there = server_of(folder)
    if there is not None:
        where = f"at {there.url}" if there.url else "and is starting"
        raise DatabaseError(
            f"a server runs for this project already, {where} (process {there.pid}); end that one, or name another"
            " file with --db"
        )


def _reachable(address: Address) -> Address:
    """Where clients on this machine find it: every address of the machine is none to connect to."""
    if not ip_address(address.host).is_unspecified:
        return address
    return Address("::1" if ":" in address.host else "127.0.0.1", address.port)


async def _listen_beside(runner: web.AppRunner, address: Address) -> None:
    """At the other loopback address too, where a client looks that calls it ``localhost``."""
    other = _LOOPBACK.get(address.host)
    if other is not None:
        with contextlib.suppress(ListenError):
            await listen(runner, Address(other, address.port), "genvm local serve", backlog=limits.RPC_BACKLOG)


def _read_fork(serving: Serving) -> bytes:
    path = serving.fork
    assert path is not None
    if serving.path.exists():
        raise BadRequest(f"--fork begins a new network, but {serving.path} is there; name another file with --db")
    return read_file(path)
