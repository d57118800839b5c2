"""Wheels of `make dist` in an empty environment: everything works, nothing is built or compiled, nobody's files change.

The environment has no compiler, and no folder on its path but its own.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from importlib.metadata import version
from pathlib import Path

import pytest

from pygenvm.runners import dist, modules, recipes, registry
from pygenvm.runners.progress import Silent
from pygenvm.runners.registry import BuiltRunners
from tests.packaging.distributions import build_wheel
from tests.support.paths import EXAMPLES, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("built_runners")]

CONTRACT_TEST = """
def test_counter(direct_deploy):
    counter = direct_deploy("counter.py")
    counter.add(3)
    assert counter.get()["total"] == 3
"""


@pytest.fixture(scope="module")
def built(built_runners: BuiltRunners) -> BuiltRunners:
    registry.collect_licences(built_runners, jobs=1)
    return built_runners


@pytest.fixture(scope="module")
def wheels(built: BuiltRunners, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By name; what Protocol Buffers need stands for what NumPy needs."""
    folder = tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "numeric_ids", lambda: frozenset({"py-lib-protobuf"}))
        made = {package.name: dist.write_wheel(built, package, folder, Silent()) for package in dist.packages(built)}
    return {**made, "pygenvm": build_wheel(ROOT, folder)}


class Machine:
    """An environment with what pip has installed, and users with homes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "environment" / "bin"
        subprocess.run([sys.executable, "-m", "venv", folder / "environment"], check=True)

    def install(self, *what: str | Path) -> None:
        command: list[str | Path] = [self.programs / "python", "-m", "pip", "install", "--quiet", *what]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"pip cannot install what this test needs, from a registry of packages:\n{done.stderr}", False)

    @property
    def packages(self) -> Path:
        (found,) = (self.folder / "environment" / "lib").glob("python*/site-packages")
        return found

    def home(self, user: str) -> Path:
        path = self.folder / user
        if not path.is_dir():
            path.mkdir()
            shutil.copy(EXAMPLES / "counter.py", path)
            (path / "test_counter.py").write_text(CONTRACT_TEST)
        return path

    def run(self, user: str, *command: str) -> str:
        done = subprocess.run(
            [self.programs / command[0], *command[1:]],
            cwd=self.home(user),
            env={"HOME": str(self.home(user)), "PATH": str(self.programs)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def compiled(self, user: str) -> list[str]:
        """What a user's cache holds that was built or compiled there."""
        cache = self.home(user) / ".cache" / "pygenvm"
        names = [path.name for path in cache.iterdir() if path.name not in ("executor", "modules")]
        return names + [path.name for path in (cache / "executor" / "artefacts").glob("*.cwasm")]


