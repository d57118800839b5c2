"""Compiled modules on disk (design §3).

An artefact is native code: the engine checks neither its integrity nor most of the settings it was
compiled with. So it is stored under the BLAKE3 of its own bytes, and found through a note whose name is
a digest of everything that it was made from: the wasm bytes, the mode, our changes to the module and
:func:`executor.subvm.engine.fingerprint`.

======================  ==================================================================================
file in the store       content
======================  ==================================================================================
``<key>.json``          ``{"blake3": "<digest>", "facts": {…}}``, facts of ``ModuleFacts``
``<digest>.cwasm``      the artefact, mapped by the engine after its digest was checked
``<key>.lock``          locked by the process that compiles the module; no content
``new-*``               a file being written; it gets its name by a rename
======================  ==================================================================================

A file is never changed under its name, so several processes may fill a store at once. What is damaged
or cannot be read is compiled again; a store that cannot be written is only read.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import mmap
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from blake3 import blake3
from wasmtime import Module, WasmtimeError

from executor import limits
from executor.outcome import InternalErrorRaised, InvalidContract
from executor.subvm import compile_child
from executor.subvm import wasm as changes
from executor.subvm.engine import engine, fingerprint
from executor.subvm.wasm.prepare import ModuleFacts, prepare

_log = logging.getLogger(__name__)

_UNFINISHED = "new-"


@dataclass(frozen=True, slots=True)
class LoadedModule:
    """A module that is ready to be instantiated, and what is known of it."""

    module: Module
    facts: ModuleFacts


class ArtefactStore:
    """Compiled modules, in memory for this process and, as far as ``folder`` can be used, on disk.

    May be used from several threads.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[str, LoadedModule] = {}
        self._loading: dict[str, threading.Lock] = {}
        self.hits = 0
        self.compiled = 0
        self.compile_time_ns = 0

    def load(self, wasm: bytes | memoryview, *, deterministic: bool, counts_depth: bool) -> LoadedModule:
        """The module of ``wasm``, from memory, from disk or freshly compiled; prepared as the flags say.

        :raises InvalidContract: malformed wasm, or a feature that is not allowed (spec executor/07).
        :raises InternalErrorRaised: the compiler ran out of its limits.
        """
        if len(wasm) > limits.WASM_MODULE_BYTES:
            raise InvalidContract(f"module of {len(wasm)} bytes, at most {limits.WASM_MODULE_BYTES} are accepted")
        digest = blake3(wasm)
        digest.update(fingerprint())
        digest.update(_changes())
        digest.update(f"{deterministic=} {counts_depth=}".encode())
        key = digest.hexdigest()
        with self._loading.setdefault(key, threading.Lock()):
            loaded = self._loaded.get(key)
            if loaded is None:
                loaded = self._from_disk(key)
                if loaded is None:
                    with self._only_compiler(key):
                        # Another process may have been faster.
                        loaded = self._from_disk(key) or self._compile(key, bytes(wasm), deterministic, counts_depth)
                self._loaded[key] = loaded
            return loaded

    # --- disk ----------------------------------------------------------------------------------------

    def _note(self, key: str) -> Path:
        return self._folder / f"{key}.json"

    def _artefact(self, digest: str) -> Path:
        return self._folder / f"{digest}.cwasm"

    def _from_disk(self, key: str) -> LoadedModule | None:
        try:
            note = json.loads(self._note(key).read_bytes())
            facts = ModuleFacts.from_json(note["facts"])
            artefact = self._artefact(note["blake3"])
            if _digest(artefact) != note["blake3"]:
                raise ValueError("the artefact is damaged")
            module = Module.deserialize_file(engine(), str(artefact))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError, WasmtimeError) as error:
            _log.warning("compiled module %s is not usable and will be made again: %s", key, error)
            return None
        self.hits += 1
        return LoadedModule(module, facts)

    @contextlib.contextmanager
    def _only_compiler(self, key: str) -> Iterator[None]:
        """Wait while another process compiles the same module. That only saves work, so failures are no matter."""
        lock = self._folder / f"{key}.lock"
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(lock.open("ab"))
                stack.callback(_remove, lock)
                _lock(file)
            yield

    def _keep(self, key: str, code: bytes, facts: ModuleFacts) -> Path | None:
        """Put an artefact into the store; its file, or None if the store cannot be written."""
        digest = blake3(code).hexdigest()
        artefact = self._artefact(digest)
        note = json.dumps({"blake3": digest, "facts": facts.to_json()}).encode()
        try:
            self._sweep()
            self._write(artefact, code)
            self._write(self._note(key), note)
        except OSError as error:
            _log.warning("compiled module %s is not kept: %s", key, error)
            return None
        return artefact

    def _write(self, path: Path, content: bytes) -> None:
        descriptor, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=self._folder)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise

    def _sweep(self) -> None:
        """Remove what processes left that were killed while they wrote."""
        for path in self._folder.glob(f"{_UNFINISHED}*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > limits.UNFINISHED_ARTEFACT_SECONDS:
                    path.unlink()

    # --- compiling -----------------------------------------------------------------------------------

    def _compile(self, key: str, wasm: bytes, deterministic: bool, counts_depth: bool) -> LoadedModule:
        begun = time.perf_counter_ns()
        prepared = prepare(wasm, deterministic=deterministic, counts_depth=counts_depth)
        self.compiled += 1
        code = compile_in_child(wasm, prepared.code)
        self.compile_time_ns += time.perf_counter_ns() - begun
        artefact = self._keep(key, code, prepared.facts)
        if artefact is None:
            return LoadedModule(Module.deserialize(engine(), code), prepared.facts)
        return LoadedModule(Module.deserialize_file(engine(), str(artefact)), prepared.facts)


def compile_in_child(original: bytes, prepared: bytes) -> bytes:
    """The artefact of ``prepared``; ``original`` is what it was made from, and must be valid too.

    Nothing of it has a name on disk, so nothing is left behind when this process is killed.

    :raises InvalidContract: the engine refuses one of them.
    :raises InternalErrorRaised: the compiler ran out of its limits, or there is no space for its files.
    """
    try:
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(4)]
            first, second, target, complaints = files
            first.write(original)
            first.flush()
            if prepared == original:
                second = first
            else:
                second.write(prepared)
                second.flush()
            status = _run_compiler(first, second, target, complaints)
            if status == 0:
                target.seek(0)
                return target.read()
            complaints.seek(0)
            text = complaints.read(limits.COMPILER_TEXT_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise InternalErrorRaised(f"compiling a module: {error}") from error
    if status == compile_child.REFUSED:
        raise InvalidContract(f"the engine refuses the module: {text}")
    raise InternalErrorRaised(f"the compiler died with status {status}: {text}")


def _run_compiler(original: IO[bytes], prepared: IO[bytes], target: IO[bytes], complaints: IO[bytes]) -> int:
    numbers = [file.fileno() for file in (original, prepared, target)]
    command = [sys.executable, "-m", compile_child.__name__, *map(str, numbers)]
    # Standard input stays open until the child has ended: that is how it knows that we live.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaints, pass_fds=numbers
    ) as child:
        try:
            return child.wait(limits.COMPILE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            raise InternalErrorRaised(f"compiling a module took more than {limits.COMPILE_SECONDS} s") from None


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
