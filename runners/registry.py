"""The built runners on disk: archives under the hash of their bytes, and the lists of them (spec executor/07).

<cache>/runners/<id>/<first 2 of the hash>/<other 50>.tar
<cache>/registry/all.json      id to all hashes, the current one last
<cache>/registry/latest.json   id to the current hash
<cache>/registry/keys.json     id to the keys of its recipes that were built, each with the hash of what it gives
<cache>/registry/licences.json, licences/      see :mod:`runners.licences`

The list of keys is ours alone. It tells which archives belong to the recipes of this version of pygenvm, and of others
that use the same cache; so archives that are installed need nothing of the folder in which they were built.

Installed packages have the same folders (:func:`executor.config.packaged_runners`); only the cache is written to.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from io import BufferedReader
from pathlib import Path

from pygenvm.executor import config
from pygenvm.executor.config import PACKAGES_OF_RUNNERS, cache_root
from pygenvm.executor.file_state import file_state
from pygenvm.executor.json_text import parse_json
from pygenvm.executor.limits import REGISTRY_SETTLED_NS
from pygenvm.executor.runner.hashing import nix_base32
from pygenvm.runners import licences, recipes
from pygenvm.runners.errors import BuildError
from pygenvm.runners.workshop import Step, Workshop

LIST_BYTES_MAX = 1 << 20
_LIST_DEPTH_MAX = 8
ARCHIVE_BYTES_MAX = 1 << 30


@dataclass(frozen=True)
class BuiltRunners:
    """The registry below one cache folder, and those of installed packages; `latest` are the runners of this version
    of pygenvm.
    """

    root: Path
    latest: Mapping[str, str]
    packaged: tuple[Path, ...] = ()

    @property
    def runners_dir(self) -> Path:
        return self.root / "runners"

    @property
    def registry_dir(self) -> Path:
        return self.root / "registry"

    def archive(self, runner: str) -> Path:
        """The current archive of a runner."""
        return self.find(runner, self.latest[runner])

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders with registries, in the order in which archives are looked for."""
        return (*self.packaged, self.root)

    def find(self, runner: str, name: str) -> Path:
        """Where the archive `runner:name` is; if it is nowhere, where it would be built."""
        places = [archive_path(root / "runners", runner, name) for root in self.roots]
        return next((path for path in places if path.is_file()), places[-1])

    def licences(self) -> licences.Licences:
        """Licences of the archives, as far as they were collected."""
        return licences.read(root / "registry" for root in self.roots)


def _packaged_runners() -> tuple[Path, ...]:
    return tuple(map(Path, config.packaged_runners()))


def installed_runners() -> BuiltRunners:
    """What there is for this Python, built or not: `latest` is what the lists name."""
    root, packaged = cache_root(), _packaged_runners()
    latest = read_latest(root / "registry")
    for folder in packaged:
        latest |= read_latest(folder / "registry")
    return BuiltRunners(root, latest, packaged)


def read_every(roots: Iterable[Path]) -> dict[str, list[str]]:
    """all.json of several registries as one, the current hash of each runner last; packages have that."""
    every: dict[str, list[str]] = {}
    for root in reversed(tuple(roots)):
        for runner, names in read_all(root / "registry").items():
            every[runner] = [*(name for name in every.get(runner, ()) if name not in names), *names]
    return every


def archive_path(runners_dir: Path, runner: str, name: str) -> Path:
    """Where the archive `runner:name` is."""
    return runners_dir / runner / name[:2] / f"{name[2:]}.tar"


def default_jobs() -> int:
    """Compilers at a time, if nobody says: one per core this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ensure_built(progress: bool = True) -> BuiltRunners:
    """The registry with every built-in runner of this version that needs no NumPy, building what is missing.

    Where the package with what every contract needs is installed nothing is built: the rest are those of another one.

    :raises BuildError: a source cannot be had, a tool failed, or a package has runners of another version; the text
        says what to do.
    """
    root, packaged, steps = cache_root(), _packaged_runners(), recipes.archive_steps()
    brought = _of_packages(packaged, steps)
    if is_packaged(packaged):
        return BuiltRunners(root, {**_installed(BuiltRunners(root, {}, packaged), steps), **brought}, packaged)
    return build(jobs=default_jobs(), progress=progress, plain=True)


def are_built() -> bool:
    """Whether :func:`ensure_built` has nothing to build.

    :raises BuildError: a package has runners of another version.
    """
    packaged, steps = _packaged_runners(), recipes.archive_steps()
    brought = _of_packages(packaged, steps)
    if is_packaged(packaged):
        return True
    wanted = {runner: steps[runner] for runner in recipes.runner_ids(plain=True) if runner not in brought}
    return _listed(BuiltRunners(cache_root(), {}, packaged), wanted) is not None


def is_packaged(packaged: Iterable[Path]) -> bool:
    """Whether the package with what every contract needs is one of these: then nothing is built on the way."""
    return PACKAGES_OF_RUNNERS[0] in (folder.name for folder in packaged)


def build(
    *, jobs: int, only: str | None = None, plain: bool = False, force: bool = False, progress: bool = True
) -> BuiltRunners:
    """Builds the runners, or `only` one and those it depends on, or the `plain` ones, and lists them. What packages
    bring is there.

    :param force: build even those that are there.
    :raises BuildError: see :func:`ensure_built`.
    """
    root = cache_root()
    packaged = () if force else _packaged_runners()
    return build_below(
        root, root / "sources", jobs=jobs, only=only, plain=plain, force=force, progress=progress, packaged=packaged
    )


def build_below(
    root: Path,
    sources: Path,
    *,
    jobs: int,
    only: str | None = None,
    plain: bool = False,
    force: bool = False,
    progress: bool = True,
    packaged: tuple[Path, ...] = (),
) -> BuiltRunners:
    """:func:`build` with the registry and all work below `root` and downloads in `sources`."""
    steps = recipes.archive_steps()
    chosen = recipes.with_dependencies(only) if only else recipes.runner_ids(plain=plain)
    wanted = {runner: steps[runner] for runner in chosen}
    registry = BuiltRunners(root, {}, packaged)
    brought = _of_packages(packaged, wanted)
    wanted = {runner: step for runner, step in wanted.items() if runner not in brought}
    # Needs no lock: nothing is written, and the cache may be read-only.
    listed = None if force else _listed(registry, wanted)
    if listed is not None:
        return BuiltRunners(root, brought | listed, packaged)
    workshop = Workshop(root, sources, jobs)
    try:
        with workshop.locked(progress):
            latest = _build_missing(registry, workshop, wanted, force=force, progress=progress)
            return BuiltRunners(root, brought | latest, packaged)
    except OSError as error:
        raise BuildError(f"The runners cannot be built below {root}: {error}") from error


def _build_missing(
    registry: BuiltRunners, workshop: Workshop, wanted: Mapping[str, Step], *, force: bool, progress: bool
) -> dict[str, str]:
    """What is installed is not built again, neither for itself nor for others. Call it with the lock held."""
    if force:
        workshop.forget(wanted.values())
    found = {} if force else _installed(registry, wanted)
    missing = [step for runner, step in wanted.items() if runner not in found]
    if missing and not force:
        _put_back(registry, workshop, {step.name for step in workshop.missing(missing)})
    built = [runner for runner in wanted if runner not in found]
    with workshop.showing([*missing, *licences.steps(built)], progress):
        for runner, step in wanted.items():
            if runner not in found:
                result = workshop.result(step)
                found[runner] = recipes.read_hash(result)
                archive = archive_path(registry.runners_dir, runner, found[runner])
                if problems(runner, archive, found[runner]):
                    _publish(result / recipes.ARCHIVE_FILE, archive)
        latest = {runner: found[runner] for runner in wanted}
        if licences.steps(built):
            _collect(registry.registry_dir, workshop, {runner: found[runner] for runner in built})
        add_to_lists(registry.registry_dir, latest, {runner: step.key for runner, step in wanted.items()})
    return latest


def _of_packages(packaged: Iterable[Path], steps: Mapping[str, Step]) -> dict[str, str]:
    """The hashes of those runners that packages bring, which must be what these recipes give, and be there.

    :raises BuildError: they are not; the text says what to do.
    """
    found: dict[str, str] = {}
    for folder in packaged:
        keys = read_keys(folder / "registry")
        others = [runner for runner, step in steps.items() if step.key not in keys.get(runner, {step.key: ""})]
        title = folder.name.replace("_", "-")
        if others:
            raise BuildError(
                f"The package {title} has runners of another pygenvm than this one, {version('pygenvm')}: "
                f"{', '.join(others)} ({folder}).\n"
                f"What to do: install the package of this version, `pip install {title}=={version('pygenvm')}`, or "
                f"remove it, `pip uninstall {title}`, and run `genvm runners build`, which makes the runners here."
            )
        brought = {runner: keys[runner][step.key] for runner, step in steps.items() if runner in keys}
        damage = [
            line
            for runner, name in brought.items()
            for line in problems(f"{runner}:{name}", archive_path(folder / "runners", runner, name), name)
        ]
        if damage:
            raise BuildError(
                "\n".join(
                    [
                        f"The package {title} is damaged:",
                        *damage,
                        f"What to do: `pip install --force-reinstall --no-deps {title}=={version('pygenvm')}`",
                    ]
                )
            )
        found |= brought
    return found


def _listed(registry: BuiltRunners, wanted: Mapping[str, Step]) -> dict[str, str] | None:
    """The hashes of these runners, if all are installed and listed as the current ones."""
    found = _installed(registry, wanted)
    is_complete = found.keys() == wanted.keys() and read_latest(registry.registry_dir).items() >= found.items()
    return found if is_complete else None


def _installed(registry: BuiltRunners, steps: Mapping[str, Step]) -> dict[str, str]:
    """The hashes of those runners whose archives are there, made by these recipes, and as they should be."""
    keys = read_keys(registry.registry_dir)
    found = {runner: keys.get(runner, {}).get(step.key) for runner, step in steps.items()}
    return {
        runner: name
        for runner, name in found.items()
        if name is not None and not problems(runner, registry.find(runner, name), name)
    }


def _put_back(registry: BuiltRunners, workshop: Workshop, names: Container[str]) -> None:
    """Makes the results of the steps called ``names`` out of installed archives, where there are such."""
    steps = {runner: step for runner, step in recipes.archive_steps().items() if step.name in names}
    for runner, name in (_of_packages(registry.packaged, steps) | _installed(registry, steps)).items():
        with workshop.putting(steps[runner]) as out:
            shutil.copyfile(registry.find(runner, name), out / recipes.ARCHIVE_FILE)
            (out / recipes.HASH_FILE).write_text(name, encoding="ascii")


def _publish(built: Path, archive: Path) -> None:
    """Puts an archive in its place; readers see all of it or nothing."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(archive) as temporary:
        shutil.copyfile(built, temporary)


