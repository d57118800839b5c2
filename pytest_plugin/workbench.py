"""What the tests of one pytest process share: the module service, the executor's configuration, known schemas."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pygenvm.executor.config import load_config
from pygenvm.executor.module_protocol.codec import FatalError, decode_hello
from pygenvm.localnet.executors.base import Executor
from pygenvm.localnet.executors.pooled import many_runs
from pygenvm.localnet.module_server import Call, ModuleServer, Reply, serving_module
from pygenvm.localnet.net import LocalNet
from pygenvm.localnet.schema import NoSchema
from pygenvm.pytest_plugin.mocks import Mocks


class Workbench:
    """Made by :func:`open_workbench`."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self._mocks: dict[str, Mocks] = {}
        self._schemas: dict[bytes, dict[str, Any] | None] = {}

    @contextlib.contextmanager
    def mocks(self, node_address: str) -> Iterator[Mocks]:
        """The mocks for the local network with this address."""
        mocks = self._mocks[node_address] = Mocks()
        try:
            yield mocks
        finally:
            del self._mocks[node_address]

    def methods(self, net: LocalNet, code: bytes) -> dict[str, Any] | None:
        """The methods in a contract's schema (spec sdk/03 §4); None if it has no schema."""
        if code not in self._schemas:
            try:
                self._schemas[code] = net.schema_of_code(code)["methods"]
            except NoSchema:
                self._schemas[code] = None
        return self._schemas[code]

    async def answer(self, call: Call) -> Reply:
        """The module service of all local networks."""
        node_address = decode_hello(call.session.hello).host_data["node_address"]
        mocks = self._mocks.get(node_address)
        return mocks.answer(call.request) if mocks else FatalError(f"no test of node {node_address} is running")


@contextlib.contextmanager
def open_workbench(folder: Path) -> Iterator[Workbench]:
    """Serves modules while the context lasts; the configuration is written into ``folder``."""
    config_file = folder / "genvm.yaml"
    with many_runs([f"--config={config_file}"]) as executor:
        workbench = Workbench(executor)
        with serving_module(workbench.answer) as server:
            config_file.write_text(_config(server))
            yield workbench


def _config(server: ModuleServer) -> str:
    """The executor's usual configuration with our service as both modules; JSON is YAML."""
    usual = load_config()
    document = {
        "runners_dir": str(usual.runners_dir),
        "registry_dir": str(usual.registry_dir),
        "cache_dir": str(usual.cache_dir),
        "modules": {"llm": {"address": server.address}, "web": {"address": server.address}},
        "threads": usual.threads,
        "blocking_threads": usual.blocking_threads,
        "log_disable": "",
    }
    return json.dumps(document, indent=2)
