"""A contract is compiled once, in a VM that sees nothing else, and always runs from its bytecode."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.outcome import Return, UserError, VMError
from pygenvm.executor.primitives import calldata
from pygenvm.executor.run import derived
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.runners.registry import BuiltRunners
from tests.runners.python.python_contracts import HEADER, contract
from tests.support import execution
from tests.support.archives import contract_zip
from tests.support.execution import Execution, execute
from tests.support.hosts import InMemoryHost

pytestmark = pytest.mark.usefixtures("built_runners")

#: Returns what the module knows of its own bytecode.
_LOOKS = """\
from genlayer import *
import sys

class Looks(gl.Contract):
    @gl.public.view
    def look(self) -> dict:
        spec = sys.modules[__name__].__spec__
        with open(spec.cached, "rb") as file:
            return {"file": __file__, "cached": spec.cached, "bytecode": file.read()}
"""
_FAILS = 'from genlayer import *\nx = {"a": [1, 2]}\nclass C(gl.Contract):\n    @gl.public.write\n    def f(self):\n'


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the compiled interpreter: links to it would change what marks in the store it is from tell of it."""
    folder = tmp_path_factory.mktemp("compiled")
    call(contract(_LOOKS))
    for path in Path(execution._built_artefacts().folder.path).iterdir():
        if path.suffix in (".cwasm", ".json"):
            # Another process may take away what is old.
            with contextlib.suppress(FileNotFoundError):
                shutil.copy2(path, folder)
    return folder


