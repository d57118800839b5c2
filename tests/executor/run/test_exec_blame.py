"""Whose fault an internal error is, in the log and in the metrics; the host is not told (spec executor/05, 10)."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.module_protocol.codec import Ok
from pygenvm.executor.outcome import Blame
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.run.supervisor import Supervisor
from pygenvm.executor.runner.hashing import archive_hash
from tests.support.archives import contract_zip, install, runner_tar
from tests.support.execution import command, config_file, execute, execute_process, wat
from tests.support.hosts import PATIENCE_SECONDS, SENDER, InMemoryHost, serving
from tests.support.machine import Script, machine
from tests.support.module_server import answering, serving_module

PROMPT = {"ExecPrompt": {"prompt": "p", "images": [], "response_format": "text"}}
BAD_POINTER = wat(
    """(module
        (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start") (drop (call $fd_write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 0)))))"""
)


def told(log: bytes) -> dict[str, Any]:
    """The record about the internal error; the metrics say the same."""
    records = [json.loads(line) for line in log.splitlines() if line.startswith(b"{")]
    record: dict[str, Any]
    (record,) = [record for record in records if record["message"] == "internal error"]
    (metrics,) = [record["metrics"] for record in records if record["message"] == "metrics"]
    assert record["level"] == "error"
    assert metrics["gvm"]["internal_error"] == record["blame"]
    return record


def run(program: Script, host: InMemoryHost | None = None, **others: Any) -> Any:
    host = host or InMemoryHost()
    host.calldata = program.code
    return execute_process(machine(), host=host, **others)


def test_a_host_that_closes() -> None:
    class Closing(InMemoryHost):
        async def get_balance(self, address: Address) -> int:
            raise ConnectionError("enough")

    record = told(run(Script().get_balance(SENDER), Closing()).stderr)
    assert record["blame"] == "host"
    assert record["error"]["causes"][0] == "HostFault: get_balance: host connection: closed by the host"


def test_a_host_that_has_no_leader_result_in_sync_mode() -> None:
    done = execute_process(machine(), "--sync", host=InMemoryHost(calldata=Script().nondet(Script()).code))
    assert told(done.stderr)["blame"] == "host"


def test_a_module_that_answers_nonsense(tmp_path: Path) -> None:
    with serving_module(answering(Ok({"data": 7, "consumed_gen": 0}))) as server:
        config = config_file(tmp_path, modules={"llm": {"address": server.address}})
        done = run(Script().nondet(Script().gl_call(PROMPT)), config=config)
    assert told(done.stderr)["blame"] == "module"
    assert done.payload == b"\x02internal error: llm module: Prompt: data is a int"


def test_a_bad_guest_pointer() -> None:
    done = run(Script().gl_call_at(0xFFFF_FFFF, 1, 0))
    record = told(done.stderr)
    assert record["blame"] == "guest"
    assert done.payload.startswith(b"\x02internal error: guest pointer out of bounds: 1 bytes at 0xffffffff")
    assert b"blame" not in done.payload


def test_a_bad_guest_pointer_in_a_sandbox_of_a_validator() -> None:
    """The blame goes the same way as the error, through VMs and threads."""
    block = Script().sandbox(Script().gl_call_at(0xFFFF_FFFF, 1, 0))
    done = run(Script().nondet(Script(), block), InMemoryHost(leader_results=[b"\x00\x00"]))
    assert told(done.stderr)["blame"] == "guest"


def test_a_request_that_no_module_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygenvm.executor.limits.MODULE_MESSAGE_BYTES", 10)
    ran = Script().nondet(Script().gl_call(PROMPT)).run()
    assert ran.execution.result.outcome.blame is Blame.GUEST


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """No file can become longer than 1 KiB: neither what the compiler needs, nor what the cache would keep."""
    config = config_file(tmp_path, cache_dir=str(tmp_path / "cache"))
    host = InMemoryHost()
    host.put_code(machine())
    with serving(host) as node:
        shell = ["bash", "-c", 'ulimit -f 1; exec "$@"', "bash", *command(node.address, config=config)]
        done = subprocess.run(shell, capture_output=True, check=False, timeout=PATIENCE_SECONDS)
    assert len(machine()) > 1024
    record = told(done.stderr)
    assert record["blame"] == "installation"
    assert record["error"]["causes"][1].startswith("OSError: [Errno 27]")
    assert host.result is not None
    assert host.result.startswith(b"\x02internal error: compiling a module: [Errno 27]")


@pytest.mark.parametrize(
    "maker",
    [
        pytest.param(({"StartWasm": "m.wasm"}, {"m.wasm": BAD_POINTER}), id="bad pointer"),
        pytest.param(({"When": {"cond": "nondet", "action": {"StartWasm": "m.wasm"}}}, {}), id="no StartWasm"),
    ],
)
def test_a_runner_is_part_of_the_installation(tmp_path: Path, maker: Any) -> None:
    """What would be the contract's fault in the contract is the installation's in a runner that works on it."""
    made = runner_tar(*maker)
    by = f"maker:{archive_hash(made)}"
    derive = {"With": {"runner": "<contract>", "action": {"MapDerived": {"file": "f", "to": "/f", "by": by}}}}
    hashes = install(tmp_path, {"maker": made, "lib": runner_tar(derive, {})})
    actions = {"Seq": [{"Depends": f"lib:{hashes['lib']}"}, {"StartWasm": "m.wasm"}]}
    ran = execute(contract_zip(actions, {"f": b"x", "m.wasm": BAD_POINTER}), registry=tmp_path)
    assert ran.result.outcome.blame is Blame.INSTALLATION
    assert execute(BAD_POINTER).result.outcome.blame is Blame.GUEST


@pytest.mark.parametrize(
    ("error", "blame"),
    [
        (ZeroDivisionError("division by zero"), "executor"),
        (MemoryError("no more"), "installation"),
        (OSError(12, "Cannot allocate memory"), "installation"),
    ],
)
def test_an_exception_that_nobody_expected(monkeypatch: pytest.MonkeyPatch, error: Exception, blame: str) -> None:
    """The host gets one line, the log says where it happened, also if that was inside a call of the guest."""

    def broken(*_: object) -> int:
        raise error

    monkeypatch.setattr(Supervisor, "balance", broken)
    with tempfile.TemporaryFile() as log:
        host = InMemoryHost(calldata=Script().get_balance(SENDER).code)
        done = execute(machine(), host=host, log_fd=log.fileno())
        log.seek(0)
        record = told(log.read())
    assert record["blame"] == blame
    assert record["error"]["causes"] == [f"{type(error).__name__}: {error}"]
    assert record["error"]["traceback"][-1].endswith(" broken")
    assert done.payload is not None
    assert done.payload.startswith(f"\x02internal error: {type(error).__name__}: {error} at broken:".encode())


def test_other_ends_blame_nobody() -> None:
    done = run(Script().exit(3))
    assert b'"internal_error":null' in done.stderr
    assert b'"message":"internal error"' not in done.stderr
