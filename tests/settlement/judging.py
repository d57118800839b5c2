"""Operators with real executors, a requester with a local network, and a web whose answers depend on who asks."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from pygenvm.executor.config import load_config
from pygenvm.executor.module_protocol.codec import GET_STATS, Answer, FatalError, Ok, decode_hello
from pygenvm.localnet.modules.opened import executor_config
from pygenvm.settlement.blocks.transactions import Register
from tests.settlement.chains import ETHER, OPERATOR_KEYS, REQUESTER_KEY
from tests.settlement.engines import SPEC
from tests.settlement.network import GENESIS, PATIENCE, Network, Process
from tests.settlement.vectors import word
from tests.support.module_server import Call, serving_module, statistics

URL = "https://api.example.com/price"
#: As many as five of them can be drawn from.
KEYS = OPERATOR_KEYS[:7]
_OPERATORS = {"0x" + key.address.hex() for key in KEYS}


class Web:
    """What each node finds: an operator by its address, a leader by its name. Operators wait until it is settled."""

    def __init__(self) -> None:
        self.leaders: dict[str, float] = {}
        self.prices: dict[str, float | None] = {}

    async def __call__(self, call: Call) -> Answer:
        if call.request.name == GET_STATS:
            return statistics(call)
        told = decode_hello(call.session.hello).host_data
        if told["node_address"] not in _OPERATORS:
            return _page(self.leaders.get(told["mock_node"], 42.5))
        while (price := self.prices.get(told["node_address"], 0)) == 0:
            await asyncio.sleep(0.02)
        return FatalError("the web is away") if price is None else _page(price)


def _page(price: float) -> Ok:
    return Ok({"response": {"status": 200, "headers": {}, "body": json.dumps({"price": price}).encode()}})


class Market(Network):
    """A service, an operator process for each key, and a local network whose transactions they judge."""

    def __init__(self, folder: Path, http: aiohttp.ClientSession, web: Web, config: Path) -> None:
        super().__init__(folder, http)
        self.web = web
        self.config = config

    async def register_all(self) -> None:
        for number, key in enumerate(KEYS):
            await self.send(key, Register(2 * ETHER, SPEC, word(0x80 + number)))
        await self.blocks()

    async def judge(self, operator: str) -> Process:
        """Starts the operator with this address, also a second time."""
        address = bytes.fromhex(operator[2:])
        key = next(one for one in KEYS if one.address == address)
        process = await Process.start(
            "pygenvm.cli.main",
            f"--config={self.config}",
            "operator",
            "run",
            f"--rpc={self.base}",
            *self.own(key),
            f"--records={self.records(operator)}",
        )
        self.operators[key.address] = process
        return process

    async def kill(self, operator: str) -> None:
        await self.operators[bytes.fromhex(operator[2:])].kill()

    def records(self, operator: str) -> Path:
        return self.folder / f"{operator}.records"

    # --- the requester ---

    async def local(self, *words: str) -> asyncio.subprocess.Process:
        """A command of ``genvm local``, under way."""
        arguments = (f"--config={self.config}", "local", "--db", str(self.folder / "local.db"), *words, "--json")
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pygenvm.cli.main", *arguments, stdout=asyncio.subprocess.PIPE
        )

    async def update(self, *words: str) -> asyncio.subprocess.Process:
        """A call that operators are to judge."""
        service = (f"--service={self.base}", self.own(REQUESTER_KEY)[0], f"--model-spec=0x{SPEC.hex()}")
        return await self.local("call", "update", "--validators=5", "--threshold=3", *service, *words)

    # --- a round ---

    async def drawn(self) -> dict[str, Any]:
        """The task of the request that waits, in a block. Its operators wait for what they find."""
        self.web.prices.clear()
        await self.waiting(1)
        await self.blocks()
        (task,) = (await self.get("/tasks"))["tasks"]
        return dict(task)

    async def committed(self, task: dict[str, Any], prices: Sequence[float | None]) -> None:
        """Up to the block with the commits of those who have a price; in the order of selection."""
        self.web.prices.update(zip(task["operators"], prices, strict=True))
        await self.waiting(sum(price is not None for price in prices))
        await self.blocks()

    async def settled(self, task: dict[str, Any], reveals: int) -> dict[str, Any]:
        await self.to_height(task["commitDeadline"] + 1)
        await self.waiting(reveals)
        await self.blocks()
        await self.to_height(task["revealDeadline"] + 2)
        return dict(await self.get(f"/tasks/{task['taskId']}"))

    async def round(self, prices: Sequence[float | None]) -> dict[str, Any]:
        task = await self.drawn()
        await self.committed(task, prices)
        return await self.settled(task, sum(price is not None for price in prices))


async def ended(process: asyncio.subprocess.Process) -> tuple[int, Any]:
    """Exit code and document of a command."""
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    return process.returncode or 0, json.loads(output)


@asynccontextmanager
async def market(folder: Path) -> AsyncIterator[Market]:
    """Operators run, and blocks are made when the test asks for them."""
    (folder / "genesis.json").write_text(json.dumps(GENESIS))
    web, config = Web(), folder / "genvm.yaml"
    async with aiohttp.ClientSession() as http:
        with serving_module(web) as server:
            config.write_text(executor_config(load_config(None), {"web": server.address}))
            found = Market(folder, http, web, config)
            try:
                await found.start()
                await found.register_all()
                for key in KEYS:
                    await found.judge("0x" + key.address.hex())
                yield found
            finally:
                for process in found.operators.values():
                    await process.kill()
                await found.service.kill()