def add_to_lists(folder: Path, latest: Mapping[str, str], step_keys: Mapping[str, str]) -> None:
    """Adds the runners `latest` to all lists, as the newest, and as what the steps with these keys give."""
    folder.mkdir(parents=True, exist_ok=True)
    every, current, keys = read_all(folder), read_latest(folder), read_keys(folder)
    for runner, name in latest.items():
        every[runner] = [*(other for other in every.get(runner, []) if other != name), name]
        current[runner] = name
        keys.setdefault(runner, {})[step_keys[runner]] = name
    write_lists(folder, {"all.json": every, "keys.json": keys, "latest.json": current})


def write_lists(folder: Path, lists: Mapping[str, Mapping[str, object]]) -> None:
    """Writes lists, latest.json last: a reader between them finds all that it looks for."""
    for name, table in lists.items():
        write_json(folder / name, table)


def read_all(folder: Path) -> dict[str, list[str]]:
    """all.json; empty if there is none."""
    return parse_all(_read_json(folder / "all.json"), folder / "all.json")


def parse_all(table: Mapping[str, object], where: object) -> dict[str, list[str]]:
    """The content of an all.json."""
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in table.values()):
        raise BuildError(f"{where} is not a map from ids to arrays of hashes. {_REPAIR}")
    return {runner: list(map(str, names)) for runner, names in table.items() if isinstance(names, list)}


def read_latest(folder: Path) -> dict[str, str]:
    """latest.json; empty if there is none."""
    return parse_latest(_read_json(folder / "latest.json"), folder / "latest.json")


def parse_latest(table: Mapping[str, object], where: object) -> dict[str, str]:
    """The content of a latest.json."""
    if not all(isinstance(name, str) for name in table.values()):
        raise BuildError(f"{where} is not a map from ids to hashes. {_REPAIR}")
    return {runner: str(name) for runner, name in table.items()}


