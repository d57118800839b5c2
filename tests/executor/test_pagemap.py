"""What the system tells of pages."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

import pytest

from pygenvm.executor import pagemap
from pygenvm.executor.pagemap import PAGE_BYTES, mappings, runs_there, runs_written

PAGES = 8


def address_of(mapped: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(mapped))


def pages(runs: list[tuple[int, int]]) -> list[int]:
    return [page // PAGE_BYTES for begin, end in runs for page in range(begin, end, PAGE_BYTES)]


def test_memory_without_a_file() -> None:
    mapped = mmap.mmap(-1, PAGES * PAGE_BYTES, flags=mmap.MAP_PRIVATE)
    address = address_of(mapped)
    assert [*runs_there(address, PAGES * PAGE_BYTES)] == []
    for page in (1, 2, 5):
        mapped[page * PAGE_BYTES] = 0
    assert [*runs_there(address, PAGES * PAGE_BYTES)] == [
        (PAGE_BYTES, 3 * PAGE_BYTES),
        (5 * PAGE_BYTES, 6 * PAGE_BYTES),
    ]
    assert [*runs_written(address, PAGES * PAGE_BYTES)] == [*runs_there(address, PAGES * PAGE_BYTES)]
    assert pages([*runs_written(address + 2 * PAGE_BYTES, 3 * PAGE_BYTES)]) == [0]


def test_a_private_mapping_of_a_file(tmp_path: Path) -> None:
    """What is read is there; what was written to is not the file's any more."""
    path = tmp_path / "file"
    path.write_bytes(bytes(range(PAGES)) * PAGE_BYTES)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), PAGES * PAGE_BYTES, access=mmap.ACCESS_COPY)
    address = address_of(mapped)
    assert mapped[3 * PAGE_BYTES] == 0
    assert 3 in pages([*runs_there(address, PAGES * PAGE_BYTES)])
    assert [*runs_written(address, PAGES * PAGE_BYTES)] == []
    mapped[3 * PAGE_BYTES] = 9
    assert pages([*runs_written(address, PAGES * PAGE_BYTES)]) == [3]


def test_what_is_not_mapped_is_not_there() -> None:
    assert [*runs_there(PAGE_BYTES, 4 * PAGE_BYTES)] == []


def test_addresses_that_nobody_can_have() -> None:
    with pytest.raises((OSError, OverflowError)):
        [*runs_there(1 << 63, PAGE_BYTES)]


def test_mappings() -> None:
    mapped = mmap.mmap(-1, PAGES * PAGE_BYTES, flags=mmap.MAP_PRIVATE)
    address = address_of(mapped)
    (found,) = [item for item in mappings() if item[0] <= address < item[1]]
    assert found[1] >= address + PAGES * PAGE_BYTES
    assert found[2:] == (b"rw-p", b"0")


def test_it_is_reliable_here_and_not_where_it_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pagemap.is_reliable.cache_clear()
    assert pagemap.is_reliable()

    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "memfd_create", refuse)
    pagemap.is_reliable.cache_clear()
    try:
        assert not pagemap.is_reliable()
    finally:
        pagemap.is_reliable.cache_clear()


@pytest.mark.parametrize("lie", ["all", "nothing", "read is written", "written is read"])
def test_a_system_that_lies_is_found_out(monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    states = pagemap._states

    def lying(address: int, size: int) -> bytes:
        told = states(address, size)
        return {
            "all": b"\x80" * len(told),
            "nothing": bytes(len(told)),
            "read is written": bytes(state & ~0x20 for state in told),
            "written is read": bytes(state | 0x20 for state in told),
        }[lie]

    monkeypatch.setattr(pagemap, "_states", lying)
    pagemap.is_reliable.cache_clear()
    try:
        assert not pagemap.is_reliable()
    finally:
        pagemap.is_reliable.cache_clear()
