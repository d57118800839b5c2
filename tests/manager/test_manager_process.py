"""The manager as a process: where it listens, how it ends, and what it leaves behind (spec modules/04 §1)."""

from __future__ import annotations

import array
import contextlib
import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
from pathlib import Path
from typing import Any

import pytest

from pygenvm.cli import genvm_modules
from pygenvm.executor.outcome import Return, VMError
from pygenvm.executor.primitives.abi import HostMethod
from tests.manager.process import HEADER, ManagerProcess, after, alive, manager_process, run_body
from tests.support.execution import config_file
from tests.support.hosts import serving
from tests.support.machine import Script, machine
from tests.support.quick import few
from tests.support.running import ROOT, WatchedHost, until

NOWHERE = "unix:///nonexistent"


def host_of(script: Script) -> WatchedHost:
    host = WatchedHost(calldata=script.code)
    host.put_code(machine())
    return host


def endless() -> WatchedHost:
    return host_of(Script().storage_write(ROOT, 0, b"x").loop())


def short() -> WatchedHost:
    return host_of(Script().storage_write(ROOT, 0, b"x"))


def command(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A manager that does not come to serve."""
    program = [sys.executable, "-m", "pygenvm.cli.genvm_modules", "manager", *words]
    return subprocess.run(program, capture_output=True, text=True, timeout=60, check=False, **options)


# --- where it listens -----------------------------------------------------------------------------


def test_two_managers_at_one_port(manager: ManagerProcess) -> None:
    port = manager.address.rpartition(":")[2]
    done = command(f"--port={port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: cannot listen at 127.0.0.1:{port}: Address already in use; "
        "is another manager running? `--port` chooses another port\n"
    )
    assert manager.state()["permits"] == 8


@pytest.mark.parametrize(
    ("words", "status", "error"),
    [
        (["--host=localhost"], 2, "--host must be an IP address"),
        (["--host=203.0.113.1", "--port=0"], 1, "cannot listen at 203.0.113.1:0"),
        (["--port=70000"], 2, "--port"),
        (["--port=x"], 2, "--port"),
        (["--config=/nonexistent"], 1, "/nonexistent"),
        (["--manifest-path=/nonexistent", "--port=0"], 1, "/nonexistent"),
        (["--reroute-to=../x", "--port=0"], 1, "--reroute-to"),
        (["--reroute-to=x", "--reroute-to-test"], 2, "not allowed with"),
        (["--log-level=loud"], 2, "--log-level"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_command_lines_that_will_not_do(
    words: list[str], status: int, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        ended: object = genvm_modules.main(["manager", *words])
    except SystemExit as end:
        ended = end.code
    assert ended == status
    told = capsys.readouterr().err
    assert error in told
    assert "Traceback" not in told


def test_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"
    with manager_process(tmp_path, f"--socket={path}", config={"idle_executors": 0}, port=None) as manager:
        assert manager.address == f"unix://{path}"
        assert path.stat().st_mode & 0o777 == 0o600
        assert manager.state()["permits"] == 8
        # A second one leaves the first one's socket where it is.
        done = command(f"--socket={path}")
        assert (done.returncode, done.stderr) == (1, f"Error: another process listens at {path}\n")
        assert manager.state()["permits"] == 8
        manager.process.kill()
        manager.wait()
    # Left by one that was killed; the next one takes its place.
    assert path.exists()
    with manager_process(tmp_path, f"--socket={path}", config={"idle_executors": 0}, port=None) as manager:
        assert manager.state()["permits"] == 8
        assert manager.end() == 0
    assert not path.exists()
    path.write_text("precious")
    done = command(f"--socket={path}")
    assert done.returncode == 1
    assert "is there and is no socket" in done.stderr
    assert path.read_text() == "precious"


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdefghij\n")
    with manager_process(tmp_path, f"--token-file={token}", config={"idle_executors": 0}) as manager:
        assert manager.ask("GET", "/status") == (401, {"error": "a bearer token is needed"})
        assert manager.ask("GET", "/status", headers={"Authorization": "Bearer wrong"})[0] == 401
        assert manager.ask("GET", "/health/live") == (200, {"alive": True})
        right = {"Authorization": "Bearer 0123456789abcdefghij"}
        assert manager.ask("GET", "/status", headers=right)[0] == 200
        assert manager.end() == 0
        assert "0123456789abcdefghij" not in repr(manager.log)


# --- how it ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", few([signal.SIGTERM, signal.SIGINT], signal.SIGTERM))
def test_runs_are_ended_first(tmp_path: Path, number: int) -> None:
    """They deliver `timeout`; who waits for permits is told."""
    with manager_process(tmp_path, config=settings(tmp_path, permits=2)) as manager:
        with serving(host := endless()) as node:
            manager.start(node.address)
            host.reached(HostMethod.STORAGE_WRITE)
            waiting = manager.connect()
            waiting.request("POST", "/genvm/run", json.dumps(run_body(NOWHERE)).encode())
            until(lambda: manager.state()["waiting"] == 1, "it does not wait")
            left = manager.descendants()
            manager.process.send_signal(number)
            response = waiting.getresponse()
            assert (response.status, json.loads(response.read())) == (
                500,
                {"error": "the manager is shutting down"},
            )
            waiting.close()
            assert manager.wait() == 0
            assert node.wait()
        assert host.outcome == VMError("timeout")
        assert alive(left) == []
        assert manager.log[-1]["message"] == "manager ended"
        assert manager.stderr.read_text() == ""


def settings(folder: Path, **others: Any) -> dict[str, Any]:
    return {"executor_config": str(config_file(folder)), "idle_executors": 1, **others}


def test_a_killed_manager_leaves_nothing_behind(tmp_path: Path) -> None:
    """Runs of the pool, of a process each, waiting ones, and probes; the next manager works at the same port."""
    with manager_process(tmp_path, config=settings(tmp_path)) as manager:
        port = int(manager.address.rpartition(":")[2])
        with serving(host := endless()) as node, serving(other := endless()) as other_node:
            manager.start(node.address)
            manager.start(other_node.address, extra_args=["--trace"])
            host.reached(HostMethod.STORAGE_WRITE)
            other.reached(HostMethod.STORAGE_WRITE)
            left = manager.descendants()
            # Template, idle executor, two runs.
            assert len(left) >= 4
            manager.process.kill()
            manager.wait()
            until(lambda: not alive(left), f"they live on: {left}")
            assert not node.wait()
            assert not other_node.wait()
    with manager_process(tmp_path, config=settings(tmp_path), port=port) as manager:
        with serving(host := short()) as node:
            run = manager.start(node.address)
            assert node.wait()
            manager.part(run)
        assert isinstance(host.outcome, Return)
        assert manager.end() == 0


def test_folders_of_killed_managers_are_removed_by_the_next(tmp_path: Path, short_folder: Path) -> None:
    folder = short_folder
    (folder / "genvm-manager-file").touch()
    environment = {"TMPDIR": str(folder)}
    executor = tmp_path / "executor" / "vTEST" / "bin" / "genvm"
    executor.parent.mkdir(parents=True)
    executor.write_text("#!/bin/sh\nexec sleep 1000\n")
    executor.chmod(0o755)

    def folders() -> list[str]:
        return sorted(path.name for path in folder.iterdir() if path.is_dir())

    with contextlib.ExitStack() as stack:
        for _ in range(2):
            before = len(folders())
            manager = stack.enter_context(manager_process(tmp_path, environment=environment))
            ask_in_vain(manager)
            until(lambda before=before: len(folders()) == before + 1, "the second takes the first one's away")
        manager.process.kill()
        manager.wait()
        with manager_process(tmp_path, environment=environment) as third:
            assert len(folders()) == 1, "the first still lives"
            assert third.end() == 0
    assert (folder / "genvm-manager-file").exists()


def ask_in_vain(manager: ManagerProcess) -> None:
    """For a schema, which never comes."""

    def ask() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            manager.ask("POST", "/genvm/run/readonly", b"# code", HEADER)

    after(0, ask)


def test_no_place_for_a_socket(tmp_path: Path) -> None:
    """A folder whose name is too long for one."""
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    with manager_process(tmp_path, environment={"TMPDIR": str(folder)}) as manager:
        text = manager.refused("POST", "/genvm/run/readonly", b"# code", HEADER)
        assert text.startswith("no socket for the executor can be made: ")
        assert list(folder.iterdir()) == []
        manager.idle()


def test_a_manager_ends_with_its_parent(tmp_path: Path) -> None:
    code = "import subprocess, sys, time; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); time.sleep(1000)"
    program = [sys.executable, "-m", "pygenvm.cli.genvm_modules", "manager", "--port=0", "--die-with-parent"]
    parent = subprocess.Popen([sys.executable, "-c", code, *program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    manager = int(parent.stdout.readline())
    try:
        while '"manager listening"' not in parent.stdout.readline():
            pass
        parent.kill()
        parent.wait()
        until(lambda: not alive([manager]), "it lives on")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(manager, signal.SIGKILL)
        parent.stdout.close()


def test_nobody_reads_the_log(tmp_path: Path) -> None:
    """A node that starts a manager and forgets its stdout."""
    path = tmp_path / "m.sock"
    program = [sys.executable, "-m", "pygenvm.cli.genvm_modules", "manager", f"--socket={path}", "--log-level=trace"]
    process = subprocess.Popen(program, stdout=subprocess.PIPE)
    assert process.stdout is not None
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    try:
        until(path.exists, "it does not listen")
        for _ in range(100):
            with contextlib.closing(http.client.HTTPConnection("localhost", timeout=30)) as connection:
                connection.sock = socket.socket(socket.AF_UNIX)
                connection.sock.connect(str(path))
                # Each is logged with a text of some hundred bytes.
                body = json.dumps(run_body(NOWHERE, timestamp="9999-12-31T00:00:00Z", major=0))
                connection.request("POST", "/genvm/run/readonly", body)
                assert connection.getresponse().status == 200
            if pipe_is_full(process.stdout.fileno()):
                break
        else:
            raise AssertionError("the pipe is not full")
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


def pipe_is_full(reading: int) -> bool:
    waiting = array.array("i", [0])
    fcntl.ioctl(reading, termios.FIONREAD, waiting)
    return waiting[0] > 4096 - 512


# --- shortage -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_too_many_open_files(tmp_path: Path) -> None:
    """Requests get a clear answer or wait; as soon as files are free again, everything works."""
    with manager_process(tmp_path, config=settings(tmp_path, permits=100), nofile=40) as manager:
        with serving(host := short()) as node:
            run = manager.start(node.address)
            assert node.wait()
            manager.part(run)
        files, pids = manager.open_files(), manager.descendants()
        with serving(endless()) as node:
            runs: list[int] = []
            error = ""
            while not error:
                status, answer = manager.ask("POST", "/genvm/run", run_body(node.address))
                if status == 200:
                    runs.append(answer["id"])
                else:
                    error = answer["error"]
                assert len(runs) < 40
            assert "Too many open files" in error
            assert len(runs) >= 3
            # Connections that it cannot accept wait.
            clients = []
            for _ in range(30):
                clients.append(socket.create_connection(("127.0.0.1", int(manager.address.rpartition(":")[2]))))
            for client in clients:
                client.close()
            assert manager.state()["running"] == len(runs)
            for run in runs:
                assert manager.delete(run) == {"result": "shutdown_completed", "genvm_id": run}
                assert manager.status_of(run) is not None
        manager.idle()
        with serving(host := short()) as node:
            run = manager.start(node.address)
            assert node.wait()
            manager.part(run)
        assert isinstance(host.outcome, Return)
        until(lambda: len(manager.descendants()) == len(pids), "processes are left")
        until(lambda: manager.open_files() <= files, "files are left open")
        assert manager.end() == 0


def test_nothing_is_left_after_all_kinds_of_ends(manager: ManagerProcess) -> None:
    """Permits, processes and open files are what they were."""

    def one(number: int) -> None:
        match number % 5:
            case 0:
                with serving(short()) as node:
                    run = manager.start(node.address)
                    assert node.wait()
                    manager.part(run)
            case 1:
                manager.ended(manager.start(NOWHERE))
            case 2:
                with serving(host := endless()) as node:
                    run = manager.start(node.address)
                    host.reached(HostMethod.STORAGE_WRITE)
                    manager.part(run)
            case 3:
                with serving(host := endless()) as node:
                    manager.start(node.address, max_execution_minutes=0)
                    assert node.wait()
            case _:
                with contextlib.closing(manager.connect()) as connection:
                    connection.request("POST", "/genvm/run", json.dumps(run_body(NOWHERE)).encode())

    for number in range(5):
        one(number)
    manager.idle()
    until(lambda: len(manager.descendants()) == 3, "not the template and two executors")
    files = manager.open_files()
    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    manager.idle()
    until(lambda: manager.open_files() <= files, f"open files: {files}, then more")
    until(lambda: len(manager.descendants()) == 3, "processes are left")
