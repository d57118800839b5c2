"""Published clients for tests (:mod:`benchmarks.clients`).

Where a registry does not have a package, or the machine has no Node or no Python that the clients run on, the tests are
skipped with that reason.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from benchmarks import clients
from benchmarks.clients import Unavailable, serialised

__all__ = ["node_with", "python_with", "run", "run_node", "serialised"]

#: The newest that the CLI's dependencies fit; the registry has others too, which do not.
_OX = "0.14.49"


@contextlib.contextmanager
def _skipped_where_unavailable() -> Iterator[None]:
    try:
        yield
    except Unavailable as error:
        pytest.skip(str(error))


def python_with(*packages: str) -> Path:
    """A Python that has these packages, such as ``genlayer-py==0.8.1``, which needs Python 3.12."""
    with _skipped_where_unavailable():
        return clients.python_with(*packages)


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

    def make(unfinished: Path) -> None:
        unfinished.mkdir(parents=True)
        (unfinished / "package.json").write_text(json.dumps(manifest))
        for name, text in stubs.items():
            stub = unfinished / f"{name}-stub"
            stub.mkdir()
            (stub / "package.json").write_text(json.dumps({"name": name, "version": "7.9.0", "main": "index.js"}))
            (stub / "index.js").write_text(text)
        words = ["npm", "install", "--no-audit", "--no-fund", "--no-update-notifier"]
        clients.install([*words, *([] if scripts else ["--ignore-scripts"])], cwd=unfinished)

    with _skipped_where_unavailable():
        return clients.made("node", [json.dumps(manifest), *stubs.values()], make)


def run_node(folder: Path, program: Path, *words: str, timeout: float = 120, cwd: Path | None = None) -> str:
    """What a program prints that uses the packages of ``folder``."""
    # Node looks for packages beside the program.
    copy = folder / f"{os.getpid()}-{program.name}"
    shutil.copy(program, copy)
    try:
        return run(["node", str(copy), *words], timeout=timeout, cwd=cwd)
    finally:
        copy.unlink()


def run(
    words: Sequence[str],
    *,
    timeout: float = 120,
    cwd: Path | None = None,
    text: str = "",
    errors: bool = False,
    **env: str,
) -> str:
    """What a client prints, with ``errors`` what it prints as such too; nothing that it does leaves the machine."""
    done = subprocess.run(
        list(words),
        capture_output=True,
        text=True,
        input=text,
        timeout=timeout,
        cwd=cwd,
        env={**clients.environment(), **clients.CLOSED, **env},
    )
    assert done.returncode == 0, (
        f"{words[0]} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    )
    return done.stdout + (done.stderr if errors else "")
