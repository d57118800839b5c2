"""Projects of authors, in an environment of their own: our names are not in the way of theirs, nor of other packages.

The projects have folders named like our parts. The registry's package ``executor`` is installed beside us.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.packaging.distributions import build_wheel
from tests.support.paths import EXAMPLES, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("built_runners")]

#: Names of our parts, today's and those to come.
FOLDERS = ("schemas", "executor", "runners", "localnet", "modules", "manager", "settlement", "cli", "tests")
CONTRACT_TEST = f"""
    {"".join(f"import {name}.own_{name}; " for name in FOLDERS).strip()}

    def test_counter(direct_deploy):
        counter = direct_deploy("counter.py")
        counter.add(3)
        assert counter.get()["total"] == 3

    def test_folders_are_those_of_the_project():
        assert [{", ".join(f"{name}.own_{name}.NAME" for name in FOLDERS)}] == {list(FOLDERS)}
"""


class Environment:
    """A virtual environment with pip, and what is installed into it."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)

    def install(self, *arguments: str | Path) -> None:
        command: list[str | Path] = [self.programs / "python", "-m", "pip", "install", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=_environment(), check=False)
        if done.returncode != 0:
            pytest.fail(
                "pip cannot install what this test needs; it needs a package registry that can be reached, as"
                f" `pip install` of this machine is configured.\n{done.stderr}",
                pytrace=False,
            )

    def run(self, folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A program of the environment, started in a folder."""
        return subprocess.run(
            [self.programs / program, *arguments],
            cwd=folder,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def _environment() -> dict[str, str]:
    """Variables that an author has; those of this test run would reach into the environment."""
    ours = ("PYTHON", "PYTEST", "COV", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What is installed from the wheel, and what an editable installation needs besides."""
    environment = Environment(tmp_path_factory.mktemp("environment"))
    wheel = build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))
    environment.install(wheel, "executor", "pytest>=8.2,<9", "hatchling>=1.25,<2")
    return environment


@pytest.fixture(scope="module", params=["wheel", "editable"])
def environment(fresh: Environment, request: pytest.FixtureRequest) -> Environment:
    if request.param == "editable":
        fresh.install("--no-deps", "--no-build-isolation", "--editable", ROOT)
    return fresh


@pytest.fixture(params=["conftest.py", "no conftest.py"])
def project(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    for name in FOLDERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / f"own_{name}.py").write_text(f"NAME = {name!r}\n")
    if request.param == "conftest.py":
        (tmp_path / "conftest.py").touch()
    shutil.copy(EXAMPLES / "counter.py", tmp_path)
    (tmp_path / "tests" / "test_counter.py").write_text(textwrap.dedent(CONTRACT_TEST))
    return tmp_path


@pytest.mark.parametrize("command", [("pytest",), ("python", "-m", "pytest")], ids=" ".join)
def test_a_project_with_folders_of_our_names(environment: Environment, project: Path, command: tuple[str, ...]) -> None:
    done = environment.run(project, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_the_command(environment: Environment, tmp_path: Path) -> None:
    done = environment.run(tmp_path, "genvm", "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_a_package_of_the_same_name_and_ours_are_whole(environment: Environment, tmp_path: Path) -> None:
    program = """
        import executor, pygenvm.executor.run.process
        from importlib.metadata import files
        assert executor.execute("echo", "said", capture=True) == "said"
        for name in ("executor", "pygenvm"):
            for file in files(name):
                if file.hash:
                    import base64, hashlib
                    found = hashlib.new(file.hash.mode, file.read_binary()).digest()
                    assert base64.urlsafe_b64encode(found).rstrip(b"=").decode() == file.hash.value, file
        print(executor.__file__)
    """
    done = environment.run(tmp_path, "python", "-c", textwrap.dedent(program))
    assert done.returncode == 0, done.stderr
    assert "site-packages" in done.stdout
