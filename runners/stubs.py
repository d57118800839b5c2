"""The SDK as type checkers and editors on an author's machine see it: ``stubs/genlayer-stubs`` (PEP 561).

The SDK itself needs Python 3.12 and the sandbox. The stubs have its types and texts in the syntax of Python 3.11 and
are kept in the repository, so that they are there in every installation. After a change of the SDK:

    python -m pygenvm.runners.stubs
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pygenvm.executor.config import cache_root
from pygenvm.runners.cpython import native
from pygenvm.runners.registry import default_jobs
from pygenvm.runners.sdk_tree import sdk_files
from pygenvm.runners.workshop import Workshop

FOLDER = Path(__file__).resolve().parent.parent / "stubs"
_SCRIPT = Path(__file__).with_name("write_stubs.py")
# They start a contract; nobody imports them.
_LEFT_OUT = ("_genlayer_runner.py", "genlayer/_internal/boot.py")
_TIMEOUT_S = 120.0


def stub_files() -> dict[str, str]:
    """Text of every file below ``stubs`` that comes from the SDK, by its name there.

    :raises BuildError: the Python that reads the sources cannot be built.
    """
    files = {name: content.decode() for name, content in sdk_files().items() if name not in _LEFT_OUT}
    modules = {name: text for name, text in files.items() if name.endswith(".py")}
    result = {f"{name.removesuffix('.py')}.pyi": text for name, text in _converted(modules).items()}
    result = {name.replace("genlayer/", "genlayer-stubs/", 1): text for name, text in result.items()}
    result["_genlayer_wasi-stubs/__init__.pyi"] = files["_genlayer_wasi.pyi"]
    return result


def _converted(modules: dict[str, str]) -> dict[str, str]:
    workshop = Workshop(cache_root(), cache_root() / "sources", default_jobs())
    with workshop.locked(visible=True):
        python = native.python(workshop.result(native.step()))
    with tempfile.TemporaryDirectory(prefix="genvm-stubs-") as folder:
        given, out = Path(folder) / "sources.json", Path(folder) / "stubs.json"
        given.write_text(json.dumps(modules), encoding="utf-8")
        command = [str(python), "-I", "-S", str(_SCRIPT), str(given), str(out)]
        subprocess.run(command, check=True, timeout=_TIMEOUT_S)
        texts: dict[str, str] = json.loads(out.read_text(encoding="utf-8"))
    return texts


def write(folder: Path) -> None:
    """Replaces the generated files below `folder`."""
    files = stub_files()
    for package in {name.split("/")[0] for name in files}:
        shutil.rmtree(folder / package, ignore_errors=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(FOLDER)
    print(f"written: {FOLDER}", file=sys.stderr)
