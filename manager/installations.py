"""Executors beside this installation (spec modules/04 §8): installed, listed and removed.

<root>/executor/vX.Y.Z/bin/genvm            what the manager starts
<root>/executor/vX.Y.Z/env/                 its Python environment
<root>/executor/vX.Y.Z/config/genvm.yaml    where its runners are
<root>/executor/vX.Y.Z/cache/               its runners, their registry, and what is compiled

An installation is made beside its place and put there as a whole, so a manager never sees half of one. Runners that
this installation has built too are taken over as they are; only others are built.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pygenvm.executor.config import ConfigError, cache_root
from pygenvm.executor.runner.version import Version
from pygenvm.manager.temporary import remove_left_over, temporary_folder

_WHEEL = re.compile(r"pygenvm-([0-9]+\.[0-9]+\.[0-9]+)-[^/]*\.whl")
_CONFIG = """\
# Written by `genvm manager install`; everything belongs to this version alone.
runners_dir: ${exeDir}/../cache/runners
registry_dir: ${exeDir}/../cache/registry
cache_dir: ${exeDir}/../cache/executor
threads: 2
blocking_threads: 4
log_disable: ""
"""
#: Interpreter and program are found beside each other, so the folder can be moved.
_PROGRAM = """\
#!/bin/sh
here=$(dirname "$0")
exec "$here/../env/bin/python" -I "$here/genvm.py" "$@"
"""
_MAIN = """\
import sys

from pygenvm.cli.main import main

sys.exit(main())
"""
#: What is not finished, and what was there before.
_INSTALLING = ".installing-"
_REMOVING = ".removing-"
#: What is said of a step that fails.
_LINES_SHOWN = 20

Tell = Callable[[str], None]


class InstallError(Exception):
    """It cannot be done; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """What to install: a wheel file, or a version from the package index."""

    version: Version
    requirement: str

    @classmethod
    def parse(cls, text: str) -> Source:
        """``pygenvm-0.2.17-py3-none-any.whl``, ``0.2.17`` or ``v0.2.17``.

        :raises InstallError: neither.
        """
        if text.endswith(".whl"):
            match = _WHEEL.fullmatch(os.path.basename(text))
            if not match:
                raise InstallError(f"{text}: a wheel of pygenvm is called pygenvm-X.Y.Z-….whl")
            if not os.path.isfile(text):
                raise InstallError(f"{text}: there is no such file")
            return cls(Version.parse(match[1]), os.path.abspath(text))
        try:
            version = Version.parse(text)
        except ValueError as error:
            raise InstallError(f"{text[:80]!r} is neither a wheel file nor a version such as v0.2.17") from error
        return cls(version, f"pygenvm=={str(version).removeprefix('v')}")


def folder_of(root: Path, version: Version) -> Path:
    return root / "executor" / str(version)


def install(root: Path, source: Source, *, replace: bool, tell: Tell) -> Path:
    """Installs below ``root``; the folder. ``tell`` hears of each step.

    :raises InstallError: it is there already, or a step failed; nothing is left behind then.
    """
    place = folder_of(root, source.version)
    if place.exists() and not replace:
        raise InstallError(f"{source.version} is installed in {place}; --replace installs it anew")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InstallError(f"{place.parent} cannot be written to: {error.strerror}") from error
    for prefix in (_INSTALLING, _REMOVING):
        remove_left_over(prefix, place.parent)
    try:
        with temporary_folder(_INSTALLING, place.parent) as work:
            _fill(work, source, tell)
            work.chmod(0o755)
            _put(work, place)
    except OSError as error:
        raise InstallError(f"{error.filename or place.parent}: {error.strerror or error}") from error
    return place


def _fill(work: Path, source: Source, tell: Tell) -> None:
    python = work / "env" / "bin" / "python"
    tell("making an environment")
    _step([sys.executable, "-I", "-m", "venv", str(work / "env")])
    tell(f"installing {source.requirement}")
    _step([str(python), "-I", "-m", "pip", "install", "--disable-pip-version-check", "--quiet", source.requirement])
    for folder in ("bin", "config", "cache"):
        (work / folder).mkdir()
    (work / "config" / "genvm.yaml").write_text(_CONFIG, encoding="utf-8")
    (work / "bin" / "genvm.py").write_text(_MAIN, encoding="utf-8")
    program = work / "bin" / "genvm"
    program.write_text(_PROGRAM, encoding="utf-8")
    program.chmod(0o755)
    said = _step([str(program), "--version"]).strip()
    if said != f"genvm {str(source.version).removeprefix('v')}":
        raise InstallError(f"{source.requirement} says that it is {said[:80]!r}, not {source.version}")
    _seed(work / "cache")
    tell("building its runners; those that are built already are taken over")
    _step([str(program), "runners", "build"], cache=work / "cache")
    tell("compiling its runners")
    _step([str(program), "precompile"])


def _seed(cache: Path) -> None:
    """What is built here already is the same there, if it is wanted: all of it is found by hashes of its content."""
    try:
        ours = cache_root()
    except ConfigError:
        return
    for name in ("runners", "sources", "executor"):
        if (ours / name).is_dir():
            shutil.copytree(ours / name, cache / name, copy_function=_link, dirs_exist_ok=True)
    (cache / "registry").mkdir(exist_ok=True)
    for name in ("all.json", "keys.json"):
        with contextlib.suppress(OSError):
            shutil.copyfile(ours / "registry" / name, cache / "registry" / name)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _step(command: Sequence[str], cache: Path | None = None) -> str:
    environment = dict(os.environ) if cache is None else {**os.environ, "PYGENVM_CACHE": str(cache)}
    environment.pop("PYTHONPATH", None)
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise InstallError(f"{command[0]} cannot be started: {error.strerror}") from error
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LINES_SHOWN:])
        raise InstallError(f"`{' '.join(command)}` failed with exit code {done.returncode}:\n{said}")
    return done.stdout


def _put(work: Path, place: Path) -> None:
    """Puts the installation in its place; what was there goes away afterwards."""
    old = None
    if place.exists():
        old = Path(tempfile.mkdtemp(prefix=_REMOVING, dir=place.parent))
        os.rename(place, old / "old")
    os.rename(work, place)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def remove(root: Path, version: Version) -> Path:
    """Removes an installed version. Runs of it that are under way fail.

    :raises InstallError: it is not there, or cannot be removed.
    """
    place = folder_of(root, version)
    if not place.is_dir():
        raise InstallError(f"{version} is not installed in {place.parent}")
    try:
        aside = Path(tempfile.mkdtemp(prefix=_REMOVING, dir=place.parent))
        os.rename(place, aside / "old")
        shutil.rmtree(aside)
    except OSError as error:
        raise InstallError(f"{place} cannot be removed: {error.strerror}") from error
    return place


def state_of(folder: Path) -> str:
    """``ready``, or what is wrong with an installed version."""
    program = folder / "bin" / "genvm"
    if not os.access(program, os.X_OK):
        return f"broken: there is no program {program}"
    try:
        done = subprocess.run(
            [str(program), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"broken: {error}"
    said = done.stdout.strip()
    if done.returncode or said != f"genvm {folder.name.removeprefix('v')}":
        return f"broken: it says {(said or done.stderr.strip())[:200]!r}"
    return "ready"
