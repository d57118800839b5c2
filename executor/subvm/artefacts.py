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
``contracts/``          notes, artefacts and locks of modules that came from a host
======================  ==================================================================================

Digests of two big files at every start would cost more than the rest of a run. So a module that comes from
a file of this machine also gets a mark, under a digest of where it comes from (the state of that file and the
name inside it) in place of its bytes. The state of a file is its inode, size and times, the one that nobody can
set among them; a mark is only believed while the artefact is in the state in which its digest was checked, and
only until the machine is started again, because a crash can lose what was written.

Modules of contracts are many, and strangers choose them, so what is kept of them is bounded: those that were not used
for longest go, and an artefact that is out of all proportion to its module is not kept. Those of runners stay.

Installed packages bring notes and artefacts of their runners' modules too, made for most machines of a platform
(:func:`executor.subvm.engine.portable_settings`) and found under keys that do not depend on this machine's instruction
sets; the engine refuses those that need others, and the module is compiled here. Nothing is written beside them: marks
are in the store, and each user has one.

Several processes may fill a store at once (:mod:`executor.cache_folder`). What is damaged or cannot be read is
compiled again; a store that cannot be written is only read.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import IO

from blake3 import blake3

from pygenvm.executor import limits
from pygenvm.executor.bounded_cache import BoundedCache
from pygenvm.executor.cache_folder import CacheFolder
from pygenvm.executor.file_state import file_state
from pygenvm.executor.frozen import Frozen
from pygenvm.executor.json_text import parse_json
from pygenvm.executor.log import Remarks
from pygenvm.executor.outcome import InstallationFault, InvalidContract
from pygenvm.executor.subvm import engine as engines
from pygenvm.executor.subvm import wasm as changes
from pygenvm.executor.subvm.facts import ModuleFacts
from pygenvm.executor.subvm.linear import PAGE_BYTES, Content
from pygenvm.executor.subvm.wasmtime_c import Engine, Module, WasmtimeError

_log = Remarks("executor.subvm.artefacts")
_NOTE_CHARS_MAX = 1 << 24


class LoadedModule(metaclass=Frozen):
    """A module that is ready to be instantiated, and what is known of it."""

    module: Module
    facts: ModuleFacts
    content: Content | None
    """That of ``facts``, where it is."""


class _Mode(metaclass=Frozen):
    """How a module is prepared."""

    deterministic: bool
    trusted: bool