@pytest.fixture
def store(compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The compiled interpreter is there, but nothing of any contract."""
    (tmp_path / "artefacts").mkdir(mode=0o700)
    for path in compiled.iterdir():
        # A link that must be followed is not believed, and the interpreter would be compiled for each test.
        os.link(path, tmp_path / "artefacts" / path.name)
    own = ArtefactStore(tmp_path / "artefacts")
    monkeypatch.setattr(execution, "_built_artefacts", lambda: own)
    return tmp_path / "derived"


def call(code: bytes, method: str = "f") -> Execution:
    derived.made_in.cache_clear()  # As in a process of its own.
    host = InMemoryHost(calldata=calldata.encode({"method": method}))
    host.put_code(code)
    return execute(host=host, built=True)


def value(run: Execution) -> Any:
    assert isinstance(run.outcome, Return), run.stderr.decode()
    return calldata.decode(run.outcome.calldata)


def kept(store: Path) -> list[Path]:
    return sorted(store.glob("*.derived"))


def test_the_module_is_loaded_from_bytecode_of_its_source(store: Path) -> None:
    code = contract(_LOOKS)
    seen = value(call(code, "look"))
    assert seen["file"] == "/contract.py"
    assert seen["cached"] == "__pycache__/contract.cpython-313.pyc"
    # An unchecked hash: the source is not even read at import.
    assert int.from_bytes(seen["bytecode"][4:8], "little") == 0b01
    assert len(kept(store)) == 1
    assert seen["bytecode"] in kept(store)[0].read_bytes()


def test_a_first_run_and_a_later_one_cannot_be_told_apart(store: Path) -> None:
    for body in ('        raise gl.vm.UserError("no")', "        raise ValueError(x)", "        exit(7)"):
        code = contract(_FAILS + body)
        before = len(kept(store))
        first = call(code)
        assert len(kept(store)) == before + 1
        later = call(code)
        assert first.payload == later.payload
        assert first.fingerprint["module_instances"]
        assert (first.stdout, first.stderr) == (later.stdout, later.stderr)
        assert first.host.requests == later.host.requests
    assert isinstance(call(contract(_FAILS + '        raise gl.vm.UserError("no")')).outcome, UserError)


def test_tracebacks_show_the_source(store: Path) -> None:
    run = call(contract(_FAILS + "        raise ValueError('told')"))
    assert run.outcome == VMError("exit_code 1")
    assert 'File "/contract.py", line 9, in f' in run.stderr.decode()
    assert "raise ValueError('told')" in run.stderr.decode()


def test_a_contract_that_does_not_compile_says_so_every_time(store: Path) -> None:
    runs = [call(contract("this is no Python")) for _ in range(2)]
    for run in runs:
        assert run.outcome == VMError("exit_code 1")
        assert "SyntaxError" in run.stderr.decode()
    assert runs[0].payload == runs[1].payload
    assert calldata.decode(kept(store)[0].read_bytes()[32:]) == {}


@pytest.mark.parametrize("hostile", ["(" * 100_000, "x = " + "-" * 100_000 + "1", "\0"])
def test_source_that_the_compiler_gives_up_on(store: Path, hostile: str) -> None:
    runs = [call(HEADER.encode() + hostile.encode()) for _ in range(2)]
    assert runs[0].outcome == VMError("exit_code 1")
    assert runs[0].payload == runs[1].payload


def test_what_is_damaged_is_made_again(store: Path) -> None:
    code = contract(_LOOKS)
    seen = value(call(code, "look"))
    path = kept(store)[0]
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], whole[:40] + bytes([whole[40] ^ 1]) + whole[41:]):
        path.write_bytes(damaged)
        assert value(call(code, "look")) == seen
        assert path.read_bytes() == whole


def test_what_does_not_end_is_not_kept(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little memory for the compiler, such as it is, is nobody's verdict on the contract."""
    monkeypatch.setattr("pygenvm.executor.limits.CLOSED_RAM_BYTES", 30 << 20)
    run = call(contract(_LOOKS), "look")
    assert run.outcome == VMError("exit_code 1")
    assert b"No such file or directory" in run.stderr  # of the bytecode
    assert kept(store) == []
    monkeypatch.undo()


def test_an_installation_without_the_compiler(store: Path, built_runners: BuiltRunners, tmp_path: Path) -> None:
    """The run says what is missing, and the contract has its bytecode as soon as that is repaired."""
    root = tmp_path / "installed"
    (root / "runners").mkdir(parents=True)
    (root / "registry").symlink_to(built_runners.root / "registry")
    for folder in (built_runners.root / "runners").iterdir():
        if folder.name != "py-compiler":
            (root / "runners" / folder.name).symlink_to(folder)
    host = InMemoryHost(calldata=calldata.encode({"method": "look"}))
    host.put_code(contract(_LOOKS))
    run = execute(host=host, registry=root)
    assert run.outcome == VMError("invalid_contract")
    assert "py-compiler" in run.cause
    assert kept(store) == []
    (root / "runners" / "py-compiler").symlink_to(built_runners.root / "runners" / "py-compiler")
    assert value(call(contract(_LOOKS), "look"))["bytecode"]


def test_the_oldest_results_are_forgotten(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygenvm.executor.limits.DERIVED_FILES_MAX", 4)
    store.mkdir()
    for number in range(8):
        path = store / f"{number}.derived"
        path.write_bytes(b"")
        os.utime(path, (number, number))
    call(contract(_LOOKS), "look")
    assert [path.name for path in kept(store) if len(path.name) == 9] == [f"{number}.derived" for number in range(6, 8)]
    assert len(kept(store)) == 3


def test_results_are_bounded_in_bytes_too(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygenvm.executor.limits.DERIVED_FILES_BYTES", 10_000)
    store.mkdir()
    for number in range(3):
        path = store / f"{number}.derived"
        path.write_bytes(bytes(4_000))
        os.utime(path, (number, number))
    call(contract(_LOOKS), "look")
    assert [path.name for path in kept(store) if len(path.name) == 9] == ["2.derived"]


def test_a_store_that_cannot_be_written(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr("pygenvm.executor.cache_folder.CacheFolder.write", refuse)
    assert value(call(contract(_LOOKS), "look"))["bytecode"]
    assert kept(store) == []


def test_packages_have_bytecode_too_and_their_own_is_left_alone(store: Path, built_runners: BuiltRunners) -> None:
    helper = b"def told():\n    return __spec__.cached\n"
    main = (
        b"from genlayer import *\nfrom .helper import told\nimport contract.own\n"
        b"class C(gl.Contract):\n    @gl.public.view\n"
        b"    def f(self) -> list:\n"
        b"        return [__spec__.cached, told(), contract.own.__spec__.cached, contract.own.x]\n"
    )
    own = importlib.util.MAGIC_NUMBER  # not that of the sandbox: the file is only looked at
    files = {
        "contract/__init__.py": main,
        "contract/helper.py": helper,
        "contract/own.py": b"x = 5\n",
        "contract/__pycache__/own.cpython-313.pyc": own[:2] + b"??" + bytes(12),
        "contract/data.txt": b"no Python",
    }
    code = contract_zip({"Depends": f"py-genlayer-multi:{built_runners.latest['py-genlayer-multi']}"}, files, "v0.2.16")
    cache = "/contract/__pycache__/{}.cpython-313.pyc"
    assert value(call(code)) == [cache.format("__init__"), cache.format("helper"), cache.format("own"), 5]
    assert len(kept(store)) == 1


def test_bytecode_belongs_to_one_source(store: Path) -> None:
    texts = [contract(_LOOKS + f"# {number}\n") for number in range(2)]
    digests = {hashlib.sha256(value(call(text, "look"))["bytecode"]).digest() for text in texts}
    assert len(digests) == len(kept(store)) == 2


def test_sandboxes_and_nondet_blocks_use_the_same_bytecode(store: Path) -> None:
    body = """\
from genlayer import *

def cached():
    return __spec__.cached

class C(gl.Contract):
    @gl.public.write
    def f(self) -> list:
        sandbox = gl.vm.unpack_result(gl.vm.spawn_sandbox(lambda: cached()))
        return [cached(), sandbox, gl.vm.run_nondet_unsafe(lambda: cached(), lambda result: True)]
"""
    assert value(call(contract(body))) == ["__pycache__/contract.cpython-313.pyc"] * 3
    assert len(kept(store)) == 1
