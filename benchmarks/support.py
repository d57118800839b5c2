"""Everything that runs a contract for a benchmark: nodes, runs in this process, in new processes and from a pool."""

from __future__ import annotations

import asyncio
import base64
import compileall
import contextlib
import itertools
import json
import os
import pty
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.config import cache_root
from pygenvm.executor.host_protocol.client import HostClient
from pygenvm.executor.host_protocol.result import decode_result
from pygenvm.executor.log import Logger
from pygenvm.executor.message import Message
from pygenvm.executor.module_protocol.client import ModuleClient
from pygenvm.executor.module_protocol.codec import Hello
from pygenvm.executor.observer import NOBODY, Observer, combined
from pygenvm.executor.outcome import Outcome, Return
from pygenvm.executor.pool.client import ExecutorPool
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import CODE_SLOT
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.run.console import ProcessConsole
from pygenvm.executor.run.ending import Ending
from pygenvm.executor.run.process import start_vm_thread
from pygenvm.executor.run.supervisor import RunOptions
from pygenvm.executor.run.world import Parts, assemble
from pygenvm.executor.runner.archive import Archive
from pygenvm.executor.runner.registry import InstalledRunners
from pygenvm.executor.spawn.process import own_command
from pygenvm.executor.subvm import linear
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.subvm.spec import Permissions
from pygenvm.executor.subvm.wasmtime_c import Linker

T = TypeVar("T")

HOST_DATA = {"node_address": "0x", "tx_id": "0x"}
#: Nobody listens there: no contract of ours asks a module.
NO_MODULE = "ws://127.0.0.1:9"
_CONTRACT, _SENDER = (base64.b64encode(bytes([n]) + bytes(19)).decode() for n in (1, 2))


class BenchmarkError(Exception):
    """What was measured did not do what it should."""


def message_json() -> str:
    return json.dumps(
        {
            "contract_address": _CONTRACT,
            "sender_address": _SENDER,
            "origin_address": _SENDER,
            "chain_id": "0",
            "value": 0,
            "is_init": False,
            "datetime": "2026-11-20T00:00:00Z",
        }
    )


def call(method: str, *arguments: Any) -> bytes:
    """Calldata of a call."""
    return calldata.encode({"method": method, "args": list(arguments)})


# --- nodes ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Report:
    """What a node knows of one run."""

    result_at: float
    """When the result arrived, by this machine's :func:`time.perf_counter`."""
    memory: Mapping[str, int] | None
    """Of the executor, in the middle of the call."""


class Node:
    """A node in a child process (:mod:`benchmarks.node`)."""

    def __init__(self, process: subprocess.Popen[bytes], address: str) -> None:
        self.address = address
        """Value for ``--host``."""
        self._process = process

    def report(self) -> Report:
        """Waits for the end of the next run.

        :raises BenchmarkError: it brought something else than a Return.
        """
        line = json.loads(self._line())
        if line["result"] is None:
            raise BenchmarkError("the executor has delivered no result")
        outcome = decode_result(bytes.fromhex(line["result"])).outcome
        if not isinstance(outcome, Return):
            raise BenchmarkError(f"the contract ended with {outcome}")
        return Report(line["at"], line["memory"])

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkError("the node has died")
        return line


@contextlib.contextmanager
def node(
    code: bytes = b"",
    calldata: bytes = b"\0",
    *,
    hot_slot: bytes = b"",
    hot_length: int = 0,
    echo_length: int = 0,
    samples_memory: bool = False,
) -> Iterator[Node]:
    """A node whose contract has ``code`` and is called with ``calldata``.

    ``hot_length`` bytes are what reads of ``hot_slot`` bring; with ``echo_length`` it sends that many bytes for
    anything that it gets.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        setup = {
            "path": str(Path(folder, "host.sock")),
            "calldata": calldata.hex(),
            "storage": {CODE_SLOT.hex(): (len(code).to_bytes(4, "little") + code).hex()},
            "hot_slot": hot_slot.hex(),
            "hot_length": hot_length,
            "echo_length": echo_length,
            "samples_memory": samples_memory,
        }
        command = [sys.executable, "-P", "-m", "benchmarks.node"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=own_environment()) as process:
            try:
                assert process.stdin is not None
                process.stdin.write(json.dumps(setup).encode() + b"\n")
                process.stdin.flush()
                made = Node(process, f"unix://{setup['path']}")
                made._line()
                yield made
            finally:
                process.kill()


# --- in this process --------------------------------------------------------------------------------


class _VmTimes(Observer):
    """Of each run, how many seconds the main VM took, from making it to its result."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def vm_ended(self, outcome: Outcome | None, depth: int, begun: int, ended: int) -> None:
        if depth == 0:
            self.seconds.append((ended - begun) / 1e9)