@pytest.fixture(scope="module")
def machine(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """With the plain wheels."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    machine.install(wheels["pygenvm"], wheels["pygenvm_runners"], "pytest>=8.2,<9")
    return machine


def test_deploy_call_and_test_without_a_compiler(machine: Machine) -> None:
    before = {
        path: path.stat().st_mtime_ns
        for path in machine.packages.rglob("*")
        if "pygenvm_runners" in path.parts and "__pycache__" not in path.parts
    }
    for user in ("alice", "bob"):
        machine.run(user, "genvm", "local", "deploy", "counter.py")
        machine.run(user, "genvm", "local", "call", "add", "--args", "[3]")
        assert '"total": 3' in machine.run(user, "genvm", "local", "view", "get").replace("'", '"')
        assert "1 passed" in machine.run(user, "pytest", "-q")
        assert machine.compiled(user) == []
    # For several users, and where it cannot be written to.
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_commands_of_such_an_installation(machine: Machine, built: BuiltRunners) -> None:
    numeric = "py-lib-protobuf"
    listed = machine.run("carol", "genvm", "runners", "list")
    assert listed.count("latest") == len(built.latest) - 1
    assert numeric not in listed
    assert f"{len(built.latest) - 1} archives are" in machine.run("carol", "genvm", "runners", "verify")
    assert "Berkeley SoftFloat" in machine.run("carol", "genvm", "runners", "licences")


def test_the_other_wheel(machine: Machine, wheels: dict[str, Path], built: BuiltRunners) -> None:
    machine.install("--no-deps", wheels["pygenvm_runners_numeric"])
    said = machine.run("dave", "genvm", "runners", "build", "--plain")
    assert set(said.split()) == {f"{runner}:{name}" for runner, name in built.latest.items()}
    # All are there: nothing was built.
    assert not (machine.home("dave") / ".cache").exists()


# --- the wheels themselves --------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["pygenvm_runners", "pygenvm_runners_numeric"])
def wheel(wheels: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(wheels[request.param]) as file:
        yield file


def of_info(wheel: zipfile.ZipFile, name: str) -> bytes:
    (path,) = (path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
    return wheel.read(path)


def test_what_a_wheel_says(wheel: zipfile.ZipFile) -> None:
    metadata = message_from_bytes(of_info(wheel, "METADATA"))
    assert metadata["Version"] == version("pygenvm")
    assert metadata["Name"] in ("pygenvm-runners", "pygenvm-runners-numeric")
    requires = metadata.get_all("Requires-Dist")
    assert requires is not None
    assert requires[0] == f"pygenvm=={version('pygenvm')}"
    texts = metadata.get_all("License-File")
    assert texts is not None
    assert all(of_info(wheel, f"licenses/{text}") for text in texts)
    tags = message_from_bytes(of_info(wheel, "WHEEL")).get_all("Tag")
    assert tags is not None
    assert all(tag.startswith("py3-none-") for tag in tags)
    assert wheel.filename is not None
    assert ".".join(tag.removeprefix("py3-none-") for tag in tags) in wheel.filename


def test_the_record_of_a_wheel(wheel: zipfile.ZipFile) -> None:
    lines = of_info(wheel, "RECORD").decode().splitlines()
    assert [line.split(",")[0] for line in lines] == wheel.namelist()
    for line in lines[:-1]:
        name, digest, size = line.split(",")
        content = wheel.read(name)
        expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        assert (digest, int(size)) == (f"sha256={expected}", len(content))


def test_what_a_wheel_holds(wheels: dict[str, Path], built: BuiltRunners) -> None:
    archives = {}
    for name in ("pygenvm_runners", "pygenvm_runners_numeric"):
        with zipfile.ZipFile(wheels[name]) as file:
            assert {path.split("/")[0] for path in file.namelist()} == {name, f"{name}-{version('pygenvm')}.dist-info"}
            archives[name] = {path.split("/")[2] for path in file.namelist() if path.endswith(".tar")}
            modules_inside = [path for path in file.namelist() if path.endswith(".cwasm")]
            assert len(modules_inside) == (3 if name == "pygenvm_runners" else 0)
            assert {info.compress_type for info in file.infolist()} == {zipfile.ZIP_DEFLATED}
    assert archives["pygenvm_runners_numeric"] == {"py-lib-protobuf"}
    assert archives["pygenvm_runners"] == built.latest.keys() - {"py-lib-protobuf"}


def test_the_same_runners_give_the_same_wheel(wheels: dict[str, Path], built: BuiltRunners, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "numeric_ids", lambda: frozenset({"py-lib-protobuf"}))
        plain, _ = dist.packages(built)
    again = dist.write_wheel(built, plain, tmp_path, Silent())
    assert again.read_bytes() == wheels["pygenvm_runners"].read_bytes()


def test_without_numeric_recipes_there_is_one_wheel(built: BuiltRunners, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "numeric_ids", frozenset)
    assert [package.name for package in dist.packages(built)] == ["pygenvm_runners"]


def test_modules_that_contracts_use(built: BuiltRunners) -> None:
    used = modules.used_modules(built, {runner: [name] for runner, name in built.latest.items()})
    titles = {module.title for module in used}
    assert titles >= {
        "cpython-genlayer/cpython.det.wasm (det)",
        "cpython-genlayer/cpython.wasm (non-det)",
        "softfloat/softfloat.wasm (det)",
    }
    assert not any(title.startswith("cpython/") for title in titles)
    assert modules.used_modules(built, {"softfloat": [built.latest["softfloat"]]}) == [
        module for module in used if module.archive.startswith("softfloat:")
    ]
