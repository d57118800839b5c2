"""The built runners on disk: archives under the hash of their bytes, and the lists of them (spec executor/07).

<cache>/runners/<id>/<first 2 of the hash>/<other 50>.tar
<cache>/registry/all.json      id to all hashes, the current one last
<cache>/registry/latest.json   id to the current hash
<cache>/registry/keys.json     id to the keys of its recipes that were built, each with the hash of what it gives

The last list is ours alone. It tells which archives belong to the recipes of this version of pygenvm, and of others
that use the same cache; so archives that are installed need nothing of the folder in which they were built.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pygenvm.executor.config import cache_root
from pygenvm.executor.runner.hashing import nix_base32
from pygenvm.runners import recipes
from pygenvm.runners.errors import BuildError
from pygenvm.runners.workshop import Step, Workshop

LIST_BYTES_MAX = 1 << 20
ARCHIVE_BYTES_MAX = 1 << 30


@dataclass(frozen=True)
class BuiltRunners:
    """The registry below one cache folder; `latest` are the runners of this version of pygenvm."""

    root: Path
    latest: Mapping[str, str]

    @property
    def runners_dir(self) -> Path:
        return self.root / "runners"

    @property
    def registry_dir(self) -> Path:
        return self.root / "registry"

    def archive(self, runner: str) -> Path:
        """The current archive of a runner."""
        return archive_path(self.runners_dir, runner, self.latest[runner])


def archive_path(runners_dir: Path, runner: str, name: str) -> Path:
    """Where the archive `runner:name` is."""
    return runners_dir / runner / name[:2] / f"{name[2:]}.tar"


def default_jobs() -> int:
    """Compilers at a time, if nobody says: one per core this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ensure_built(progress: bool = True) -> BuiltRunners:
    """The registry with every built-in runner of this version that needs no NumPy, building what is missing.

    :raises BuildError: a source cannot be had or a tool failed; the text says what to do.
    """
    return build(jobs=default_jobs(), progress=progress, plain=True)


def build(
    *, jobs: int, only: str | None = None, plain: bool = False, force: bool = False, progress: bool = True
) -> BuiltRunners:
    """Builds the runners, or `only` one and those it depends on, or the `plain` ones, and lists them.

    :param force: build even those that are there.
    :raises BuildError: see :func:`ensure_built`.
    """
    root = cache_root()
    return build_below(root, root / "sources", jobs=jobs, only=only, plain=plain, force=force, progress=progress)


def build_below(
    root: Path,
    sources: Path,
    *,
    jobs: int,
    only: str | None = None,
    plain: bool = False,
    force: bool = False,
    progress: bool = True,
) -> BuiltRunners:
    """:func:`build` with the registry and all work below `root` and downloads in `sources`."""
    steps = recipes.archive_steps()
    chosen = recipes.with_dependencies(only) if only else recipes.runner_ids(plain=plain)
    wanted = {runner: steps[runner] for runner in chosen}
    registry = BuiltRunners(root, {})
    # Needs no lock: nothing is written, and the cache may be read-only.
    latest = {} if force else _installed(registry, wanted)
    if latest.keys() == wanted.keys() and read_latest(registry.registry_dir).items() >= latest.items():
        return BuiltRunners(root, latest)
    workshop = Workshop(root, sources, jobs)
    try:
        with workshop.locked(progress):
            return BuiltRunners(root, _build_missing(registry, workshop, wanted, force=force, progress=progress))
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
    with workshop.showing(missing, progress):
        for runner, step in wanted.items():
            if runner not in found:
                result = workshop.result(step)
                found[runner] = recipes.read_hash(result)
                archive = archive_path(registry.runners_dir, runner, found[runner])
                if _problems(runner, archive, found[runner]):
                    _publish(result / recipes.ARCHIVE_FILE, archive)
        latest = {runner: found[runner] for runner in wanted}
        _list(registry.registry_dir, latest, wanted)
    return latest


def _installed(registry: BuiltRunners, steps: Mapping[str, Step]) -> dict[str, str]:
    """The hashes of those runners whose archives are there, made by these recipes, and as they should be."""
    keys = read_keys(registry.registry_dir)
    found = {runner: keys.get(runner, {}).get(step.key) for runner, step in steps.items()}
    return {
        runner: name
        for runner, name in found.items()
        if name is not None and not _problems(runner, archive_path(registry.runners_dir, runner, name), name)
    }