class ArtefactStore:
    """Compiled modules, in memory for this process and, as far as ``folder`` can be used, on disk.

    May be used from several threads.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        engine: Engine | None = None,
        packaged: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
        """``engine`` compiles the modules and runs them; by default that of the process. In the folders ``packaged``
        is what installed packages bring.
        """
        self.folder = CacheFolder(folder)
        self._packaged = tuple(map(CacheFolder, packaged))
        #: Modules that came from a host.
        self.contracts = CacheFolder(os.path.join(folder, "contracts"))
        self._engine = engine
        #: Those of runners, by key and by place.
        self._loaded: dict[str, LoadedModule] = {}
        #: Those of contracts, by key. VMs that use one do not need it here.
        self._of_contracts: BoundedCache[LoadedModule] = BoundedCache(limits.CONTRACT_MODULES_KEPT_BYTES)
        self._loading: dict[str, threading.Lock] = {}
        self.count_anew()

    def count_anew(self) -> None:
        """Each run counts its own."""
        self.hits = 0
        self.compiled = 0
        self.compile_time_ns = 0

    @property
    def engine(self) -> Engine:
        """The engine that can run the modules."""
        return self._engine or engines.engine()

    def load(
        self, wasm: bytes | memoryview, *, deterministic: bool, trusted: bool, origin: str | None = None
    ) -> LoadedModule:
        """The module of ``wasm``, from memory, from disk or freshly compiled; prepared as the flags say.

        ``origin`` stands for where the bytes come from and changes whenever they might (:mod:`executor.file_state`).

        :raises InvalidContract: malformed wasm, or a feature that is not allowed (spec executor/07).
        :raises InstallationFault: the compiler ran out of its limits.
        """
        mode = _Mode(deterministic, trusted)
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
            loaded = self._loaded.get(key) or self._of_contracts.get(key)
            if loaded is None:
                folder = self.contracts if place is None else self.folder
                loaded = self._from_note(folder, key, place)
                if loaded is None and place is not None and self._packaged:
                    loaded = self._from_packages(wasm, mode, place)
                if loaded is None:
                    with _only_compiler(folder, key):
                        # Another process may have been faster.
                        loaded = self._from_note(folder, key, place) or self._compile(folder, key, bytes(wasm), mode)
                if place is None:
                    self._of_contracts.put(key, loaded, loaded.module.image_bytes())
                else:
                    self._loaded[key] = loaded
            return loaded

    def portable(self, wasm: bytes | memoryview, *, deterministic: bool) -> tuple[str, str]:
        """Names of note and artefact of a runner's module for most machines of this platform, compiled into the
        store if they are not there; they are of use in a folder of ``packaged``, not here.

        :raises InvalidContract: see :meth:`load`.
        :raises OSError: the store cannot be written.
        """
        from pygenvm.executor.subvm.compiler import compile_module

        key = self._digest_of(wasm, _Mode(deterministic, trusted=True), "wasm", portable=True)
        if self._from_note(self.folder, key, None) is None:
            code, facts = compile_module(
                bytes(wasm), deterministic=deterministic, trusted=True, settings=engines.portable_settings()
            )
            digest = blake3(code).hexdigest()
            self.folder.write(f"{digest}.cwasm", code)
            self.folder.write(f"{key}.json", _note(digest, facts))
        digest = json.loads(self.folder.read(f"{key}.json"))["blake3"]
        return f"{key}.json", f"{digest}.cwasm"

    def adopt(self, wasm: bytes | memoryview, *, deterministic: bool, offered: Callable[[str], bytes | None]) -> bool:
        """Take over note and artefact of a runner's module that :meth:`portable` has made elsewhere, if ``offered``
        gives files of their names. False if they are not for this engine or machine: then nothing is kept.

        They are native code, which nobody can check: whoever gives them must be trusted.

        :raises OSError: the store cannot be written.
        """
        mode = _Mode(deterministic, trusted=True)
        try:
            given = offered(f"{self._digest_of(wasm, mode, 'wasm', portable=True)}.json") or b"{}"
            note = parse_json(given.decode(), max_chars=_NOTE_CHARS_MAX, max_depth=8)
            facts, digest = ModuleFacts.from_json(note["facts"]), str(note["blake3"])
            code = offered(f"{digest}.cwasm")
            if code is None or blake3(code).hexdigest() != digest:
                return False
            Module.deserialize(self.engine, code)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, WasmtimeError):
            return False
        self.folder.write(f"{digest}.cwasm", code)
        self.folder.write(f"{self._digest_of(wasm, mode, 'wasm')}.json", _note(digest, facts))
        return True

    def _lock_of(self, name: str) -> threading.Lock:
        return self._loading.setdefault(name, threading.Lock())

    # --- disk ----------------------------------------------------------------------------------------

    def _from_mark(self, place: str) -> LoadedModule | None:
        """The module without a look at its bytes, if nothing has changed since its artefact was checked."""
        try:
            mark = json.loads(self.folder.read(f"{place}.mark"))
            with self._opened_anywhere(mark["blake3"]) as artefact:
                if mark["seen"] != _seen(artefact):
                    return None
                loaded = self._mapped(artefact, ModuleFacts.from_json(mark["facts"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError, WasmtimeError) as error:
            _log.warning("the mark of a compiled module is not usable: %s", error)
            return None
        self.hits += 1
        return loaded

    def _from_note(self, folder: CacheFolder, key: str, place: str | None) -> LoadedModule | None:
        try:
            note = json.loads(folder.read(f"{key}.json"))
            facts = ModuleFacts.from_json(note["facts"])
            with _opened(folder, note["blake3"]) as artefact:
                seen = _seen(artefact)
                if _digest(artefact) != note["blake3"]:
                    raise ValueError("the artefact is damaged")
                loaded = self._mapped(artefact, facts)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError, WasmtimeError) as error:
            _log.warning("compiled module %s is not usable and will be made again: %s", key, error)
            return None
        self.hits += 1
        if folder is self.contracts:
            # Not those of runners: that changes the state that their marks note.
            folder.touch(f"{key}.json")
            folder.touch(f"{note['blake3']}.cwasm")
        if place is not None and seen is not None:
            with contextlib.suppress(OSError):
                self.folder.write(f"{place}.mark", json.dumps({**note, "seen": seen}).encode())
        return loaded

    def _from_packages(self, wasm: bytes | memoryview, mode: _Mode, place: str) -> LoadedModule | None:
        key = self._digest_of(wasm, mode, "wasm", portable=True)
        found = (self._from_note(folder, key, place) for folder in self._packaged)
        return next((loaded for loaded in found if loaded is not None), None)

    @contextlib.contextmanager
    def _opened_anywhere(self, digest: str) -> Iterator[int]:
        """The descriptor of an artefact of the store or of a package."""
        *others, last = (self.folder, *self._packaged)
        for folder in others:
            with contextlib.suppress(FileNotFoundError):
                descriptor = folder.open(f"{digest}.cwasm")
                break
        else:
            descriptor = last.open(f"{digest}.cwasm")
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    # --- compiling -----------------------------------------------------------------------------------

    def _compile(self, folder: CacheFolder, key: str, wasm: bytes, mode: _Mode) -> LoadedModule:
        from pygenvm.executor.subvm.compiler import compile_module

        begun = time.perf_counter_ns()
        self.compiled += 1
        code, facts = compile_module(
            wasm, deterministic=mode.deterministic, trusted=mode.trusted, settings=self.engine.settings
        )
        self.compile_time_ns += time.perf_counter_ns() - begun
        digest = blake3(code).hexdigest()
        if folder is self.contracts and len(code) > _room(len(wasm)):
            _log.warning("compiled module %s is not kept: %d bytes, from %d of wasm", key, len(code), len(wasm))
        elif self._keep(folder, key, code, digest, facts):
            with contextlib.suppress(OSError), _opened(folder, digest) as artefact:
                return self._mapped(artefact, facts)
        return self._in_memory(code, facts)

    def _keep(self, folder: CacheFolder, key: str, code: bytes, digest: str, facts: ModuleFacts) -> bool:
        """Put an artefact into the store; False if that cannot be written."""
        try:
            folder.sweep()
            if folder is self.contracts:
                folder.trim(limits.CONTRACT_ARTEFACTS_MAX, limits.CONTRACT_ARTEFACT_BYTES)
            folder.write(f"{digest}.cwasm", code)
            folder.write(f"{key}.json", _note(digest, facts))
        except OSError as error:
            _log.warning("compiled module %s is not kept: %s", key, error)
            return False
        return True

    def _mapped(self, artefact: int, facts: ModuleFacts) -> LoadedModule:
        # The file that was looked at, whatever has its name by now.
        module = Module.deserialize_file(self.engine, f"/dev/fd/{artefact}")
        if facts.content is None:
            return LoadedModule(module, facts, None)
        return LoadedModule(module, facts, _content(artefact, facts.content))

    def _in_memory(self, code: bytes, facts: ModuleFacts) -> LoadedModule:
        module = Module.deserialize(self.engine, code)
        if facts.content is None:
            return LoadedModule(module, facts, None)
        import tempfile

        try:
            with tempfile.TemporaryFile() as file:
                file.write(code[-facts.content[1] :])
                file.flush()
                return LoadedModule(module, facts, _content(file.fileno(), facts.content))
        except OSError as error:
            raise InstallationFault(f"no place for the memory of a module: {error}") from None

    def _digest_of(self, content: bytes | memoryview, mode: _Mode, kind: str, portable: bool = False) -> str:
        """Digest of ``content``, which is of some ``kind``, and of everything else that an artefact is made from."""
        digest = blake3(content)
        digest.update(kind.encode())
        digest.update(engines.fingerprint(self.engine, portable))
        digest.update(_changes())
        digest.update(f"deterministic={mode.deterministic} trusted={mode.trusted}".encode())
        return digest.hexdigest()


@contextlib.contextmanager
def _only_compiler(folder: CacheFolder, key: str) -> Iterator[None]:
    """Wait while another process compiles the same module. That only saves work, so failures are no matter."""
    lock = os.path.join(folder.path, f"{key}.lock")
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            folder.make()
            file = stack.enter_context(open(lock, "ab"))
            stack.callback(_remove, lock)
            _lock(file)
        yield


def _note(digest: str, facts: ModuleFacts) -> bytes:
    return json.dumps({"blake3": digest, "facts": facts.to_json()}).encode()


def _room(wasm_bytes: int) -> int:
    """The largest artefact of a contract's module of that size that is kept."""
    return limits.CONTRACT_ARTEFACT_BASE_BYTES + limits.CONTRACT_ARTEFACT_BYTES_PER_BYTE * wasm_bytes


