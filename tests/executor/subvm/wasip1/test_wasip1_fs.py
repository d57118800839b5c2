"""The file tree (spec executor/06 "Virtual file system")."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor import limits
from pygenvm.executor.outcome import InvalidContract
from pygenvm.executor.subvm.wasip1.fs import Directory, FileSystem
from tests.executor.subvm.wasip1.wasi_guest import BADF, NOENT
from tests.support.properties import examples


def tree(*paths: str) -> FileSystem:
    fs = FileSystem()
    for path in paths:
        fs.map_file(path, path.encode())
    return fs


def names(directory: Directory) -> list[bytes]:
    return [name for name, _ in directory.listing()]


@pytest.mark.parametrize("path", ["/a/b/c", "a/b/c", "//a///b//c"])
def test_slashes_collapse(path: str) -> None:
    fs = tree(path)
    assert fs.root.lookup("a/b/c") == path.encode()
    assert names(fs.root) == [b".", b"..", b"a"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/a", "/a"),
        ("/a", "a"),
        ("/a/b", "/a//b"),
        ("/a/b", "/a"),
        ("/a/b/c", "/a/b"),
        ("/a", "/a/b"),
        ("/a", "/a/b/c"),
        ("/a/b", "/a/b/c/d"),
    ],
)
def test_conflicts(first: str, second: str) -> None:
    fs = tree(first)
    with pytest.raises(InvalidContract) as caught:
        fs.map_file(second, b"")
    assert caught.value.error.message == "invalid_contract"
    assert fs.root.lookup(first) == first.encode()


@pytest.mark.parametrize("path", ["", "/", "//", "a/", "/a/b//"])
def test_a_file_needs_a_name(path: str) -> None:
    with pytest.raises(InvalidContract):
        tree(path)


@pytest.mark.parametrize("path", ["/\ud800", "/a\udfff/b"])
def test_names_need_a_utf8_form(path: str) -> None:
    with pytest.raises(InvalidContract):
        FileSystem().map_file(path, b"")


def test_dots_are_names_that_nobody_can_reach() -> None:
    fs = tree("/a/../b", "/a/./c", "/.", "/x")
    assert names(fs.root) == [b".", b"..", b".", b"a", b"x"]
    directory = fs.root.lookup("a")
    assert isinstance(directory, Directory)
    assert names(directory) == [b".", b"..", b".", b".."]
    assert fs.root.lookup("a/../b") == NOENT
    assert fs.root.lookup("a/./c") == NOENT
    assert fs.root.lookup(".") is fs.root
    assert fs.root.lookup("b") == NOENT
    with pytest.raises(InvalidContract):
        fs.map_file("/a/..", b"")


def test_listing_is_in_byte_order_and_follows_changes() -> None:
    fs = tree("/b", "/a/x", "/B", "/é", "/\uffff", "/\U00010000")
    assert names(fs.root)[2:] == [b"B", b"a", b"b", b"\xc3\xa9", b"\xef\xbf\xbf", b"\xf0\x90\x80\x80"]
    assert dict(fs.root.listing())[b"a"] == 3
    assert dict(fs.root.listing())[b"b"] == 4
    fs.map_file("/c/d", b"")
    fs.map_file("/0", b"")
    assert names(fs.root)[2:7] == [b"0", b"B", b"a", b"b", b"c"]


def test_listing_of_an_empty_tree() -> None:
    assert FileSystem().root.listing() == [(b".", 3), (b"..", 3)]


def test_contents_are_not_copied() -> None:
    archive = memoryview(b"header content")
    fs = FileSystem()
    fs.map_file("/x", archive[7:])
    content = fs.root.lookup("x")
    assert isinstance(content, memoryview)
    assert content.obj is archive.obj


def test_number_of_directories_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAPPED_DIRECTORIES", 4)
    fs = tree("/a/b/1", "/a/b/2", "/a/c/1", "/a/c/2", "/top")
    with pytest.raises(InvalidContract):
        fs.map_file("/d/1", b"")
    fs.map_file("/a/3", b"")


NAMES = st.sampled_from(["a", "b", "c", ".", "..", "é", ""])
PATHS = st.lists(NAMES, max_size=5).map("/".join)


def model_map(files: dict[tuple[str, ...], bytes], path: str, content: bytes) -> bool:
    """What mapping does, said over tuples of names; False: refused."""
    if path.endswith("/") or not path:
        return False
    parts = tuple(part for part in path.split("/") if part)
    for other in files:
        shorter = min(len(other), len(parts))
        if other[:shorter] == parts[:shorter]:
            return False
    files[parts] = content
    return True


def model_lookup(files: dict[tuple[str, ...], bytes], path: str) -> bytes | int | None:
    """Content of a file, an errno, or None for a directory."""
    here: tuple[str, ...] = ()
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if here in files:
            return BADF
        if part == "..":
            return NOENT
        here = (*here, part)
        if not any(other[: len(here)] == here for other in files):
            return NOENT
    return files.get(here)


@examples(200)
@given(st.lists(PATHS, max_size=8), st.lists(PATHS, max_size=8))
def test_against_a_model(mapped: list[str], looked_up: list[str]) -> None:
    fs = FileSystem()
    files: dict[tuple[str, ...], bytes] = {}
    for number, path in enumerate(mapped):
        content = bytes([number])
        expected = model_map(files, path, content)
        try:
            fs.map_file(path, content)
        except InvalidContract:
            assert not expected
            # A refused path may have made directories on its way; a VM does not outlive the refusal.
            return
        assert expected
    for path in mapped + looked_up:
        node = fs.root.lookup(path)
        assert (None if isinstance(node, Directory) else node) == model_lookup(files, path)
