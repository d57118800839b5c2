"""Runners on disk (spec executor/07 "Registry on disk")."""

from __future__ import annotations

import io
import json
import logging
import os
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pygenvm import schemas
from pygenvm.executor.json_text import parse_json
from pygenvm.executor.outcome import InternalErrorRaised, InvalidContract
from pygenvm.executor.runner import registry as registry_module
from pygenvm.executor.runner.hashing import archive_hash
from pygenvm.executor.runner.ids import RunnerId
from pygenvm.executor.runner.registry import InstalledRunners, RegistryError, published_runners

PUBLISHED = "1j12s63yfjpva9ik2xgnffgrs6v44y1f52jvj9w7xvdn7qckd379"


def tar(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


class Installation:
    """A folder of runners with its lists."""

    def __init__(self, root: Path) -> None:
        self.runners = root / "runners"
        self.lists = root / "registry"
        self.runners.mkdir()
        self.lists.mkdir()
        self.hashes: dict[str, list[str]] = {}

    def add(self, name: str, data: bytes, hash_: str | None = None, listed: bool = True) -> str:
        hash_ = hash_ or archive_hash(data)
        path = self.runners / name / hash_[:2] / f"{hash_[2:]}.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if listed:
            self.hashes.setdefault(name, []).append(hash_)
        return f"{name}:{hash_}"

    def open(self, debug: bool = False, latest: Any = None) -> InstalledRunners:
        (self.lists / "all.json").write_text(json.dumps(self.hashes))
        if latest is None:
            latest = {name: hashes[-1] for name, hashes in self.hashes.items()}
        (self.lists / "latest.json").write_text(json.dumps(latest))
        return InstalledRunners(self.runners, self.lists, debug)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def refused(registry: InstalledRunners, reference: str) -> str:
    with pytest.raises(InvalidContract) as error:
        registry.load(registry.resolve(reference))
    assert error.value.error.message == "invalid_contract"
    return error.value.error.cause


# --- resolve and load -------------------------------------------------------------------------------


def test_listed_runner(installation: Installation) -> None:
    data = tar(a=b"1")
    reference = installation.add("some-lib", data)
    registry = installation.open()
    assert registry.resolve(reference) == reference
    archive = registry.load(reference)
    assert archive.id == reference
    assert archive.data_size == len(data) == 10240
    assert {name: bytes(content) for name, content in archive.files.items()} == {"a": b"1"}
    assert list(registry.runners()) == [RunnerId.parse(reference)]


def test_archives_are_kept(installation: Installation) -> None:
    reference = installation.add("lib", tar(a=b"1"))
    registry = installation.open()
    with ThreadPoolExecutor(4) as pool:
        archives = set(pool.map(registry.load, [reference] * 16))
    assert len(archives) == 1
    os.unlink(registry.archive_path(RunnerId.parse(reference)))
    assert registry.load(reference) in archives


def test_lists_are_read_again_when_they_have_changed(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = installation.add("lib", tar(a=b"1"))
    installation.open()
    old = time.time() - 3600
    for name in ("all.json", "latest.json"):
        os.utime(installation.lists / name, (old, old))
    parsed = 0

    def counted(*arguments: Any, **others: Any) -> Any:
        nonlocal parsed
        parsed += 1
        return parse_json(*arguments, **others)

    monkeypatch.setattr(registry_module, "parse_json", counted)
    for _ in range(3):
        registry = InstalledRunners(installation.runners, installation.lists, True)
        assert [str(runner) for runner in registry.runners()] == [first]
        assert registry.resolve("lib:test") == first
    assert parsed == 2
    second = installation.add("lib", tar(a=b"2"))
    # Just changed: it may change again, and nobody could tell.
    for _ in range(2):
        registry = installation.open(debug=True)
        assert [str(runner) for runner in registry.runners()] == [first, second]
        assert registry.resolve("lib:test") == second
    assert parsed == 6


def test_path_of_an_archive(installation: Installation) -> None:
    path = installation.open().archive_path(RunnerId("lib", "0123456789"))
    assert path == f"{installation.runners}/lib/01/23456789.tar"


def test_unlisted_runner(installation: Installation) -> None:
    reference = installation.add("lib", tar(a=b"1"), listed=False)
    other = installation.add("other", tar(a=b"1"))
    registry = installation.open()
    assert "all.json" in refused(registry, reference)
    assert "all.json" in refused(registry, reference.replace("lib", "other")[:-1])
    assert registry.resolve(other) == other


@pytest.mark.parametrize("reference", ["", "lib", "lib:a:b", "<contract>", "../x:abc", "on_chain:0x" + "00" * 20])
def test_what_is_no_runner_id(installation: Installation, reference: str) -> None:
    refused(installation.open(), reference)


def test_missing_archive_says_what_to_do(installation: Installation) -> None:
    reference = installation.add("lib", tar(a=b"1"))
    registry = installation.open()
    path = Path(registry.archive_path(RunnerId.parse(reference)))
    path.unlink()
    cause = refused(registry, reference)
    assert str(path) in cause
    assert "genvm runners build" in cause


@pytest.mark.parametrize("data", [b"", b"x" * 512, b"x" * 10240])
def test_malformed_archive(installation: Installation, data: bytes) -> None:
    reference = installation.add("lib", data, "0" * 52)
    assert refused(installation.open(), reference)


def test_unreadable_archive_is_not_the_contracts_fault(installation: Installation) -> None:
    reference = installation.add("lib", tar(a=b"1"))
    registry = installation.open()
    path = Path(registry.archive_path(RunnerId.parse(reference)))
    path.unlink()
    path.mkdir()
    with pytest.raises(InternalErrorRaised, match="cannot be read"):
        registry.load(reference)


# --- latest and test --------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["archive", "folder", "owner", "behind a link"])
def test_what_others_may_write_to_is_compared_with_its_hash(
    installation: Installation, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    reference = installation.add("py", tar(a=b"ours"))
    path = Path(installation.open().archive_path(RunnerId.parse(reference)))
    match where:
        case "archive":
            path.chmod(0o666)
        case "folder":
            installation.runners.chmod(0o777)
        case "owner":
            os.chown(path.parent, 54_321, -1)
        case "behind a link":
            elsewhere = installation.runners.parent / "elsewhere"
            elsewhere.mkdir()
            installation.runners.symlink_to(installation.runners.rename(elsewhere / "runners"))
            elsewhere.chmod(0o777)
    with caplog.at_level(logging.WARNING, "executor.runner.registry"):
        assert bytes(installation.open().load(reference).file("a")) == b"ours"
    assert "compared with their hashes" in caplog.text
    path.write_bytes(tar(a=b"planted"))
    with pytest.raises(InternalErrorRaised, match="is not the archive of py:"):
        installation.open().load(reference)


@pytest.mark.parametrize("word", ["latest", "test"])
def test_latest_in_debug_mode(installation: Installation, word: str) -> None:
    installation.add("lib", tar(a=b"old"))
    new = installation.add("lib", tar(a=b"new"))
    registry = installation.open(debug=True)
    assert registry.resolve(f"lib:{word}") == new
    assert "latest.json" in refused(registry, f"nope:{word}")


@pytest.mark.parametrize("word", ["latest", "test"])
def test_latest_outside_debug_mode(installation: Installation, word: str, caplog: pytest.LogCaptureFixture) -> None:
    installation.add("lib", tar(a=b"1"))
    assert "debug mode" in refused(installation.open(), f"lib:{word}")
    assert [(record.levelname, f"lib:{word}" in record.getMessage()) for record in caplog.records] == [
        ("WARNING", True)
    ]


def test_latest_must_be_listed(installation: Installation) -> None:
    hidden = installation.add("lib", tar(a=b"hidden"), listed=False)
    installation.add("lib", tar(a=b"1"))
    assert "all.json" in refused(installation.open(debug=True, latest={"lib": hidden[4:]}), "lib:test")


# --- published hashes -------------------------------------------------------------------------------


def test_published_hash_means_the_current_archive_of_a_runner_of_ours(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        registry_module, "published_runners", lambda: {"py-genlayer": {"0ld": "py-genlayer-old", "n3w": "py-genlayer"}}
    )
    installation.add("py-genlayer", tar(a=b"before"))
    current = installation.add("py-genlayer", tar(a=b"current"))
    other = installation.add("py-genlayer-old", tar(a=b"of another generation"))
    registry = installation.open()
    assert registry.resolve("py-genlayer:n3w") == current
    assert registry.resolve("py-genlayer:0ld") == other
    assert bytes(registry.load(other).files["a"]) == b"of another generation"
    assert "all.json" in refused(registry, "py-genlayer:" + "0" * 52)
    # The hash belongs to its id.
    assert "all.json" in refused(registry, "cpython:n3w")
    assert "all.json" in refused(registry, "py-genlayer-old:0ld")


@pytest.mark.parametrize("listed", [True, False])
def test_published_archive_is_used_where_it_is_installed(installation: Installation, listed: bool) -> None:
    published = installation.add("py-genlayer", tar(a=b"published"), PUBLISHED, listed)
    installation.add("py-genlayer", tar(a=b"ours"))
    registry = installation.open()
    assert registry.resolve(published) == published
    assert bytes(registry.load(published).files["a"]) == b"published"


def test_a_generation_that_was_not_built_is_not_the_current_one(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "published_runners", lambda: {"py-genlayer": {PUBLISHED: "py-genlayer-old"}})
    installation.add("py-genlayer", tar(a=b"current"))
    assert "genvm runners build" in refused(installation.open(), f"py-genlayer:{PUBLISHED}")


def test_published_hash_of_a_runner_that_was_not_built(installation: Installation) -> None:
    assert "genvm runners build" in refused(installation.open(), f"py-genlayer:{PUBLISHED}")


def test_every_published_hash_is_a_sha256_in_nix_base32() -> None:
    for name, hashes in schemas.load("runner-aliases").items():
        for hash_ in hashes:
            assert len(hash_) == 52
            RunnerId.parse(f"{name}:{hash_}")


# --- errors of the installation ---------------------------------------------------------------------


def test_folder_of_runners_must_exist(installation: Installation) -> None:
    installation.open()
    with pytest.raises(RegistryError, match="genvm runners build"):
        InstalledRunners(installation.runners / "nope", installation.lists, False)
    with pytest.raises(RegistryError, match="does not exist"):
        InstalledRunners(installation.lists / "all.json", installation.lists, False)


def test_lists_must_exist(installation: Installation) -> None:
    installation.open()
    os.unlink(installation.lists / "latest.json")
    InstalledRunners(installation.runners, installation.lists, False)
    with pytest.raises(RegistryError, match=r"latest\.json cannot be read"):
        InstalledRunners(installation.runners, installation.lists, True)
    os.unlink(installation.lists / "all.json")
    with pytest.raises(RegistryError, match=r"all\.json cannot be read"):
        InstalledRunners(installation.runners, installation.lists, False)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "Expecting value"),
        ("[" * 100_000, "4 levels"),
        ("\xff", "utf-8"),
        ("[]", "not a JSON object"),
        ('{"a": [], "a": []}', "'a' occurs twice"),
        ('{"a": "b"}', "not an array"),
        ('{"a": [1.5]}', "a:1.5"),
        ('{"a": [1]}', "1 is not a hash"),
        ('{"a": ["b/c"]}', "b/c"),
        ('{"a/b": ["c"]}', "a/b"),
        ('{"a": ["latest"]}', "not a hash"),
    ],
)
def test_malformed_lists(installation: Installation, text: str, word: str) -> None:
    (installation.lists / "all.json").write_text(text, encoding="latin-1")
    with pytest.raises(RegistryError) as error:
        InstalledRunners(installation.runners, installation.lists, False)
    assert "all.json" in str(error.value)
    assert word in str(error.value)


