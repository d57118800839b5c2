"""The built runners on disk: archives under the hash of their bytes, and the lists of them (spec executor/07).

<cache>/runners/<id>/<first 2 of the hash>/<other 50>.tar
<cache>/registry/all.json      id to all hashes, the current one last
<cache>/registry/latest.json   id to the current hash
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pygenvm.executor.config import cache_root
from pygenvm.executor.runner.hashing import archive_hash
from pygenvm.runners import recipes
from pygenvm.runners.errors import BuildError
from pygenvm.runners.workshop import Workshop

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
    """The registry with every built-in runner of this version, building what is missing.

    :raises BuildError: a source cannot be had or a tool failed; the text says what to do.
    """
    return build(jobs=default_jobs(), progress=progress)


def build(*, jobs: int, only: str | None = None, force: bool = False, progress: bool = True) -> BuiltRunners:
    """Builds the runners, or `only` one and those it depends on, and lists them. `force`: even those that are there.

    :raises BuildError: see :func:`ensure_built`.
    """
    root = cache_root()
    return build_below(root, root / "sources", jobs=jobs, only=only, force=force, progress=progress)


def build_below(
    root: Path, sources: Path, *, jobs: int, only: str | None = None, force: bool = False, progress: bool = True
) -> BuiltRunners:
    """:func:`build` with the registry and all work below `root` and downloads in `sources`."""
    steps = recipes.archive_steps()
    wanted = recipes.with_dependencies(only) if only else recipes.runner_ids()
    workshop = Workshop(root, sources, jobs)
    results = {runner: workshop.folder(steps[runner]) for runner in wanted}
    if not force and (built := _built(root, results)):
        return built
    registry = BuiltRunners(root, {})
    latest: dict[str, str] = {}
    with workshop.locked(progress):
        if force:
            workshop.forget(steps[runner] for runner in wanted)
        with workshop.showing([steps[runner] for runner in wanted], progress):
            for runner in wanted:
                result = workshop.result(steps[runner])
                latest[runner] = recipes.read_hash(result)
                _publish(result / recipes.ARCHIVE_FILE, archive_path(registry.runners_dir, runner, latest[runner]))
            _list(registry.registry_dir, latest)
    return BuiltRunners(root, latest)


def _built(root: Path, results: Mapping[str, Path]) -> BuiltRunners | None:
    """The registry if all of it is there and listed. Needs no lock: nothing is written, the cache may be read-only."""
    if not all(result.is_dir() for result in results.values()):
        return None
    registry = BuiltRunners(root, {runner: recipes.read_hash(result) for runner, result in results.items()})
    if not read_latest(registry.registry_dir).items() >= registry.latest.items():
        return None
    archives = ((registry.archive(runner), result / recipes.ARCHIVE_FILE) for runner, result in results.items())
    return registry if all(_is_published(built, archive) for archive, built in archives) else None


def _is_published(built: Path, archive: Path) -> bool:
    return archive.is_file() and archive.stat().st_size == built.stat().st_size


def _publish(built: Path, archive: Path) -> None:
    """Puts an archive in its place; readers see all of it or nothing."""
    if _is_published(built, archive):
        return
    archive.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(archive) as temporary:
        shutil.copyfile(built, temporary)


def _list(folder: Path, latest: Mapping[str, str]) -> None:
    """Adds the runners `latest` to both lists, as the newest."""
    folder.mkdir(parents=True, exist_ok=True)
    every, current = read_all(folder), read_latest(folder)
    for runner, name in latest.items():
        every[runner] = [*(other for other in every.get(runner, []) if other != name), name]
        current[runner] = name
    _write_json(folder / "all.json", every)
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


_REPAIR = "Remove it and run `genvm runners build`."


def _read_json(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            content = file.read(LIST_BYTES_MAX + 1)
    except FileNotFoundError:
        return {}
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
            content = file.read(ARCHIVE_BYTES_MAX + 1)
    except OSError as error:
        return [f"{title} cannot be read: {error.strerror or error} ({path})"]
    if len(content) > ARCHIVE_BYTES_MAX:
        return [f"{title} has more than {ARCHIVE_BYTES_MAX} bytes ({path})"]
    found = archive_hash(content)
    return [] if found == name else [f"{title} has the hash {found} ({path})"]
