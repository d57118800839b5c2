"""Every example contract, recorded by the real command, run again, and tampered with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.outcome import Return, UserError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.abi import HostMethod
from pygenvm.executor.record.reading import read_record
from tests.support.example_runs import EXAMPLE_RUNS, answers, example_host
from tests.support.execution import config_file, execute_process
from tests.support.hosts import InMemoryHost
from tests.support.module_server import serving_module
from tests.support.paths import EXAMPLES
from tests.support.records import objects, replayed, write

SAME = "requests, result and fingerprint are the same"


def test_every_example_has_runs() -> None:
    """Calls that are there already stay as they are; a new contract gets some."""
    assert EXAMPLE_RUNS.keys() == {path.name for path in EXAMPLES.iterdir() if not path.name.startswith((".", "_"))}


@pytest.fixture(scope="module")
def config(every_runner: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with serving_module(answers) as server:
        modules = {name: {"address": server.address} for name in ("llm", "web")}
        yield config_file(tmp_path_factory.mktemp("examples"), built=True, modules=modules)


@dataclass
class Recorder:
    """Runs that share a host, each with a record of its own, each run again at once."""

    host: InMemoryHost
    config: Path
    folder: Path
    number: int = 0

    def run(self, call: Any, ends: type = Return, **message: Any) -> Path:
        self.number += 1
        path = self.folder / f"{self.number}.record"
        self.host.calldata = calldata.encode(call)
        self.host.requests.clear()
        run = execute_process(None, "--record", str(path), host=self.host, config=self.config, message=message)
        assert run.exit_code == 0, run.stderr.decode()
        assert isinstance(run.outcome, ends), (call, run.outcome, run.stderr.decode())
        verdict = replayed(path, self.config)
        assert verdict.same, (call, verdict)
        assert verdict.text == SAME
        assert verdict.exchanges >= len(self.host.requests)
        assert read_record(path).ended == "result"
        return path


@pytest.mark.parametrize("name", EXAMPLE_RUNS)
def test_examples_do_the_same_again(name: str, config: Path, tmp_path: Path) -> None:
    host = example_host(name)
    recorder = Recorder(host, config, tmp_path)
    args, steps = EXAMPLE_RUNS[name]
    path = recorder.run({"args": args}, is_init=True)
    for step in steps:
        call = {"method": step.method, "args": step.args}
        message = {"sender": step.sender, "value": step.value, "datetime": step.datetime}
        path = recorder.run(call, step.ends, **message)
        if step.blocks:
            posted = [fields["result"] for fields in host.fields_of(HostMethod.POST_NONDET_RESULT)]
            assert posted
            host.leader_results = posted
            recorder.run(call, step.ends, **message)
            assert HostMethod.NOTIFY_NONDET_DISAGREEMENT not in host.methods
            host.leader_results = [b"\x01the leader was wrong"] * len(posted)
            recorder.run(call, UserError, **message)
            assert host.fields_of(HostMethod.NOTIFY_NONDET_DISAGREEMENT) == [{"call_no": 0}]
            host.leader_results = None
    _check_tampering(path, config)


def _check_tampering(path: Path, config: Path) -> None:
    """Another result than the recorded one, and another answer of the host: the place is told each time."""
    parts = objects(path)
    events = range(1, len(parts) - 1)
    result = next(at for at in events if parts[at][2] == "consume_result")
    calldata_ = next(at for at in events if parts[at][2] == "get_calldata")
    for at, changed in (
        (result, [*parts[result][:3], [_flipped(parts[result][3][0])], *parts[result][4:]]),
        (calldata_, [*parts[calldata_][:5], b"\xff" + parts[calldata_][5]]),
    ):
        tampered = path.with_suffix(".tampered")
        write(tampered, [*parts[:at], changed, *parts[at + 1 :]])
        verdict = replayed(tampered, config)
        assert not verdict.same
        assert re.match(r"main, event \d+: ", verdict.text), verdict


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])