def test_malformed_latest(installation: Installation) -> None:
    malformed: list[Any] = [{"lib": ["x"]}, {"lib": "test"}, {"lib": None}, []]
    for latest in malformed:
        with pytest.raises(RegistryError, match=r"latest\.json"):
            installation.open(debug=True, latest=latest)


def test_length_of_lists_is_limited(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "REGISTRY_JSON_BYTES_MAX", 10)
    installation.hashes = {"lib": ["0" * 10]}
    with pytest.raises(RegistryError, match="longer than 10 bytes"):
        installation.open()


# --- packages -----------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path) -> Installation:
    """A package's folder, which has lists and archives of its own."""
    (tmp_path / "package").mkdir()
    return Installation(tmp_path / "package")


def with_package(installation: Installation, package: Installation, debug: bool = False) -> InstalledRunners:
    package.open()
    folders = installation.runners, installation.lists
    return InstalledRunners(*folders, debug, packaged=[package.lists.parent])


def test_a_package_is_all_that_is_needed(tmp_path: Path, package: Installation) -> None:
    reference = package.add("lib", tar(a=b"1"))
    package.open()
    nowhere = tmp_path / "nowhere"
    for debug in (False, True):
        registry = InstalledRunners(nowhere, nowhere, debug, packaged=[package.lists.parent])
        assert registry.resolve(reference) == reference
        assert bytes(registry.load(reference).file("a")) == b"1"
    assert registry.resolve("lib:latest") == reference


