"""Differences of memories, and images as bytes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pygenvm.executor.subvm.image import Image, beginning_of_page, changed_runs
from pygenvm.executor.subvm.random import DetRandom

_WASM_PAGE = 65_536


class _Memory:
    def __init__(self, content: bytearray) -> None:
        self.content = content

    def whole(self) -> memoryview:
        return memoryview(self.content)


def changed(before: bytes, after: bytearray, start: int) -> list[tuple[int, memoryview]] | None:
    memory: Any = _Memory(after)
    return changed_runs(before[start:], memory, start)


@pytest.mark.parametrize("seed", range(40))
def test_runs_are_the_pages_that_differ(seed: int) -> None:
    chance = random.Random(seed)
    size = chance.randint(1, 6) * _WASM_PAGE
    before = chance.randbytes(size)
    grown = size + chance.randint(0, 3) * _WASM_PAGE
    after = bytearray(before.ljust(grown, b"\0"))
    start = beginning_of_page(chance.randrange(size))
    for _ in range(chance.randint(0, 12)):
        after[chance.randrange(grown)] ^= chance.choice((0, 1))
    runs = changed(before, after, start)
    assert runs is not None
    wide = before.ljust(grown, b"\0")
    expected = {page for page in range(start, grown, 4096) if wide[page : page + 4096] != after[page : page + 4096]}
    assert {page for at, data in runs for page in range(at, at + len(data), 4096)} == expected
    assert all(after[at : at + len(data)] == data for at, data in runs)
    image = Image(grown, 7, (4, 5), DetRandom().state(), tuple(runs))
    assert Image.from_bytes(image.to_bytes()) == image


def test_more_than_an_image_has() -> None:
    pages = (8 << 20) // 4096
    whole = bytearray(b"\1" * 4096 * pages)
    runs = changed(bytes(len(whole)), whole, 0)
    assert runs is not None
    assert [(at, bytes(data)) for at, data in runs] == [(0, bytes(whole))]
    assert changed(bytes(len(whole) + 4096), whole + b"\1", 0) is None


def test_malformed() -> None:
    for data in (b"\0", bytes(2508), bytes(2512) + b"\xff\xff\0\0"):
        with pytest.raises(ValueError, match="not an image"):
            Image.from_bytes(data)
