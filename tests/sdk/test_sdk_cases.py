"""The SDK's cases of `sandboxed/group_*.py`, run by the interpreter of the sandbox, one VM per group.

A group is sent as a contract. It puts stand-ins for the native module and the message in place, runs its cases, and
tells what became of them through the real module, as a user error: such a result has a fingerprint of the memory.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.outcome import UserError
from pygenvm.runners.registry import BuiltRunners
from tests.sdk.sdk_sandbox import call
from tests.support.hosts import InMemoryHost

SANDBOXED = Path(__file__).parent / "sandboxed"
GROUPS = sorted(path.stem for path in SANDBOXED.glob("group_*.py"))

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
_genlayer_wasi.gl_call(calldata.encode({{"Rollback": results}}))
"""


def _cases() -> list[tuple[str, str]]:
    found = []
    for group in GROUPS:
        tree = ast.parse((SANDBOXED / f"{group}.py").read_text(encoding="utf-8"))
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        found += [(group, name) for name in names if name.startswith("case_")]
    return found


@dataclass(frozen=True)
class Run:
    results: dict[str, str]
    fingerprint: dict[str, Any]


def _run(group: str, runner: str, **how: Any) -> Run:
    names = ("harness", "tool_storage", "storage_support", "storage_program", group)
    sources = {name: (SANDBOXED / f"{name}.py").read_text(encoding="utf-8") for name in names}
    host = InMemoryHost()
    host.put_code(CONTRACT_TEXT.format(runner=runner, sources=sources, group=group).encode())
    outcome = call(host, {}, **how)
    assert isinstance(outcome, UserError), outcome
    return Run(json.loads(outcome.message), host.fingerprint)


_first_run = cache(_run)


@pytest.mark.parametrize(("group", "case"), _cases())
def test_case(every_runner: BuiltRunners, group: str, case: str) -> None:
    assert _first_run(group, every_runner.latest["py-genlayer"]).results[case] == "ok"


# --- the whole suite twice ----------------------------------------------------------------------------


@pytest.mark.parametrize("group", GROUPS)
def test_same_memory_on_another_host(every_runner: BuiltRunners, group: str) -> None:
    runner = every_runner.latest["py-genlayer"]
    elsewhere = {"PYTHONHASHSEED": "77", "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "COLUMNS": "7", "MORE": "x" * 5000}
    again = _run(group, runner, environment=elsewhere)
    assert again == _first_run(group, runner)
    assert sorted(again.results) == sorted(case for owner, case in _cases() if owner == group)


def test_fingerprints_tell_runs_apart(every_runner: BuiltRunners) -> None:
    """They are of the interpreter's whole memory: every group and every message leaves another."""
    runner = every_runner.latest["py-genlayer"]
    later = _run(GROUPS[0], runner, when="2026-01-01T00:00:00Z")
    fingerprints = [_first_run(group, runner).fingerprint for group in GROUPS]
    memories = [fingerprint["module_instances"]["cpython"]["memories"] for fingerprint in fingerprints]
    assert all(memories)
    assert all(memories.count(memory) == 1 for memory in memories)
    assert later.results == _first_run(GROUPS[0], runner).results
    assert later.fingerprint["module_instances"]["cpython"]["memories"] not in memories
