"""The stubs in the repository are those of the SDK, and what stands in for the SDK outside of the sandbox."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pygenvm.runners import stubs


@pytest.mark.usefixtures("built_runners")
def test_stubs_are_up_to_date() -> None:
    """If this fails: `python -m pygenvm.runners.stubs`."""
    committed = {
        path.relative_to(stubs.FOLDER).as_posix(): path.read_text(encoding="utf-8")
        for path in stubs.FOLDER.rglob("*.pyi")
    }
    assert committed == stubs.stub_files()


@pytest.mark.slow
def test_helpers_that_contracts_import_are_known(tmp_path: Path) -> None:
    contract = tmp_path / "contract.py"
    contract.write_text(
        "from genlayer.gl._internal.gl_call import contract_return, gl_call_generic, rollback\n"
        "from genlayer.gl.nondet import _decode_nondet\n"
        "from genlayer.gl.vm import _decode_sub_vm_result, gl_call\n"
        "from genlayer.py.evm.calldata import MethodEncoder\n"
        "gl_call.gl_call_generic({}, _decode_nondet).get()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={tmp_path / 'cache'}", str(contract)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_says_where_contracts_run(tmp_path: Path) -> None:
    output = run("import genlayer", cwd=tmp_path)
    assert "ImportError: contracts run in the sandbox" in output
    assert "genvm local deploy" in output


@pytest.mark.parametrize("place", ["sys.path.append", "sys.path.insert(0, "])
def test_sources_of_the_sdk_are_preferred(tmp_path: Path, place: str) -> None:
    """Tools of others put the SDK on the path, some in front and some behind."""
    package = tmp_path / "genlayer"
    package.mkdir()
    (package / "__init__.py").write_text("from .part import here\n")
    (package / "part.py").write_text("here = __package__\n")
    call = f"{place}(path)" if place.endswith("append") else f"{place}path)"
    code = (
        f"import sys; path = {str(tmp_path)!r}; {call}; import genlayer, genlayer.part; print(genlayer.here, genlayer)"
    )
    assert run(code, cwd=tmp_path.parent).startswith(f"genlayer <module 'genlayer' from '{package}")


def test_a_folder_of_that_name_is_no_sdk(tmp_path: Path) -> None:
    (tmp_path / "genlayer").mkdir()
    assert "contracts run in the sandbox" in run("import sys; sys.path.append('.'); import genlayer", cwd=tmp_path)


def run(code: str, *, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr
