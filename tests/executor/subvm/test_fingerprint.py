"""Hashes of memories, whose untouched beginning is not read."""

from __future__ import annotations

import ctypes
import mmap
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor import pagemap
from pygenvm.executor.subvm.fingerprint import hash_memory
from pygenvm.executor.subvm.memory import GuestMemory
from pygenvm.executor.subvm.untouched import untouched_bytes

PAGE = mmap.PAGESIZE
MIB = 1 << 20
SIZE = 4 * MIB


class Mapped:
    """Looks like a memory of the engine."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self.mapped = mapped

    def size(self) -> int:
        return len(self.mapped)

    def address(self) -> int:
        return ctypes.addressof(ctypes.c_char.from_buffer(self.mapped))


def anonymous(size: int = SIZE) -> mmap.mmap:
    mapped = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE)
    mapped.madvise(mmap.MADV_NOHUGEPAGE)
    return mapped


@pytest.fixture
def mapped() -> mmap.mmap:
    return anonymous()


def memory(mapped: mmap.mmap) -> GuestMemory:
    return GuestMemory(Mapped(mapped))  # type: ignore[arg-type]


@given(st.dictionaries(st.integers(0, SIZE - 1), st.integers(0, 255), max_size=4))
def test_the_hash_is_that_of_all_bytes(written: dict[int, int]) -> None:
    mapped = anonymous()
    for place, byte in written.items():
        mapped[place] = byte
    assert hash_memory(memory(mapped)) == blake3(mapped).digest()


def test_what_was_never_touched_is_not_read(mapped: mmap.mmap) -> None:
    mapped[3 * MIB + 5] = 1
    assert untouched_bytes(memory(mapped).address, SIZE) == 3 * MIB
    assert hash_memory(memory(mapped)) == blake3(bytes(3 * MIB + 5) + b"\1" + bytes(MIB - 6)).digest()
    # One that is read is there, and so not untouched any more.
    assert untouched_bytes(memory(mapped).address, SIZE) == 3 * MIB


def test_a_page_that_was_written_to_is_touched(mapped: mmap.mmap) -> None:
    """Also by zeros."""
    address = memory(mapped).address
    assert untouched_bytes(address, SIZE) == SIZE
    assert untouched_bytes(address, PAGE) == PAGE
    mapped[2 * PAGE] = 0
    assert untouched_bytes(address, SIZE) == 2 * PAGE
    mapped[0] = 0
    assert untouched_bytes(address, SIZE) == 0


@pytest.mark.parametrize("flags", [mmap.MAP_PRIVATE, mmap.MAP_SHARED])
def test_pages_of_files_are_not_zeros_because_nobody_has_touched_them(tmp_path: Path, flags: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * SIZE)
    with path.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), SIZE, flags=flags)
    assert untouched_bytes(memory(mapped).address, SIZE) == 0
    assert hash_memory(memory(mapped)) == blake3(b"x" * SIZE).digest()


def test_shared_memory_may_be_touched_by_others() -> None:
    mapped = mmap.mmap(-1, SIZE)
    assert untouched_bytes(memory(mapped).address, SIZE) == 0


@pytest.mark.parametrize("state", [0, 1 << 7, 1 << 5 | 1 << 7])
def test_a_system_that_does_not_tell_is_not_believed(
    mapped: mmap.mmap, monkeypatch: pytest.MonkeyPatch, state: int
) -> None:
    monkeypatch.setattr(pagemap, "_states", lambda _, size: bytes([state]) * (size // PAGE))
    pagemap.is_reliable.cache_clear()
    try:
        assert untouched_bytes(memory(mapped).address, SIZE) == 0
        assert not pagemap.is_reliable()
    finally:
        pagemap.is_reliable.cache_clear()


def test_a_place_without_a_mapping() -> None:
    assert untouched_bytes(0, SIZE) == 0
