"""A real manager as a process, and what a node asks of it.

with manager_process(folder) as manager:
    with serving(host) as node:
        status = manager.carry_out(node, message=...)
    assert manager.ask("GET", "/status") == (200, {...})
assert manager.end() == 0
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.execution import HOST_DATA, message_json
from tests.support.hosts import PATIENCE_SECONDS
from tests.support.running import until

#: As the test client of the reference says it.
TIMESTAMP = "2024-11-26T06:42:42.424242Z"
HEADER = {"Deployment-Timestamp": TIMESTAMP}
_PROGRAM = """\
#!/bin/sh
exec {python} -c 'import sys; sys.argv[0] = "{path}"; from pygenvm.cli.genvm_modules import main; sys.exit(main())' "$@"
"""


class ManagerProcess:
    """Made by :func:`manager_process`."""

    def __init__(self, root: Path, words: tuple[str, ...], environment: Mapping[str, str], nofile: int | None) -> None:
        self.root = root
        self.log: list[dict[str, Any]] = []
        self.stderr = root / "stderr"
        program = root / "bin" / "genvm-modules"
        program.parent.mkdir(exist_ok=True)
        program.write_text(_PROGRAM.format(python=sys.executable, path=program))
        program.chmod(0o755)
        limit = ["prlimit", f"--nofile={nofile}"] if nofile is not None else []
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*limit, str(program), "manager", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **environment},
            )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.address = str(self.logged("manager listening")["address"])

    @property
    def pid(self) -> int:
        return self.process.pid

    def _read_log(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(json.loads(line))

    def logged(self, message: str, **fields: object) -> dict[str, Any]:
        """Waits for a log record."""

        def found() -> dict[str, Any] | None:
            for record in list(self.log):
                if record["message"] == message and fields.items() <= record.items():
                    return record
            ended = self.process.poll() is not None and not self._reader.is_alive()
            assert not ended, f"the manager has ended: {self.stderr.read_text()}"
            return None

        return until(found, f"{message} {fields} is not in the log")  # type: ignore[no-any-return]

    def end(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal; the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        return status

    # --- HTTP -------------------------------------------------------------------------------------

    def connect(self) -> http.client.HTTPConnection:
        if self.address.startswith("unix://"):
            connection = http.client.HTTPConnection("localhost", timeout=PATIENCE_SECONDS)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(self.address.removeprefix("unix://"))
            return connection
        host, _, port = self.address.rpartition(":")
        return http.client.HTTPConnection(host, int(port), timeout=PATIENCE_SECONDS)

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of the answer. A ``body`` that is no bytes is sent as JSON, without a content type."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, data, dict(headers or {}))
            response = connection.getresponse()
            text = response.read()
        assert response.headers["Content-Type"].startswith("application/json"), text
        return response.status, json.loads(text)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """The answer of a request that succeeds."""
        status, answer = self.ask("POST", path, body, headers)
        assert status == 200, answer
        return answer

    def refused(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> str:
        """The error text of a request that is answered with 500."""
        status, answer = self.ask(method, path, body, headers)
        assert status == 500, (status, answer)
        assert answer.keys() == {"error"}, answer
        return str(answer["error"])

    # --- runs -------------------------------------------------------------------------------------

    def start(self, address: str, path: str = "/genvm/run", **others: Any) -> int:
        """Starts a run; its id."""
        answer = self.post(path, run_body(address, **others))
        assert answer == {"result": "started", "id": answer["id"]}
        return int(answer["id"])

    def status_of(self, run: int) -> dict[str, Any] | None:
        status, answer = self.ask("GET", f"/genvm/{run}")
        assert (status, answer["genvm_id"]) == (200, run)
        assert answer.keys() == {"genvm_id", "status"}
        return answer["status"]  # type: ignore[no-any-return]

    def ended(self, run: int) -> dict[str, Any]:
        """Waits until it has ended by itself; its status."""
        return until(lambda: self.status_of(run), f"run {run} does not end")  # type: ignore[no-any-return]

    def delete(self, run: int, wait_ms: int | None = 20) -> dict[str, Any]:
        query = "" if wait_ms is None else f"?wait_timeout_ms={wait_ms}"
        status, answer = self.ask("DELETE", f"/genvm/{run}{query}")
        assert status == 200
        return answer  # type: ignore[no-any-return]

    def part(self, run: int) -> dict[str, Any]:
        """What a node does right after the result: DELETE with 20 ms, then GET, which must have the status."""
        assert self.delete(run) == {"result": "shutdown_completed", "genvm_id": run}
        status = self.status_of(run)
        assert status is not None
        assert status.keys() == {"finished_at", "stdout", "stderr"}
        return status

    # --- what it holds ----------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        status, answer = self.ask("GET", "/status")
        assert status == 200
        return answer  # type: ignore[no-any-return]

    def idle(self) -> None:
        """Waits until nothing runs, and nothing is held."""

        def is_idle() -> bool:
            state = self.state()
            return not (state["permits_used"] or state["waiting"] or state["running"])

        until(is_idle, "something still runs")

    def descendants(self) -> list[int]:
        return descendants(self.pid)

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run_body(address: str, *, message: Mapping[str, Any] | None = None, **others: Any) -> dict[str, Any]:
    """A body as nodes send it; ``others`` replace or add members."""
    return {
        "major": 0,
        "message": json.loads(message_json(**(message or {}))),
        "is_sync": False,
        "capture_output": True,
        "max_execution_minutes": 20,
        "host_data": json.dumps(HOST_DATA),
        "timestamp": TIMESTAMP,
        "host": address,
        "extra_args": ["--debug-mode", "--print=result"],
        **others,
    }


@contextlib.contextmanager
def manager_process(
    root: Path,
    *words: str,
    config: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    nofile: int | None = None,
    reroute: bool = True,
    port: int | None = 0,
) -> Iterator[ManagerProcess]:
    """Starts one whose program is ``root/bin/genvm-modules``; it is killed if the test leaves it behind.

    :param config: keys of the configuration file.
    """
    path = root / "manager.yaml"
    path.write_text(yaml.safe_dump({"permits": 8, "idle_executors": 2, **(config or {})}))
    listen = [] if port is None else [f"--port={port}"]
    options = (*listen, f"--config={path}", *["--reroute-to-test"] * reroute, *words)
    manager = ManagerProcess(root, options, environment or {}, nofile)
    try:
        yield manager
    finally:
        left = manager.descendants()
        manager.process.kill()
        manager.wait()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Processes below a process, without threads and without those that have ended."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(entry.name)] = int(parent)
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def alive(pids: list[int]) -> list[int]:
    """Those that have not ended."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(pid)
    return found


def after(seconds: float, work: Any) -> threading.Thread:
    """Does ``work`` later, in a thread."""

    def wait() -> None:
        time.sleep(seconds)
        work()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread
