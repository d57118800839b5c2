"""Runners on disk (spec executor/07 "Registry on disk").

Contracts in the wild name the hashes of published archives. Where such an archive is installed it is used; otherwise
the reference means the current archive of a runner of ours, which schemas/runner-aliases.json names for each hash.

Installed packages may bring more runners (:func:`executor.config.packaged_runners`), each with a registry of its own
kind. Theirs are the current ones: they were made together with this executor, while the folders of the configuration
can be older than both.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from pygenvm import schemas
from pygenvm.executor.cache_folder import CacheFolder, check_trusted
from pygenvm.executor.file_state import file_state
from pygenvm.executor.json_text import parse_json
from pygenvm.executor.limits import (
    ARCHIVE_BYTES_MAX,
    REGISTRY_JSON_BYTES_MAX,
    REGISTRY_JSON_DEPTH_MAX,
    REGISTRY_SETTLED_NS,
)
from pygenvm.executor.log import Remarks
from pygenvm.executor.outcome import InstallationFault, InvalidContract
from pygenvm.executor.runner.archive import Archive
from pygenvm.executor.runner.hashing import archive_hash
from pygenvm.executor.runner.ids import LATEST, RunnerId
from pygenvm.executor.runner.listings import Listing
from pygenvm.executor.runner.ustar import read_tar

if TYPE_CHECKING:
    from pygenvm.executor.config import Config

_log = Remarks("executor.runner.registry")

_HASH_FOLDER_CHARS = 2


class RegistryError(Exception):
    """The registry of this installation cannot be used."""


class InstalledRunners:
    """The installed runners: ``all.json``, in debug mode ``latest.json``, and the archives themselves; ``packaged``
    are folders with more of them.

    Archives are mapped into memory and kept for the life of the process. Safe to use from several threads.
    """

    def __init__(
        self,
        runners_dir: str | os.PathLike[str],
        registry_dir: str | os.PathLike[str],
        debug: bool,
        known: dict[str, Archive] | None = None,
        packaged: Sequence[str | os.PathLike[str]] = (),
        listings: str | None = None,
    ) -> None:
        """Read the lists. Archives among ``known`` whose files are still the same are not read again; others that are
        read become known.

        :param listings: the folder for what archives hold (:mod:`executor.runner.listings`).

        :raises RegistryError: a folder or list is missing or malformed.
        """
        if not packaged and not os.path.isdir(runners_dir):
            raise RegistryError(f"the folder of runners {runners_dir} does not exist; `genvm runners build` makes it")
        self._runners_dir = os.fspath(runners_dir)
        self._places: dict[str, str] = {}
        # Where packages bring all that is needed, these lists need not be there.
        all_json, latest_json = (os.path.join(registry_dir, name) for name in ("all.json", "latest.json"))
        self._hashes = {} if packaged and not os.path.exists(all_json) else dict(_read_lists(all_json))
        self._latest = None
        if debug:
            self._latest = {} if packaged and not os.path.exists(latest_json) else dict(_read_latest(latest_json))
        for folder in packaged:
            self._add(folder)
        self._archives: dict[str, Archive] = {}
        self._resolved: dict[str, str] = {}
        self._known = {} if known is None else known
        self._warned = False
        self._listings = None if listings is None else CacheFolder(listings)
        self._lock = threading.Lock()

    @classmethod
    def of(cls, config: Config, *, debug: bool = False, known: dict[str, Archive] | None = None) -> InstalledRunners:
        """Those that a configuration names.

        :raises RegistryError: a folder or list is missing or malformed.
        """
        listings = os.path.join(config.cache_dir, "listings")
        return cls(config.runners_dir, config.registry_dir, debug, known, config.packaged_runners, listings)

    def _add(self, package: str | os.PathLike[str]) -> None:
        """The runners of a package, as the current ones."""
        for name, hashes in _read_lists(os.path.join(package, "registry", "all.json")).items():
            self._hashes[name] = [*(text for text in self._hashes.get(name, ()) if text not in hashes), *hashes]
            self._places.update((f"{name}:{text}", os.path.join(package, "runners")) for text in hashes)
        if self._latest is not None:
            self._latest |= _read_latest(os.path.join(package, "registry", "latest.json"))

    @property
    def archives(self) -> dict[str, Archive]:
        """What has been loaded, by ``<id>:<hash>``."""
        return self._archives

    def runners(self) -> Iterator[RunnerId]:
        """Everything that all.json lists."""
        return (RunnerId(name, text) for name, hashes in self._hashes.items() for text in hashes)

    def archive_path(self, runner: RunnerId) -> str:
        """``<runners_dir>/<id>/<first 2 of hash>/<other 50>.tar``"""
        folder, rest = runner.hash[:_HASH_FOLDER_CHARS], runner.hash[_HASH_FOLDER_CHARS:]
        place = self._places.get(str(runner), self._runners_dir) if self._places else self._runners_dir
        return f"{place}/{runner.name}/{folder}/{rest}.tar"

    def resolve(self, reference: str) -> str:
        """The ``<id>:<hash>`` that a reference means: ``latest``/``test`` and published hashes are looked up.

        :raises InvalidContract: not a runner id, unknown, or ``latest``/``test`` outside debug mode.
        """
        resolved = self._resolved.get(reference)
        if resolved is None:
            resolved = self._resolved[reference] = str(self._resolve(RunnerId.parse(reference)))
        return resolved

    def _resolve(self, runner: RunnerId) -> RunnerId:
        if runner.hash in LATEST:
            runner = self._latest_of(runner)
        ours = published_runners().get(runner.name, {}).get(runner.hash)
        if ours is not None:
            hashes = self._hashes.get(ours)
            if hashes and not os.path.exists(self.archive_path(runner)):
                # all.json is sorted by age: its last entry is the current one.
                return RunnerId(ours, hashes[-1])
        elif runner.hash not in self._hashes.get(runner.name, ()):
            raise InvalidContract(f"runner {runner} is not in all.json")
        return runner

    def load(self, resolved: str) -> Archive:
        """The archive of an id that :meth:`resolve` gave.

        :raises InvalidContract: it is not installed, or malformed.
        :raises InstallationFault: it cannot be read.
        """
        with self._lock:
            archive = self._archives.get(resolved)
            if archive is None:
                runner = RunnerId.parse(resolved)
                archive = self._still_known(resolved, runner) or self._map(runner)
                self._archives[resolved] = self._known[resolved] = archive
            return archive

    def _latest_of(self, runner: RunnerId) -> RunnerId:
        if self._latest is None:
            _log.warning("%s is only known in debug mode; name a runner by its hash", runner)
            raise InvalidContract(f"runner {runner} is only known in debug mode")
        if runner.name not in self._latest:
            raise InvalidContract(f"runner {runner.name} is not in latest.json")
        return RunnerId(runner.name, self._latest[runner.name])

    def _still_known(self, resolved: str, runner: RunnerId) -> Archive | None:
        archive = self._known.get(resolved)
        try:
            if archive is not None and file_state(os.stat(self.archive_path(runner))) == archive.state:
                return archive
        except OSError:
            pass
        return None

    def _map(self, runner: RunnerId) -> Archive:
        path = self.archive_path(runner)
        try:
            with open(path, "rb") as file:
                status = os.fstat(file.fileno())
                size = status.st_size
                if not 0 < size <= ARCHIVE_BYTES_MAX:
                    raise InvalidContract(f"archive {path} of {runner} has {size} bytes")
                data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except FileNotFoundError as error:
            raise InvalidContract(
                f"the archive of {runner} is not installed: there is no {path}; `genvm runners build` makes it"
            ) from error
        except OSError as error:
            raise InstallationFault(f"the archive of {runner} cannot be read: {error}") from error
        state = file_state(status)
        if self._is_believed(runner, path, data) and self._listings is not None:
            listing = Listing(self._listings, f"{runner.hash}.listing", data, state)
            return Archive(str(runner), listing.files, len(data), state, listing)
        return Archive(str(runner), read_tar(data), len(data), state)

    def _is_believed(self, runner: RunnerId, path: str, data: memoryview) -> bool:
        """Whether nobody else could have changed an archive. Otherwise its bytes are compared with its hash.

        :raises InstallationFault: they are not those.
        """
        try:
            check_trusted(path)
            return True
        except OSError as error:
            if not self._warned:
                _log.warning("archives of runners are compared with their hashes at every start: %s", error)
                self._warned = True
            if archive_hash(data) != runner.hash:
                raise InstallationFault(f"{path} is not the archive of {runner}, and {error}") from None
            return False


@cache
def published_runners() -> Mapping[str, Mapping[str, str]]:
    """The runner of ours that each archive means which contracts in the wild name, by id and hash, the oldest first.

    It has another id where contracts need another generation than the current one.
    """
    table: dict[str, dict[str, str]] = schemas.load("runner-aliases")
    return table


#: What lists held when their file had this state: forks of a process that has read them need not do it again.
_lists: dict[str, tuple[str, Mapping[str, Any]]] = {}


def _read_lists(path: str) -> Mapping[str, list[str]]:
    """``{"<id>": ["<hash>", …], …}``, the oldest hash first."""
    return _read_checked(path, _check_hashes)


def _check_hashes(path: str, name: str, hashes: Any) -> None:
    if not isinstance(hashes, list):
        raise RegistryError(f"{path}: {name!r:.80} is not an array of hashes")
    for text in hashes:
        _check_entry(path, name, text)


def _read_latest(path: str) -> Mapping[str, str]:
    """``{"<id>": "<hash>", …}``"""
    return _read_checked(path, _check_entry)


def _read_checked(path: str, check: Callable[[str, str, Any], None]) -> Mapping[str, Any]:
    """An object whose members are as ``check`` wants them; read again only when the file has changed."""
    state, known = _lists.get(path, ("", None))
    with contextlib.suppress(OSError):
        if known is not None and file_state(os.stat(path)) == state:
            return known
    data, status = _read(path)
    lists = _parse_object(path, data)
    for name, value in lists.items():
        check(path, name, value)
    # Two changes shortly one after the other may have the same time.
    if time.time_ns() - status.st_mtime_ns > REGISTRY_SETTLED_NS:
        _lists[path] = file_state(status), lists
    return lists


def _read(path: str) -> tuple[bytes, os.stat_result]:
    """Content of a list, and the state that its file had before."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(REGISTRY_JSON_BYTES_MAX + 1)
    except OSError as error:
        raise RegistryError(f"{path} cannot be read ({error.strerror}); `genvm runners build` makes it") from error
    if len(data) > REGISTRY_JSON_BYTES_MAX:
        raise RegistryError(f"{path} is longer than {REGISTRY_JSON_BYTES_MAX} bytes")
    return data, status


def _parse_object(path: str, data: bytes) -> dict[str, Any]:
    try:
        value = parse_json(data.decode("utf-8"), max_chars=REGISTRY_JSON_BYTES_MAX, max_depth=REGISTRY_JSON_DEPTH_MAX)
    except ValueError as error:
        raise RegistryError(f"{path}: {error}") from error
    if not isinstance(value, dict):
        raise RegistryError(f"{path} is not a JSON object")
    return value


def _check_entry(path: str, name: str, text: object) -> None:
    try:
        RunnerId.parse(f"{name}:{text}")
    except InvalidContract as error:
        raise RegistryError(f"{path}: {error.error.cause}") from error
    if not isinstance(text, str) or text in LATEST:
        raise RegistryError(f"{path}: {text!r:.80} is not a hash")
