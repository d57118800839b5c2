"""Networks for tests, most of them with contracts that are small Python functions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.host_protocol.host import HostErrorReply
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import StorageType
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.chain import accounts, calldata_of_call
from pygenvm.localnet.chain.network import Network
from pygenvm.localnet.chain.network.types import (
    NetworkOptions,
    NetworkTransaction,
    Submission,
    TxKind,
    TxStatus,
    Variant,
)
from tests.localnet.localnet_fakes import DATA_SLOT, FakeExecutor, Rollback, Run, Trap

ALICE, BOB, CAROL = (accounts.named()[name] for name in ("alice", "bob", "carol"))
PROGRAM = b"program"
PATIENCE = 20.0


@dataclass
class World:
    """What contracts find, and what holds them up."""

    sees: dict[str, Any] = field(default_factory=dict)
    """What a node (its name, or its address) finds in a nondet block; 42 where nothing else is said."""
    broken: dict[str, str] = field(default_factory=dict)
    """What the run of a node ends with: the message of a VM error."""
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    """Steps ``["wait", name]`` end when these are set."""
    waiting: dict[str, asyncio.Event] = field(default_factory=dict)
    runs: list[tuple[str, list[Any]]] = field(default_factory=list)
    """Node and steps of each run, in order."""


@dataclass
class Clock:
    """A wall clock that only tests move."""

    now: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def program(world: World) -> Callable[[Run], Awaitable[Any]]:
    """A contract that does what the arguments of its method ``do`` say, step by step."""

    async def number(run: Run, address: Address, kind: StorageType = StorageType.DEFAULT) -> int:
        return int.from_bytes(await run.host.storage_read(kind, address, DATA_SLOT, 0, 8), "big")

    async def run_it(run: Run) -> Any:
        result: Any = None
        if run.method == "get":
            return await number(run, run.address)
        steps = run.args[0] if run.args else []
        world.runs.append((run.node, steps))
        if broken := world.broken.get(run.node_address, world.broken.get(run.node)):
            raise Trap(broken)
        for step in steps:
            match step:
                case ["add", amount]:
                    value = await number(run, run.address) + amount
                    await run.write(0, value.to_bytes(8, "big"))
                    result = value
                case ["set", value]:
                    await run.write(0, value.to_bytes(8, "big"))
                case ["copy", address]:
                    await run.write(0, (await number(run, address)).to_bytes(8, "big"))
                case ["other", address]:
                    result = await number(run, address)
                case ["final", address]:
                    result = await number(run, address, StorageType.LATEST_FINAL)
                case ["post", to, steps_of, value, on]:
                    await run.post(to, "do", steps_of, value=value, on=on)
                case ["pay", to, value, on]:
                    await run.post(to, None, value=value, on=on)
                case ["send", to, value]:
                    await run.eth_send(to, value)
                case ["deploy", value, salt]:
                    await run.deploy(PROGRAM, value=value, salt=salt)
                case ["balance", address]:
                    result = await run.host.get_balance(address)
                case ["fail"]:
                    raise Rollback("no")
                case ["trap", message]:
                    raise Trap(message)
                case ["wait", name]:
                    world.waiting.setdefault(name, asyncio.Event()).set()
                    await world.gates.setdefault(name, asyncio.Event()).wait()
                case ["ask"]:
                    result = await ask(run)
        return result

    async def ask(run: Run) -> Any:
        seen = world.sees.get(run.node_address, world.sees.get(run.node, 42))
        own = b"\x00" + calldata.encode(seen)
        try:
            leader = await run.host.get_leader_nondet_result(0)
        except HostErrorReply:
            await run.host.post_nondet_result(0, own)
            return seen
        if leader != own:
            await run.host.notify_nondet_disagreement(0)
        return calldata.decode(leader[1:])

    return run_it


@dataclass
class Driver:
    """A network and short ways to use it."""

    network: Network
    world: World
    executor: FakeExecutor
    is_closed: bool = False

    async def submit(self, kind: TxKind, recipient: Address | None = None, *steps: Any, **more: Any) -> bytes:
        data = calldata_of_call(None if kind is TxKind.DEPLOY else "do", [list(steps)] if steps else [])
        sender = more.pop("sender", ALICE)
        code = PROGRAM if kind is TxKind.DEPLOY else b""
        made = Submission(kind, sender, recipient or Address(bytes(20)), calldata=data, code=code, **more)
        return await self.network.submit(made)

    async def deploy(self, *steps: Any, final: bool = False, **more: Any) -> Address:
        id = await self.submit(TxKind.DEPLOY, None, *steps, **more)
        transaction = await self.wait(id, TxStatus.FINALIZED if final else None)
        assert transaction.leader is not None
        assert transaction.leader.succeeded, transaction.leader.outcome
        return transaction.recipient

    async def do(self, contract: Address, *steps: Any, **more: Any) -> NetworkTransaction:
        return await self.wait(await self.submit(TxKind.CALL, contract, *steps, **more))

    async def wait(self, id: bytes, status: TxStatus | None = None) -> NetworkTransaction:
        return await self.network.wait(id, status=status, timeout=PATIENCE)

    async def get(self, contract: Address, variant: Variant = Variant.ACCEPTED) -> int:
        receipt = await self.network.read(contract, calldata_of_call("get"), variant=variant)
        assert receipt.ok, receipt.outcome
        return int(receipt.value)

    async def settle(self) -> None:
        """Waits until nothing is under way."""
        async with asyncio.timeout(PATIENCE):
            while await self.network.ask(lambda store: store.waiting()):
                await asyncio.sleep(0.01)


Opening = Callable[..., Any]


@pytest.fixture
def opening(tmp_path: Path) -> Opening:
    """Opens the network of this test, more than once if need be."""

    @asynccontextmanager
    async def opened(world: World | None = None, clock: Any = None, **options: Any) -> AsyncIterator[Driver]:
        world = world or World()
        executor = FakeExecutor({PROGRAM: program(world)})
        errors: list[str] = []
        options = {"finality_window": 1000.0, "durable": False, "settle": False, **options}
        network = Network(
            tmp_path / "net.db",
            executor=executor,
            options=NetworkOptions(**options),
            on_error=errors.append,
            **({"clock": clock} if clock else {}),
        )
        async with network:
            driver = Driver(network, world, executor)
            yield driver
            if not driver.is_closed:
                await network.check()
        assert not errors

    return opened


def run(work: Any) -> Any:
    """In an event loop of its own."""
    return asyncio.run(work)
