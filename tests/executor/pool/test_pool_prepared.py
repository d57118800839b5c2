"""What a template has loaded when it forks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pygenvm.executor.outcome import Return
from tests.support.execution import HOST_DATA, Execution, config_file, message_json
from tests.support.hosts import PATIENCE_SECONDS, InMemoryHost, serving
from tests.support.machine import Script, machine
from tests.support.paths import ROOT

#: A template that runs a job itself, instead of a fork.
PROGRAM = """
import json, sys
from pathlib import Path
from pygenvm.executor.pool import template
from pygenvm.executor.pool.prepare import prepare
from pygenvm.executor.arguments import RunArguments
from pygenvm.executor.config import load_config
from pygenvm.executor.log import Logger
from pygenvm.executor.run import termination
from pygenvm.executor.run.process import run_process

address, message, host_data, config_path, record = sys.argv[1:]
config = load_config(config_path)
prepared = prepare(config)
before = set(sys.modules)
termination.install()
arguments = RunArguments(message, address, host_data, record=Path(record) if record else None, trace=bool(record))
status = run_process(arguments, config, Logger(fd=2, level="error"), prepared)
late = sorted(name for name in set(sys.modules) - before if name.startswith("pygenvm"))
print(json.dumps({"status": status, "late": late}))
"""


@pytest.mark.parametrize("recorded", [False, True], ids=["plain", "recorded and traced"])
def test_an_executor_of_a_pool_imports_nothing_of_ours(recorded: bool, tmp_path: Path) -> None:
    """What a template has not loaded, each of its executors loads anew: milliseconds of a call that takes a few."""
    program = Script().storage_write(bytes(32), 0, b"x").sandbox(Script()).nondet(Script(), Script())
    host = InMemoryHost(calldata=program.code, leader_results=[b"\x00\x00"])
    host.put_code(machine())
    record = str(tmp_path / "record") if recorded else ""
    with serving(host) as node:
        words = [node.address, message_json(), json.dumps(HOST_DATA), str(config_file(tmp_path)), record]
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROGRAM, *words],
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            check=True,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
        )
    assert isinstance(Execution(host, done.stdout, done.stderr).outcome, Return)
    assert json.loads(done.stdout) == {"status": 0, "late": []}
