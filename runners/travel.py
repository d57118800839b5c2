"""Runners in one file: `genvm runners export` and `import`.

The file is a zip archive with the folders of a registry (:mod:`runners.registry`): every archive under its hash, the
lists of what is in the file, licences, and on request compiled modules. An import looks at all of it before anything
of it is put in its place, and the lists come last: whoever reads a registry meanwhile, or after a crash, sees all
runners of the file or none.

Hashes tell that archives are what their names say, not that whoever made the file is honest; and compiled modules are
native code, which nobody can check. So those are only taken over by who asks for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pygenvm.executor import limits
from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.runner.hashing import nix_base32
from pygenvm.executor.runner.ids import RunnerId
from pygenvm.executor.subvm.artefacts import ArtefactStore
from pygenvm.runners import licences, modules, recipes, registry
from pygenvm.runners.errors import BuildError
from pygenvm.runners.progress import Progress
from pygenvm.runners.registry import ARCHIVE_BYTES_MAX, LIST_BYTES_MAX, BuiltRunners

ENTRIES_MAX = 10_000
FILE_BYTES_MAX = (1 << 32) - 1
UNPACKED_BYTES_MAX = 1 << 34
CHUNK = 1 << 20

LISTS = ("all.json", "keys.json", "latest.json", licences.LIST)

_NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}"
_ARCHIVE = re.compile(r"runners/([A-Za-z0-9_-]{1,100})/([0-9a-z]{2})/([0-9a-z]{50})\.tar")
_LIST = re.compile(rf"registry/({'|'.join(map(re.escape, LISTS))})")
_TEXT = re.compile(rf"registry/{licences.FOLDER}/({_NAME})/({_NAME})")
_NOTE = re.compile(r"compiled/[0-9a-f]{64}\.json")
_ARTEFACT = re.compile(r"compiled/[0-9a-f]{64}\.cwasm")
_KINDS = (
    (_ARCHIVE, ARCHIVE_BYTES_MAX),
    (_LIST, LIST_BYTES_MAX),
    (_TEXT, licences.TEXT_BYTES_MAX),
    (_NOTE, 1 << 20),
    (_ARTEFACT, limits.COMPILED_BYTES),
)

#: The end of a zip archive without a comment, and what stands before it in one of the other format for large files.
_END = struct.Struct("<4s4H2LH")
_END_MARK, _LARGE_MARK, _LARGE_BYTES = b"PK\5\6", b"PK\6\7", 20
_DIRECTORY_BYTES_MAX = 4 << 20

_PARTS = ".import-"


# --- what travels ---------------------------------------------------------------------------------


def current(built: BuiltRunners) -> dict[str, list[str]]:
    """The archives of this version of pygenvm: hashes by runner."""
    return {runner: [name] for runner, name in built.latest.items()}


def entries(built: BuiltRunners, archives: Mapping[str, list[str]]) -> Iterator[tuple[str, Path | bytes]]:
    """Files of a registry with only these archives: name, and content or where it is. The lists come first.

    :raises BuildError: an archive is not in the registry.
    """
    keys: dict[str, dict[str, str]] = {}
    for root in built.roots:
        for runner, made in registry.read_keys(root / "registry").items():
            ours = {key: name for key, name in made.items() if name in archives.get(runner, ())}
            if ours:
                keys.setdefault(runner, {}).update(ours)
    latest = {runner: name for runner, name in built.latest.items() if name in archives.get(runner, ())}
    known = built.licences()
    named = {f"{runner}:{name}" for runner, names in archives.items() for name in names}
    contents = {archive: list(names) for archive, names in known.archives.items() if archive in named}
    components = sorted({component for names in contents.values() for component in names})
    texts = {"components": {name: dict(known.components[name]) for name in components}, "archives": contents}
    tables: tuple[Mapping[str, object], ...] = (archives, keys, latest, texts)
    for file, table in zip(LISTS, tables, strict=True):
        yield f"registry/{file}", registry.json_text(table).encode()
    for component in components:
        for name, path in known.texts(component):
            yield f"registry/{licences.FOLDER}/{component}/{name}", path
    for runner, names in archives.items():
        for name in names:
            yield f"runners/{runner}/{name[:2]}/{name[2:]}.tar", built.find(runner, name)


def verified(path: Path, file: str) -> None:
    """:raises BuildError: the archive that is to be called so has another hash."""
    found = _ARCHIVE.fullmatch(file)
    if found is not None:
        runner, name = found[1], found[2] + found[3]
        for problem in registry.problems(f"{runner}:{name}", path, name):
            raise BuildError(f"{problem}; `genvm runners verify` tells what to do")


# --- export ---------------------------------------------------------------------------------------


def export(
    built: BuiltRunners, archives: Mapping[str, list[str]], compiled: Mapping[str, Path], target: Path, show: Progress
) -> str:
    """Writes the file; says its SHA-256. What was there under its name stays until the new one is complete.

    :raises BuildError: an archive is missing or damaged.
    """
    handle, name = tempfile.mkstemp(dir=target.absolute().parent, prefix=f".{target.name}.new-")
    try:
        with open(handle, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, allowZip64=False) as out:
                for title, content in entries(built, archives):
                    with _shown(show, title):
                        if isinstance(content, Path):
                            verified(content, title)
                        add(out, title, content)
                for title, path in compiled.items():
                    add(out, f"compiled/{title}", path)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        with open(name, "rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
        os.replace(name, target)
        return digest
    except zipfile.LargeZipFile as error:
        raise BuildError(f"More than {FILE_BYTES_MAX} bytes do not fit in one file; export fewer archives") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def add(out: zipfile.ZipFile, name: str, content: Path | bytes) -> None:
    """A file for everybody to read, the same bytes whenever it is written."""
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    if isinstance(content, bytes):
        out.writestr(info, content)
    else:
        info.file_size = content.stat().st_size
        with content.open("rb") as source, out.open(info, "w") as target:
            shutil.copyfileobj(source, target, CHUNK)


@contextlib.contextmanager
def _shown(show: Progress, file: str) -> Iterator[None]:
    found = _ARCHIVE.fullmatch(file)
    if found is None:
        yield
        return
    begun = time.monotonic()
    show.begin(f"write {found[1]}")
    yield
    show.end(f"write {found[1]}", time.monotonic() - begun)


# --- import ---------------------------------------------------------------------------------------


@dataclass
class Imported:
    """What an import did: archives that are new here, those that were here, and modules taken over."""

    new: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    modules: int = 0
    modules_refused: int = 0


class ExportedFile:
    """A file that `export` has made, or that pretends to be one. Its lists are sound and name what is in it; what is
    in the archives is looked at when they are unpacked.
    """

    def __init__(self, file: IO[bytes], title: str) -> None:
        """:raises BuildError: the file is damaged, or not one of these."""
        self._title = title
        _check_end(file, title)
        with self._reading():
            self._zip = zipfile.ZipFile(file)
            self._entries = self._checked(self._zip.infolist())
        tables = {name: self._json(f"registry/{name}") for name in LISTS[:3]}
        self.every = registry.parse_all(tables["all.json"], self._where("all.json"))
        self.keys = registry.parse_keys(tables["keys.json"], self._where("keys.json"))
        self.latest = registry.parse_latest(tables["latest.json"], self._where("latest.json"))
        self.licences = licences.parse(self.read(f"registry/{licences.LIST}"), self._where(licences.LIST))
        self._check_lists()

    @property
    def archives(self) -> list[tuple[str, str]]:
        """Runner and hash of each archive."""
        return [(runner, name) for runner, names in self.every.items() for name in names]

    @property
    def has_modules(self) -> bool:
        return any(_NOTE.fullmatch(name) for name in self._entries)

    def size(self, name: str) -> int:
        return self._entries[name].file_size

    def read(self, name: str) -> bytes:
        """A file, whole.

        :raises BuildError: it is not there, or damaged.
        """
        if name not in self._entries:
            raise BuildError(f"{self._title} has no {name}: it was not made by `genvm runners export`")
        with self._reading(), self._zip.open(self._entries[name]) as source:
            content = source.read(self.size(name))
            if source.read(1) or len(content) != self.size(name):
                raise zipfile.BadZipFile(f"{name} has another size than the directory says")
            return content

    def module_file(self, name: str) -> bytes | None:
        """A note or an artefact, if it is there."""
        path = f"compiled/{name}"
        return self.read(path) if path in self._entries else None

    def texts(self) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Licence texts by component."""
        for component, about in self.licences["components"].items():
            yield component, {text: self.read(_text_path(component, text)) for text in about["texts"]}

    def unpack(self, runner: str, name: str, target: Path) -> None:
        """Writes an archive.

        :raises BuildError: its hash is another one.
        """
        info = self._entries[_path(runner, name)]
        digest, left = hashlib.sha256(), info.file_size
        with self._reading(), self._zip.open(info) as source, target.open("xb") as out:
            while chunk := source.read(min(CHUNK, left + 1)):
                left -= len(chunk)
                if left < 0:
                    raise zipfile.BadZipFile(f"{info.filename} has another size than the directory says")
                digest.update(chunk)
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        found = nix_base32(digest.digest())
        if left or found != name:
            raise BuildError(f"{self._title}: what is called {runner}:{name} has the hash {found}")

    def _where(self, name: str) -> str:
        return f"{name} of {self._title}"

    def _checked(self, infos: Iterable[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        found: dict[str, zipfile.ZipInfo] = {}
        total = 0
        for info in infos:
            name, shown = info.filename, ascii(info.filename[:100])
            most = next((most for kind, most in _KINDS if kind.fullmatch(name)), None)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if most is None or info.orig_filename != name:
                raise BuildError(f"{self._title}: no file of an export is called {shown}")
            if name in found:
                raise BuildError(f"{self._title}: {shown} is there twice")
            if kind not in (0, stat.S_IFREG):
                raise BuildError(f"{self._title}: {shown} is not a plain file")
            if info.file_size > most:
                raise BuildError(f"{self._title}: {shown} has {info.file_size} bytes, at most {most} are accepted")
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise BuildError(f"{self._title}: {shown} is packed in another way than `export` does it")
            found[name] = info
            total += info.file_size
        if total > UNPACKED_BYTES_MAX:
            raise BuildError(f"{self._title} unpacks to {total} bytes, at most {UNPACKED_BYTES_MAX} are accepted")
        return found

    def _json(self, name: str) -> dict[str, Any]:
        try:
            table = registry.parse_list(self.read(name))
        except (ValueError, RecursionError) as error:
            raise BuildError(f"{self._title}: {name} is not JSON: {error}") from error
        if not isinstance(table, dict):
            raise BuildError(f"{self._title}: {name} is not a JSON object")
        return table

    def _check_lists(self) -> None:
        for runner, name in self.archives:
            try:
                RunnerId.parse(f"{runner}:{name}")
            except InvalidContract as error:
                raise BuildError(f"{self._title}: {error.error.cause}") from error
        listed = [_path(runner, name) for runner, name in self.archives]
        there = {name for name in self._entries if _ARCHIVE.fullmatch(name)}
        if len(set(listed)) != len(listed) or set(listed) != there:
            odd = sorted(set(listed) ^ there) or sorted(name for name in listed if listed.count(name) > 1)
            raise BuildError(f"{self._title}: {odd[0][:150]!a} is not once in all.json and once in the file")
        for runner, name in (
            *self.latest.items(),
            *((runner, name) for runner, names in self.keys.items() for name in names.values()),
            *(archive.partition(":")[::2] for archive in self.licences["archives"]),
        ):
            if name not in self.every.get(runner, ()):
                raise BuildError(f"{self._title} names {f'{runner}:{name}'[:150]!a}, which is not in it")
        for component, about in self.licences["components"].items():
            for text in about["texts"]:
                if _text_path(component, text) not in self._entries:
                    raise BuildError(f"{self._title}: the licence {text} of {component} is missing")

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError) as error:
            raise BuildError(f"{self._title} is damaged: {error}") from error
        except (ValueError, RuntimeError, OverflowError) as error:
            # What zipfile says of directories that cannot be.
            raise BuildError(f"{self._title} is damaged: {error}") from error


def _check_end(file: IO[bytes], title: str) -> None:
    """The directory must be small before anybody reads it."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise BuildError(f"{title} is not a file")
    if not _END.size <= status.st_size <= FILE_BYTES_MAX:
        raise BuildError(f"{title} has {status.st_size} bytes; it was not made by `genvm runners export`")
    file.seek(max(0, status.st_size - _END.size - _LARGE_BYTES))
    tail = file.read()
    mark, *_, count, size, _, comment = _END.unpack(tail[-_END.size :])
    if mark != _END_MARK or comment or tail.startswith(_LARGE_MARK):
        raise BuildError(f"{title} is not complete, or was not made by `genvm runners export`")
    if count > ENTRIES_MAX or size > _DIRECTORY_BYTES_MAX:
        raise BuildError(f"{title} has {count} entries, at most {ENTRIES_MAX} are accepted")
    file.seek(0)


def _path(runner: str, name: str) -> str:
    return f"runners/{runner}/{name[:2]}/{name[2:]}.tar"


def _text_path(component: str, text: str) -> str:
    return f"registry/{licences.FOLDER}/{component}/{text}"


def import_file(
    file: ExportedFile, root: Path, own_keys: Mapping[str, str], show: Progress, store: ArtefactStore | None
) -> Imported:
    """Puts what is in the file into the registry below `root`, whose lock is held. `own_keys` are those of the recipes
    of this pygenvm, by runner: what they give becomes current. Compiled modules go to `store`, if there is one.

    :raises BuildError: an archive is not what its name says. Then nothing has changed.
    :raises OSError: the disk is full, or cannot be written. Then no list has changed.
    """
    for left in root.glob(f"{_PARTS}*"):
        # Of an import that was killed: this one has the lock.
        shutil.rmtree(left, ignore_errors=True)
    done = Imported()
    runners = root / "runners"
    parts = Path(tempfile.mkdtemp(dir=root, prefix=_PARTS))
    try:
        unpacked: dict[Path, Path] = {}
        for runner, name in file.archives:
            title, begun = f"unpack {runner}", time.monotonic()
            place = registry.archive_path(runners, runner, name)
            show.begin(title)
            if registry.problems(runner, place, name):
                part = parts / str(len(unpacked))
                file.unpack(runner, name, part)
                part.chmod(0o644)
                unpacked[place] = part
                done.new.append(f"{runner}:{name}")
            else:
                done.known.append(f"{runner}:{name}")
            show.end(title, time.monotonic() - begun)
        here = licences.read([root / "registry"]).components
        texts = [(component, content) for component, content in file.texts() if component not in here]
        lists = _merged(file, root / "registry", own_keys)
        for place, part in unpacked.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(part, place)
        (root / "registry").mkdir(exist_ok=True)
        for component, content in texts:
            licences.put(root / "registry" / licences.FOLDER / component, content)
        registry.write_lists(root / "registry", lists)
    finally:
        shutil.rmtree(parts, ignore_errors=True)
    if store is not None:
        _adopt(file, root, store, show, done)
    return done


def _merged(file: ExportedFile, folder: Path, own_keys: Mapping[str, str]) -> dict[str, Mapping[str, object]]:
    """The lists of a registry as they must be with those of the file.

    :raises BuildError: they would be too long.
    """
    every, keys = registry.read_all(folder), registry.read_keys(folder)
    latest = {**file.latest, **registry.read_latest(folder)}
    for runner, names in file.every.items():
        # What is here stays the current one, unless the file has what belongs to this pygenvm.
        every[runner] = [*(name for name in names if name not in every.get(runner, ())), *every.get(runner, ())]
        keys[runner] = {**file.keys.get(runner, {}), **keys.get(runner, {})}
        ours = keys[runner].get(own_keys.get(runner, ""))
        if ours in every[runner]:
            latest[runner] = ours
        if runner in latest:
            every[runner] = [*(name for name in every[runner] if name != latest[runner]), latest[runner]]
    lists: dict[str, Mapping[str, object]] = {
        licences.LIST: licences.merged(folder, file.licences),
        "all.json": every,
        "keys.json": {runner: table for runner, table in keys.items() if table},
        "latest.json": latest,
    }
    for name, table in lists.items():
        if len(registry.json_text(table).encode()) > LIST_BYTES_MAX:
            raise BuildError(f"{name} of this registry would have more than {LIST_BYTES_MAX} bytes")
    return lists


def _adopt(file: ExportedFile, root: Path, store: ArtefactStore, show: Progress, done: Imported) -> None:
    built = BuiltRunners(root, file.latest)
    for module in modules.used_modules(built, file.every):
        title, begun = f"take over {module.title}", time.monotonic()
        show.begin(title)
        if store.adopt(module.wasm, deterministic=module.deterministic, offered=file.module_file):
            done.modules += 1
        else:
            done.modules_refused += 1
        show.end(title, time.monotonic() - begun)


def own_keys() -> dict[str, str]:
    """Keys of the recipes of this pygenvm, by runner."""
    return {runner: step.key for runner, step in recipes.archive_steps().items()}