def read_keys(folder: Path) -> dict[str, dict[str, str]]:
    """keys.json; empty if there is none."""
    return parse_keys(_read_json(folder / "keys.json"), folder / "keys.json")


def parse_keys(table: Mapping[str, object], where: object) -> dict[str, dict[str, str]]:
    """The content of a keys.json."""
    found: dict[str, dict[str, str]] = {}
    for runner, names in table.items():
        if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
            raise BuildError(f"{where} is not a map from ids to maps from keys to hashes. {_REPAIR}")
        found[runner] = names
    return found


_REPAIR = "Remove it and run `genvm runners build`."


def _read_json(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            content = file.read(LIST_BYTES_MAX + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BuildError(f"{path} cannot be read: {error.strerror}") from error
    try:
        table = parse_list(content) if len(content) <= LIST_BYTES_MAX else None
    except ValueError as error:
        raise BuildError(f"{path} is not JSON: {error}. {_REPAIR}") from error
    if not isinstance(table, dict):
        raise BuildError(f"{path} is not a JSON object of at most {LIST_BYTES_MAX} bytes. {_REPAIR}")
    return table


def parse_list(content: bytes) -> object:
    """A list, of a file that anybody may have written.

    :raises ValueError: not JSON, or too deep.
    """
    return parse_json(content.decode(), max_chars=LIST_BYTES_MAX, max_depth=_LIST_DEPTH_MAX)


def json_text(table: Mapping[str, object]) -> str:
    """A list as it is on disk."""
    return json.dumps(table, indent=2, sort_keys=True) + "\n"


def write_json(path: Path, table: Mapping[str, object]) -> None:
    """Writes a list, if that changes it; readers see the old or the new one."""
    text = json_text(table)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    with _replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place at the end."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def collect_licences(built: BuiltRunners, jobs: int) -> None:
    """Collects those of current archives that were built before licences were, or by others."""
    known, keys = built.licences().archives, read_keys(built.registry_dir)
    steps = recipes.archive_steps()
    lacking = {
        runner: name
        for runner, name in built.latest.items()
        if runner in licences.CONTENTS
        and f"{runner}:{name}" not in known
        and keys.get(runner, {}).get(steps[runner].key) == name
    }
    if lacking:
        workshop = Workshop(built.root, built.root / "sources", jobs)
        with workshop.locked(visible=True), workshop.showing(licences.steps(lacking), visible=True):
            _collect(built.registry_dir, workshop, lacking)


def _collect(folder: Path, workshop: Workshop, archives: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / licences.LIST, licences.collect(folder, workshop, archives))


def verify(registry: BuiltRunners) -> tuple[int, list[str]]:
    """Number of listed archives, and one line for each that is missing or is not what its name says."""
    every = read_every(registry.roots)
    found = []
    for runner, name in registry.latest.items():
        if name not in every.get(runner, []):
            found.append(f"{runner}:{name} is in latest.json but not in all.json")
    count = 0
    for runner, names in sorted(every.items()):
        for name in names:
            count += 1
            found += problems(f"{runner}:{name}", registry.find(runner, name), name)
    return count, found


def problems(title: str, path: Path, name: str) -> list[str]:
    """A line if the archive at `path`, which `title` stands for, cannot be read or has not the hash `name`."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_size > ARCHIVE_BYTES_MAX:
                return [f"{title} has more than {ARCHIVE_BYTES_MAX} bytes ({path})"]
            found = _hash_of(file, status)
    except OSError as error:
        return [f"{title} cannot be read: {error.strerror or error} ({path})"]
    return [] if found == name else [f"{title} has the hash {found} ({path})"]


#: Of files that this process has read, by their state.
_hashes: dict[str, str] = {}


def _hash_of(file: BufferedReader, status: os.stat_result) -> str:
    """The hash of a file, which is read once by each process."""
    state = file_state(status)
    known = _hashes.get(state)
    if known is not None:
        return known
    found = nix_base32(hashlib.file_digest(file, "sha256").digest())
    # Two changes shortly one after the other may have the same time.
    if time.time_ns() - status.st_ctime_ns > REGISTRY_SETTLED_NS:
        _hashes[state] = found
    return found
