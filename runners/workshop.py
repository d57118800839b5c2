"""Steps of the build: each makes one folder, kept in the cache under a key of everything that it is made from.

A step's result is the folder `<root>/build/<name>-<key>/`. It appears by a rename when it is complete, so a build that
was interrupted continues where it was, and a second build finds everything done.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from pygenvm.runners.errors import BuildError
from pygenvm.runners.process import clean_environment, link_tools, run_tool
from pygenvm.runners.progress import Progress, Silent, shown_progress

KEY_LENGTH = 20
TOOL_TIMEOUT_S = 3600.0


def digest_files(paths: Iterable[Path]) -> str:
    """SHA-256 over files and the files in folders, names and contents, without compiled bytecode."""
    total = hashlib.sha256()
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            if "__pycache__" in file.parts:
                continue
            name = str(file.relative_to(path)) if path.is_dir() else file.name
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            total.update(f"{name}\0{content}\n".encode())
    return total.hexdigest()


@dataclass(frozen=True)
class Step:
    """One step: `make` fills the folder `out` of its :class:`Work`.

    A step that names a `platform` makes programs for it. The keys of steps do not depend on platforms, because what
    the programs make does not: a cache may be copied to another platform.
    """

    name: str
    title: str
    inputs: tuple[str, ...]
    needs: tuple[Step, ...]
    make: Callable[[Work], None]
    platform: str | None = None

    @cached_property
    def key(self) -> str:
        """Changes when anything that goes into the step changes."""
        parts = [self.name, *self.inputs, *(need.key for need in self.needs)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:KEY_LENGTH]


@dataclass(frozen=True)
class Work:
    """What a running step works with: an empty folder of its own, the folder to fill, and its tools."""

    workshop: Workshop
    step: Step
    folder: Path
    out: Path

    @property
    def log(self) -> Path:
        return self.workshop.logs / f"{self.step.name}-{self.step.key}.log"

    @cached_property
    def bin(self) -> Path:
        """The one folder on PATH of this step's programs."""
        folder = self.folder / "bin"
        link_tools(folder)
        return folder

    @cached_property
    def environment(self) -> dict[str, str]:
        home = self.folder / "home"
        home.mkdir()
        # One object cache per step: zig takes objects of another folder with the same arguments for its own.
        caches = {
            "ZIG_GLOBAL_CACHE_DIR": str(self.workshop.build / "zig-cache"),
            "ZIG_LOCAL_CACHE_DIR": str(self.folder / "zig-cache"),
        }
        return clean_environment(self.bin, home) | caches

    def run(self, *command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        """Runs a program with the step's environment and `env` on top; see :func:`runners.process.run_tool`."""
        run_tool(
            command,
            cwd=cwd,
            env=self.environment | dict(env or {}),
            log=self.log,
            title=self.step.title,
            timeout_s=TOOL_TIMEOUT_S,
        )


class Workshop:
    """Runs steps below one folder, with `jobs` compilers at a time; `sources` is where downloads are kept."""

    def __init__(self, root: Path, sources: Path, jobs: int) -> None:
        self.root = root
        self.sources = sources
        self.jobs = jobs
        self.progress: Progress = Silent()
        self.build = root / "build"
        self.logs = self.build / "logs"

    @contextmanager
    def locked(self, visible: bool) -> Iterator[None]:
        """Lets one process at a time build or import below this folder; others wait and say so if `visible`."""
        if any(character.isspace() for character in str(self.root)):
            raise BuildError(
                f"The cache folder must not have blanks in its path, because `make` cannot work there: {self.root}\n"
                "Set PYGENVM_CACHE to another folder."
            )
        with self.exclusive(visible):
            yield

    @contextmanager
    def exclusive(self, visible: bool) -> Iterator[None]:
        """As :meth:`locked`, for work without compilers."""
        with self._lock_file() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if visible:
                    print(
                        "Another process is building the runners; waiting for it.",
                        file=sys.stderr,
                        flush=True,
                    )
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _lock_file(self) -> IO[str]:
        try:
            self.build.mkdir(parents=True, exist_ok=True)
            return (self.build / "lock").open("w")
        except OSError as error:
            raise BuildError(
                f"Nothing can be built below {self.root}: {error}\n"
                "Make it a folder that can be written, or set PYGENVM_CACHE to another one."
            ) from error

    def folder(self, step: Step) -> Path:
        """Where the step's result is, once it is made."""
        return self.build / "-".join(filter(None, (step.name, step.platform, step.key)))

    def missing(self, wanted: Iterable[Step]) -> list[Step]:
        """What :meth:`result` would make for these steps: each once, those that need others after them."""
        found: dict[str, Step] = {}

        def visit(step: Step) -> None:
            if step.key not in found and not self.folder(step).is_dir():
                for need in step.needs:
                    visit(need)
                found[step.key] = step

        for step in wanted:
            visit(step)
        return list(found.values())

    def result(self, step: Step) -> Path:
        """The folder that the step made, now or before. Call it with the lock held."""
        done = self.folder(step)
        if done.is_dir():
            return done
        for need in step.needs:
            self.result(need)
        self.progress.begin(step.title)
        start = time.monotonic()
        with self.putting(step) as out:
            self.logs.mkdir(exist_ok=True)
            work = Work(self, step, out.parent, out)
            work.log.unlink(missing_ok=True)
            step.make(work)
        self.progress.end(step.title, time.monotonic() - start)
        return done

    @contextmanager
    def putting(self, step: Step) -> Iterator[Path]:
        """An empty folder that is the step's result when it is filled. Call it with the lock held."""
        folder = self.build / "work" / self.folder(step).name
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "out").mkdir(parents=True)
        yield folder / "out"
        os.rename(folder / "out", self.folder(step))
        shutil.rmtree(folder)

    @contextmanager
    def showing(self, wanted: Sequence[Step], visible: bool) -> Iterator[None]:
        """Shows the progress of making these steps, if `visible`."""
        with shown_progress(len(self.missing(wanted)), visible) as self.progress:
            yield
        self.progress = Silent()

    def forget(self, wanted: Iterable[Step]) -> None:
        """Removes the results of these steps and of all that they need."""
        for step in wanted:
            self.forget(step.needs)
            shutil.rmtree(self.folder(step), ignore_errors=True)
