"""How much a contract can make a run log: an endless one fills no disk, and hides nothing that operators need."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygenvm.executor import limits
from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.config import Config
from pygenvm.executor.log import Logger, Remarks
from pygenvm.executor.outcome import Return, UserError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostErrorCode, HostMethod
from pygenvm.executor.run.console import ProcessConsole
from pygenvm.executor.run.tracing import Tracing
from tests.support.execution import execute_process, wat
from tests.support.machine import custom_section

#: Longest text of a line, all of it control characters, each of which takes six bytes in JSON.
TEXT_BYTES = limits.LOG_TEXT_CHARS_MAX
TRACE = calldata.encode({"Trace": {"Message": "\1" * TEXT_BYTES}})
LINE_BYTES = 6 * TEXT_BYTES


def tracing_again_and_again(times: int) -> bytes:
    """A contract that makes the request ``TRACE`` so many times."""
    data = "".join(f"\\{byte:02x}" for byte in TRACE)
    return wat(
        f"""(module
            (import "genlayer_sdk" "gl_call" (func $gl_call (param i32 i32 i32) (result i32)))
            (memory (export "memory") 2)
            (data (i32.const 1024) "{data}")
            (func (export "_start") (local $left i32)
              (local.set $left (i32.const {times}))
              (loop $again
                (if (call $gl_call (i32.const 1024) (i32.const {len(TRACE)}) (i32.const 0)) (then (unreachable)))
                (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))"""
    ) + custom_section("genvm.version", b"v0.2.16")


def test_traces_without_end() -> None:
    run = execute_process(tracing_again_and_again(2000))
    assert run.outcome == Return(b"\0")
    assert limits.LOG_CONTRACT_BYTES - LINE_BYTES < len(run.stderr) < limits.LOG_CONTRACT_BYTES + 10_000
    *traces, left_out, metrics = map(json.loads, run.stderr.splitlines())
    assert {line["message"] for line in traces} == {"trace"}
    assert left_out["message"] == "left out"
    assert (left_out["level"], left_out["target"]) == ("info", "executor::supervisor")
    assert metrics["message"] == "metrics"


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(log_path: Path) -> Iterator[Logger]:
    with log_path.open("wb", buffering=0) as file:
        yield Logger(fd=file.fileno())


def messages(path: Path) -> list[str]:
    return [json.loads(line)["message"] for line in path.read_text().splitlines()]


def test_lost_output_without_end(log: Logger, log_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each write to a stream that takes nothing is a record, from the same ration as traces."""
    monkeypatch.setattr(limits, "LOG_CONTRACT_BYTES", 100_000)
    console = ProcessConsole(log)
    with open("/dev/full", "wb", buffering=0) as full:
        for _ in range(1000):
            console.write(full.fileno(), b"x")
            console.trace("y", 1, 1)
    told = messages(log_path)
    assert told[:2] == ["contract output lost", "trace"]
    assert told.index("left out") == len(told) - 1
    assert 50_000 < log_path.stat().st_size < 101_000


def test_tracing_without_end(log: Logger, log_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What every run has once is always told."""
    monkeypatch.setattr(limits, "LOG_TRACING_BYTES", 100_000)
    tracing = Tracing(log)

    def run() -> None:
        tracing.started(RunArguments(message="", host=""))
        for _ in range(1000):
            tracing.host_replied(HostMethod.CONSUME_FUEL, b"", HostErrorCode.OK, None, 0, 0)
            tracing.vm_ended(Return(b"\0"), 1, 0, 0)
        tracing.result_known(UserError("no"), None)
        tracing.ended("result")

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    told = messages(log_path)
    assert told[0] == "start"
    assert told[-3:] == ["left out", "result", "end"]
    assert 50_000 < log_path.stat().st_size < 102_000


def test_remarks_without_end(log_path: Path) -> None:
    """For example of runners that a contract names and that do not exist, for each of its VMs."""
    library = Remarks("executor.derived")
    with log_path.open("wb", buffering=0) as file:
        log = Logger.from_config(Config("", "", ""), fd=file.fileno())
        for _ in range(100):
            library.warning("%s", "x" * limits.LOG_TEXT_CHARS_MAX * 4)
            library.warning("%s", "\1" * limits.LOG_TEXT_CHARS_MAX)
        log.error("the end")
    told = messages(log_path)
    assert told[-2:] == ["left out", "the end"]
    assert log_path.stat().st_size < limits.LOG_LIBRARY_BYTES + 10_000
