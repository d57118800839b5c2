"""The rows of docs/performance.md, one function each; it takes the number of rounds and gives what the table shows."""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgpack.fallback

from benchmarks import contracts
from benchmarks.authors import command_view, examples_suite, plugin_view
from benchmarks.localnet import localnet
from benchmarks.manager import manager_http, manager_run, manager_throughput
from benchmarks.measure import Numbers, Row, interleaved, scaled
from benchmarks.memory_of import memory_of
from benchmarks.numeric import numeric
from benchmarks.rendering import render
from benchmarks.services import llm_prompt, web_request
from benchmarks.settlement import settlement
from benchmarks.support import (
    BenchmarkError,
    InProcess,
    Node,
    call,
    contract_address,
    node,
    on_vm_thread,
    pool,
    pool_of_user,
    process_seconds,
    python_seconds,
    run_words,
)
from pygenvm.executor.host_protocol.client import HostClient
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import StorageType
from pygenvm.localnet.executors.pooled import PooledExecutor
from pygenvm.localnet.executors.process import ExecutorProcess
from pygenvm.localnet.net import LocalNet

MS, US, MB = 1e3, 1e6, 1e-6
_WARM_UP = 2


def in_process(rounds: int) -> list[Row]:
    """A new sub-VM in this process, with and without pre-initialisation."""
    with (
        node(contracts.hello(), call("hello")) as ours,
        node(contracts.hello_without_snapshot(), call("hello")) as plain,
    ):
        runs = {"ours": InProcess(ours), "plain": InProcess(plain)}
        whole = on_vm_thread(lambda: interleaved({name: one.run for name, one in runs.items()}, rounds, _WARM_UP))
    vm = {name: one.vm_seconds[_WARM_UP:] for name, one in runs.items()}
    common: dict[str, Any] = {
        "name": "in-process",
        "unit": "ms",
        "yardstick_is": "the same without pre-initialisation",
    }
    return [
        Row(
            title="hello-world contract, a new sub-VM until its result",
            ours=scaled(vm["ours"], MS),
            yardstick=scaled(vm["plain"], MS),
            ratio_at_most=1 / 22,
            value_at_most=5.0,
            **common,
        ),
        Row(
            title="the whole run in this process, from connecting to the result acknowledged",
            ours=scaled(whole["ours"], MS),
            yardstick=scaled(whole["plain"], MS),
            **common,
        ),
    ]


def images(rounds: int) -> list[Row]:
    """Contracts whose import is expensive, in this process, with and without an image."""
    kinds = [
        ("300-line contract", contracts.long(), 0.55),
        ("contract with eight dataclasses", contracts.dataclasses(), 0.25),
        ("contract that imports google.protobuf", contracts.protobuf(), 0.12),
    ]
    return [row for kind in kinds for row in _with_image(*kind, rounds)]


def _with_image(title: str, code: bytes, at_most: float, rounds: int) -> list[Row]:
    with node(code, call("hello")) as ours, node(contracts.without_image(code), call("hello")) as imported:
        runs = {"ours": InProcess(ours), "imported": InProcess(imported)}
        on_vm_thread(lambda: interleaved({name: one.run for name, one in runs.items()}, rounds, _WARM_UP))
    vm = {name: one.vm_seconds[_WARM_UP:] for name, one in runs.items()}
    return [
        Row(
            name="images",
            title=f"{title}, a new sub-VM until its result",
            unit="ms",
            ours=scaled(vm["ours"], MS),
            yardstick=scaled(vm["imported"], MS),
            yardstick_is="the same contract without an image: it asks for its message at its import",
            ratio_at_most=at_most,
        )
    ]


def pooled(rounds: int) -> list[Row]:
    """A storage write by a pre-started executor, from the hand-over of the job until the node has the result."""
    with node(contracts.storage(), call("update", "another text")) as host, pool() as executors:

        def ours() -> float:
            done = executors.call(host)
            return done.result_at - done.begun

        samples = interleaved({"ours": ours, "python": lambda: python_seconds("import json")}, rounds, warm_up=_WARM_UP)
    return [
        Row(
            name="pooled",
            title="storage write by a pre-started executor, hand-over to result",
            unit="ms",
            ours=scaled(samples["ours"], MS),
            yardstick=scaled(samples["python"], MS),
            yardstick_is='python3 -c "import json"',
            ratio_at_most=0.4,
            note="without the HTTP request of a manager",
        )
    ]


