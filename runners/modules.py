"""Compiled modules that travel with archives: those that contracts start, for most machines of this platform."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from pygenvm.executor.config import cache_root
from pygenvm.executor.file_state import file_state
from pygenvm.executor.runner.archive import Archive, FileContent
from pygenvm.executor.runner.ids import CONTRACT, RunnerId
from pygenvm.executor.runner.runner_json import Action, Depends, LinkWasm, MapDerived, Seq, StartWasm, When, With
from pygenvm.executor.runner.ustar import read_tar
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.runners.progress import Progress
from pygenvm.runners.registry import BuiltRunners

#: Runners that contracts name; each brings what it depends on.
STARTED = ("py-genlayer", "py-genlayer-multi")

_BOTH_MODES = frozenset({True, False})


class UsedModule(NamedTuple):
    """A module of the archive `<id>:<hash>`, and a mode in which it is used."""

    archive: str
    name: str
    wasm: FileContent
    deterministic: bool

    @property
    def title(self) -> str:
        return f"{self.archive.partition(':')[0]}/{self.name} ({'det' if self.deterministic else 'non-det'})"


def used_modules(registry: BuiltRunners, archives: Mapping[str, Iterable[str]]) -> list[UsedModule]:
    """What contracts start or link with, as far as it is in `archives` (runner to hashes), each once.

    :raises InvalidContract: an archive is malformed.
    """
    chosen = {f"{runner}:{name}" for runner, names in archives.items() for name in names}
    walk = _Walk(registry)
    for runner in STARTED:
        if runner in registry.latest:
            walk.depend(f"{runner}:{registry.latest[runner]}", _BOTH_MODES)
    return [module for module in walk.found.values() if module.archive in chosen]


class _Walk:
    """Goes through runner.json as a VM does (spec executor/07), in both modes at once, and for any contract."""

    def __init__(self, registry: BuiltRunners) -> None:
        self.found: dict[tuple[str, str, bool], UsedModule] = {}
        self._registry = registry
        self._archives: dict[str, Archive | None] = {}
        self._seen: set[tuple[str, frozenset[bool]]] = set()

    def depend(self, runner: str, modes: frozenset[bool]) -> None:
        archive = self._archive(runner)
        if archive is not None and (runner, modes) not in self._seen:
            self._seen.add((runner, modes))
            self._run(archive.action, archive, modes)

    def _archive(self, runner: str) -> Archive | None:
        """None for the contract, and for what is named but not there."""
        if runner not in self._archives:
            self._archives[runner] = None
            path = None
            if runner != CONTRACT:
                parsed = RunnerId.parse(runner)
                path = self._registry.find(parsed.name, parsed.hash)
            if path is not None and path.is_file():
                with path.open("rb") as file:
                    data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
                    state = file_state(os.fstat(file.fileno()))
                self._archives[runner] = Archive(runner, read_tar(data), len(data), state)
        return self._archives[runner]

    def _run(self, action: Action, current: Archive, modes: frozenset[bool]) -> None:
        match action:
            case Seq():
                for item in action.actions:
                    self._run(item, current, modes)
            case When():
                self._run(action.action, current, modes & {action.deterministic})
            case With():
                other = self._archive(action.runner)
                self._run(action.action, other or Archive(action.runner, {}, data_size=0), modes)
            case Depends():
                self.depend(action.runner, modes)
            case MapDerived():
                self.depend(action.by, frozenset({True}))
            case LinkWasm() | StartWasm():
                for mode in modes:
                    if action.file in current.files:
                        module = UsedModule(current.id, action.file, current.files[action.file], mode)
                        self.found[current.id, action.file, mode] = module
            case _ if hasattr(action, "action"):
                # Under a condition that depends on the contract.
                self._run(action.action, current, modes)


def folder() -> Path:
    """Where they are made."""
    return cache_root() / "executor" / "portable"


def compiled(modules: Iterable[UsedModule], folder: Path, progress: Progress) -> dict[str, Path]:
    """Notes and artefacts of these modules for :class:`executor.subvm.artefacts.ArtefactStore`, by file name; made in
    `folder`, if they are not there yet.
    """
    store = ArtefactStore(folder)
    found: dict[str, Path] = {}
    for module in modules:
        title, begun = f"compile {module.title}", time.monotonic()
        progress.begin(title)
        for name in store.portable(module.wasm, deterministic=module.deterministic):
            found[name] = folder / name
        progress.end(title, time.monotonic() - begun)
    return found