class InProcess:
    """Runs as an executor that has loaded everything before does them, on the calling thread.

    That thread must be one of :func:`on_vm_thread`.
    """

    def __init__(
        self,
        node: Node,
        artefacts: ArtefactStore | None = None,
        *,
        observer: Observer = NOBODY,
        host_functions: Linker | None = None,
    ) -> None:
        root = cache_root()
        self._node = node
        self._folders = root / "runners", root / "registry"
        self._artefacts = artefacts or ArtefactStore(root / "executor" / "artefacts")
        self._archives: dict[str, Archive] = {}
        self._log = Logger(fd=os.open(os.devnull, os.O_WRONLY), level="error")
        self._message = message_json()
        self._observer = observer
        self._host_functions = host_functions
        self._vm_times = _VmTimes()
        self._hello = Hello("", dict(HOST_DATA))

    @property
    def vm_seconds(self) -> list[float]:
        """Of each run, the time of its main VM."""
        return self._vm_times.seconds

    def run(self) -> float:
        """Seconds of one run: connecting, all requests, a new sub-VM, the result acknowledged.

        :raises BenchmarkError: it did not end with a Return.
        """
        begun = time.perf_counter()
        # Requests of runs that nobody watches cost what they cost in an executor.
        with contextlib.closing(HostClient.connect(self._node.address, self._observer)) as host:
            parts = Parts(
                host=host,
                ending=Ending(),
                web=ModuleClient("web", NO_MODULE, self._hello),
                llm=ModuleClient("llm", NO_MODULE, self._hello),
                artefacts=self._artefacts,
                open_runners=self._open_registry,
                console=ProcessConsole(self._log),
                observer=combined([self._vm_times, self._observer]),
                host_functions=self._host_functions,
            )
            options = RunOptions(Permissions.parse("rwscn"))
            supervisor = assemble(Message.parse(self._message), options, parts, self._log)
            supervisor.start_up()
            result = supervisor.run()
            host.consume_result(result.payload())
            seconds = time.perf_counter() - begun
            supervisor.close()
        # As executors do that carry out runs one after the other.
        linear.restore()
        self._node.report()
        return seconds

    def _open_registry(self) -> InstalledRunners:
        return InstalledRunners(*self._folders, debug=False, known=self._archives)


def on_vm_thread(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises on a thread like the one of an executor."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    start_vm_thread(run)
    return done.result()


# --- processes --------------------------------------------------------------------------------------


def own_environment() -> dict[str, str]:
    """Ours, with the folder of the clone on the path: the benchmarks themselves are not installed."""
    path = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def compile_own_packages() -> None:
    """Write the bytecode of our modules, as an installer does; changed sources would be compiled in each process.

    Python does that itself, but not under PYTHONDONTWRITEBYTECODE.
    """
    root = Path(__file__).parents[1]
    # compileall does not follow links; the SDK is for another Python.
    links = [path for path in (root / "pygenvm").iterdir() if path.is_symlink() and path.name != "sdk"]
    for folder in (root / "benchmarks", *links):
        compileall.compile_dir(folder, quiet=2, maxlevels=7)
    compileall.compile_file(root / "pygenvm" / "__init__.py", quiet=2)


def process_seconds(command: Sequence[str]) -> float:
    """From the start of a program to its end.

    :raises BenchmarkError: it failed.
    """
    with tempfile.TemporaryFile() as output:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=own_environment()
        )
        status = process.wait()
        seconds = time.perf_counter() - begun
        if status != 0:
            raise BenchmarkError(f"{command[0]} ended with {status}: {_tail(output)}")
    return seconds


def typed(command: Sequence[str]) -> None:
    """A program at a terminal, to its end.

    :raises BenchmarkError: it failed.
    """
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(command, stdin=theirs, stdout=theirs, stderr=theirs, env=own_environment())
    finally:
        os.close(ours)
        os.close(theirs)
    if done.returncode:
        raise BenchmarkError(f"{command[0]} ended with {done.returncode}")


