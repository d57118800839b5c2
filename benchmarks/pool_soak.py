"""Many calls through one pool: how long they take, and whether anything grows.

    python -m benchmarks.pool_soak [--calls N] [--rounds N]

A call is a storage write of an example contract, against a node in this process, from the hand-over of the job to the
end of the executor; `result` is the time until the node has the result. Among the calls stand as many starts of a bare
`python -c "import json"` as there are calls / 10, by whose median a call is judged: at most 1.0 of it (design §7).

`idle` is what is resident in an idle executor, at most 60 MiB; `call` is the memory of its own that an executor has
at the end of a call, at most 15 MiB more than the idle one's. Nothing may grow from round to round.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from executor import calldata
from executor.host_protocol.server import listen
from executor.pool.client import ExecutorPool
from executor.process import RunArguments
from localnet.executor_process import own_command, own_environment
from tests.support.execution import HOST_DATA, message_json
from tests.support.hosts import InMemoryHost

CONTRACT = Path(__file__).parents[1] / "examples" / "contracts" / "storage.py"
CALLS_PER_BASELINE = 10
SETTLE_SECONDS = 0.5
COLUMNS = (
    "calls",
    "call ms",
    "result ms",
    "json ms",
    "ratio",
    "template MiB",
    "idle MiB",
    "call MiB",
    "files",
    "procs",
)


class Node(InMemoryHost):
    """Notes when a result arrives, and calls `at_end` first."""

    result_at = 0.0
    at_end: Callable[[], None] | None = None

    async def consume_result(self, result: bytes) -> None:
        self.result_at = time.perf_counter()
        if self.at_end is not None:
            self.at_end()
        await super().consume_result(result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1000, metavar="N")
    parser.add_argument("--rounds", type=int, default=10, metavar="N")
    options = parser.parse_args()
    asyncio.run(soak(options.calls // options.rounds, options.rounds))


async def soak(calls: int, rounds: int) -> None:
    table = Table(*COLUMNS, title="one pool of executors")
    node = Node(calldata=calldata.encode({"args": ["first"]}))
    node.put_code(CONTRACT.read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        async with (
            listen(lambda: node, f"unix://{folder}/host.sock") as listener,
            ExecutorPool(own_command(["--log-level=error"]), environment=own_environment()) as pool,
        ):
            await one_call(pool, listener.address, node, is_init=True)
            node.calldata = calldata.encode({"method": "update_storage", "args": ["another text"]})
            for number in range(rounds):
                table.add_row(str((number + 1) * calls), *await one_round(pool, listener.address, node, calls))
    Console(width=140).print(table)


async def one_round(pool: ExecutorPool, address: str, node: Node, calls: int) -> list[str]:
    ends, results, baseline = [], [], []
    for number in range(calls):
        if number % CALLS_PER_BASELINE == 0:
            baseline.append(await asyncio.to_thread(start_of_python))
        begun, ended = await one_call(pool, address, node)
        results.append(node.result_at - begun)
        ends.append(ended - begun)
    await asyncio.sleep(SETTLE_SECONDS)
    template = pool.pid
    assert template is not None
    idle = children(template)
    idle_memory = [memory(pid)["Rss"] for pid in idle]
    own = statistics.mean(memory(pid)["Private_Dirty"] for pid in idle)
    call_memory = await memory_of_a_call(pool, address, node) - own
    median = statistics.median
    files = [len(os.listdir(f"/proc/{pid}/fd")) for pid in (template, os.getpid())]
    return [
        *(f"{median(times) * 1000:.1f}" for times in (ends, results, baseline)),
        f"{median(ends) / median(baseline):.2f}",
        *(f"{size:.1f}" for size in (memory(template)["Rss"], max(idle_memory), call_memory)),
        f"{files[0]}+{files[1]}",
        str(1 + len(idle)),
    ]


async def one_call(pool: ExecutorPool, address: str, node: Node, *, is_init: bool = False) -> tuple[float, float]:
    """When it began and when the executor was gone."""
    given = RunArguments(message=message_json(is_init=is_init), host=address, host_data=json.dumps(HOST_DATA))
    node.requests.clear()
    begun = time.perf_counter()
    run = await pool.run(given, stdout=1, stderr=2, log=2)
    status = await run.wait()
    ended = time.perf_counter()
    assert (status, node.result and node.result[0]) == (0, 0), f"status {status}, result {node.result!r}"
    return begun, ended


async def memory_of_a_call(pool: ExecutorPool, address: str, node: Node) -> float:
    """MiB that only the executor of one call has, at its end."""
    found: list[float] = []
    template = pool.pid
    assert template is not None
    node.at_end = lambda: found.append(max(memory(pid)["Private_Dirty"] for pid in children(template)))
    await one_call(pool, address, node)
    node.at_end = None
    return found[0]


def start_of_python() -> float:
    program = os.path.realpath(sys.executable)
    begun = time.perf_counter()
    subprocess.run([program, "-c", "import json"], check=True)
    return time.perf_counter() - begun


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def memory(pid: int) -> dict[str, Any]:
    """MiB by kind."""
    found = {"Rss": 0.0, "Private_Dirty": 0.0}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, value = line.split(":")
            found[name] = int(value.split()[0]) / 1024
    return found


if __name__ == "__main__":
    main()
