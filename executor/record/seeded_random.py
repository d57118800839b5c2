"""Random bytes of a recorded run, which come again when it is replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

from blake3 import blake3

from pygenvm.executor import limits
from pygenvm.executor.record.format import Stream
from pygenvm.executor.stream import validated_block
from pygenvm.executor.subvm.random import RandomSource


def seeded_random(seed: bytes) -> Callable[[], RandomSource]:
    """Random sources for nondet VMs, one after the other in each stream, that give the same bytes again."""
    counters: dict[Stream, Iterator[int]] = {}

    def source() -> RandomSource:
        stream = validated_block.get()
        number = next(counters.setdefault(stream, count()))
        return partial(_fill, blake3(f"{stream} {number}".encode(), key=seed), count(step=limits.RANDOM_CHUNK_BYTES))

    return source


def _fill(source: Any, positions: Iterator[int], target: memoryview) -> None:
    for start in range(0, len(target), limits.RANDOM_CHUNK_BYTES):
        piece = target[start : start + limits.RANDOM_CHUNK_BYTES]
        piece[:] = source.digest(length=len(piece), seek=next(positions))
