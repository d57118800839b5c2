"""The SDK's cases of `native/group_*.py`, run by the interpreter of the sandbox, one VM per group.

A group is sent as a contract. It puts stand-ins for the native module and the message in place, runs its cases, and
returns what became of them through the real module.
"""

from __future__ import annotations

import ast
import json
from functools import cache
from pathlib import Path

import pytest
from sdk_sandbox import call

from executor.calldata import decode
from executor.outcome import Return
from runners.registry import Registry
from tests.support.hosts import InMemoryHost

NATIVE = Path(__file__).parent / "native"
GROUPS = sorted(path.stem for path in NATIVE.glob("group_*.py"))

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
    host = InMemoryHost()
    host.put_code(CONTRACT_TEXT.format(runner=runner, sources=sources, group=group).encode())
    outcome = call(host, {})
    assert isinstance(outcome, Return), outcome
    results: dict[str, str] = json.loads(decode(outcome.calldata))
    return results


@pytest.mark.parametrize(("group", "case"), _cases())
def test_case(built_runners: Registry, group: str, case: str) -> None:
    assert _results(group, built_runners.latest["py-genlayer"])[case] == "ok"
