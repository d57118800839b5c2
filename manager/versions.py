"""Which executor carries out a run (spec modules/04 §8): the manifest, and what is installed.

<root>/data/manifest.yaml                  versions and from when on each may be used
<root>/executor/vX.Y.Z/bin/genvm           one installed executor, with environment and runners of its own

``<root>`` is the parent of the folder of the manager's program. The executor of this installation itself is always
there: as the version that it says it is, and as ``vTEST`` where no folder of that name exists.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pygenvm.executor.runner.version import Version
from pygenvm.executor.spawn.process import own_command
from pygenvm.manager import limits
from pygenvm.manager.errors import RequestError
from pygenvm.modules.config import ConfigError, read_document

TEST_FOLDER = "vTEST"
_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse_time(text: str) -> datetime:
    """An RFC 3339 date and time.

    :raises ValueError: it is none.
    """
    match = _RFC_3339.fullmatch(text.strip())
    if not match:
        raise ValueError(f"not an RFC 3339 date and time: {text[:64]!r}")
    day, clock, fraction, zone = match.groups()
    digits = (fraction or "0")[:6].ljust(6, "0")
    zone = "+00:00" if zone in "Zz" else zone
    try:
        return datetime.fromisoformat(f"{day}T{clock}.{digits}{zone}").astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"not a time of the years 1 to 9999: {text[:64]!r}") from error


@dataclass(frozen=True, slots=True)
class Manifest:
    """Versions, and from when on each may be used."""

    versions: Mapping[Version, datetime]

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """:raises ConfigError: the file cannot be read or used; the text says what is wrong and where."""
        try:
            # A pipe that nobody writes to is empty, and does not keep anybody waiting.
            with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
                text = file.read(limits.MANIFEST_BYTES + 1)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        if len(text) > limits.MANIFEST_BYTES:
            raise ConfigError(f"{path}: more than {limits.MANIFEST_BYTES} bytes")
        document = read_document(path, text.decode("utf-8", "replace"), path.parent)
        entries = document.get("executor_versions")
        if not isinstance(entries, dict):
            raise ConfigError(f"{path}: executor_versions must be a map from versions to when they are available")
        if len(entries) > limits.MANIFEST_ENTRIES:
            raise ConfigError(f"{path}: more than {limits.MANIFEST_ENTRIES} versions")
        versions: dict[Version, datetime] = {}
        for key, value in entries.items():
            try:
                version = Version.parse(str(key))
                versions[version] = _available_after(value)
            except ValueError as error:
                raise ConfigError(f"{path}: executor_versions: {key}: {error}") from error
        return cls(versions)

    def resolve(self, major: int, time: datetime) -> Version:
        """The greatest version of ``major`` at ``time``, and then the newest patch of its unbroken chain.

        :raises RequestError: there is none.
        """
        candidates = [one for one, after in self.versions.items() if one.major == major and after <= time]
        if not candidates:
            raise RequestError(f"no compatible version found for major {major}")
        version = max(candidates)
        while (following := version.with_patch(version.patch + 1)) in self.versions:
            version = following
        return version

    def greatest_major(self, time: datetime) -> int:
        """:raises RequestError: no version is available at ``time``."""
        majors = [version.major for version, after in self.versions.items() if after <= time]
        if not majors:
            raise RequestError("no_executor_version_available")
        return max(majors)


def _available_after(value: Any) -> datetime:
    after = value.get("available_after") if isinstance(value, dict) else None
    if isinstance(after, datetime):
        # YAML has dates of its own, for texts without quotes.
        return after.replace(tzinfo=UTC) if after.tzinfo is None else after.astimezone(UTC)
    if not isinstance(after, str):
        raise ValueError("available_after must be an RFC 3339 date and time")
    return parse_time(after)


@dataclass(frozen=True, slots=True)
class InstalledExecutor:
    """One that can be started. ``command`` is the program with what comes before its options."""

    name: str
    command: tuple[str, ...]
    own: bool
    """Of this installation, so a pool of ours can start it."""


class Executors:
    """Chooses an executor for each run; :meth:`reload` reads the manifest anew."""

    def __init__(self, root: Path, own: Version, manifest_path: Path | None, reroute: str | None = None) -> None:
        """
        :param own: the version of this installation.
        :param manifest_path: None: every installed version, ours included, is available at any time.
        :param reroute: folder that stands in for every version (``--reroute-to``).
        :raises ConfigError: the manifest cannot be used, or ``reroute`` is no name of a folder.
        """
        if reroute is not None and not _FOLDER_NAME.fullmatch(reroute):
            raise ConfigError(f"--reroute-to: {reroute!r} is no name of a folder in {root / 'executor'}")
        self.root = root
        self.own = own
        self.reroute = reroute
        #: For asking executors about contracts: each holds one contract's code, and a processor.
        self.probes = asyncio.Semaphore(limits.PROBES)
        self._manifest_path = manifest_path
        self.manifest = self._read()

    def reload(self) -> None:
        """:raises ConfigError: the manifest cannot be used; the one from before stays."""
        self.manifest = self._read()

    def _read(self) -> Manifest:
        if self._manifest_path is not None:
            return Manifest.read(self._manifest_path)
        always = datetime.min.replace(tzinfo=UTC)
        return Manifest(dict.fromkeys((*self.installed(), self.own), always))

    def installed(self) -> dict[Version, Path]:
        """The versions below ``<root>/executor``, with their folders."""
        found: dict[Version, Path] = {}
        try:
            names = sorted(os.listdir(self.root / "executor"))
        except OSError:
            return found
        for name in names:
            try:
                version = Version.parse(name)
            except ValueError:
                continue
            if str(version) == name:
                found[version] = self.root / "executor" / name
        return found

    def choose(self, major: int, time: datetime) -> InstalledExecutor:
        """:raises RequestError: there is no such version, or it is not installed."""
        if self.reroute is not None:
            return self._in_folder(self.reroute, own=self.reroute == TEST_FOLDER)
        version = self.manifest.resolve(major, time)
        return self._in_folder(str(version), own=version == self.own)

    def probe(self, time: datetime) -> tuple[int, InstalledExecutor]:
        """The greatest major at ``time``, and the executor that reads contracts for it.

        :raises RequestError: there is none.
        """
        if self.reroute is not None:
            majors = [version.major for version, after in self.manifest.versions.items() if after <= time]
            return max(majors, default=0), self.choose(0, time)
        major = self.manifest.greatest_major(time)
        return major, self.choose(major, time)

    def _in_folder(self, name: str, *, own: bool) -> InstalledExecutor:
        program = self.root / "executor" / name / "bin" / "genvm"
        if program.exists():
            if not os.access(program, os.X_OK) or not program.is_file():
                raise RequestError(f"executor {name} is broken: {program} is no program; install it again")
            return InstalledExecutor(name, (str(program),), own=False)
        if own:
            return InstalledExecutor(name, tuple(own_command()), own=True)
        raise RequestError(f"executor {name} is not installed: there is no {program}; `genvm manager install` does it")
