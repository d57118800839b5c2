"""What archives hold is read once (executor/runner/listings.py), and whoever reads it then sees the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.runner import listings, ustar
from pygenvm.executor.runner.archive import Archive, FileContent, Folder, Outline
from pygenvm.executor.runner.hashing import archive_hash
from pygenvm.executor.runner.registry import InstalledRunners
from pygenvm.executor.subvm.wasip1.fs import Directory, FileSystem
from tests.executor.runner.test_runner_registry import Installation, tar

FILES = {f"lib/{number % 7}/{number}.py": b"%d" % number * (number % 5) for number in range(200)} | {"lib/é": b"e"}


class Kept:
    """An installation with one large archive, and the folder of listings."""

    def __init__(self, root: Path) -> None:
        self.installation = Installation(root)
        self.reference = self.installation.add("big", tar(**FILES))
        self.folder = root / "listings"

    def load(self) -> Archive:
        self.installation.open()
        runners, lists = self.installation.runners, self.installation.lists
        return InstalledRunners(runners, lists, False, listings=str(self.folder)).load(self.reference)

    def used(self) -> Archive:
        """As in a VM that has all files of ``lib/``."""
        archive = self.load()
        assert FileSystem().graft("/py/", archive.folder("lib/"))
        return archive

    @property
    def file(self) -> Path:
        (file,) = self.folder.iterdir()
        return file


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


@pytest.fixture
def headers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each archive whose headers are read."""
    read: list[int] = []
    places = ustar.tar_places

    def counted(data: memoryview) -> dict[str, tuple[int, int]]:
        read.append(len(data))
        return places(data)

    monkeypatch.setattr(listings, "tar_places", counted)
    return read


def content(archive: Archive) -> dict[str, bytes]:
    return {name: bytes(data) for name, data in archive.files.items()}


def test_headers_are_read_once(kept: Kept, headers: list[int]) -> None:
    first = kept.used()
    second = kept.load()
    assert len(headers) == 1
    assert list(content(first).items()) == list(content(second).items()) == list(FILES.items())
    assert second.digest == first.digest
    known, found_out = second.folder("lib/"), first.folder("lib/")
    for field in ("count", "bytes", "longest", "components", "directories", "top"):
        assert getattr(known, field) == getattr(found_out, field)
    assert known.entries == found_out.entries
    assert known.directories == 8
    assert known.top == (*"0123456", "é")
    assert second.folder("").directories is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: data.replace(b'"begins": [512', b'"begins": [513'),
        lambda data: data.replace(b'"state": "', b'"state": "1'),
    ],
)
def test_what_is_damaged_does_not_count(kept: Kept, headers: list[int], damage: Callable[[bytes], bytes]) -> None:
    kept.used()
    data = kept.file.read_bytes()
    assert damage(data) != data
    kept.file.write_bytes(damage(data))
    assert content(kept.used()) == FILES
    assert len(headers) == 2
    # And is there again.
    assert content(kept.load()) == FILES
    assert len(headers) == 2


def test_another_file_with_the_name_of_the_archive(kept: Kept, headers: list[int]) -> None:
    kept.used()
    runner = kept.installation.runners / "big" / kept.reference[4:6] / f"{kept.reference[6:]}.tar"
    others = {**FILES, "lib/0/0.py": b"other"}
    runner.write_bytes(tar(**others))
    assert content(kept.load()) == others
    assert len(headers) == 2


def test_a_malformed_archive_is_one_as_before(kept: Kept) -> None:
    data = b"x" * 10240
    kept.reference = kept.installation.add("big", data, archive_hash(data))
    with pytest.raises(InvalidContract, match="invalid_contract"):
        kept.load()
    assert not kept.folder.exists()


def test_small_archives_are_not_kept(kept: Kept) -> None:
    kept.reference = kept.installation.add("big", tar(**{"lib/a": b"1"}))
    assert content(kept.used()) == {"lib/a": b"1"}
    assert not kept.folder.exists()


def test_nothing_is_kept_of_what_others_may_write_to(kept: Kept, headers: list[int]) -> None:
    kept.used()
    os.chmod(kept.installation.runners / "big", 0o777)
    assert content(kept.used()) == FILES
    # It was read by the registry, which has compared it with its hash.
    assert len(headers) == 1


def test_a_folder_that_cannot_be_made(kept: Kept, headers: list[int]) -> None:
    kept.folder.write_bytes(b"")
    assert content(kept.used()) == content(kept.used()) == FILES
    assert len(headers) == 2


# --- the tree -------------------------------------------------------------------------------------------


class Unread(Mapping[str, FileContent]):
    """Files at which nobody has looked."""

    def __init__(self, files: Mapping[str, FileContent]) -> None:
        self._files = files
        self.looks = 0

    def __getitem__(self, name: str) -> FileContent:
        return self._files[name]

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[str]:
        self.looks += 1
        return iter(self._files)


def folder(*names: str) -> tuple[Folder, Unread]:
    """One with a known outline."""
    files = {f"x/{name}": name.encode() for name in names}
    outlines: list[Outline] = []
    found_out = Folder(files, "x/", None, lambda _, outline: outlines.append(outline))
    FileSystem().graft("/", found_out)
    unread = Unread(files)
    return Folder(unread, "x/", outlines[0]), unread


def names(directory: object) -> list[str]:
    assert isinstance(directory, Directory)
    return [name.decode() for name, _ in directory.listing()[2:]]


def test_a_tree_is_made_when_somebody_looks() -> None:
    library, unread = folder("std/a.py", "std/b.py")
    other, _ = folder("own/c.py")
    files = FileSystem()
    assert files.graft("/py/", other)
    assert files.graft("/py/", library)
    assert names(files.root) == ["py"]
    assert not unread.looks
    assert names(files.root.lookup("py")) == ["own", "std"]
    assert bytes(files.root.lookup("py/std/a.py")) == b"std/a.py"  # type: ignore[arg-type]
    assert unread.looks


def test_what_stands_in_the_way_is_found() -> None:
    for first, second, fits in (
        ("std/a.py", "std/b.py", True), ("std/a.py", "std/a.py", False), ("std", "std/a.py", False),
        ("std/a.py", "std", False), ("std/a.py", "a.py", True),
    ):  # fmt: skip
        files = FileSystem()
        assert files.graft("/py/", folder(first)[0])
        assert files.graft("/py/", folder(second)[0]) is fits, (first, second)
        assert files.is_free("/py/std/c.py") is (first != "std")


def test_a_folder_is_filled_behind_a_listing() -> None:
    files = FileSystem()
    files.map_file("/py/own.py", b"")
    assert names(files.root.lookup("py")) == ["own.py"]
    assert files.graft("/py/", folder("std/a.py")[0])
    assert names(files.root.lookup("py")) == ["own.py", "std"]


def test_outlines_of_many_names_at_the_top_are_short() -> None:
    many, unread = folder(*(f"{number}.py" for number in range(40)))
    assert many.top == ()
    files = FileSystem()
    files.map_file("/py/own.py", b"")
    assert files.graft("/py/", many)
    assert unread.looks
    assert len(names(files.root.lookup("py"))) == 41
