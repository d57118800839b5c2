"""The example contracts pass `mypy --strict` against the stubs that come with pygenvm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import EXAMPLES


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy")


def mypy(*arguments: str, cwd: Path, cache: Path) -> str:
    # Neither our configuration nor our source tree: what an author has who installed the package.
    environment = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}
    # -P: a contract called token.py must not stand in for the module of that name.
    command = [sys.executable, "-P", "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={cache}", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300).stdout


def test_single_files(cache: Path) -> None:
    files = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert mypy(*files, cwd=EXAMPLES, cache=cache) == f"Success: no issues found in {len(files)} source files\n"


def test_several_files(cache: Path) -> None:
    assert mypy("-p", "contract", cwd=EXAMPLES / "quiz", cache=cache).startswith("Success")


def test_types_are_known_and_checked(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "contract.py").write_text(
        "import typing\n"
        "from genlayer import *\n\n"
        "class Other:\n"
        "    class View(typing.Protocol):\n        def get(self, key: str) -> int: ...\n"
        "    class Write(typing.Protocol):\n        def put(self, key: str) -> None: ...\n\n"
        "at = gl.contract_interface(Other)\n"
        "evm = gl.evm.contract_interface(Other)\n"
        "address = Address(b'')\n"
        "reveal_type(at(address).view().get('x'))\n"
        "reveal_type(evm(address).emit(value=u256(1)))\n"
        "reveal_type(gl.get_contract_at(address).view().anything)\n"
        "reveal_type(gl.nondet.exec_prompt('x'))\n"
        "reveal_type(gl.nondet.exec_prompt('x', response_format='json'))\n"
        "reveal_type(gl.nondet.web.render.lazy('x').get())\n"
        "reveal_type(gl.eq_principle.strict_eq(lambda: u8(1)))\n"
        "reveal_type(gl.vm.spawn_sandbox(lambda: 'x'))\n"
        "items: DynArray[u8]\n"
        "reveal_type(items[0]); reveal_type(items[1:])\n"
        "items.append(5)\n"
        "at(address).view().get(1)\n"
        "gl.vm.run_nondet(lambda: 1, lambda result: 'yes')\n"
        "gl.exec_prompt('x')\n"
    )
    output = mypy("contract.py", cwd=tmp_path, cache=cache)
    revealed = [line.split('"')[1] for line in output.splitlines() if "Revealed type" in line]
    short = [text.replace("builtins.", "").replace("genlayer.", "") for text in revealed]
    assert short == [
        "int",
        "contract.Other.Write",
        "Any",
        "str",
        "dict[str, Any]",
        "str",
        "py.types.u8",
        "gl.vm.Return[str] | gl.vm.VMError | gl.vm.UserError",
        "py.types.u8",
        "list[py.types.u8]",
    ]
    wrong = {int(line.split(":")[1]) for line in output.splitlines() if "error:" in line}
    assert wrong == {23, 24, 25, 26}
