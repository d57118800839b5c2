"""Many runs of many clients at a time: none is lost, whoever came first goes first, and nothing is left behind.

``python -m tests.manager.load RUNS CLIENTS [KILLS]`` does so by hand, with a Python contract; so many executors are
killed meanwhile. Exit code 1 if a rule was broken.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from pygenvm.executor.host_protocol.server import listen
from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.runner.contract_file import read_contract
from pygenvm.manager.client import ManagerClient
from tests.manager.process import TIMESTAMP, ManagerProcess, descendants, manager_process
from tests.support.execution import HOST_DATA, config_file, message_json
from tests.support.hosts import InMemoryHost
from tests.support.paths import EXAMPLES
from tests.support.running import until


@dataclass
class Load:
    """What :func:`carry_out` has seen."""

    returned: int = 0
    killed: int = 0
    seconds: float = 0.0
    #: Of each run, from its request until its status.
    latencies: list[float] = field(default_factory=list)
    #: Resident memory and open files of the manager, every now and then; nothing runs at the first and the last.
    resident: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    processes: tuple[int, int] = (0, 0)
    #: Ids in the order in which their executors were started.
    order: list[int] = field(default_factory=list)

    def check(self, runs: int) -> None:
        assert self.returned + self.killed == runs, (self.returned, self.killed)
        assert len(self.order) == runs
        assert self.order == sorted(self.order), "somebody was served before his turn"
        assert self.files[-1] <= self.files[0], self.files
        assert self.processes[0] == self.processes[1], self.processes

    def __str__(self) -> str:
        ordered = sorted(self.latencies)
        return (
            f"{self.returned} returned, {self.killed} killed in {self.seconds:.1f} s, "
            f"{len(ordered) / self.seconds:.1f} a second; latency median {statistics.median(ordered):.3f} s, "
            f"slowest {ordered[-1]:.3f} s\n"
            f"resident MiB: {', '.join(f'{size / (1 << 20):.1f}' for size in self.resident)}\n"
            f"open files: {self.files}; processes: {self.processes}"
        )


def carry_out(manager: ManagerProcess, code: bytes, data: bytes, runs: int, clients: int, *, kills: int = 0) -> Load:
    """``clients`` ask for one run after the other; ``data`` is the calldata of the contract ``code``."""
    load = Load()
    asyncio.run(_Clients(manager, load, code, data, kills).work(runs, clients))
    manager.idle()
    until(lambda: len(manager.descendants()) <= load.processes[0], "processes are left")
    load.processes = (load.processes[0], len(manager.descendants()))
    until(lambda: manager.open_files() <= load.files[0], "files are left open")
    load.files.append(manager.open_files())
    load.resident.append(manager.resident())
    load.order = [record["genvm_id"] for record in manager.log if record["message"] == "genvm started"][-runs:]
    return load


class _Clients:
    def __init__(self, manager: ManagerProcess, load: Load, code: bytes, data: bytes, kills: int) -> None:
        self._manager = manager
        self._load = load
        self._code = code
        self._data = data
        self._kills = kills

    def _host(self) -> InMemoryHost:
        host = InMemoryHost(calldata=self._data)
        host.put_code(self._code)
        return host

    async def work(self, runs: int, clients: int) -> None:
        left = iter(range(runs))
        with tempfile.TemporaryDirectory(prefix="load-") as folder:
            async with ManagerClient(f"http://{self._manager.address}") as client:
                # Everything is loaded, and the connection is there.
                await self._run(client, f"{folder}/first.sock")
                self._load.latencies.clear()
                self._load.returned = 0
            await asyncio.to_thread(self._settle)
            self._measure()
            begun = time.monotonic()
            killing = asyncio.create_task(self._kill())
            async with ManagerClient(f"http://{self._manager.address}") as client:

                async def one_after_the_other(number: int) -> None:
                    for count in left:
                        await self._run(client, f"{folder}/{number}.sock")
                        if count % max(1, runs // 8) == 0:
                            self._measure()

                await asyncio.gather(*(one_after_the_other(number) for number in range(clients)))
            killing.cancel()
            self._load.seconds = time.monotonic() - begun

    def _settle(self) -> None:
        self._manager.idle()
        until(lambda: len(self._manager.descendants()) == 3, "not the template and two idle executors")
        self._load.processes = (3, 0)

    def _measure(self) -> None:
        self._load.resident.append(self._manager.resident())
        self._load.files.append(self._manager.open_files())

    async def _run(self, client: ManagerClient, path: str) -> None:
        """As nodes do it: a host of its own, DELETE right after the result, and GET."""
        begun = time.monotonic()
        host = self._host()
        message = json.loads(message_json())
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        async with listen(lambda: host, f"unix://{path}") as listener:
            run = await client.run(
                message=message,
                host=listener.address,
                host_data=HOST_DATA,
                timestamp=TIMESTAMP,
                extra_args=["--print=result"],
            )
            session = asyncio.ensure_future(listener.session())
            status = None
            # One that dies before it connects is found out by asking; a status is given once.
            while status is None and not (await asyncio.wait((session,), timeout=1))[0]:
                status = await client.status_of(run)
            consumed = status is None and session.result().consumed
            if status is None:
                assert await client.stop(run, wait_ms=20)
                status = await client.status_of(run)
            session.cancel()
        assert status is not None
        if consumed:
            assert isinstance(host.outcome, Return), host.outcome
            assert host.fields_of(HostMethod.STORAGE_WRITE)
            assert status.stdout.startswith("executed with `Return("), status
            self._load.returned += 1
        else:
            self._load.killed += 1
        self._load.latencies.append(time.monotonic() - begun)

    async def _kill(self) -> None:
        random_ = random.Random(1)
        for _ in range(self._kills):
            await asyncio.sleep(0.2)
            (template,) = [pid for pid in descendants(self._manager.pid) if _parent(pid) == self._manager.pid]
            if executors := descendants(template):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(random_.choice(executors), signal.SIGKILL)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def main(runs: int, clients: int, kills: int) -> int:
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        root = Path(folder)
        config = {"permits": 8, "executor_config": str(config_file(root, built=True)), "idle_executors": 2}
        with manager_process(root, config=config) as manager:
            code = read_contract(EXAMPLES / "storage.py")
            data = calldata.encode({"method": "update_storage", "args": ["text"]})
            load = carry_out(manager, code, data, runs, clients, kills=kills)
            print(load)
            load.check(runs)
            assert manager.end() == 0
            assert manager.stderr.read_text() == ""
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0))
