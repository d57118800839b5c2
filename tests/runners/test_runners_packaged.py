"""Runners that installed packages bring: found without an import, compared with the recipes, and never built."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pygenvm.executor.config import PACKAGES_OF_RUNNERS
from pygenvm.executor.runner.hashing import archive_hash
from pygenvm.localnet.lint_settings import installed_runners as lint_sees
from pygenvm.runners import registry, travel
from pygenvm.runners.errors import BuildError
from pygenvm.runners.workshop import Workshop
from tests.support.small_runners import genvm_runners

PLAIN, NUMERIC = PACKAGES_OF_RUNNERS
Pack = Callable[..., Path]


@pytest.fixture
def site(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for packages."""
    folder = cache / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def pack(site: Path, cache: Path, content: dict[str, bytes]) -> Pack:
    """Builds runners and makes a package of them, as the wheel has it; nothing stays in the cache."""

    def pack(name: str, *runners: str) -> Path:
        built = registry.build(jobs=1, progress=False)
        (site / name).mkdir()
        # Whoever looks for runners must not import anything of them.
        (site / name / "__init__.py").write_text("raise AssertionError('imported')\n")
        for file, data in travel.entries(built, {runner: [built.latest[runner]] for runner in runners}):
            path = site / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.read_bytes() if isinstance(data, Path) else data)
        for folder in ("build", "runners", "registry"):
            shutil.rmtree(cache / folder)
        importlib.invalidate_caches()
        return site / name

    return pack


@pytest.fixture
def no_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(self: Workshop, visible: bool) -> None:
        raise AssertionError("something is built")

    monkeypatch.setattr(Workshop, "locked", locked)


def test_nothing_is_built_or_written(pack: Pack, cache: Path, request: pytest.FixtureRequest) -> None:
    package = pack(PLAIN, "tool", "user-of-tool")
    request.getfixturevalue("no_builds")
    for built in (registry.ensure_built(progress=False), registry.build(jobs=1, progress=False)):
        assert dict(built.latest) == {"tool": archive_hash(b"1"), "user-of-tool": archive_hash(b"2")}
        assert built.archive("tool") == registry.archive_path(package / "runners", "tool", archive_hash(b"1"))
    assert PLAIN not in sys.modules
    assert [path.name for path in cache.iterdir()] == ["site-packages"]


def test_commands_see_them(pack: Pack, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack(PLAIN, "tool", "user-of-tool")
    capsys.readouterr()
    assert genvm_runners("build") == 0
    assert genvm_runners("list") == 0
    assert f"tool:{archive_hash(b'1')}             1 bytes  latest" in capsys.readouterr().out
    assert genvm_runners("verify") == 0
    assert capsys.readouterr().out == "2 archives are what their names say.\n"
    assert lint_sees() == {"tool": [archive_hash(b"1")], "user-of-tool": [archive_hash(b"2")]}
    assert genvm_runners("export", str(cache / "file")) == 0


def test_a_package_of_another_version_says_what_to_do(pack: Pack, content: dict[str, bytes]) -> None:
    pack(PLAIN, "tool", "user-of-tool")
    content["tool"] = b"3"
    uses: tuple[Callable[[], object], ...] = (
        lambda: registry.ensure_built(progress=False),
        lambda: registry.build(jobs=1, progress=False),
    )
    for use in uses:
        with pytest.raises(BuildError) as refused:
            use()
        assert "The package pygenvm-runners has runners of another pygenvm than this one" in str(refused.value)
        assert "tool, user-of-tool" in str(refused.value)
        assert "`pip uninstall pygenvm-runners`" in str(refused.value)


def test_a_damaged_package(pack: Pack, capsys: pytest.CaptureFixture[str]) -> None:
    package = pack(PLAIN, "tool", "user-of-tool")
    registry.archive_path(package / "runners", "tool", archive_hash(b"1")).write_bytes(b"x")
    assert genvm_runners("build") == 1
    assert "pip install --force-reinstall --no-deps pygenvm-runners==" in capsys.readouterr().err


def test_numeric_runners_are_not_missed(pack: Pack, cache: Path) -> None:
    """Without their package nothing of them is built on the way; who asks for it gets them, made of what is there."""
    pack(PLAIN, "tool")
    built = registry.ensure_built(progress=False)
    assert dict(built.latest) == {"tool": archive_hash(b"1")}
    assert not (cache / "build").exists()
    built = registry.build(jobs=1, progress=False)
    assert dict(built.latest) == {"tool": archive_hash(b"1"), "user-of-tool": archive_hash(b"2")}
    assert built.archive("user-of-tool").is_relative_to(cache / "runners")
    assert not (cache / "runners" / "tool").exists()
    assert dict(registry.ensure_built(progress=False).latest) == dict(built.latest)


def test_both_packages(pack: Pack, site: Path) -> None:
    pack(NUMERIC, "user-of-tool")
    numeric = site / NUMERIC
    numeric.rename(site / "away")
    importlib.invalidate_caches()
    pack(PLAIN, "tool")
    (site / "away").rename(numeric)
    importlib.invalidate_caches()
    built = registry.ensure_built(progress=False)
    assert dict(built.latest) == {"tool": archive_hash(b"1"), "user-of-tool": archive_hash(b"2")}
    assert built.packaged == (site / PLAIN, numeric)
    assert built.archive("user-of-tool").is_relative_to(numeric)


def test_the_numeric_package_alone_is_not_enough(pack: Pack, cache: Path) -> None:
    pack(NUMERIC, "user-of-tool")
    built = registry.ensure_built(progress=False)
    assert built.archive("tool").is_relative_to(cache / "runners")


def test_what_is_in_the_cache_is_older(pack: Pack, cache: Path, content: dict[str, bytes]) -> None:
    package = pack(PLAIN, "tool", "user-of-tool")
    package.rename(cache / "away")
    importlib.invalidate_caches()
    content["tool"] = b"3"
    registry.build(jobs=1, progress=False)
    content["tool"] = b"1"
    (cache / "away").rename(package)
    importlib.invalidate_caches()
    found = registry.installed_runners()
    assert found.latest["tool"] == archive_hash(b"1")
    assert registry.read_every(found.roots)["tool"] == [archive_hash(b"3"), archive_hash(b"1")]
    assert found.find("tool", archive_hash(b"3")).is_relative_to(cache / "runners")


def test_a_folder_of_that_name_is_no_package(cache: Path, site: Path, content: dict[str, bytes]) -> None:
    (site / PLAIN / "registry").mkdir(parents=True)
    importlib.invalidate_caches()
    assert registry.ensure_built(progress=False).packaged == ()
