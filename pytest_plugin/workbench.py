"""What the tests of one pytest process share: the module service, the executor's configuration, known schemas."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pygenvm.executor.config import Config, load_config
from pygenvm.executor.module_protocol.codec import FatalError, decode_hello
from pygenvm.localnet.chain import accounts
from pygenvm.localnet.executors.base import Executor
from pygenvm.localnet.executors.pooled import series_of_runs
from pygenvm.localnet.executors.series import ReusedExecutors
from pygenvm.localnet.module_server import Call, Reply, serving_module
from pygenvm.localnet.modules.opened import executor_config
from pygenvm.localnet.net import LocalNet
from pygenvm.localnet.schema import NoSchema
from pygenvm.pytest_plugin import views
from pygenvm.pytest_plugin.addresses import OWNER, create_address, create_test_addresses, plain
from pygenvm.pytest_plugin.blocks import Watched
from pygenvm.pytest_plugin.mocks import Mocks
from pygenvm.runners.numeric import on_demand
from pygenvm.runners.registry import are_built, ensure_built

#: Accounts that have a balance from the start, besides those of every local network.
FUNDED: Final = frozenset((*map(create_address, (OWNER, "alice", "bob", "charlie")), *create_test_addresses()))


class Clock:
    """The datetime of the next transactions."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Bench:
    """What one test has of the workbench: a local network with its clock, its mocks, its executor and a file."""

    def __init__(self, workbench: Workbench, number: int, mocks: Mocks, clock: Clock) -> None:
        self.number = number
        self.path = workbench.folder / f"{number}.db"
        self.path.write_bytes(workbench.new_network)
        self.executor = Watched(workbench.executor, lambda: self.net.snapshot_here())
        self.mocks = mocks
        self.net = LocalNet(
            self.path,
            executor=self.executor,
            clock=clock,
            node_address=str(number),
            eth_call=mocks.eth_call,
            durable=False,
            only_user=True,
            strict_views=views.strict,
            before_run=workbench.build_for,
        )


class Workbench:
    """Made by :func:`open_workbench`."""

    def __init__(self, executor: Executor, folder: Path, config: Config) -> None:
        self.executor = executor
        self.folder = folder
        self._config = config
        #: The database of a network in which nothing has happened yet.
        self.new_network = _new_network(folder / "new.db")
        self._benches: dict[str, Bench] = {}
        self._count = 0
        self._schemas: dict[bytes, dict[str, Any] | None] = {}

    def build_for(self, code: bytes) -> Callable[[], None] | None:
        """What builds the runners that this contract needs; None if they are there."""
        return on_demand.build_for(code, self._config, progress=False)

    def bench(self, mocks: Mocks, clock: Clock) -> Bench:
        """A new local network."""
        self._count += 1
        bench = self._benches[str(self._count)] = Bench(self, self._count, mocks, clock)
        return bench

    def clear_away(self, bench: Bench) -> None:
        """Nobody needs it any more."""
        del self._benches[str(bench.number)]
        bench.net.close()
        for file in (bench.path, bench.path.with_name(f"{bench.path.name}.lock")):
            file.unlink(missing_ok=True)

    def schema(self, net: LocalNet, code: bytes) -> dict[str, Any] | None:
        """A contract's schema (spec sdk/03 §4); None if it has none."""
        if code not in self._schemas:
            try:
                self._schemas[code] = net.schema_of_code(code)
            except NoSchema:
                self._schemas[code] = None
        return self._schemas[code]

    async def answer(self, call: Call) -> Reply:
        """The module service of all local networks."""
        run = decode_hello(call.session.hello).host_data
        bench = self._benches.get(run["node_address"])
        if bench is None:
            return FatalError(f"no test of node {run['node_address']} is running")
        return bench.mocks.answer(call.request, bench.executor.running.get(run["tx_id"]))


class _Unbuilt(Exception):
    """Runners have to be built first."""


@contextlib.contextmanager
def open_workbench(*, may_build: bool = True) -> Iterator[Workbench]:
    """Serves modules while the context lasts. Runners that are not there are built first, which takes minutes."""
    with contextlib.ExitStack() as stack:
        # One that removes itself would do that at the end of a fork too.
        folder = Path(tempfile.mkdtemp(prefix="genvm-tests-"))
        stack.callback(shutil.rmtree, folder)
        config_file = folder / "genvm.yaml"
        executor = stack.enter_context(series_of_runs([f"--config={config_file}"]))
        config = load_config()
        server = stack.enter_context(serving_module(lambda call: workbench.answer(call)))
        config_file.write_text(executor_config(config, {"llm": server.address, "web": server.address}))
        if isinstance(executor, ReusedExecutors):
            # Meanwhile the hashes of the runners are checked. What is built now the executor finds all the same.
            executor.start()
        if may_build:
            ensure_built(progress=False)
        elif not are_built():
            raise _Unbuilt
        workbench = Workbench(executor, folder, config)
        yield workbench


class _Shared:
    """The one of this process, opened when it is needed first."""

    def __init__(self) -> None:
        os.register_at_fork(after_in_child=self._begin)
        #: What forks of a process have of its resources, and leave to it: it goes on using them.
        self._others: list[contextlib.ExitStack] = []
        self._resources = contextlib.ExitStack()
        self._begin()

    def _begin(self) -> None:
        self._others.append(self._resources)
        self._resources = contextlib.ExitStack()
        self._workbench: Workbench | None = None
        self._opening = threading.Lock()

    def prepare(self) -> None:
        """Opens it, unless something has to be built for it. Whatever prevents that, :meth:`get` tells."""
        with contextlib.suppress(Exception):
            self._get(may_build=False)

    def get(self) -> Workbench:
        return self._get(may_build=True)

    def _get(self, *, may_build: bool) -> Workbench:
        with self._opening:
            if self._workbench is None:
                self._workbench = self._resources.enter_context(open_workbench(may_build=may_build))
            return self._workbench

    def close(self) -> None:
        with self._opening:
            self._workbench = None
            self._resources.close()


shared: Final = _Shared()


def _new_network(path: Path) -> bytes:
    net = LocalNet(path, durable=False)
    for account in FUNDED:
        net.deal(plain(account), accounts.START_BALANCE)
    return path.read_bytes()
