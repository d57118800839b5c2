"""A server in the event loop of the test, in front of a network without contracts."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, web

from pygenvm.localnet.rpc.app import make_app
from pygenvm.localnet.rpc.origins import Origins
from pygenvm.localnet.rpc.registry import Node
from tests.localnet.rpc.stub_network import StubNetwork


class Asking:
    """A client of the server at ``url``."""

    def __init__(self, url: str, session: ClientSession, network: StubNetwork, node: Node) -> None:
        self.url = url
        self.session = session
        self.network = network
        self.node = node
        self._numbers = itertools.count(1)

    async def post(self, body: bytes, **headers: str) -> tuple[int, Any, Any]:
        """Status, JSON and headers of the answer; None for an empty body."""
        async with self.session.post(f"{self.url}/api", data=body, headers=headers) as response:
            text = await response.read()
            return response.status, json.loads(text) if text else None, response.headers

    async def ask(self, method: str, *params: Any) -> Any:
        """The result; an error is an :class:`AssertionError`."""
        answer = await self.answer(method, list(params))
        assert "error" not in answer, answer
        return answer["result"]

    async def error(self, method: str, *params: Any) -> Any:
        answer = await self.answer(method, list(params))
        assert "result" not in answer, answer
        return answer["error"]

    async def answer(self, method: str, params: Any) -> Any:
        number = next(self._numbers)
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        status, answer, _ = await self.post(json.dumps(request).encode())
        assert status == 200
        assert answer["id"] == number
        return answer


@pytest.fixture
def origins() -> Origins:
    return Origins()


@pytest.fixture
async def asking(origins: Origins) -> AsyncIterator[Asking]:
    network = StubNetwork(window=1.0)
    node = Node(network, "1.2.3", instance="this one")
    runner = web.AppRunner(make_app(node, origins), handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    async with ClientSession() as session:
        yield Asking(f"http://{host}:{port}", session, network, node)
    await runner.cleanup()
