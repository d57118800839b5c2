"""Pinned sources of other projects: found or downloaded once, always verified by SHA-256 (see sources.json).

Places are tried in this order: the folder named by the environment variable PYGENVM_SOURCES (file names there do not
matter, contents do), the cache, then what sources.json names: upstream's download page, the package index through
pip, the source package of the Linux distribution through apt.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pygenvm.runners.errors import SourceUnavailable

FOLDER_VARIABLE = "PYGENVM_SOURCES"
CHUNK = 1 << 20
URL_TIMEOUT_S = 10.0
PIP_TIMEOUT_S = 900.0
APT_TIMEOUT_S = 300.0
USER_FILES_MAX = 1000
REASON_MAX = 300

# Makes pip take a source archive as it is: pip asks the archive's build backend for metadata, and with this folder
# first on its path this answers under the name of any of these backends, or of one that builds on it; nothing is built.
_BACKENDS = (Path("setuptools", "build_meta.py"), Path("mesonpy", "__init__.py"))
_BACKEND = """\
from pathlib import Path


class Backend:
    def build_wheel(self, wheel_directory, config_settings=None, metadata_directory=None):
        raise NotImplementedError

    def get_requires_for_build_wheel(self, config_settings=None):
        return []

    def prepare_metadata_for_build_wheel(self, metadata_directory, config_settings=None):
        info = Path(metadata_directory, "{file}-{version}.dist-info")
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        return info.name


__legacy__ = Backend()
build_wheel = __legacy__.build_wheel
get_requires_for_build_wheel = __legacy__.get_requires_for_build_wheel
prepare_metadata_for_build_wheel = __legacy__.prepare_metadata_for_build_wheel
build_sdist = get_requires_for_build_sdist = build_wheel
"""


@dataclass(frozen=True, slots=True)
class PackageIndex:
    """A release on the package index; `tag` is the platform tag of a wheel made for one platform."""

    name: str
    version: str
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class DebianSource:
    """The upstream archive inside a Debian source package."""

    package: str
    release: str


@dataclass(frozen=True, slots=True)
class Archive:
    """One file that holds a source: exact size and hash, and where it can be had."""

    file: str
    size: int
    sha256: str
    url: str | None = None
    pypi: PackageIndex | None = None
    debian: DebianSource | None = None
    platform: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A project in one version. Any of its archives for the platform will do, they hold the same."""

    name: str
    version: str
    what: str
    archives: tuple[Archive, ...]

    @property
    def digest(self) -> str:
        """Changes when the pinned version changes."""
        return hashlib.sha256("\0".join(archive.sha256 for archive in self.archives).encode()).hexdigest()


def host_platform() -> str:
    """`<system>-<machine>` of this process, e.g. ``linux-x86_64``."""
    return f"{platform.system()}-{platform.machine()}".lower()


@cache
def source(name: str) -> Source:
    """An entry of sources.json."""
    table: dict[str, Any] = json.loads(Path(__file__).with_name("sources.json").read_text(encoding="utf-8"))
    entry = table[name]
    return Source(name, entry["version"], entry["what"], tuple(map(_archive, entry["archives"])))


def _archive(item: dict[str, Any]) -> Archive:
    pypi, debian = item.get("pypi"), item.get("debian")
    return Archive(
        file=item["file"],
        size=item["size"],
        sha256=item["sha256"],
        url=item.get("url"),
        pypi=PackageIndex(**pypi) if pypi else None,
        debian=DebianSource(**debian) if debian else None,
        platform=item.get("platform"),
    )


