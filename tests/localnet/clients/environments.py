"""Published clients in folders of their own below the cache, installed once for each list of packages.

A folder is named after what is in it, so another version is another folder. Where a registry does not have a package,
or the machine has no Node or no Python that the clients run on, the tests are skipped with that reason.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from pygenvm.executor.config import cache_root

#: What installers say of packages that the registry lacks, in lower case.
_LACKING = (
    "no matching distribution",
    "could not find a version",
    "etarget",
    "notarget",
    "e404",
    "no matching version",
)
_INSTALL_SECONDS = 600
#: The newest that the CLI's dependencies fit; the registry has others too, which do not.
_OX = "0.14.49"


@contextlib.contextmanager
def serialised(name: str) -> Iterator[None]:
    """One process at a time, of all that run tests on this machine."""
    folder = cache_root() / "clients"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def python_with(*packages: str) -> Path:
    """A Python that has these packages, such as ``genlayer-py==0.8.1``, which needs Python 3.12."""
    python = _python()
    folder = _folder("python", [str(python), *packages])

    def install(unfinished: Path) -> None:
        _run([str(python), "-m", "venv", str(unfinished)])
        pip = [str(unfinished / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, *packages])

    _made(folder, install)
    return folder / "bin" / "python"


def node_with(packages: Mapping[str, str], *, scripts: bool = True, stubs: Mapping[str, str] | None = None) -> Path:
    """A folder with these packages in ``node_modules``.

    :param scripts: packages may run their install scripts.
    :param stubs: text of packages that take the place of those that need a compiler.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no Node on this machine")
    stubs = stubs or {}
    overrides = {"ox": _OX, **{name: f"${name}" for name in stubs}}
    local = {name: f"file:./{name}-stub" for name in stubs}
    manifest = {"type": "module", "private": True, "dependencies": {**packages, **local}, "overrides": overrides}
    folder = _folder("node", [json.dumps(manifest), *stubs.values()])

    def install(unfinished: Path) -> None:
        unfinished.mkdir(parents=True)
        (unfinished / "package.json").write_text(json.dumps(manifest))
        for name, text in stubs.items():
            stub = unfinished / f"{name}-stub"
            stub.mkdir()
            (stub / "package.json").write_text(json.dumps({"name": name, "version": "7.9.0", "main": "index.js"}))
            (stub / "index.js").write_text(text)
        words = ["npm", "install", "--no-audit", "--no-fund", "--no-update-notifier"]
        _run([*words, *([] if scripts else ["--ignore-scripts"])], cwd=unfinished)

    _made(folder, install)
    return folder


def run_node(folder: Path, program: Path, *words: str, timeout: float = 120) -> str:
    """What a program prints that uses the packages of ``folder``."""
    # Node looks for packages beside the program.
    copy = folder / f"{os.getpid()}-{program.name}"
    shutil.copy(program, copy)
    try:
        return run(["node", str(copy), *words], timeout=timeout)
    finally:
        copy.unlink()


def run(words: Sequence[str], *, timeout: float = 120, cwd: Path | None = None, text: str = "", **env: str) -> str:
    """What a client prints; nothing that it does leaves the machine."""
    closed = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost", "NO_COLOR": "1"}
    done = subprocess.run(
        list(words),
        capture_output=True,
        text=True,
        input=text,
        timeout=timeout,
        cwd=cwd,
        env={**_environment(), **closed, **env},
    )
    assert done.returncode == 0, (
        f"{words[0]} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    )
    return done.stdout


def _environment() -> dict[str, str]:
    # A client must not see packages of the tests.
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def _python() -> Path:
    """Python 3.12 or newer."""
    if sys.version_info >= (3, 12):
        return Path(sys.executable)
    names = [f"python3.{minor}" for minor in (12, 13, 14)]
    found = [path for name in names if (path := shutil.which(name))]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found += [str(path) for minor in (12, 13, 14) for path in sorted(pyenv.glob(f"3.{minor}.*/bin/python3"))]
    for path in found:
        # A shim of pyenv need not lead anywhere.
        check = [path, "-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))"]
        if subprocess.run(check, capture_output=True).returncode == 0:
            return Path(path)
    pytest.skip("the clients need Python 3.12, which this machine does not have")


def _folder(kind: str, content: Sequence[str]) -> Path:
    return cache_root() / "clients" / f"{kind}-{hashlib.sha256(repr(content).encode()).hexdigest()[:16]}"


def _made(folder: Path, install: object) -> None:
    assert callable(install)
    with serialised(folder.name):
        done = folder / ".installed"
        if done.exists():
            return
        # Programs have the path of their folder in them, so it is made where it stays.
        shutil.rmtree(folder, ignore_errors=True)
        install(folder)
        done.touch()


def _run(words: Sequence[str], cwd: Path | None = None) -> None:
    done = subprocess.run(
        list(words), capture_output=True, text=True, cwd=cwd, timeout=_INSTALL_SECONDS, env=_environment()
    )
    if done.returncode == 0:
        return
    said = f"{done.stdout}\n{done.stderr}"
    if any(word in said.lower() for word in _LACKING):
        pytest.skip(f"the registry does not have what {' '.join(words[-3:])} needs: {said.strip()[-300:]}")
    pytest.fail(f"{' '.join(words)} failed:\n{said[-3000:]}")