def pooled_image(rounds: int) -> list[Row]:
    """A write of a contract with eight dataclasses by a pre-started executor, with and without its image."""
    code, write = contracts.dataclasses(), call("method_0", 7, "another text")
    with node(code, write) as ours, node(contracts.without_image(code), write) as imported, pool() as executors:

        def seconds(host: Node) -> Callable[[], float]:
            def run() -> float:
                done = executors.call(host)
                return done.result_at - done.begun

            return run

        samples = interleaved({"ours": seconds(ours), "imported": seconds(imported)}, rounds, _WARM_UP)
    return [
        Row(
            name="pooled-image",
            title="contract with eight dataclasses, a write by a pre-started executor, hand-over to result",
            unit="ms",
            ours=scaled(samples["ours"], MS),
            yardstick=scaled(samples["imported"], MS),
            yardstick_is="the same contract without an image, by the same kind of executor",
            ratio_at_most=0.45,
        )
    ]


_RUNS = 60
#: Of two processors: 150 writes a second.
_THROUGHPUT_MS = 1000 / 150


def throughput(rounds: int) -> list[Row]:
    """Storage writes by a pool with all processors busy, and the memory of one of them."""
    processors = os.cpu_count() or 1
    # So many that there is always one that does not wait for an answer.
    at_once = 4 * processors
    with contextlib.ExitStack() as stack:
        nodes, watching = (
            [
                stack.enter_context(node(contracts.storage(), call("update", "text"), samples_memory=samples_memory))
                for _ in range(at_once)
            ]
            for samples_memory in (False, True)
        )
        executors = stack.enter_context(pool())
        programs = stack.enter_context(ThreadPoolExecutor(at_once))

        def python() -> float:
            begun = time.perf_counter()
            list(programs.map(python_seconds, ["import json"] * _RUNS))
            return time.perf_counter() - begun

        samples = interleaved({"ours": lambda: executors.calls(nodes, _RUNS)[0], "python": python}, rounds)
        _, reports = executors.calls(watching, _RUNS)
    found = [report.memory for report in reports if report.memory is not None]
    return [
        Row(
            name="throughput",
            title=f"one of {_RUNS} storage writes by a pool, {at_once} at a time",
            unit="ms",
            ours=scaled(samples["ours"], MS / _RUNS),
            yardstick=scaled(samples["python"], MS / _RUNS),
            yardstick_is=f'one of {_RUNS} times python3 -c "import json", as many at a time',
            value_at_most=_THROUGHPUT_MS * 2 / processors,
            note=f"{_RUNS / statistics.median(samples['ours']):.0f} per second",
        ),
        *(
            Row(
                name="throughput",
                title=f"memory of one of {at_once} runs, {what}",
                unit="MB",
                ours=scaled([float(memory[kind]) for memory in found], MB),
            )
            for kind, what in (("Private", "its own (private)"), ("Pss", "its share (PSS)"))
        ),
    ]


def cold(rounds: int) -> list[Row]:
    """``genvm run`` as a new process, the same storage write; and where it can hand itself over to a pool."""
    title = "storage write by `genvm run`, start to end of the process"
    alone = _cold(title, 5.0, rounds)
    with pool_of_user():
        handed_over = _cold(f"{title}, with a pool running", 2.5, rounds)
    return [alone, handed_over]


def _cold(title: str, at_most: float, rounds: int) -> Row:
    with node(contracts.storage(), call("update", "another text")) as host:
        command = run_words(host)

        def ours() -> float:
            seconds = process_seconds(command)
            host.report()
            return seconds

        samples = interleaved({"ours": ours, "python": lambda: python_seconds("pass")}, rounds, warm_up=_WARM_UP)
    return Row(
        name="cold",
        title=title,
        unit="ms",
        ours=scaled(samples["ours"], MS),
        yardstick=scaled(samples["python"], MS),
        yardstick_is="python3 -c pass",
        ratio_at_most=at_most,
    )


