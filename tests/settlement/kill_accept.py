"""Kills a process that accepts blocks, again and again, and looks at what it leaves.

``python -m tests.settlement.kill_accept sqlite --times 200``. Each time the state must be that of the last block that
was told to be accepted, or of the one after it, to the byte: the same as that of a chain that carried out the same
blocks in peace.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.postgres import running_server
from pygenvm.settlement.blocks.chain import Chain
from pygenvm.settlement.blocks.transactions import ImportIntent, WithdrawRewards
from pygenvm.settlement.state.memory import MemoryStore
from pygenvm.settlement.state.opening import open_store
from pygenvm.settlement.types.constants import ESCROW_ACCOUNT
from pygenvm.settlement.types.words import ZERO
from tests.settlement.chains import ETHER, GENESIS, KEYS, OPERATOR_KEYS, REQUESTER, Net, contents, new_chain
from tests.settlement.engines import intent

RICH = replace(GENESIS, balances={**GENESIS.balances, REQUESTER: 10_000 * ETHER})
#: A store gets so many lives before the next one starts from nothing.
LIVES = 20


def work(chain: Chain, told: int) -> None:
    """Blocks full of all there is, and the height of each on a pipe once it is accepted. Never ends."""
    net = Net(chain)
    while True:
        net.nonces = {address: chain.nonce(address) for address in KEYS}
        height = chain.tip.height + 1
        if height == 1:
            net.register_all()
            continue
        net.send(REQUESTER, ImportIntent(intent(REQUESTER, c_tx=height)))
        engine = chain.engine()
        committing = engine.task_for_intent(intent(REQUESTER, c_tx=height - 1).intent_id)
        if any(committing):
            for operator in engine.selection(committing):
                net.commit(committing, operator, 1)
        revealing = engine.task_for_intent(intent(REQUESTER, c_tx=height - 31).intent_id) if height > 32 else ZERO
        if any(revealing):
            for operator in engine.selection(revealing)[:4]:
                net.reveal(revealing, operator, 1)
        for key in OPERATOR_KEYS[:2]:
            if engine.credit(key.address):
                net.send(key.address, WithdrawRewards())
        net.block()
        os.write(told, f"{chain.tip.height}\n".encode())


def one_life(name: str, chance: random.Random) -> int:
    """Lets a process work on the store, kills it, and returns the last height that it told."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            work(new_chain(open_store(name), RICH), writing)
        finally:
            os._exit(1)
    os.close(writing)
    heights = b""
    try:
        heights = os.read(reading, 1 << 16)
        assert heights, "the process died by itself"
        time.sleep(chance.uniform(0, 0.05))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while more := os.read(reading, 1 << 16):
            heights += more
        os.close(reading)
    return int(heights.split()[-1])


def check(name: str, reference: Chain, told: int) -> bool:
    """Whether the block after the told one is there; ``AssertionError`` if it is something between."""
    store = open_store(name)
    chain = new_chain(store, RICH)
    assert chain.tip.height in (told, told + 1), (chain.tip.height, told)
    for height in range(reference.tip.height + 1, chain.tip.height + 1):
        block_id = chain.block_id_at(height)
        assert block_id is not None
        block = chain.block(block_id)
        assert block is not None
        reference.verify(block)
        reference.accept(block_id)
    assert contents(store) == contents(reference._store)
    engine = chain.engine()
    assert engine.total() == sum(RICH.balances.values())
    stakes = sum(engine.operator(key.address).stake for key in OPERATOR_KEYS)
    credits = sum(engine.credit(address) for address in KEYS)
    asked = (intent(REQUESTER, c_tx=number).intent_id for number in range(1, chain.tip.height + 1))
    tasks = [task for task in map(engine.task_for_intent, asked) if any(task)]
    assert engine.balance(ESCROW_ACCOUNT) == stakes + credits + sum(engine.task(task).escrow for task in tasks)
    store.close()
    return chain.tip.height > told


@contextmanager
def stores(kind: str) -> Iterator[Iterator[str]]:
    """Names of fresh stores."""
    if kind == "postgres":
        with running_server() as server:
            yield iter(server.database, "")
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield (str(Path(folder) / f"{number}.db") for number in range(1 << 30))


def kill(kind: str, times: int, seed: int) -> str:
    chance, unacknowledged = random.Random(seed), 0
    with stores(kind) as names:
        for life in range(times):
            if life % LIVES == 0:
                name, reference = next(names), new_chain(MemoryStore(), RICH)
            told = one_life(name, chance)
            unacknowledged += check(name, reference, told)
    return f"{times} kills on {kind}: {unacknowledged} left the next block, the others the last one; none between"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", choices=("sqlite", "postgres"))
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(kill(options.store, options.times, options.seed))


if __name__ == "__main__":
    main()
