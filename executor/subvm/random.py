"""Sources of the bytes that ``random_get`` hands to a guest (spec executor/06 "Random")."""

from __future__ import annotations

import os
from _random import Random  # What `random.Random` is made of: that module takes a hundredth of a cold start.
from collections.abc import Callable
from typing import ClassVar, Final, TypeAlias

from pygenvm.executor import limits

#: Fills a writable buffer of any length with random bytes.
RandomSource: TypeAlias = Callable[[memoryview], None]

#: The ASCII text read as two little-endian u32, the key of the array initialisation.
_SEED: Final = int.from_bytes(b"GenLayer", "little")


#: 32-bit numbers of the state of a :class:`DetRandom`.
STATE_WORDS: Final = 625


class DetRandom:
    """A new MT19937 in the fixed first state; every deterministic VM gets one of its own.

    Bytes are successive 32-bit outputs, each little-endian. A request of n bytes takes ceil(n / 4)
    outputs; what is left of the last one is discarded.
    """

    __slots__ = ("_generator",)

    def __init__(self) -> None:
        self._generator = Random(_SEED)

    def __call__(self, target: memoryview) -> None:
        # Many words at once are the same words: the first output becomes the least significant one.
        for start in range(0, len(target), limits.RANDOM_CHUNK_BYTES):
            piece = target[start : start + limits.RANDOM_CHUNK_BYTES]
            words = (len(piece) + 3) // 4
            piece[:] = self._generator.getrandbits(32 * words).to_bytes(4 * words, "little")[: len(piece)]

    def state(self) -> tuple[int, ...]:
        return self._generator.getstate()

    def go_on_from(self, state: tuple[int, ...]) -> None:
        """Take the state of another one."""
        self._generator.setstate(state)


def os_random(target: memoryview) -> None:
    """Randomness of the operating system, for non-deterministic VMs."""
    for start in range(0, len(target), limits.RANDOM_CHUNK_BYTES):
        piece = target[start : start + limits.RANDOM_CHUNK_BYTES]
        piece[:] = os.urandom(len(piece))


class SystemEntropy:
    """What an ordinary run gets (:class:`executor.subvm.services.Entropy`)."""

    #: How often a VM of this process has been given chance or time.
    given: ClassVar[int] = 0

    def random(self) -> RandomSource:
        SystemEntropy.given += 1
        return os_random

    def runtime(self, microseconds: int) -> int:
        SystemEntropy.given += 1
        return microseconds