_HOT_SLOT = b"\x07" * 32
_REQUEST_BYTES = 62
_READS = 2000


def storage_read(rounds: int) -> list[Row]:
    """Reads of a slot from wasm through the executor to a node and back."""
    return [row for length in (4, 32, 1024, 16_384) for row in _storage_read(length, rounds)]


def _storage_read(length: int, rounds: int) -> list[Row]:
    reply = 1 + length
    with (
        node(contracts.reads(_HOT_SLOT, _READS, length), hot_slot=_HOT_SLOT, hot_length=length) as host,
        node(hot_slot=_HOT_SLOT, hot_length=length) as client_host,
        node(echo_length=reply) as echo,
        contextlib.closing(HostClient.connect(client_host.address)) as client,
        socket.socket(socket.AF_UNIX) as bare,
    ):
        bare.connect(echo.address.removeprefix("unix://"))
        request, buffer = bytes(_REQUEST_BYTES), bytearray(reply)
        address = contract_address()

        def ping_pong() -> None:
            bare.sendall(request)
            received = 0
            while received < reply:
                received += bare.recv_into(memoryview(buffer)[received:])

        runs = {
            "wasm": InProcess(host).run,
            "client": _repeated(lambda: client.storage_read(StorageType.DEFAULT, address, _HOT_SLOT, 0, length)),
            "bare": _repeated(ping_pong),
        }
        samples = on_vm_thread(lambda: interleaved(runs, rounds, warm_up=_WARM_UP))
    per_read = {name: scaled(values, US / _READS) for name, values in samples.items()}
    common: dict[str, Any] = {
        "name": "storage-read",
        "unit": "µs",
        "yardstick": per_read["bare"],
        "yardstick_is": "ping-pong of as many bytes over a Unix socket in Python",
    }
    rows = [
        Row(
            title=f"storage read of {length} B, wasm to node and back",
            ours=per_read["wasm"],
            ratio_at_most=2.0,
            **common,
        )
    ]
    if length == 32:
        rows.append(Row(title=f"of that, the client alone ({length} B)", ours=per_read["client"], **common))
    return rows


def _repeated(work: Callable[[], object], times: int = _READS) -> Callable[[], float]:
    def run() -> float:
        begun = time.perf_counter()
        for _ in range(times):
            work()
        return time.perf_counter() - begun

    return run


def documents() -> dict[str, Any]:
    """Values that both formats can hold, by what they are like."""
    person = {"name": "Ada", "age": 36, "active": True, "tags": ["one", "two"], "note": None}
    nested: Any = {"leaf": [1, 2, 3], "name": "end"}
    for level in range(40):
        nested = {"child": nested, "level": level, "siblings": [f"s{level}", level * 1000, False]}
    return {
        "small message": {"method": "transfer", "args": ["0x1234567890abcdef", 1000], "kwargs": {"memo": "rent"}},
        "list of records": [{**person, "id": number} for number in range(200)],
        "deeply nested": nested,
        "long texts": [f"{number} " + "lorem ipsum dolor sit amet " * 400 for number in range(20)],
        "many integers": [number * number * 31 - 5000 for number in range(5000)],
        "byte strings": [bytes([number % 256]) * (number * 3) for number in range(300)],
    }


def _msgpack_encode(value: Any) -> bytes:
    packed = msgpack.fallback.Packer().pack(value)
    assert isinstance(packed, bytes)
    return packed


def _msgpack_decode(data: bytes) -> Any:
    unpacker = msgpack.fallback.Unpacker(None, max_buffer_size=len(data))
    unpacker.feed(data)
    return unpacker.unpack()


