"""`genvm run --trace`: a line of the log for each event, from the real process."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from pygenvm.executor.module_protocol.codec import Ok
from pygenvm.executor.outcome import Return
from pygenvm.executor.primitives.abi import HostMethod
from tests.support.execution import config_file, execute_process
from tests.support.hosts import CONTRACT, InMemoryHost
from tests.support.machine import Script, machine
from tests.support.module_server import Call, Reply, serving_module
from tests.support.running import ROOT, full_pipe, running

PROMPT = {"ExecPrompt": {"prompt": "p", "images": [], "response_format": "text"}}


async def answers(call: Call) -> Reply:
    return Ok(None) if call.request.name == "GetStats" else Ok({"data": "yes", "consumed_gen": 3})


def traced(log: bytes) -> list[dict[str, Any]]:
    """The lines, without what all lines have and without times, which only must make sense."""
    lines = [json.loads(line) for line in log.splitlines()]
    found = []
    for line in lines:
        if line["target"] == "executor::trace":
            assert list(line)[:4] == ["level", "target", "message", "block"]
            assert line.pop("level") == "info"
            assert line.pop("at_us", 0) >= 0
            assert line.pop("took_us", 0) >= 0
            found.append({name: value for name, value in line.items() if name not in ("target", "file", "ts")})
    return found


def test_every_event_is_a_line(tmp_path: Path) -> None:
    """Of the VM thread and of the validator of a block, each for itself in order."""
    program = Script().storage_write(ROOT, 2, b"xyz").nondet(Script(), Script().gl_call(PROMPT).leave()).leave()
    host = InMemoryHost(calldata=program.code, leader_results=[b"\x00\x10"])
    with serving_module(answers) as server:
        config = config_file(tmp_path, modules={"llm": {"address": server.address}})
        run = execute_process(machine(), "--trace", "--permissions=rwn", host=host, config=config)
    assert run.outcome == Return(b"\0")
    code = len(machine())

    def request(method: str, sent: int, received: int | None, block: int | None = None) -> dict[str, Any]:
        told = {"method": method, "request_bytes": sent, "reply": "ok", "reply_bytes": received}
        return {"message": "host request", "block": block, **told}

    def begin(block: int | None, entry: str, deterministic: bool, depth: int) -> dict[str, Any]:
        told = {"contract": f"$Address({CONTRACT.as_bytes.hex()})", "entry": entry}
        return {"message": "VM begin", "block": block, **told, "deterministic": deterministic, "depth": depth}

    read, lines = 1 + 1 + 20 + 32 + 4 + 4, traced(run.stderr)
    returned = {"outcome": "Return", "bytes": 1}
    assert [line for line in lines if line["block"] is None] == [
        {"message": "start", "block": None, "permissions": "rwn", "sync": False, "debug_mode": False},
        request("storage_read", read, 4),
        request("storage_read", read, 4),
        request("storage_read", read, 0),
        request("get_calldata", 1, len(program.code)),
        begin(None, "main", True, 0),
        request("storage_read", read, 4),
        request("storage_read", read, code),
        {"message": "instantiate", "block": None, "module": "machine"},
        request("storage_write", 1 + 32 + 4 + 4 + 3, None),
        request("get_leader_nondet_result", 5, 2),
        {"message": "VM end", "block": None, "depth": 0, **returned},
        request("notify_nondet_disagreement", 5, None),
        {"message": "result", "block": None, **returned, "disagreement": 0},
        request("consume_result", 1 + 4 + 2, None),
        {"message": "end", "block": None, "how": "result"},
    ]
    validator = [line for line in lines if line["block"] == 0]
    (asked,) = (line for line in validator if line["message"] == "module request")
    assert (asked["module"], asked["name"], asked["failure"]) == ("llm", "Prompt", None)
    assert asked["request_bytes"] > asked["answer_bytes"] > len("consumed_gen data yes")
    assert [line for line in validator if line is not asked] == [
        begin(0, "consensus_stage", False, 1),
        {"message": "instantiate", "block": 0, "module": "machine"},
        request("remaining_fuel_as_gen", 1, None, 0),
        request("consume_fuel", 9, None, 0),
        {"message": "VM end", "block": 0, "depth": 1, **returned},
    ]


def test_a_signal_is_told_of_and_waits_for_nobody() -> None:
    """What the main thread does is in the trace, but a reader that does not read keeps no result back."""
    with running(Script().storage_write(ROOT, 0, b"x").loop(), "--trace") as run:
        run.host.reached(HostMethod.STORAGE_WRITE)
        run.signal(signal.SIGTERM)
        assert run.ended() == 0
    lines = traced(run.stderr)
    assert [line["message"] for line in lines[-3:]] == ["result", "host request", "end"]
    assert lines[-1]["how"] == "signal"

    reading, writing = full_pipe()
    try:
        options, program = [f"--log-fd={writing}"], Script().loop()
        with running(program, "--trace", global_options=options, pass_fds=[writing]) as run:
            run.host.reached(HostMethod.STORAGE_READ)
            run.signal(signal.SIGTERM)
            assert run.ended() == 0
        assert HostMethod.CONSUME_RESULT in run.host.methods
    finally:
        os.close(reading)
        os.close(writing)