def fetch(wanted: Source, folder: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """A verified archive of `wanted`, kept in `folder`.

    :raises SourceUnavailable: no place has it; the text lists every place, why it failed, and what to do.
    """
    tried: list[str] = []
    archives = [archive for archive in wanted.archives if archive.platform in (None, host_platform())]
    if not archives:
        platforms = ", ".join(str(archive.platform) for archive in wanted.archives)
        raise SourceUnavailable(
            f"{wanted.name} {wanted.version} ({wanted.what}) is not available for this platform, {host_platform()}, "
            f"only for {platforms}.\nWhat to do: build the runners on one of those and copy the folders `build`, "
            "`runners` and `registry` of its cache into this one's: the runners are the same everywhere."
        )
    for archive in archives:
        if found := _from_user(archive, environment, tried):
            return found
        target = folder / archive.file
        if _is_archive(target, archive):
            return target
        tried.append(f"cache {target}: {'damaged' if target.exists() else 'not there'}")
    folder.mkdir(parents=True, exist_ok=True)
    for archive in archives:
        for place, download in _places(archive, environment):
            with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
                try:
                    file = download(Path(scratch))
                    _verify(file, archive)
                except _Unavailable as reason:
                    tried.append(f"{place}: {reason}")
                    continue
                os.replace(file, folder / archive.file)
                return folder / archive.file
    raise SourceUnavailable(_report(wanted, archives, tried))


class _Unavailable(Exception):
    """One place does not have the archive."""


def _report(wanted: Source, archives: Sequence[Archive], tried: Sequence[str]) -> str:
    files = " or ".join(f"{archive.file} (SHA-256 {archive.sha256})" for archive in archives)
    return "\n".join(
        [
            f"{wanted.name} {wanted.version} ({wanted.what}) could not be obtained: {files}.",
            "Tried:",
            *(f"  - {line}" for line in tried),
            "What to do: check the network and try again; or get the file by other means, put it into any folder under "
            f"any name, and set {FOLDER_VARIABLE} to that folder.",
        ]
    )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_archive(path: Path, archive: Archive) -> bool:
    return path.is_file() and path.stat().st_size == archive.size and sha256_of(path) == archive.sha256


def _verify(path: Path, archive: Archive) -> None:
    size = path.stat().st_size
    if size != archive.size:
        raise _Unavailable(f"it gave {size} bytes instead of {archive.size}")
    digest = sha256_of(path)
    if digest != archive.sha256:
        raise _Unavailable(f"it gave a file with SHA-256 {digest}")


def _from_user(archive: Archive, environment: Mapping[str, str], tried: list[str]) -> Path | None:
    named = environment.get(FOLDER_VARIABLE)
    if not named:
        tried.append(f"{FOLDER_VARIABLE}: not set")
        return None
    folder = Path(named)
    if not folder.is_dir():
        tried.append(f"{FOLDER_VARIABLE}={named}: no such folder")
        return None
    for _, path in zip(range(USER_FILES_MAX), sorted(folder.iterdir()), strict=False):
        if _is_archive(path, archive):
            return path
    tried.append(f"{FOLDER_VARIABLE}={named}: no file with the SHA-256 of {archive.file}")
    return None


def _places(archive: Archive, environment: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Name and downloader of each place; a downloader gets a scratch folder and gives the file in it."""
    if (url := archive.url) is not None:
        yield url, lambda scratch: _from_url(url, archive, scratch)
    if (release := archive.pypi) is not None:
        yield (
            f"package index, {release.name} {release.version}",
            lambda scratch: _from_index(release, archive, scratch, environment),
        )
    if (package := archive.debian) is not None:
        yield (
            f"Debian source package {package.package} of {package.release}",
            lambda scratch: _from_debian(package, archive, scratch, environment),
        )


def _from_url(url: str, archive: Archive, scratch: Path) -> Path:
    target = scratch / archive.file
    try:
        with urllib.request.urlopen(url, timeout=URL_TIMEOUT_S) as answer, target.open("wb") as out:
            left = archive.size + 1  # one byte too many is enough to refuse it
            while left and (chunk := answer.read(min(CHUNK, left))):
                out.write(chunk)
                left -= len(chunk)
    except (OSError, urllib.error.URLError, http.client.HTTPException) as error:
        raise _Unavailable(str(error)) from error
    return target


def _from_index(release: PackageIndex, archive: Archive, scratch: Path, environment: Mapping[str, str]) -> Path:
    wheel = archive.file.endswith(".whl")
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{release.name}=={release.version} --hash=sha256:{archive.sha256}\n", encoding="utf-8")
    backend = scratch / "backend"
    text = _BACKEND.format(name=release.name, file=release.name.replace("-", "_"), version=release.version)
    for module in _BACKENDS:
        (backend / module).parent.mkdir(parents=True)
        (backend / module.with_name("__init__.py")).touch()
        (backend / module).write_text(text, encoding="utf-8")
    command = [sys.executable, "-P", "-m", "pip", "--no-input", "--disable-pip-version-check", "download", "--quiet"]
    command += ["--retries", "2", "--no-deps", "--require-hashes"]
    command += ["-r", str(requirements), "-d", str(scratch / "files")]
    if wheel:
        command += ["--only-binary", ":all:"]
        command += ["--platform", release.tag] if release.tag else []
    else:
        # Which Python it is for does not matter: only the sandbox's will run it.
        command += ["--no-binary", ":all:", "--no-build-isolation", "--ignore-requires-python"]
    path = "" if wheel else str(backend)
    _call(command, scratch, {**environment, "PYTHONPATH": path}, PIP_TIMEOUT_S)
    file = scratch / "files" / archive.file
    if not file.is_file():
        raise _Unavailable("pip ended without the file")
    return file


def _from_debian(package: DebianSource, archive: Archive, scratch: Path, environment: Mapping[str, str]) -> Path:
    """Through a private apt folder, with the mirror and the keys of the machine; its own setup stays untouched."""
    apt = shutil.which("apt-get", path=environment.get("PATH", ""))
    if apt is None:
        raise _Unavailable("apt-get is not on PATH")
    keys = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if not keys.is_file():
        raise _Unavailable(f"no keys of the distribution at {keys}")
    listed = _call([apt, "indextargets", "--format", "$(REPO_URI)"], scratch, environment, APT_TIMEOUT_S)
    mirrors = sorted({uri for uri in listed.split() if urlsplit(uri).path.strip("/").split("/")[-1] == "debian"})
    if not mirrors:
        raise _Unavailable("apt is not set up with a Debian mirror")
    for folder in ("lists/partial", "cache/archives/partial", "sourceparts", "files"):
        (scratch / folder).mkdir(parents=True)
    (scratch / "sourceparts" / "source.sources").write_text(
        f"Types: deb-src\nURIs: {' '.join(mirrors)}\nSuites: {package.release}\nComponents: main\nSigned-By: {keys}\n",
        encoding="utf-8",
    )
    settings = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": str(scratch / "sourceparts"),
        "Dir::State::lists": str(scratch / "lists"),
        "Dir::Cache": str(scratch / "cache"),
        "APT::Sandbox::User": "",
        "Acquire::http::Timeout": "15",
        "Acquire::Retries": "1",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    _call([apt, *options, "-qq", "update"], scratch, environment, APT_TIMEOUT_S)
    fetch_tar = [apt, *options, "-qq", "--download-only", "--tar-only", "source", package.package]
    _call(fetch_tar, scratch / "files", environment, APT_TIMEOUT_S)
    files = sorted((scratch / "files").glob("*.orig.tar.*"))
    if not files:
        raise _Unavailable("apt-get ended without the file")
    return next((file for file in files if file.stat().st_size == archive.size), files[0])


def _call(command: Sequence[str], cwd: Path, environment: Mapping[str, str], timeout_s: float) -> str:
    """Standard output of a downloader."""
    name = command[command.index("-m") + 1] if "-m" in command else Path(command[0]).name
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _Unavailable(str(error)[:REASON_MAX]) from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.lower().startswith(("error", "e:"))] or lines or ["no output"]
        raise _Unavailable(f"{name} ended with {done.returncode}: {errors[-1]}"[:REASON_MAX])
    return done.stdout
