"""Kills a network under load, again and again: ``python -m tests.localnet.network.killing 100``.

What it has acknowledged must be there afterwards, every transaction must have had its effects once, and no value may
have appeared or vanished.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.chain.network import Network
from pygenvm.localnet.chain.network.history import OPEN
from pygenvm.localnet.chain.network.types import NetworkOptions, Submission, TxKind, TxStatus
from tests.localnet.localnet_fakes import FakeExecutor
from tests.localnet.network.conftest import ALICE, BOB, CAROL, PROGRAM, Driver, World, program

CONTRACTS = 4
CLIENTS = 8
ACCOUNTS = (ALICE, BOB, CAROL)


def _network(path: Path) -> tuple[Network, Driver]:
    world = World()
    executor = FakeExecutor({PROGRAM: program(world)})
    # To the disk: only then there is a moment in which a process can be killed.
    options = NetworkOptions(finality_window=0.1, settle=False, lock_seconds=30)
    network = Network(path, executor=executor, options=options, on_error=lambda text: print(text, file=sys.stderr))
    return network, Driver(network, world, executor)


async def _serve(path: Path) -> None:
    """Prints the id of each transaction once it is acknowledged, for ever."""
    network, driver = _network(path)
    async with network:
        while len(await network.contracts()) < CONTRACTS:
            await driver.deploy()
        contracts = [info.address for info in await network.contracts()]
        print("ready", flush=True)
        await asyncio.gather(*(_client(driver, contracts) for _ in range(CLIENTS)))


async def _client(driver: Driver, contracts: list[Address]) -> None:
    while True:
        sender, contract, other = random.choice(ACCOUNTS), random.choice(contracts), random.choice(contracts)
        match random.randrange(4):
            case 0:
                id = await driver.network.submit(Submission(TxKind.TRANSFER, sender, random.choice(ACCOUNTS), value=1))
            case 1:
                steps = [["add", 1], ["post", other, [["add", 1]], 2, random.choice(["accepted", "finalized"])]]
                id = await driver.submit(TxKind.CALL, contract, *steps, sender=sender, value=3)
            case 2:
                id = await driver.submit(TxKind.CALL, contract, ["add", 1], ["fail"], sender=sender, value=1)
            case _:
                id = await driver.submit(TxKind.CALL, contract, ["add", 1], sender=sender, value=1)
        print(id.hex(), flush=True)
        await asyncio.sleep(random.random() * 0.05)


def _kill_one(path: Path, seconds: float) -> list[str]:
    """What one process has acknowledged in so many seconds."""
    command = [sys.executable, "-m", "tests.localnet.network.killing", "--serve", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready == "ready\n", ready
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        lines = process.stdout.read().split("\n")
    assert process.returncode == -signal.SIGKILL
    return [line for line in lines if len(line) == 64]


async def _examine(path: Path, acknowledged: list[str]) -> str:
    network, driver = _network(path)
    async with network:
        async with asyncio.timeout(300):
            # Reading all of them would leave it no time for its work.
            while await network.ask(lambda store: store.summaries(f"{OPEN} ORDER BY seq", limit=1)):
                await asyncio.sleep(1.0)
        transactions = await network.recent(1_000_000)
        assert all(tx.status in (TxStatus.FINALIZED, TxStatus.CANCELED) for tx in transactions)
        await network.check()
        known = {tx.id.hex() for tx in transactions}
        assert len(known) == len(transactions)
        lost = [id for id in acknowledged if id not in known]
        assert not lost, f"{len(lost)} acknowledged transactions are lost"
        for info in await network.contracts():
            effective = [
                tx
                for tx in transactions
                if tx.kind is TxKind.CALL and tx.recipient == info.address and tx.leader and tx.leader.succeeded
            ]
            assert await driver.get(info.address) == len(effective)
        sent = sum(len(tx.leader.messages) for tx in transactions if tx.leader and tx.leader.succeeded)
        children = [tx for tx in transactions if tx.triggered_by]
        assert len(children) == sent
        log = await network.ask(lambda store: store.transaction_count())
        assert log >= len(acknowledged) // 4
        return (
            f"{len(acknowledged)} transactions acknowledged by processes that were killed, {len(transactions)} there,"
            " 0 lost, 0 twice"
        )


def kill(times: int, path: Path, *, seconds: float = 0.6) -> str:
    """Kills so many processes, and says what was found."""
    acknowledged: list[str] = []
    for _ in range(times):
        acknowledged += _kill_one(path, random.uniform(0.02, seconds))
    return asyncio.run(_examine(path, acknowledged))


def main() -> None:
    if sys.argv[1] == "--serve":
        asyncio.run(_serve(Path(sys.argv[2])))
        return
    with tempfile.TemporaryDirectory() as folder:
        print(kill(int(sys.argv[1]), Path(folder, "net.db")))


if __name__ == "__main__":
    main()