def calldata_codec(rounds: int) -> list[Row]:
    """Encoding and decoding of calldata in this process."""
    rows = []
    for title, document in documents().items():
        ours, theirs = calldata.encode(document), _msgpack_encode(document)
        if calldata.decode(ours) != document or _msgpack_decode(theirs) != document:
            raise BenchmarkError(f"{title}: the document does not survive")
        work: dict[str, Callable[[], object]] = {
            "encode": lambda document=document: calldata.encode(document),  # type: ignore[misc]
            "decode": lambda ours=ours: calldata.decode(ours),  # type: ignore[misc]
            "msgpack encode": lambda document=document: _msgpack_encode(document),  # type: ignore[misc]
            "msgpack decode": lambda theirs=theirs: _msgpack_decode(theirs),  # type: ignore[misc]
        }
        times = max(1, int(0.01 / _repeated(work["msgpack decode"], 1)()))
        samples = interleaved({name: _repeated(function, times) for name, function in work.items()}, max(rounds, 5))
        for kind in ("encode", "decode"):
            rows.append(
                Row(
                    name="calldata",
                    title=f"calldata {kind}, {title}",
                    unit="µs",
                    ours=scaled(samples[kind], US / times),
                    yardstick=scaled(samples[f"msgpack {kind}"], US / times),
                    yardstick_is="msgpack's pure-Python fallback",
                    ratio_at_most=1.0,
                )
            )
    return rows


#: Kind of work, and how much of it takes some hundred milliseconds.
_FLOAT_WORK = {"loop": ("float loop", 1_500_000), "as_json": ("json of 1,000 floats", 100)}
_PRODUCTS = 10


def floats(rounds: int) -> list[Row]:
    """The same float work in deterministic and in non-deterministic mode, whole runs."""
    return [
        _both_modes(rounds, "floats", f"{title}, deterministic", contracts.floats(), work, amount, ratio_at_most=1.3)
        for work, (title, amount) in _FLOAT_WORK.items()
    ]


def matrices(rounds: int) -> list[Row]:
    """NumPy's float32 matrix product in deterministic and in non-deterministic mode, whole runs."""
    title = f"{_PRODUCTS} float32 products of 256 by 256 matrices, deterministic"
    return [_both_modes(rounds, "matrices", title, contracts.matrices(), "matrices", _PRODUCTS, ratio_at_most=12.0)]


def _both_modes(
    rounds: int, name: str, title: str, contract: bytes, work: str, amount: int, *, ratio_at_most: float
) -> Row:
    with node(contract, call("det", work, amount)) as det, node(contract, call("nondet", work, amount)) as nondet:
        runs = {"det": InProcess(det).run, "nondet": InProcess(nondet).run}
        samples = on_vm_thread(lambda: interleaved(runs, rounds))
    return Row(
        name=name,
        title=title,
        unit="ms",
        ours=scaled(samples["det"], MS),
        yardstick=scaled(samples["nondet"], MS),
        yardstick_is="the same in a non-deterministic block",
        ratio_at_most=ratio_at_most,
    )


_SETTLE_SECONDS = 0.3


def memory(rounds: int) -> list[Row]:
    """Resident memory of idle executors, and what one more has in the middle of a call."""
    idle: dict[str, list[float]] = {"Rss": [], "Pss": [], "Private": []}
    extra: dict[str, list[float]] = {"Rss": [], "Private": []}
    with (
        node(contracts.storage(), call("update", "another text"), samples_memory=True) as host,
        pool() as executors,
    ):
        executors.call(host)
        for _ in range(rounds):
            time.sleep(_SETTLE_SECONDS)
            before = [memory_of(pid) for pid in executors.executors()]
            for kind, values in idle.items():
                values += [float(found[kind]) for found in before]
            during = executors.call(host).memory
            if during is None:
                raise BenchmarkError("the node has not seen the executor at work")
            for kind, values in extra.items():
                values.append(float(during[kind] - max(found[kind] for found in before)))
        template = memory_of(executors.template)

    def row(title: str, samples: list[float], limit: float | None = None, note: str = "") -> Row:
        return Row(name="memory", title=title, unit="MB", ours=scaled(samples, MB), value_at_most=limit, note=note)

    return [
        row("idle executor, resident (RSS)", idle["Rss"], 60.0, "shared with the template for the most part"),
        row("idle executor, its share (PSS)", idle["Pss"]),
        row("idle executor, its own (private)", idle["Private"]),
        row("more in a call, its own (private)", extra["Private"], 15.0, "memory that the machine needs for the call"),
        row("more in a call, resident (RSS)", extra["Rss"], note="with compiled code that all executors share"),
        row("template, resident (RSS)", [float(template["Rss"])]),
    ]