@contextlib.contextmanager
def _opened(folder: CacheFolder, digest: str) -> Iterator[int]:
    """The descriptor of an artefact."""
    descriptor = folder.open(f"{digest}.cwasm")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _seen(artefact: int) -> str | None:
    """The state of a file until the machine is started again; None where nobody knows about that."""
    boot = _boot()
    return boot and f"{boot} {file_state(os.stat(artefact))}"


@cache
def _boot() -> str | None:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return None


@cache
def _changes() -> bytes:
    """Digest of the code that changes modules before they are compiled, and of its limits (32 bytes)."""
    digest = blake3()
    for folder in changes.__path__:
        for name in sorted(os.listdir(folder)):
            if name.endswith(".py"):
                with open(os.path.join(folder, name), "rb", buffering=0) as file:
                    digest.update(file.read())
    digest.update(repr(sorted(item for item in vars(limits).items() if item[0].startswith("WASM_"))).encode())
    return digest.digest()


def _digest(artefact: int) -> str:
    with contextlib.closing(mmap.mmap(artefact, 0, access=mmap.ACCESS_READ)) as content:
        return blake3(content).hexdigest()


def _content(artefact: int, of: tuple[int, int]) -> Content:
    """What is at the end of a file.

    :raises OSError, ValueError: the file is too short, or the machine refuses.
    """
    begin, size = of
    offset = os.fstat(artefact).st_size - size
    if offset < 0 or offset % PAGE_BYTES:
        raise ValueError("the artefact does not end with what its memory begins with")
    return Content(begin, size, os.dup(artefact), offset)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _lock(file: IO[bytes]) -> None:
    """Wait for an exclusive lock, not longer than a compilation may take."""
    deadline = time.monotonic() + limits.COMPILE_SECONDS
    while time.monotonic() < deadline:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(limits.COMPILE_LOCK_POLL_SECONDS)
