"""Whole folders of archives in the tree of a VM: the same as their files one by one, only faster."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor import limits
from pygenvm.executor.outcome import InvalidContract, OutOfMemory
from pygenvm.executor.primitives.abi import MemoryLimiterConsts
from pygenvm.executor.runner.archive import Folder
from pygenvm.executor.subvm.budget import RamPool, VmBudget
from pygenvm.executor.subvm.vm import SubVM
from pygenvm.executor.subvm.wasip1.fs import Directory, FileSystem
from tests.support.properties import examples


def shape(directory: Directory) -> object:
    """Everything that a guest can see of a tree."""
    return [
        (name, shape(node) if isinstance(node, Directory) else bytes(node), directory.listing())
        for name, node in sorted(directory.children.items())
    ]


def folder(*names: str) -> Folder:
    return Folder({f"src/{name}": name.encode() for name in names}, "src/")


NAMES = st.lists(st.sampled_from(["a", "b", "a/a", "a/b", "b/a/a", "b/a/b", "/a", "c//d", ".", "a/.", "é"]), max_size=6)
TARGETS = st.sampled_from(["/", "/a/", "/b/a/", "//b//", "c/", "/é/"])


def outcome(build: object) -> object:
    files = FileSystem()
    try:
        build(files)  # type: ignore[operator]
    except InvalidContract:
        return "refused"
    return shape(files.root)


@examples(200)
@given(st.lists(st.tuples(TARGETS, NAMES.map(lambda names: folder(*dict.fromkeys(names)))), max_size=4))
def test_grafted_folders_look_like_mapped_files(maps: list[tuple[str, Folder]]) -> None:
    def one_by_one(files: FileSystem) -> None:
        for to, content in maps:
            for name, data in content.entries:
                files.map_file(to + name, data)

    def at_once(files: FileSystem) -> None:
        for to, content in maps:
            if not files.graft(to, content):
                for name, data in content.entries:
                    files.map_file(to + name, data)

    expected = outcome(one_by_one)
    # Twice, because the second VM finds the trees that the first one made.
    assert outcome(at_once) == expected
    assert outcome(at_once) == expected


def test_a_vm_does_not_change_what_another_one_shares() -> None:
    library = folder("std/json/__init__.py", "std/re.py")
    first, second = FileSystem(), FileSystem()
    assert first.graft("/py/", library)
    assert second.graft("/py/", library)
    first.map_file("/py/std/json/own.py", b"mine")
    assert first.root.lookup("py/std/json/own.py") == b"mine"
    assert not isinstance(second.root.lookup("py/std/json/own.py"), bytes)
    assert FileSystem().graft("/py/", library)
    third = FileSystem()
    third.graft("/", library)
    assert not isinstance(third.root.lookup("std/json/own.py"), bytes)


def test_owned_directories_are_not_replaced() -> None:
    files = FileSystem()
    files.graft("/", folder("a/b/c"))
    files.own_all()
    opened = files.root.lookup("a/b")
    files.map_file("a/b/d", b"late")
    assert opened is files.root.lookup("a/b")


def test_too_many_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAPPED_DIRECTORIES", 4)
    files = FileSystem()
    assert files.graft("/", folder("a/x", "b/x"))
    assert not files.graft("/", folder("c/x", "d/x"))
    assert files.graft("/", folder("a/y", "c/x"))


class _Builder:
    """The part of a VM that maps."""

    map_file = SubVM.map_file
    map_folder = SubVM.map_folder

    def __init__(self, ram: int) -> None:
        self.budget = VmBudget(RamPool(ram))
        self.wasi = self
        self.fs = FileSystem()

    def charged(self) -> int:
        return self.budget._charged


def test_a_folder_costs_what_its_files_cost() -> None:
    names = ("a", "b/é", "b/c")
    builder = _Builder(1 << 20)
    builder.map_folder("/té/", folder(*names))  # type: ignore[misc]
    paths = [f"/té/{name}".encode() for name in names]
    assert builder.charged() == sum(MemoryLimiterConsts.FILE_MAPPING + len(path) for path in paths)


@pytest.mark.parametrize("taken", ["", "b"])
def test_a_folder_that_does_not_fit_ends_at_the_file_that_does_not(taken: str) -> None:
    room = 2 * (MemoryLimiterConsts.FILE_MAPPING + 2)
    builder = _Builder(room)
    if taken:
        # The name that is taken comes before the file for which there is no room.
        builder.fs.map_file(taken, b"")
    with pytest.raises(InvalidContract if taken else OutOfMemory):
        builder.map_folder("/", folder("a", "b", "c"))  # type: ignore[misc]
    assert builder.fs.root.lookup("a") == b"a"
    assert builder.charged() == room
