"""Manifest and choice of an executor (spec modules/04 §8)."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pygenvm.executor.runner.version import Version
from pygenvm.manager.errors import RequestError
from pygenvm.manager.versions import Executors, Manifest, parse_time
from pygenvm.modules.config import ConfigError

OWN = Version(0, 2, 16)
MANIFEST = """
executor_versions:
  v0.2.3: { available_after: "2024-09-01T00:00:00Z" }
  v0.2.4: { available_after: "2024-09-01T00:00:00Z" }
  v0.2.5: { available_after: "2030-09-01T00:00:00Z" }
  v0.2.7: { available_after: "2025-09-01T00:00:00+02:00" }
  0.3.1: { available_after: 2026-01-01T00:00:00Z }
  v1.0.0: { available_after: "2026-06-01T12:00:00.5Z" }
runners_download_urls: [ "…/{id}/{hash}.tar" ]
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    (tmp_path / "manifest.yaml").write_text(MANIFEST)
    return Manifest.read(tmp_path / "manifest.yaml")


@pytest.mark.parametrize(
    ("major", "time", "version"),
    [
        # 0.2.5 is newer, and 0.2.6 missing.
        (0, "2024-10-01T00:00:00Z", "v0.2.5"),
        (0, "2025-08-31T21:59:59Z", "v0.2.5"),
        (0, "2025-08-31T22:00:00Z", "v0.2.7"),
        (0, "2026-01-01T00:00:00Z", "v0.3.1"),
        (1, "2026-06-01T14:00:00.5+02:00", "v1.0.0"),
    ],
)
def test_the_greatest_at_that_time_then_the_newest_patch_of_its_chain(
    manifest: Manifest, major: int, time: str, version: str
) -> None:
    assert str(manifest.resolve(major, parse_time(time))) == version


@pytest.mark.parametrize(
    ("major", "time"), [(0, "2024-08-31T23:59:59Z"), (1, "2026-06-01T12:00:00.4Z"), (2, "2030-01-01T00:00:00Z")]
)
def test_no_version(manifest: Manifest, major: int, time: str) -> None:
    with pytest.raises(RequestError, match=f"^no compatible version found for major {major}$"):
        manifest.resolve(major, parse_time(time))


def test_the_greatest_major(manifest: Manifest) -> None:
    assert manifest.greatest_major(datetime(2025, 1, 1, tzinfo=UTC)) == 0
    assert manifest.greatest_major(datetime(2027, 1, 1, tzinfo=UTC)) == 1
    with pytest.raises(RequestError, match=r"^no_executor_version_available$"):
        manifest.greatest_major(datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("executor_versions: []", "executor_versions must be a map"),
        ("executor_versions: { v0.2: { available_after: '2024-09-01T00:00:00Z' } }", "v0.2: not a version"),
        ("executor_versions: { v0.2.1: {} }", "v0.2.1: available_after must be an RFC 3339"),
        ("executor_versions: { v0.2.1: { available_after: yesterday } }", "not an RFC 3339 date"),
        ("executor_versions: { v0.2.1: { available_after: '2024-99-01T00:00:00Z' } }", "v0.2.1"),
        ("{", "not YAML"),
    ],
)
def test_a_manifest_with_a_mistake_is_told_with_file_and_key(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=what) as error:
        Manifest.read(path)
    assert str(path) in str(error.value)


def test_a_manifest_that_is_a_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "manifest.yaml")
    with pytest.raises(ConfigError, match=r"manifest\.yaml: "):
        Manifest.read(path)


def test_reload_keeps_the_old_one_if_the_new_one_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(MANIFEST)
    executors = Executors(tmp_path, OWN, path)
    path.write_text("executor_versions: 5")
    with pytest.raises(ConfigError):
        executors.reload()
    assert Version(0, 2, 3) in executors.manifest.versions
    path.write_text("executor_versions: { v0.2.16: { available_after: '2024-09-01T00:00:00Z' } }")
    executors.reload()
    assert list(executors.manifest.versions) == [OWN]


def _installed(root: Path, name: str) -> Path:
    program = root / "executor" / name / "bin" / "genvm"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


def test_without_a_manifest_every_installed_version_is_there(tmp_path: Path) -> None:
    program = _installed(tmp_path, "v0.3.0")
    (tmp_path / "executor" / ".installing-x").mkdir()
    executors = Executors(tmp_path, OWN, None)
    time = datetime(2020, 1, 1, tzinfo=UTC)
    chosen = executors.choose(0, time)
    assert (chosen.name, chosen.command, chosen.own) == ("v0.3.0", (str(program),), False)
    program.unlink()
    with pytest.raises(RequestError, match=r"executor v0.3.0 is not installed"):
        executors.choose(0, time)
    executors = Executors(tmp_path / "elsewhere", OWN, None)
    assert executors.choose(0, time).own


def test_a_broken_version_is_an_error_of_its_runs_alone(tmp_path: Path) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(MANIFEST + "  # nothing\n")
    _installed(tmp_path, "v0.2.5")
    _installed(tmp_path, "v0.2.7").chmod(0o644)
    executors = Executors(tmp_path, OWN, path)
    assert executors.choose(0, parse_time("2024-10-01T00:00:00Z")).name == "v0.2.5"
    with pytest.raises(RequestError, match=r"executor v0.2.7 is broken"):
        executors.choose(0, parse_time("2025-10-01T00:00:00Z"))


def test_rerouting_ignores_majors_and_times(tmp_path: Path) -> None:
    executors = Executors(tmp_path, OWN, None, "vTEST")
    time = datetime(1990, 1, 1, tzinfo=UTC)
    assert executors.choose(77, time).own
    program = _installed(tmp_path, "vTEST")
    assert executors.choose(77, time).command == (str(program),)
    with pytest.raises(ConfigError, match="no name of a folder"):
        Executors(tmp_path, OWN, None, "../x")
    with pytest.raises(RequestError, match="executor other is not installed"):
        Executors(tmp_path, OWN, None, "other").choose(0, time)


@pytest.mark.parametrize(
    "text", ["2024-11-26T06:42:42.424242Z", "2024-11-26t06:42:42.424242424z", "2024-11-26 08:42:42.424242+02:00"]
)
def test_times(text: str) -> None:
    assert parse_time(text) == datetime(2024, 11, 26, 6, 42, 42, 424242, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "now", "2024-11-26", "2024-11-26T06:42:42", "2024-13-26T06:42:42Z", "\uff12024-11-26T06:42:42Z"]
)
def test_no_times(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_time(text)
