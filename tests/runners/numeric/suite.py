"""The own tests of a library that is built into the sandbox's interpreter, with soft and with hardware floats.

    python -m tests.runners.numeric.<numpy_suite or pillow_suite> [--soft] [--out FILE] [WORD ...]

Runs the files of tests whose paths have one of the words (all, without any), one interpreter each, and appends a line
of JSON for each to the file. Everything but the tests is that of the runner. It runs on wasmtime's own WASI, where
tests find folders to write to. `docs/numeric.md` says what fails.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import wasmtime

from pygenvm.executor.config import cache_root
from pygenvm.executor.limits import WASM_STACK_BYTES
from pygenvm.runners import recipes
from pygenvm.runners.cpython import stdlib
from pygenvm.runners.numeric import command
from pygenvm.runners.registry import default_jobs
from pygenvm.runners.softfloat.rewrite import rewrite
from pygenvm.runners.workshop import Step, Workshop

_SANDBOXED = Path(__file__).parent / "sandboxed"
#: What the tests import besides the libraries, all of it plain Python.
_PACKAGES = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")
#: Ticks of the engine's clock until a file of tests is given up.
_PATIENCE_S = 1500


class Suite(ABC):
    """The interpreter, compiled, and the folders that it sees."""

    #: File of the sandboxed folder that runs one file of tests.
    driver: ClassVar[str]
    #: The interpreter has the modules that only NumPy's tests need.
    numpy_test_modules: ClassVar[bool] = False

    def __init__(self, folder: Path, *, soft: bool) -> None:
        self.folder = folder
        workshop = Workshop(cache_root(), cache_root() / "sources", default_jobs())
        interpreter = command.step(tests=self.numpy_test_modules)
        wanted = [interpreter, stdlib.step(), recipes.softfloat_step(), *self.steps()]
        with workshop.locked(True), workshop.showing(wanted, True):
            linked, std, softfloat, *libraries = map(workshop.result, wanted)
            (folder / "lib").mkdir()
            self.fill(folder / "lib", libraries, workshop.sources)
        shutil.copytree(std, folder / "std")
        (folder / "dev").mkdir()
        (folder / "dev" / "null").touch()
        for name in _PACKAGES:
            _copy_package(name, folder / "site")
        for name in ("reporting.py", self.driver):
            shutil.copy(_SANDBOXED / name, folder / "site")
        (folder / "site" / "pytest.ini").write_text("[pytest]\nmarkers = slow\n", encoding="utf-8")
        config = wasmtime.Config()
        config.max_wasm_stack = WASM_STACK_BYTES // 12
        config.epoch_interruption = True
        self.engine = wasmtime.Engine(config)
        wasm = (linked / command.FILE_NAME).read_bytes()
        self.module = wasmtime.Module(self.engine, rewrite(wasm) if soft else wasm)
        wasm = (softfloat / "softfloat.wasm").read_bytes()
        self.softfloat = wasmtime.Module(self.engine, wasm) if soft else None
        threading.Thread(target=self._tick, daemon=True).start()

    def _tick(self) -> None:
        while True:
            time.sleep(1)
            self.engine.increment_epoch()

    @abstractmethod
    def steps(self) -> list[Step]:
        """What makes the libraries' own Python files."""

    @abstractmethod
    def fill(self, folder: Path, libraries: list[Path], sources: Path) -> None:
        """Puts the libraries, made by the steps, and their tests into the folder, a place of modules."""

    @abstractmethod
    def tests(self) -> list[Path]:
        """The files of tests there."""

    def files(self, words: list[str]) -> list[str]:
        """Paths in the sandbox."""
        paths = [f"/{path.relative_to(self.folder)}" for path in sorted(self.tests())]
        return [path for path in paths if not words or any(word in path for word in words)]

    def run(self, path: str) -> dict[str, Any]:
        """What came of one file."""
        result: dict[str, Any] = {}
        before = threading.stack_size(2 * WASM_STACK_BYTES)  # the wasm stack lives on the thread's
        thread = threading.Thread(target=lambda: result.update(self._run(path)))
        thread.start()
        threading.stack_size(before)
        thread.join()
        return result

    def _run(self, path: str) -> dict[str, Any]:
        scratch = self.folder / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        linker, store = wasmtime.Linker(self.engine), wasmtime.Store(self.engine)
        store.set_epoch_deadline(_PATIENCE_S)
        linker.define_wasi()
        if self.softfloat is not None:
            linker.define_instance(store, "softfloat", linker.instantiate(store, self.softfloat))
        for item in self.module.imports:
            if item.module == "genlayer_sdk":
                assert isinstance(item.type, wasmtime.FuncType)
                linker.define_func(item.module, str(item.name), item.type, lambda *_: 6)
        wasi = wasmtime.WasiConfig()
        wasi.argv = ["py", "-u", f"/site/{self.driver}", path]
        wasi.env = [("PYTHONHOME", "/std"), ("PYTHONPATH", "/std:/lib:/site"), ("TMPDIR", "/tmp"), ("HOME", "/tmp")]
        for name in ("std", "lib", "site", "tmp", "dev"):
            wasi.preopen_dir(str(self.folder / name), f"/{name}")
        output, errors = self.folder / "output", self.folder / "errors"
        wasi.stdout_file, wasi.stderr_file = str(output), str(errors)
        store.set_wasi(wasi)
        start: Any = linker.instantiate(store, self.module).exports(store)["_start"]
        begun = time.monotonic()
        trap = ""
        try:
            start(store)
        except wasmtime.ExitTrap:
            pass
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            trap = str(error)[:2000]
        seconds = round(time.monotonic() - begun, 1)
        lines = output.read_text().splitlines()
        if trap or not lines or not lines[-1].startswith("{"):
            return {"file": path, "seconds": seconds, "trap": trap or "no report", "errors": errors.read_text()[-800:]}
        return {"file": path, "seconds": seconds, **json.loads(lines[-1])}


def _copy_package(name: str, target: Path) -> None:
    for file in importlib.metadata.files(name) or ():
        if file.suffix == ".py" or file.name in ("METADATA", "entry_points.txt", "py.typed"):
            place = target / file
            if ".." not in file.parts:
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), place)


def main(suite_class: type[Suite], title: str) -> int:
    """The command of one library's suite."""
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--soft", action="store_true", help="with soft floats")
    parser.add_argument("--out", type=Path, default=Path("suite.jsonl"), help="file for the results")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    total: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="suite-") as folder:
        suite = suite_class(Path(folder), soft=options.soft)
        for path in suite.files(options.words):
            result = suite.run(path)
            with options.out.open("a", encoding="utf-8") as out:
                out.write(json.dumps(result) + os.linesep)
            for kind, count in result.get("count", {"trap": 1}).items():
                total[kind] = total.get(kind, 0) + count
            print(path, result["seconds"], result.get("count") or result["trap"], flush=True)
    print(total)
    return 0
