"""Wheels that carry built runners, for installations that never build: `make dist`.

`pygenvm-runners` has what every contract needs, `pygenvm-runners-numeric` the runners of recipes that are `numeric`.
A wheel holds one package with the folders of a registry (:mod:`runners.registry`) and compiled modules, which the
executor finds there (:func:`executor.config.packaged_runners`). Archives are compressed by the wheel, and are plain
tar files once it is installed. The modules are for one platform, so the wheel is; the archives are the same everywhere.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import platform
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import IO, NamedTuple

from pygenvm.executor.config import PACKAGES_OF_RUNNERS
from pygenvm.executor.outcome import InternalErrorRaised, InvalidContract
from pygenvm.executor.shortage import explained
from pygenvm.runners import modules, recipes, registry, travel
from pygenvm.runners.errors import BuildError
from pygenvm.runners.progress import Progress, shown_progress
from pygenvm.runners.registry import BuiltRunners

_PLAIN, _NUMERIC = PACKAGES_OF_RUNNERS
_SUMMARIES = {
    _PLAIN: "Built runners of pygenvm: Python for the sandbox, and its libraries",
    _NUMERIC: "Built runners of pygenvm for contracts with NumPy, Pillow and embeddings",
}
_INIT = '"""{summary}; pygenvm finds them here."""\n'


class Package(NamedTuple):
    """What goes into one wheel."""

    name: str
    archives: Mapping[str, list[str]]
    requires: tuple[str, ...]


def packages(built: BuiltRunners) -> list[Package]:
    """The wheels to make of these runners; the numeric one only if there are numeric runners."""
    ours = f"pygenvm=={version('pygenvm')}"
    archives, numeric = travel.current(built), recipes.numeric_ids()
    plain = Package(_PLAIN, {name: archives[name] for name in archives if name not in numeric}, (ours,))
    rest = {name: archives[name] for name in archives if name in numeric}
    needed = (ours, f"{_PLAIN.replace('_', '-')}=={version('pygenvm')}")
    return [plain, Package(_NUMERIC, rest, needed)] if rest else [plain]


def write_wheel(built: BuiltRunners, package: Package, folder: Path, show: Progress) -> Path:
    """The wheel of a package; what was there under its name stays until it is complete.

    :raises BuildError: an archive is missing or damaged.
    """
    used = modules.used_modules(built, package.archives)
    compiled = modules.compiled(used, modules.folder(), show)
    known = built.licences()
    named = [f"{runner}:{name}" for runner, names in package.archives.items() for name in names]
    lacking = [archive for archive in named if archive not in known.archives]
    if lacking:
        raise BuildError(f"The licences of {', '.join(lacking)} are not known: runners/licences.py has no entry for it")
    components = sorted({component for archive in named for component in known.archives[archive]})
    licences = {f"{component}/{name}": path for component in components for name, path in known.texts(component)}
    metadata = _metadata(package, [known.components[component]["licence"] for component in components], licences)
    tag = f"py3-none-{platform_tag()}"
    target = folder / f"{package.name}-{version('pygenvm')}-{tag}.whl"
    folder.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{target.name}.new-")
    try:
        with open(handle, "wb") as file:
            wheel = _Wheel(file, package.name)
            wheel.add(f"{package.name}/__init__.py", _INIT.format(summary=_SUMMARIES[package.name]).encode())
            for name, content in travel.entries(built, package.archives):
                if isinstance(content, Path):
                    travel.verified(content, name)
                wheel.add(f"{package.name}/{name}", content)
            for name, path in compiled.items():
                wheel.add(f"{package.name}/compiled/{name}", path)
            for name, path in licences.items():
                wheel.add_info(f"licenses/{name}", path)
            wheel.add_info("METADATA", metadata.encode())
            text = f"Wheel-Version: 1.0\nGenerator: pygenvm\nRoot-Is-Purelib: false\n{_tags(tag)}"
            wheel.add_info("WHEEL", text.encode())
            wheel.close()
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except zipfile.LargeZipFile as error:
        raise BuildError(f"{target.name} would have more than {travel.FILE_BYTES_MAX} bytes") from error
    finally:
        Path(temporary).unlink(missing_ok=True)
    return target


def platform_tag() -> str:
    """For which machines compiled modules are. They are no programs of the system: its version is of no matter."""
    system, machine = platform.system(), platform.machine()
    if system == "Linux":
        return f"manylinux_2_17_{machine}.manylinux2014_{machine}.musllinux_1_1_{machine}"
    if system == "Darwin":
        return f"macosx_11_0_{machine}"
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")


def _tags(tag: str) -> str:
    python, abi, platforms = tag.split("-")
    return "".join(f"Tag: {python}-{abi}-{one}\n" for one in platforms.split("."))


def _metadata(package: Package, licences: Iterable[str], texts: Iterable[str]) -> str:
    expressions = [f"({text})" if " " in text and not text.startswith("(") else text for text in sorted(set(licences))]
    lines = [
        *("Metadata-Version: 2.4", f"Name: {package.name.replace('_', '-')}", f"Version: {version('pygenvm')}"),
        f"Summary: {_SUMMARIES[package.name]}",
        f"License-Expression: {' AND '.join(expressions)}",
        *(f"License-File: {text}" for text in texts),
        "Requires-Python: >=3.11",
        *(f"Requires-Dist: {requirement}" for requirement in package.requires),
    ]
    return "\n".join(lines) + "\n"


class _Wheel:
    """A wheel that is being written: the same files give the same bytes."""

    def __init__(self, file: IO[bytes], package: str) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, allowZip64=False)
        self._info = f"{package}-{version('pygenvm')}.dist-info"
        self._record: list[str] = []

    def add(self, name: str, content: Path | bytes) -> None:
        if isinstance(content, Path):
            size = content.stat().st_size
            with content.open("rb") as source:
                digest = hashlib.file_digest(source, "sha256").digest()
        else:
            size, digest = len(content), hashlib.sha256(content).digest()
        text = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        self._record.append(f"{name},sha256={text},{size}")
        travel.add(self._zip, name, content)

    def add_info(self, name: str, content: Path | bytes) -> None:
        self.add(f"{self._info}/{name}", content)

    def close(self) -> None:
        record = f"{self._info}/RECORD"
        travel.add(self._zip, record, "".join(f"{line}\n" for line in [*self._record, f"{record},,"]).encode())
        self._zip.close()


def main(argv: list[str] | None = None) -> int:
    """Makes the wheels; exit code 1 with a text on stderr if that does not work."""
    parser = argparse.ArgumentParser(prog="python -m pygenvm.runners.dist", description="Make wheels of the runners.")
    parser.add_argument("--out", type=Path, default=Path("dist"), metavar="FOLDER", help="where to (default: dist)")
    args = parser.parse_args(argv)
    jobs = registry.default_jobs()
    try:
        built = registry.build(jobs=jobs)
        registry.collect_licences(built, jobs)
        with shown_progress(len(modules.used_modules(built, travel.current(built)))) as progress:
            wheels = [write_wheel(built, package, args.out, progress) for package in packages(built)]
    except InvalidContract as error:
        print(f"An archive is malformed: {error.error.cause}", file=sys.stderr)
        return 1
    except (BuildError, InternalErrorRaised, OSError) as error:
        print(explained(error), file=sys.stderr)
        return 1
    for wheel in wheels:
        print(f"{wheel}: {wheel.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
