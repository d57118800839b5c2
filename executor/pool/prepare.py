"""What a template loads before it forks: every run of a Python contract needs it."""

from __future__ import annotations

import json
from collections.abc import Sequence

# What asks modules: to load it takes longer than all else in a run with a nondet block.
import websockets.sync.client  # noqa: F401

# Everything that a run imports sooner or later, so that its executor has it already.
import pygenvm.executor.module_protocol.client
import pygenvm.executor.record.recorder
import pygenvm.executor.record.wrappers
import pygenvm.executor.run.console
import pygenvm.executor.run.parts
import pygenvm.executor.run.printing
import pygenvm.executor.run.tracing
import pygenvm.executor.run.world
import pygenvm.executor.subvm.closed
import pygenvm.executor.subvm.compiler
import pygenvm.executor.subvm.imaging  # noqa: F401
from pygenvm.executor.config import Config
from pygenvm.executor.log import Remarks
from pygenvm.executor.outcome import InternalErrorRaised, VMErrorRaised
from pygenvm.executor.run.prepared import Prepared
from pygenvm.executor.run.process import artefacts_dir
from pygenvm.executor.runner.actions import DerivedFiles, PathAndContent, Source, run_actions
from pygenvm.executor.runner.archive import Archive, Folder
from pygenvm.executor.runner.ids import RUNNER_JSON, RunnerId
from pygenvm.executor.runner.registry import InstalledRunners, RegistryError, published_runners
from pygenvm.executor.runner.version import version_limit
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.executor.subvm.engine import engine
from pygenvm.executor.subvm.linking import host_linker
from pygenvm.executor.subvm.wasip1.fs import FileSystem
from pygenvm.executor.subvm.wasmtime_c import Linker

_log = Remarks("executor.pool.prepare")

#: Runners that contracts name, in the order in which they are loaded; each brings what it depends on.
RUNNERS = ("py-genlayer", "py-genlayer-multi")


def prepare(config: Config, host_functions: Linker | None = None) -> Prepared:
    """Load engine, host functions, archives and compiled modules; modules that are not compiled yet are compiled.

    What cannot be loaded is left to the runs that need it: they report it.
    """
    engine()
    host_functions = host_functions or host_linker()
    published_runners()
    version_limit(0)
    artefacts = ArtefactStore(artefacts_dir(config), packaged=config.packaged_modules)
    try:
        registry = InstalledRunners.of(config)
    except RegistryError as error:
        _log.warning("no runners are prepared: %s", error)
        return Prepared(artefacts, {}, host_functions)
    # The last one that all.json lists under a name is the current one.
    current = {runner.name: runner for runner in registry.runners()}
    for name in RUNNERS:
        if name in current:
            for deterministic in (True, False):
                _load(current[name], registry, artefacts, deterministic)
    artefacts.count_anew()
    return Prepared(artefacts, registry.archives, host_functions)


def _load(runner: RunnerId, registry: InstalledRunners, artefacts: ArtefactStore, deterministic: bool) -> None:
    files = {RUNNER_JSON: json.dumps({"Depends": str(runner)}).encode(), "file": b"", "contract/__init__.py": b""}
    contract = Archive("nothing", files, data_size=0)
    try:
        run_actions(contract, _Loader(artefacts, deterministic), registry, lambda: None)
    except (VMErrorRaised, InternalErrorRaised) as error:
        _log.warning("%s is not prepared: %s", runner, error)


class _Loader:
    """A builder of VMs that only makes what VMs share: compiled modules, and the trees of folders."""

    def __init__(self, artefacts: ArtefactStore, deterministic: bool) -> None:
        self.deterministic = deterministic
        self._artefacts = artefacts
        self._files = FileSystem()

    def charge(self, amount: int) -> None:
        """Nothing is used up."""

    def map_file(self, path: str, content: bytes | memoryview) -> None:
        self._files.map_file(path, content)

    def map_folder(self, to: str, folder: Folder) -> None:
        self._files.graft(to, folder)

    def is_free(self, path: str) -> bool:
        return True

    def derive(self, by: str, files: Sequence[PathAndContent]) -> DerivedFiles:
        return {}  # That is the contract's.

    def append_args(self, args: list[str]) -> None:
        """Nobody reads them."""

    def link_wasm(self, archive: Archive, name: str) -> None:
        self._artefacts.load(
            archive.file(name), deterministic=self.deterministic, trusted=True, origin=archive.origin(name)
        )

    def start_wasm(self, archive: Archive, name: str, env: dict[str, str], source: Source) -> None:
        self.link_wasm(archive, name)
