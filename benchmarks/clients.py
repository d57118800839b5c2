"""Published Python clients in environments of their own below the cache, for benchmarks and tests.

A folder is named after what is in it, so another version is another folder, and each is made once.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

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
#: Nothing that a client does leaves the machine.
CLOSED = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost", "NO_COLOR": "1"}


class Unavailable(Exception):
    """The registry, or this machine, does not have what a client needs; the text is the reason."""


class InstallError(Exception):
    """An installer failed for another reason."""


@contextlib.contextmanager
def serialised(name: str) -> Iterator[None]:
    """One process at a time, of all on this machine."""
    folder = cache_root() / "clients"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def python_with(*packages: str) -> Path:
    """A Python that has these packages, such as ``genlayer-py==0.8.1``, which needs Python 3.12.

    :raises Unavailable: there is no such Python, or the registry lacks one of them.
    """
    python = _python()

    def make(folder: Path) -> None:
        install([str(python), "-m", "venv", str(folder)])
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        install([*pip, *packages])

    return made("python", [str(python), *packages], make) / "bin" / "python"


def made(kind: str, content: Sequence[str], make: Callable[[Path], None]) -> Path:
    """The folder for ``content``, which ``make`` fills if it is not there yet."""
    folder = cache_root() / "clients" / f"{kind}-{hashlib.sha256(repr(content).encode()).hexdigest()[:16]}"
    with serialised(folder.name):
        done = folder / ".installed"
        if not done.exists():
            # Programs have the path of their folder in them, so it is made where it stays.
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            done.touch()
    return folder


def install(words: Sequence[str], cwd: Path | None = None) -> None:
    """Runs an installer.

    :raises Unavailable: the registry lacks something. :raises InstallError: it failed otherwise.
    """
    done = subprocess.run(
        list(words), capture_output=True, text=True, cwd=cwd, timeout=_INSTALL_SECONDS, env=environment()
    )
    if done.returncode == 0:
        return
    said = f"{done.stdout}\n{done.stderr}"
    if any(word in said.lower() for word in _LACKING):
        raise Unavailable(f"the registry does not have what {' '.join(words[-3:])} needs: {said.strip()[-300:]}")
    raise InstallError(f"{' '.join(words)} failed:\n{said[-3000:]}")


def environment() -> dict[str, str]:
    """Ours, without what is of our own Python: a client must not see packages of the tests."""
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
    raise Unavailable("the clients need Python 3.12, which this machine does not have")