def _put_back(registry: BuiltRunners, workshop: Workshop, names: Container[str]) -> None:
    """Makes the results of the steps called ``names`` out of installed archives, where there are such."""
    steps = {runner: step for runner, step in recipes.archive_steps().items() if step.name in names}
    for runner, name in _installed(registry, steps).items():
        with workshop.putting(steps[runner]) as out:
            shutil.copyfile(archive_path(registry.runners_dir, runner, name), out / recipes.ARCHIVE_FILE)
            (out / recipes.HASH_FILE).write_text(name, encoding="ascii")


def _publish(built: Path, archive: Path) -> None:
    """Puts an archive in its place; readers see all of it or nothing."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(archive) as temporary:
        shutil.copyfile(built, temporary)


def _list(folder: Path, latest: Mapping[str, str], steps: Mapping[str, Step]) -> None:
    """Adds the runners `latest` to all lists, as the newest, and as what these steps give."""
    folder.mkdir(parents=True, exist_ok=True)
    every, current, keys = read_all(folder), read_latest(folder), read_keys(folder)
    for runner, name in latest.items():
        every[runner] = [*(other for other in every.get(runner, []) if other != name), name]
        current[runner] = name
        keys.setdefault(runner, {})[steps[runner].key] = name
    _write_json(folder / "all.json", every)
    _write_json(folder / "keys.json", keys)
    _write_json(folder / "latest.json", current)


def read_all(folder: Path) -> dict[str, list[str]]:
    """all.json; empty if there is none."""
    table = _read_json(folder / "all.json")
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in table.values()):
        raise BuildError(f"{folder / 'all.json'} is not a map from ids to arrays of hashes. {_REPAIR}")
    return {runner: list(map(str, names)) for runner, names in table.items() if isinstance(names, list)}


def read_latest(folder: Path) -> dict[str, str]:
    """latest.json; empty if there is none."""
    table = _read_json(folder / "latest.json")
    if not all(isinstance(name, str) for name in table.values()):
        raise BuildError(f"{folder / 'latest.json'} is not a map from ids to hashes. {_REPAIR}")
    return {runner: str(name) for runner, name in table.items()}


def read_keys(folder: Path) -> dict[str, dict[str, str]]:
    """keys.json; empty if there is none."""
    table = _read_json(folder / "keys.json")
    found: dict[str, dict[str, str]] = {}
    for runner, names in table.items():
        if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
            raise BuildError(f"{folder / 'keys.json'} is not a map from ids to maps from keys to hashes. {_REPAIR}")
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
        table = json.loads(content) if len(content) <= LIST_BYTES_MAX else None
    except ValueError as error:
        raise BuildError(f"{path} is not JSON: {error}. {_REPAIR}") from error
    if not isinstance(table, dict):
        raise BuildError(f"{path} is not a JSON object of at most {LIST_BYTES_MAX} bytes. {_REPAIR}")
    return table


def _write_json(path: Path, table: Mapping[str, object]) -> None:
    text = json.dumps(table, indent=2, sort_keys=True) + "\n"
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


def verify(root: Path) -> tuple[int, list[str]]:
    """Number of listed archives, and one line for each that is missing or is not what its name says."""
    registry = BuiltRunners(root, {})
    every = read_all(registry.registry_dir)
    problems = []
    for runner, name in read_latest(registry.registry_dir).items():
        if name not in every.get(runner, []):
            problems.append(f"{runner}:{name} is in latest.json but not in all.json")
    count = 0
    for runner, names in sorted(every.items()):
        for name in names:
            count += 1
            problems += _problems(f"{runner}:{name}", archive_path(registry.runners_dir, runner, name), name)
    return count, problems


def _problems(title: str, path: Path, name: str) -> list[str]:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > ARCHIVE_BYTES_MAX:
                return [f"{title} has more than {ARCHIVE_BYTES_MAX} bytes ({path})"]
            found = nix_base32(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        return [f"{title} cannot be read: {error.strerror or error} ({path})"]
    return [] if found == name else [f"{title} has the hash {found} ({path})"]
