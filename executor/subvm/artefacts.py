"""Compiled modules on disk.

An artefact is native code: the engine checks neither its integrity nor most of the settings it was
compiled with. So it is stored under the BLAKE3 of its own bytes, and found through a note whose name is
a digest of everything that it was made from: the wasm bytes, the mode, our changes to the module and
:func:`executor.subvm.engine.fingerprint`.

======================  ==================================================================================
file in the store       content
======================  ==================================================================================
``<key>.json``          ``{"blake3": "<digest>", "facts": {…}}``, facts of ``ModuleFacts``
``<place>.mark``        the same and ``"seen"``: the state in which the artefact's digest was checked
``<digest>.cwasm``      the artefact, mapped by the engine after its digest was checked
``<key>.lock``          locked by the process that compiles the module; no content
======================  ==================================================================================

Digests of two big files at every start would cost more than the rest of a run. So a module that comes from
a file of this machine also gets a mark, under a digest of where it comes from (the state of that file and the
name inside it) in place of its bytes. The state of a file is its inode, size and times, the one that nobody can
set among them; a mark is only believed while the artefact is in the state in which its digest was checked, and
only until the machine is started again, because a crash can lose what was written.

Several processes may fill a store at once (:mod:`executor.cache_folder`). What is damaged or cannot be read is
compiled again; a store that cannot be written is only read.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import mmap
import os
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, NamedTuple

from blake3 import blake3

from pygenvm.executor import limits
from pygenvm.executor.cache_folder import CacheFolder
from pygenvm.executor.file_state import file_state
from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.subvm import engine as engines
from pygenvm.executor.subvm import wasm as changes
from pygenvm.executor.subvm.facts import ModuleFacts
from pygenvm.executor.subvm.wasmtime_c import Engine, Module, WasmtimeError

_log = logging.getLogger("executor.subvm.artefacts")


class LoadedModule(NamedTuple):
    """A module that is ready to be instantiated, and what is known of it."""

    module: Module
    facts: ModuleFacts


class _Mode(NamedTuple):
    """How a module is prepared."""

    deterministic: bool
    counts_depth: bool


class ArtefactStore:
    """Compiled modules, in memory for this process and, as far as ``folder`` can be used, on disk.

    May be used from several threads.
    """

    def __init__(self, folder: Path, engine: Engine | None = None) -> None:
        """``engine`` compiles the modules and runs them; by default that of the process."""
        self.folder = CacheFolder(folder)
        self._engine = engine
        #: By key, and by place.
        self._loaded: dict[str, LoadedModule] = {}
        self._loading: dict[str, threading.Lock] = {}
        self.hits = 0
        self.compiled = 0
        self.compile_time_ns = 0

    @property
    def engine(self) -> Engine:
        """The engine that can run the modules."""
        return self._engine or engines.engine()

    def load(
        self, wasm: bytes | memoryview, *, deterministic: bool, counts_depth: bool, origin: str | None = None
    ) -> LoadedModule:
        """The module of ``wasm``, from memory, from disk or freshly compiled; prepared as the flags say.

        ``origin`` stands for where the bytes come from and changes whenever they might (:mod:`executor.file_state`).

        :raises InvalidContract: malformed wasm, or a feature that is not allowed (spec executor/07).
        :raises InternalErrorRaised: the compiler ran out of its limits.
        """
        mode = _Mode(deterministic, counts_depth)
        if origin is None:
            return self._load(wasm, mode)
        place = self._digest_of(origin.encode(), mode, "place")
        with self._lock_of(place):
            loaded = self._loaded.get(place)
            if loaded is None:
                loaded = self._from_mark(place) or self._load(wasm, mode, place)
                self._loaded[place] = loaded
            return loaded

    def _load(self, wasm: bytes | memoryview, mode: _Mode, place: str | None = None) -> LoadedModule:
        if len(wasm) > limits.WASM_MODULE_BYTES:
            raise InvalidContract(f"module of {len(wasm)} bytes, at most {limits.WASM_MODULE_BYTES} are accepted")
        key = self._digest_of(wasm, mode, "wasm")
        with self._lock_of(key):
            loaded = self._loaded.get(key)
            if loaded is None:
                loaded = self._from_note(key, place)
                if loaded is None:
                    with self._only_compiler(key):
                        # Another process may have been faster.
                        loaded = self._from_note(key, place) or self._compile(key, bytes(wasm), mode)
                self._loaded[key] = loaded
            return loaded

    def _lock_of(self, name: str) -> threading.Lock:
        return self._loading.setdefault(name, threading.Lock())

    # --- disk ----------------------------------------------------------------------------------------

    def _note(self, key: str) -> Path:
        return self.folder.path / f"{key}.json"

    def _artefact(self, digest: str) -> Path:
        return self.folder.path / f"{digest}.cwasm"

    def _from_mark(self, place: str) -> LoadedModule | None:
        """The module without a look at its bytes, if nothing has changed since its artefact was checked."""
        try:
            mark = json.loads((self.folder.path / f"{place}.mark").read_bytes())
            artefact = self._artefact(mark["blake3"])
            if mark["seen"] != _seen(artefact):
                return None
            loaded = LoadedModule(self._mapped(artefact), ModuleFacts.from_json(mark["facts"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError, WasmtimeError) as error:
            _log.warning("the mark of a compiled module is not usable: %s", error)
            return None
        self.hits += 1
        return loaded

    def _from_note(self, key: str, place: str | None) -> LoadedModule | None:
        try:
            note = json.loads(self._note(key).read_bytes())
            facts = ModuleFacts.from_json(note["facts"])
            artefact = self._artefact(note["blake3"])
            seen = _seen(artefact)
            if _digest(artefact) != note["blake3"]:
                raise ValueError("the artefact is damaged")
            loaded = LoadedModule(self._mapped(artefact), facts)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError, WasmtimeError) as error:
            _log.warning("compiled module %s is not usable and will be made again: %s", key, error)
            return None
        self.hits += 1
        if place is not None and seen is not None:
            with contextlib.suppress(OSError):
                self.folder.write(f"{place}.mark", json.dumps({**note, "seen": seen}).encode())
        return loaded

    @contextlib.contextmanager
    def _only_compiler(self, key: str) -> Iterator[None]:
        """Wait while another process compiles the same module. That only saves work, so failures are no matter."""
        lock = self.folder.path / f"{key}.lock"
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                self.folder.path.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(lock.open("ab"))
                stack.callback(_remove, lock)
                _lock(file)
            yield

    def _keep(self, key: str, code: bytes, facts: ModuleFacts) -> Path | None:
        """Put an artefact into the store; its file, or None if the store cannot be written."""
        digest = blake3(code).hexdigest()
        note = json.dumps({"blake3": digest, "facts": facts.to_json()}).encode()
        try:
            self.folder.sweep()
            artefact = self.folder.write(self._artefact(digest).name, code)
            self.folder.write(self._note(key).name, note)
        except OSError as error:
            _log.warning("compiled module %s is not kept: %s", key, error)
            return None
        return artefact

    # --- compiling -----------------------------------------------------------------------------------

    def _compile(self, key: str, wasm: bytes, mode: _Mode) -> LoadedModule:
        from pygenvm.executor.subvm.compiler import compile_module

        begun = time.perf_counter_ns()
        self.compiled += 1
        code, facts = compile_module(
            wasm,
            deterministic=mode.deterministic,
            counts_depth=mode.counts_depth,
            settings=self.engine.settings,
        )
        self.compile_time_ns += time.perf_counter_ns() - begun
        artefact = self._keep(key, code, facts)
        if artefact is None:
            return LoadedModule(Module.deserialize(self.engine, code), facts)
        return LoadedModule(self._mapped(artefact), facts)

    def _mapped(self, artefact: Path) -> Module:
        return Module.deserialize_file(self.engine, str(artefact))

    def _digest_of(self, content: bytes | memoryview, mode: _Mode, kind: str) -> str:
        """Digest of ``content``, which is of some ``kind``, and of everything else that an artefact is made from."""
        digest = blake3(content)
        digest.update(kind.encode())
        digest.update(engines.fingerprint(self.engine))
        digest.update(_changes())
        digest.update(f"deterministic={mode.deterministic} counts_depth={mode.counts_depth}".encode())
        return digest.hexdigest()


def _seen(artefact: Path) -> str | None:
    """The state of a file until the machine is started again; None where nobody knows about that."""
    boot = _boot()
    return boot and f"{boot} {file_state(os.stat(artefact))}"


@cache
def _boot() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None


@cache
def _changes() -> bytes:
    """Digest of the code that changes modules before they are compiled, and of its limits (32 bytes)."""
    digest = blake3()
    for folder in changes.__path__:
        for path in sorted(Path(folder).glob("*.py")):
            digest.update(path.read_bytes())
    digest.update(repr(sorted(item for item in vars(limits).items() if item[0].startswith("WASM_"))).encode())
    return digest.digest()


def _digest(path: Path) -> str:
    with path.open("rb") as file, contextlib.closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as content:
        return blake3(content).hexdigest()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _lock(file: IO[bytes]) -> None:
    """Wait for an exclusive lock, not longer than a compilation may take."""
    deadline = time.monotonic() + limits.COMPILE_SECONDS
    while time.monotonic() < deadline:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(limits.COMPILE_LOCK_POLL_SECONDS)