def python_seconds(program: str) -> float:
    """A bare ``python -c``, by the interpreter that also runs us."""
    return process_seconds([sys.executable, "-c", program])


def genvm_command() -> list[str]:
    """The installed console script, or the module that it starts."""
    script = Path(sys.executable).parent / "genvm"
    return [str(script)] if script.is_file() else own_command()


def run_words(node: Node) -> list[str]:
    """``genvm run`` for a node."""
    words = ["run", "--host", node.address, "--message", message_json(), "--host-data", json.dumps(HOST_DATA)]
    return [*genvm_command(), "--log-level=error", *words]


@contextlib.contextmanager
def pool_of_user() -> Iterator[None]:
    """A pool to which every :func:`run_words` hands itself over.

    :raises BenchmarkError: one did not.
    """
    with tempfile.TemporaryFile() as log:
        words = [*genvm_command(), "--log-level=info", "pool"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, env=own_environment()) as process:
            try:
                assert process.stdout is not None
                if process.stdout.readline():
                    yield
            finally:
                process.kill()
        if said := _tail(log):
            raise BenchmarkError(f"the pool does not work: {said}")


# --- pools ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PooledCall:
    """Times by :func:`time.perf_counter`."""

    pid: int
    begun: float
    result_at: float
    ended: float
    memory: Mapping[str, int] | None


class Pool:
    """An :class:`ExecutorPool` that is driven by one call after the other; made by :func:`pool`."""

    def __init__(self, executors: ExecutorPool, loop: asyncio.Runner, output: IO[bytes]) -> None:
        self._executors = executors
        self._loop = loop
        self._output = output
        self._cookies = itertools.count()

    def call(self, node: Node) -> PooledCall:
        """One run against ``node``, from handing over the job to the end of the executor.

        :raises BenchmarkError: it did not end with a Return.
        """
        begun, pid, status, ended = self._loop.run(self._call(node))
        if status != 0:
            raise BenchmarkError(f"the executor ended with {status}: {_tail(self._output)}")
        report = node.report()
        return PooledCall(pid, begun, report.result_at, ended, report.memory)

    async def _call(self, node: Node) -> tuple[float, int, int, float]:
        output = self._output.fileno()
        begun = time.perf_counter()
        arguments = RunArguments(
            message=message_json(), host=node.address, host_data=json.dumps(HOST_DATA), cookie=f"{next(self._cookies)}"
        )
        run = await self._executors.run(arguments, stdout=output, stderr=output, log=output)
        status = await run.wait()
        return begun, run.pid, status, time.perf_counter()

    def calls(self, nodes: Sequence[Node], count: int) -> tuple[float, list[Report]]:
        """Seconds for so many runs, one at a time against each node, and what the nodes know of them.

        :raises BenchmarkError: one did not end with a Return.
        """

        async def work() -> tuple[float, list[Report]]:
            left = iter(range(count))
            reports: list[Report] = []
            begun = time.perf_counter()

            async def one_after_the_other(node: Node) -> None:
                for _ in left:
                    await self._call(node)
                    reports.append(node.report())

            await asyncio.gather(*map(one_after_the_other, nodes))
            return time.perf_counter() - begun, reports

        return self._loop.run(work())

    @property
    def template(self) -> int:
        """Process id of the template."""
        pid = self._executors.pid
        assert pid is not None
        return pid

    def executors(self) -> list[int]:
        """Process ids of the executors."""
        children = Path(f"/proc/{self.template}/task/{self.template}/children").read_text(encoding="ascii")
        return [int(word) for word in children.split()]


@contextlib.contextmanager
def pool(command: Sequence[str] | None = None, idle: int = 2) -> Iterator[Pool]:
    """``command``: an executor with its global options."""
    given = own_command(["--log-level=error"]) if command is None else command
    with (
        tempfile.TemporaryFile() as output,
        contextlib.closing(ExecutorPool(given, idle=idle, environment=own_environment())) as executors,
        asyncio.Runner() as loop,
    ):
        executors.start()
        yield Pool(executors, loop, output)


def _tail(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read().decode("utf-8", "replace")[-2000:].strip()


def contract_address() -> Address:
    """Of the contract that nodes have."""
    return Address(base64.b64decode(_CONTRACT))
