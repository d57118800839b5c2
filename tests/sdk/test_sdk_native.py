"""The SDK in ordinary interpreters, where tools of other projects import it (spec sdk/01 §1).

Needs a Python that is new enough for the SDK, 3.12; without one on this machine there is nothing to run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from pygenvm.runners.sdk_tree import sdk_files
from tests.support.quick import few

SANDBOXED = Path(__file__).parent / "sandboxed"
GROUPS = sorted(path.stem for path in SANDBOXED.glob("group_*.py"))
MINOR_VERSIONS = range(12, 20)


def _version(interpreter: str) -> str:
    """``3.13`` and the like; empty if it does not start."""
    command = [interpreter, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


@cache
def interpreters() -> dict[str, str]:
    """Version to interpreter, of those on PATH and those that pyenv has."""
    found = {}
    for version in (f"3.{minor}" for minor in MINOR_VERSIONS):
        others = Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")
        for path in filter(None, [shutil.which(f"python{version}"), *map(str, sorted(others))]):
            if _version(path) == version:
                found[version] = path
                break
    return found


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the cases. Each imports the SDK anew: its bytecode is kept beside it, but not in the clone."""
    folder = tmp_path_factory.mktemp("native") / "sdk"
    shutil.copytree(SANDBOXED, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, data in sdk_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def run(version: str, sdk: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(sdk)}
    command = [interpreters()[version], *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


VERSIONS = (
    [
        pytest.param(None, marks=pytest.mark.skip(reason="no Python from 3.12 on here")),
    ]
    if not interpreters()
    else sorted(interpreters())
)


@pytest.mark.parametrize("version", VERSIONS)
def test_tool_of_another_project(version: str, sdk: Path) -> None:
    seen = json.loads(run(version, sdk, str(sdk / "outside_tool.py")))
    one, two = "0x" + "01" * 20, "0x" + "02" * 20
    said = "said page"
    votes = {one: [["a", ["new"]], ["b", ["new"]]], two: [["c", ["new"]]]}
    look = {"votes": votes, "pair": "one", "value": 7, "balance": 9}
    assert seen["results"] == [1, 2, [said, said, "judged", said, said], 1, look]
    assert seen["schema"]["methods"]["look"]["ret"] == "dict"
    assert seen["schema"]["ctor"] == {"params": [["first", "string"]], "kwparams": {}}
    assert seen["requests"].count("EmitEvent") == 3


@pytest.mark.parametrize("version", VERSIONS[:1])
@pytest.mark.parametrize("group", few(GROUPS, *set(GROUPS) - {"group_boot", "group_evm", "group_untyped_map"}))
def test_cases(version: str, group: str, sdk: Path) -> None:
    """With the oldest of them; the sandbox runs the cases too."""
    program = f"import harness, {group}; print(harness.run_group(vars({group})))"
    results = json.loads(run(version, sdk, "-c", program).splitlines()[-1])
    assert {name: result for name, result in results.items() if result != "ok"} == {}
    assert len(results) > 5
