"""Randomness of guests (spec executor/06 "Random")."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor import limits
from pygenvm.executor.subvm.random import DetRandom, RandomSource, os_random
from tests.support.properties import examples

WORDS = ["b8bc73fd", "78b639b2", "31cea8e9", "ebe00dfb", "f4fc4e65", "ac81df6d"]


def take(source: RandomSource, size: int) -> bytes:
    target = bytearray(size)
    source(memoryview(target))
    return bytes(target)


def reference(seed: list[int]) -> random.Random:
    """The generator after the standard array initialisation, written out from its definition."""
    state = [19650218]
    for index in range(1, 624):
        state.append((1812433253 * (state[-1] ^ (state[-1] >> 30)) + index) & 0xFFFFFFFF)
    i, j = 1, 0
    for _ in range(max(624, len(seed))):
        mixed = (state[i - 1] ^ (state[i - 1] >> 30)) * 1664525
        state[i] = ((state[i] ^ mixed) + seed[j] + j) & 0xFFFFFFFF
        i, j = i + 1, (j + 1) % len(seed)
        if i == 624:
            state[0], i = state[623], 1
    for _ in range(623):
        mixed = (state[i - 1] ^ (state[i - 1] >> 30)) * 1566083941
        state[i] = ((state[i] ^ mixed) - i) & 0xFFFFFFFF
        i += 1
        if i == 624:
            state[0], i = state[623], 1
    state[0] = 0x80000000
    generator = random.Random()
    generator.setstate((3, (*state, 624), None))
    return generator


def test_published_vectors() -> None:
    assert take(DetRandom(), 24).hex() == "fd73bcb8b239b678e9a8ce31fb0de0eb654efcf46ddf81ac"
    source = DetRandom()
    assert take(source, 3).hex() == "fd73bc"
    assert take(source, 4).hex() == "b239b678"


def test_every_vm_starts_from_the_same_state() -> None:
    first = DetRandom()
    take(first, 1000)
    assert take(DetRandom(), 4).hex() == "fd73bcb8"


def test_words_one_by_one() -> None:
    source = DetRandom()
    assert [take(source, 4)[::-1].hex() for _ in WORDS] == WORDS


def test_a_request_of_nothing_takes_nothing() -> None:
    source = DetRandom()
    take(source, 0)
    assert take(source, 4).hex() == "fd73bcb8"


def test_long_requests_equal_the_words_of_the_definition() -> None:
    generator = reference([0x4C6E6547, 0x72657961])
    size = 2 * limits.RANDOM_CHUNK_BYTES + 5
    words = b"".join(generator.getrandbits(32).to_bytes(4, "little") for _ in range(size // 4 + 1))
    source = DetRandom()
    assert take(source, size) == words[:size]
    # The rest of the last word is gone.
    assert take(source, 4) == generator.getrandbits(32).to_bytes(4, "little")


@examples(50)
@given(st.lists(st.integers(0, 40), max_size=20))
def test_any_sequence_of_requests(sizes: list[int]) -> None:
    generator = reference([0x4C6E6547, 0x72657961])
    source = DetRandom()
    for size in sizes:
        words = b"".join(generator.getrandbits(32).to_bytes(4, "little") for _ in range((size + 3) // 4))
        assert take(source, size) == words[:size]


def test_chunks_are_whole_words() -> None:
    assert limits.RANDOM_CHUNK_BYTES % 4 == 0


def test_system_randomness(monkeypatch: pytest.MonkeyPatch) -> None:
    assert take(os_random, 32) != take(os_random, 32)
    asked: list[int] = []

    def urandom(size: int) -> bytes:
        asked.append(size)
        return b"\x07" * size

    monkeypatch.setattr("os.urandom", urandom)
    assert take(os_random, limits.RANDOM_CHUNK_BYTES + 3) == b"\x07" * (limits.RANDOM_CHUNK_BYTES + 3)
    assert asked == [limits.RANDOM_CHUNK_BYTES, 3]
