"""The rows about the manager: a run that a node asks for over HTTP, many of them, and HTTP alone."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import contracts
from benchmarks.measure import Row, interleaved, scaled
from benchmarks.services import server
from benchmarks.support import (
    HOST_DATA,
    BenchmarkError,
    Node,
    call,
    message_json,
    node,
    own_environment,
    pool,
    python_seconds,
)
from pygenvm.executor import interpreter
from pygenvm.executor.spawn.process import own_command

_MS, _US = 1e3, 1e6
_WARM_UP = 2
_IDLE = 2
#: What one round of the throughput carries out, and asks of HTTP.
_RUNS = 60
_REQUESTS = 300
_STATUS = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Client:
    """One kept connection, as thin as it can be: its time is not what is measured."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        assert place.hostname is not None
        assert place.port is not None
        self._socket = socket.create_connection((place.hostname, place.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> Any:
        """:raises BenchmarkError: the answer is no success."""
        self._socket.sendall(request)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0 or len(data) < end + 4 + _length(data[:end]):
            part = self._socket.recv(1 << 16)
            if not part:
                raise BenchmarkError("the server has closed the connection")
            data += part
        if not data.startswith(b"HTTP/1.1 200"):
            raise BenchmarkError(f"the server answers {data[:500]!r}")
        return json.loads(data[end + 4 :])

    def close(self) -> None:
        self._socket.close()

    # --- runs ---

    def start(self, node: Node) -> int:
        answer = self.ask(_request("POST", "/genvm/run", _run_body(node)))
        return int(answer["id"])

    def part(self, run: int) -> None:
        """As nodes do it after the result.

        :raises BenchmarkError: it did not end with a Return.
        """
        self.ask(_request("DELETE", f"/genvm/{run}?wait_timeout_ms=20"))
        status = self.ask(_request("GET", f"/genvm/{run}"))["status"]
        if status is None or "executed with `Return(" not in status["stdout"]:
            raise BenchmarkError(f"the run ended with {status}")


def _length(head: bytes) -> int:
    _, _, rest = head.partition(b"Content-Length: ")
    return int(rest.partition(b"\r\n")[0])


def _request(method: str, path: str, body: bytes = b"") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _run_body(node: Node) -> bytes:
    body = {
        "major": 0,
        "message": json.loads(message_json()),
        "is_sync": False,
        "capture_output": True,
        "max_execution_minutes": 20,
        "host_data": json.dumps(HOST_DATA),
        "timestamp": "2026-11-20T00:00:00Z",
        "host": node.address,
        "extra_args": ["--print=result"],
    }
    return json.dumps(body).encode()


@contextlib.contextmanager
def manager(permits: int) -> Iterator[str]:
    """URL of a manager whose log goes to a file."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        config, log = Path(folder, "manager.yaml"), Path(folder, "log")
        config.write_text(json.dumps({"permits": permits, "idle_executors": _IDLE}))
        words = ["manager", "--port=0", "--reroute-to-test", f"--config={config}"]
        with (
            log.open("wb") as output,
            subprocess.Popen(
                interpreter.command("pygenvm.cli.main", *words), stdout=output, stderr=output, env=own_environment()
            ) as process,
        ):
            try:
                yield f"http://{_address(process, log)}"
            finally:
                process.terminate()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    while process.poll() is None:
        for line in log.read_bytes().splitlines():
            if b'"manager listening"' in line:
                return str(json.loads(line)["address"])
        time.sleep(0.01)
    raise BenchmarkError(f"the manager does not start: {log.read_text()[-2000:]}")


def manager_run(rounds: int) -> list[Row]:
    """A storage write that a node asks a manager for, from its request until it has the result."""
    with (
        node(contracts.storage(), call("update", "another text")) as host,
        manager(permits=8) as url,
        contextlib.closing(Client(url)) as client,
    ):

        def ours() -> float:
            begun = time.perf_counter()
            run = client.start(host)
            seconds = host.report().result_at - begun
            client.part(run)
            return seconds

        samples = interleaved({"ours": ours, "python": lambda: python_seconds("import json")}, rounds, _WARM_UP)
    return [
        Row(
            name="manager",
            title="storage write through the manager, POST /genvm/run to result",
            unit="ms",
            ours=scaled(samples["ours"], _MS),
            yardstick=scaled(samples["python"], _MS),
            yardstick_is='python3 -c "import json"',
            ratio_at_most=0.6,
        )
    ]


def manager_throughput(rounds: int) -> list[Row]:
    """Storage writes with all processors: through the manager, and by the pool alone."""
    # So many that there is always one that does not wait for an answer.
    at_once = 4 * (os.cpu_count() or 1)
    with (
        manager(permits=2 * at_once) as url,
        pool(own_command(), idle=_IDLE) as executors,
        contextlib.ExitStack() as stack,
    ):
        nodes = [stack.enter_context(node(contracts.storage(), call("update", "text"))) for _ in range(at_once)]
        clients = [(stack.enter_context(contextlib.closing(Client(url))), host) for host in nodes]
        samples = interleaved(
            {
                "ours": lambda: _all_at_once(clients),
                "pool": lambda: executors.calls(nodes, _RUNS)[0],
            },
            rounds,
        )
    return [
        Row(
            name="manager-throughput",
            title=f"one of {_RUNS} storage writes through the manager, {at_once} at a time, with DELETE and GET",
            unit="ms",
            ours=scaled(samples["ours"], _MS / _RUNS),
            yardstick=scaled(samples["pool"], _MS / _RUNS),
            yardstick_is="the same by a pool alone",
            ratio_at_most=1.11,
        )
    ]


def _all_at_once(clients: list[tuple[Client, Node]]) -> float:
    left = iter(range(_RUNS))
    failures: list[Exception] = []

    def work(client: Client, host: Node) -> None:
        try:
            for _ in left:
                run = client.start(host)
                host.report()
                client.part(run)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=one) for one in clients]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return time.perf_counter() - begun


def manager_http(rounds: int) -> list[Row]:
    """A request that the manager answers from memory, and the same answer by a bare server."""
    with (
        manager(permits=8) as url,
        contextlib.closing(Client(url)) as ours,
        server("json", json.dumps(ours.ask(_STATUS))) as bare_url,
        contextlib.closing(Client(bare_url)) as bare,
    ):

        def of(client: Client) -> float:
            begun = time.perf_counter()
            for _ in range(_REQUESTS):
                client.ask(_STATUS)
            return time.perf_counter() - begun

        samples = interleaved({"ours": lambda: of(ours), "bare": lambda: of(bare)}, rounds)
    return [
        Row(
            name="manager-http",
            title="GET /status of the manager",
            unit="µs",
            ours=scaled(samples["ours"], _US / _REQUESTS),
            yardstick=scaled(samples["bare"], _US / _REQUESTS),
            yardstick_is="the same answer by a bare aiohttp server",
            ratio_at_most=2.0,
        )
    ]