def local_view(rounds: int) -> list[Row]:
    """A view of the local network with an executor of a pool, against a new process for each."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        contextlib.closing(PooledExecutor(options=["--log-level=error"])) as from_pool,
    ):
        database = Path(folder, "net.db")
        nets: Mapping[str, LocalNet] = {
            "pooled": LocalNet(database, executor=from_pool),
            "fresh": LocalNet(database, executor=ExecutorProcess(options=["--log-level=error"])),
        }
        address = nets["fresh"].deploy(contracts.hello()).receipt.transaction.contract

        def view(net: LocalNet) -> Callable[[], float]:
            def run() -> float:
                begun = time.perf_counter()
                net.view(address, "hello")
                return time.perf_counter() - begun

            return run

        samples = interleaved({name: view(net) for name, net in nets.items()}, rounds, warm_up=_WARM_UP)
    return [
        Row(
            name="local-view",
            title="view on the local network, pre-started executor",
            unit="ms",
            ours=scaled(samples["pooled"], MS),
            yardstick=scaled(samples["fresh"], MS),
            yardstick_is="the same with a new process",
        )
    ]


def soak(rounds: int, calls: int = 1000) -> list[Row]:
    """1,000 calls through one pool: does anything grow?"""
    checks = max(2, min(10, calls // 20))
    seen: dict[str, list[float]] = {"template": [], "idle": [], "files": [], "own files": [], "processes": []}
    times: list[float] = []

    with node(contracts.storage(), call("update", "another text")) as host, pool() as executors:

        def look() -> None:
            time.sleep(_SETTLE_SECONDS)
            pids = executors.executors()
            seen["template"].append(memory_of(executors.template)["Rss"] * MB)
            seen["idle"].append(max(memory_of(pid)["Rss"] for pid in pids) * MB)
            seen["files"].append(float(_open_files(executors.template)))
            seen["own files"].append(float(_open_files("self")))
            seen["processes"].append(float(1 + len(pids)))

        for _ in range(5):
            executors.call(host)
        look()
        for _ in range(checks):
            for _ in range(calls // checks):
                done = executors.call(host)
                times.append(done.result_at - done.begun)
            look()

    def growth(title: str, kind: str, unit: str, limit: float) -> Row:
        values = seen[kind]
        return Row(
            name="soak",
            title=f"growth of {title} over {calls:,} calls",
            unit=unit,
            ours=Numbers.of([values[-1] - values[0]]),
            value_at_most=limit,
            note=f"{values[0]:.4g} to {values[-1]:.4g} {unit}".rstrip(),
        )

    return [
        Row(name="soak", title=f"one of {calls:,} calls through one pool", unit="ms", ours=scaled(times, MS)),
        growth("the template", "template", "MB", 1.0),
        growth("an idle executor", "idle", "MB", 1.0),
        growth("open files of the template", "files", "files", 0.0),
        growth("open files of the client", "own files", "files", 0.0),
        growth("processes", "processes", "processes", 0.0),
    ]


def _open_files(pid: int | str) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


#: Name, what measures it, rounds when nobody says.
ROWS: dict[str, tuple[Callable[[int], list[Row]], int]] = {
    "in-process": (in_process, 40),
    "images": (images, 20),
    "pooled": (pooled, 60),
    "pooled-image": (pooled_image, 40),
    "throughput": (throughput, 7),
    "cold": (cold, 40),
    "storage-read": (storage_read, 15),
    "calldata": (calldata_codec, 25),
    "floats": (floats, 7),
    "numeric": (numeric, 20),
    "matrices": (matrices, 7),
    "memory": (memory, 5),
    "local-view": (local_view, 25),
    "plugin-view": (plugin_view, 40),
    "command-view": (command_view, 15),
    "examples-suite": (examples_suite, 3),
    "web-request": (web_request, 100),
    "llm-prompt": (llm_prompt, 100),
    "render": (render, 6),
    "manager": (manager_run, 60),
    "manager-throughput": (manager_throughput, 7),
    "manager-http": (manager_http, 25),
    "localnet": (localnet, 10),
    "settlement": (settlement, 20),
    "soak": (soak, 1),
}