def test_runners_of_a_package_are_the_current_ones(installation: Installation, package: Installation) -> None:
    older = installation.add("lib", tar(a=b"1"))
    both = installation.add("both", tar(a=b"3"))
    alone = installation.add("alone", tar(a=b"4"))
    installation.open()
    newer = package.add("lib", tar(a=b"2"))
    package.add("both", tar(a=b"3"))
    registry = with_package(installation, package, debug=True)
    assert registry.resolve("lib:latest") == newer
    assert registry.resolve("alone:latest") == alone
    assert [str(runner) for runner in registry.runners() if runner.name == "lib"] == [older, newer]
    for reference, place in ((older, installation), (newer, package), (both, package), (alone, installation)):
        assert Path(registry.archive_path(RunnerId.parse(reference))).is_relative_to(place.runners)
        assert registry.load(registry.resolve(reference)).id == reference
    published = f"py-genlayer:{list(published_runners()['py-genlayer'])[-1]}"
    current = package.add("py-genlayer", tar(a=b"5"))
    assert with_package(installation, package).resolve(published) == current


def test_a_damaged_list_of_a_package(installation: Installation, package: Installation) -> None:
    installation.open()
    (package.lists / "all.json").write_text("[]")
    with pytest.raises(RegistryError, match=str(package.lists)):
        InstalledRunners(installation.runners, installation.lists, False, packaged=[package.lists.parent])
