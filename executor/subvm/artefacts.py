"""Compiled modules on disk (design §3).

An artefact is native code: the engine checks neither its integrity nor most of the settings it was
compiled with. So the key covers the wasm bytes, the mode and everything in
:func:`executor.subvm.engine.fingerprint`, and a BLAKE3 of the file stands beside it.

Files of one artefact in the store: ``<key>.cwasm`` (mapped by the engine) and ``<key>.json`` (what
is known of the module, and the checksum), written in this order through temporary files and
renames, so several processes may fill a store at once.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3
from wasmtime import Module, WasmtimeError

from executor import limits
from executor.outcome import InternalErrorRaised, InvalidContract
from executor.subvm import compile_child
from executor.subvm.engine import engine, fingerprint
from executor.subvm.wasm.prepare import ModuleFacts, prepare


@dataclass(frozen=True, slots=True)
class LoadedModule:
    """A module that is ready to be instantiated, and what is known of it."""

    module: Module
    facts: ModuleFacts


class ArtefactStore:
    """Compiled modules, in memory for this process and, if ``folder`` can be written, on disk."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._loaded: dict[str, LoadedModule] = {}
        self.hits = 0
        self.compiled = 0
        self.compile_time_ns = 0
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError:
                self._folder = None

    def load(self, wasm: bytes | memoryview, *, deterministic: bool) -> LoadedModule:
        """The module of ``wasm``, from memory, from disk or freshly compiled.

        :raises InvalidContract: malformed wasm, or a feature that is not allowed (spec executor/07).
        :raises InternalErrorRaised: the compiler ran out of its limits.
        """
        if len(wasm) > limits.WASM_MODULE_BYTES:
            raise InvalidContract(f"module of {len(wasm)} bytes, at most {limits.WASM_MODULE_BYTES} are accepted")
        digest = blake3(wasm)
        digest.update(fingerprint())
        digest.update(b"det" if deterministic else b"nondet")
        key = digest.hexdigest()
        loaded = self._loaded.get(key)
        if loaded is None:
            loaded = self._from_disk(key) or self._compile(key, bytes(wasm), deterministic)
            self._loaded[key] = loaded
        return loaded

    def _from_disk(self, key: str) -> LoadedModule | None:
        if self._folder is None:
            return None
        artefact = self._folder / f"{key}.cwasm"
        try:
            description = json.loads((self._folder / f"{key}.json").read_bytes())
            if _checksum(artefact) != description["blake3"]:
                return None
            module = Module.deserialize_file(engine(), str(artefact))
            facts = ModuleFacts.from_json(description["facts"])
        except (OSError, ValueError, KeyError, TypeError, WasmtimeError):
            # Absent, torn or foreign: it is compiled again and replaced.
            return None
        self.hits += 1
        return LoadedModule(module, facts)

    def _compile(self, key: str, wasm: bytes, deterministic: bool) -> LoadedModule:
        begun = time.perf_counter_ns()
        prepared = prepare(wasm, deterministic=deterministic)
        self.compiled += 1
        with tempfile.TemporaryDirectory(prefix="genvm-compile-", dir=self._folder) as scratch:
            original, target = Path(scratch) / "original.wasm", Path(scratch) / "out.cwasm"
            original.write_bytes(wasm)
            source = original
            if prepared.code != wasm:
                source = Path(scratch) / "prepared.wasm"
                source.write_bytes(prepared.code)
            _run_compiler(original, source, target)
            self.compile_time_ns += time.perf_counter_ns() - begun
            if self._folder is None:
                module = Module.deserialize(engine(), target.read_bytes())
                return LoadedModule(module, prepared.facts)
            description = json.dumps({"blake3": _checksum(target), "facts": prepared.facts.to_json()})
            note = Path(scratch) / "out.json"
            note.write_text(description, encoding="utf-8")
            artefact = self._folder / f"{key}.cwasm"
            os.replace(target, artefact)
            os.replace(note, self._folder / f"{key}.json")
        return LoadedModule(Module.deserialize_file(engine(), str(artefact)), prepared.facts)


def _checksum(path: Path) -> str:
    with path.open("rb") as file, contextlib.closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as content:
        return blake3(content).hexdigest()


def _run_compiler(original: Path, prepared: Path, target: Path) -> None:
    command = [sys.executable, "-m", compile_child.__name__, str(original), str(prepared), str(target)]
    complaints = target.with_suffix(".txt")
    # Standard input stays open until the child has ended: that is how it knows that we live.
    with (
        complaints.open("wb") as stderr,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=stderr) as child,
    ):
        try:
            status = child.wait(limits.COMPILE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            raise InternalErrorRaised(f"compiling a module took more than {limits.COMPILE_SECONDS} s") from None
    with complaints.open("rb") as file:
        text = file.read(limits.COMPILER_TEXT_BYTES).decode("utf-8", "replace")
    if status == compile_child.REFUSED:
        raise InvalidContract(f"the engine refuses the module: {text}")
    if status != 0:
        raise InternalErrorRaised(f"the compiler died with status {status}: {text}")
