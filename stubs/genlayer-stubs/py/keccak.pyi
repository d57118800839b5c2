# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Keccak with the original padding, as Ethereum uses it (spec sdk/01 §4.3).

Not SHA3: the padding byte is 0x01. Ships inside the sandbox too, so only the standard library is used.
"""
from __future__ import annotations
import struct
from collections.abc import Callable
from typing import Self, TypeAlias
__all__ = ('Keccak256', 'KeccakHash')
_Buffer: TypeAlias = bytes | bytearray | memoryview
permute: Callable[[bytes], bytes]
absorb: Callable[[bytes, _Buffer], bytes]

class KeccakHash:
    """A Keccak sponge. Bitrate and capacity add up to 1600 bits, the bitrate is a multiple of 64, the output of 8.

    Raises ``ValueError`` for other parameters.
    """

    def __init__(self, bitrate_bits: int, capacity_bits: int, output_bits: int) -> None:
        ...

    @classmethod
    def preset(cls, bitrate_bits: int, capacity_bits: int, output_bits: int) -> Callable[..., KeccakHash]:
        """A factory ``f(initial=None)`` of hashes with these parameters."""

    @property
    def block_size(self) -> int:
        """Bytes absorbed per permutation."""

    @property
    def digest_size(self) -> int:
        """Length of :meth:`digest` in bytes."""

    def update(self, data: _Buffer) -> None:
        """Absorbs ``data``."""

    def digest(self) -> bytes:
        """Hash of everything absorbed; more can be absorbed afterwards."""

    def hexdigest(self) -> str:
        """:meth:`digest` in lower-case hex."""

    def copy(self) -> Self:
        """An independent hash in the same state."""

class Keccak256(KeccakHash):
    """Keccak-256: rate 1088 bits, 32 bytes of output; ``initial`` is absorbed at once."""

    def __init__(self, initial: _Buffer | None=...) -> None:
        ...
