"""The SDK's cases of `native/group_*.py`, run by the interpreter of the sandbox, one VM per group.

A group is sent as a contract. It puts stand-ins for the native module and the message in place, runs its cases, and
returns what became of them through the real module.
"""

from __future__ import annotations

import ast
import base64
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from executor.calldata import decode, encode
from executor.outcome import Return
from runners.registry import Registry
from tests.support.hosts import CONTRACT, SENDER, InMemoryHost, serving

NATIVE = Path(__file__).parent / "native"
GROUPS = sorted(path.stem for path in NATIVE.glob("group_*.py"))
GROUP_TIMEOUT_S = 120

CONTRACT_TEXT = """\
# {{ "Depends": "py-genlayer:{runner}" }}
import sys, types
import _genlayer_wasi
for name, source in {sources!r}.items():
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), vars(module))
harness = sys.modules["harness"]
results = harness.run_group(vars(sys.modules[{group!r}]))
harness.fresh()
from genlayer.py import calldata
_genlayer_wasi.gl_call(calldata.encode({{"Return": results}}))
"""


def _cases() -> list[tuple[str, str]]:
    found = []
    for group in GROUPS:
        tree = ast.parse((NATIVE / f"{group}.py").read_text(encoding="utf-8"))
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        found += [(group, name) for name in names if name.startswith("case_")]
    return found


@cache
def _results(group: str, runner: str) -> dict[str, str]:
    sources = {name: (NATIVE / f"{name}.py").read_text(encoding="utf-8") for name in ("harness", group)}
    host = InMemoryHost(calldata=encode({}))
    host.put_code(CONTRACT_TEXT.format(runner=runner, sources=sources, group=group).encode())
    contract, sender = (base64.b64encode(address.as_bytes).decode() for address in (CONTRACT, SENDER))
    message = {
        "contract_address": contract,
        "sender_address": sender,
        "origin_address": sender,
        "chain_id": "0",
        "value": None,
        "is_init": False,
        "datetime": "2024-11-26T06:42:42.424242Z",
    }
    host_data = json.dumps({"node_address": "0x", "tx_id": "0x"})
    with serving(host) as node:
        command = [sys.executable, "-m", "cli.main", "run", "--message", json.dumps(message), "--host", node.address]
        command += ["--host-data", host_data, "--print", "stderr-full"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=GROUP_TIMEOUT_S, check=False)
    outcome = host.outcome
    assert isinstance(outcome, Return), f"{outcome}\n{done.stdout}\n{done.stderr}"
    results: dict[str, str] = json.loads(decode(outcome.calldata))
    return results


@pytest.mark.parametrize(("group", "case"), _cases())
def test_case(built_runners: Registry, group: str, case: str) -> None:
    assert _results(group, built_runners.latest["py-genlayer"])[case] == "ok"
