"""The cases of `sandboxed/group_*.py`, run in the sandbox: one VM per group, generation and mode."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.runners.embeddings.embedding_runs import CURRENT, OLD, result_of

SANDBOXED = Path(__file__).parent / "sandboxed"
#: Group, generation, and whether in a non-deterministic VM.
RUNS = [
    ("group_vec_db", CURRENT, False),
    ("group_old_vec_db", OLD, False),
    ("group_operators", CURRENT, False),
    ("group_operators", CURRENT, True),
    ("group_sentences", CURRENT, False),
    ("group_sentences", CURRENT, True),
    ("group_numpy_storage", CURRENT, False),
]

_MAIN = """
import sys
import traceback
import types

SOURCES = {sources!r}


def main():
    for name, source in SOURCES.items():
        module = sys.modules[name] = types.ModuleType(name)
        exec(compile(source, name, "exec"), vars(module))
    results = {{}}
    for name, case in list(vars(module).items()):
        if name.startswith("case_"):
            try:
                case()
                results[name] = "ok"
            except Exception:
                results[name] = traceback.format_exc()
    return results
"""


def _cases() -> list[tuple[str, str, bool, str]]:
    found = []
    for group, library, nondet in RUNS:
        tree = ast.parse((SANDBOXED / f"{group}.py").read_text(encoding="utf-8"))
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        found += [(group, library, nondet, name) for name in names if name.startswith("case_")]
    return found


@cache
def _results(group: str, library: str, nondet: bool) -> dict[str, str]:
    sources = {name: (SANDBOXED / f"{name}.py").read_text(encoding="utf-8") for name in ("dumps", group)}
    found: dict[str, str] = result_of(_MAIN.format(sources=sources), library, nondet=nondet)
    return found


def _name(value: object) -> str | None:
    return {CURRENT: "current", OLD: "old", True: "nondet", False: "det"}.get(value)


@pytest.mark.usefixtures("every_runner")
@pytest.mark.parametrize(("group", "library", "nondet", "case"), _cases(), ids=_name)
def test_case(group: str, library: str, nondet: bool, case: str) -> None:
    assert _results(group, library, nondet)[case] == "ok"
