"""Keccak with the original padding, as Ethereum uses it (spec sdk/01 §4.3).

Not SHA3: the padding byte is 0x01. Ships inside the sandbox too, so only the standard library is used.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Self, TypeAlias

__all__ = ("Keccak256", "KeccakHash")

_Buffer: TypeAlias = bytes | bytearray | memoryview

_MASK = (1 << 64) - 1
_STATE_BITS = 1600
_LANES = struct.Struct("<25Q")

_ROUND_CONSTANTS = (
    0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000, 0x000000000000808B,
    0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008A, 0x0000000000000088,
    0x0000000080008009, 0x000000008000000A, 0x000000008000808B, 0x800000000000008B, 0x8000000000008089,
    0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800A, 0x800000008000000A,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
)  # fmt: skip


def _permute(state: bytes) -> bytes:
    """Keccak-f[1600] on 25 little-endian lanes of 64 bits; lane ``x + 5 * y`` holds column x, row y."""
    (
        a00, a01, a02, a03, a04, a05, a06, a07, a08, a09, a10, a11, a12,
        a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24,
    ) = _LANES.unpack(state)  # fmt: skip
    for constant in _ROUND_CONSTANTS:
        c0 = a00 ^ a05 ^ a10 ^ a15 ^ a20
        c1 = a01 ^ a06 ^ a11 ^ a16 ^ a21
        c2 = a02 ^ a07 ^ a12 ^ a17 ^ a22
        c3 = a03 ^ a08 ^ a13 ^ a18 ^ a23
        c4 = a04 ^ a09 ^ a14 ^ a19 ^ a24
        d0 = c4 ^ ((c1 << 1) & _MASK) ^ (c1 >> 63)
        d1 = c0 ^ ((c2 << 1) & _MASK) ^ (c2 >> 63)
        d2 = c1 ^ ((c3 << 1) & _MASK) ^ (c3 >> 63)
        d3 = c2 ^ ((c4 << 1) & _MASK) ^ (c4 >> 63)
        d4 = c3 ^ ((c0 << 1) & _MASK) ^ (c0 >> 63)
        b00 = a00 ^ d0
        t = a01 ^ d1
        b10 = ((t << 1) & _MASK) | (t >> 63)
        t = a02 ^ d2
        b20 = ((t << 62) & _MASK) | (t >> 2)
        t = a03 ^ d3
        b05 = ((t << 28) & _MASK) | (t >> 36)
        t = a04 ^ d4
        b15 = ((t << 27) & _MASK) | (t >> 37)
        t = a05 ^ d0
        b16 = ((t << 36) & _MASK) | (t >> 28)
        t = a06 ^ d1
        b01 = ((t << 44) & _MASK) | (t >> 20)
        t = a07 ^ d2
        b11 = ((t << 6) & _MASK) | (t >> 58)
        t = a08 ^ d3
        b21 = ((t << 55) & _MASK) | (t >> 9)
        t = a09 ^ d4
        b06 = ((t << 20) & _MASK) | (t >> 44)
        t = a10 ^ d0
        b07 = ((t << 3) & _MASK) | (t >> 61)
        t = a11 ^ d1
        b17 = ((t << 10) & _MASK) | (t >> 54)
        t = a12 ^ d2
        b02 = ((t << 43) & _MASK) | (t >> 21)
        t = a13 ^ d3
        b12 = ((t << 25) & _MASK) | (t >> 39)
        t = a14 ^ d4
        b22 = ((t << 39) & _MASK) | (t >> 25)
        t = a15 ^ d0
        b23 = ((t << 41) & _MASK) | (t >> 23)
        t = a16 ^ d1
        b08 = ((t << 45) & _MASK) | (t >> 19)
        t = a17 ^ d2
        b18 = ((t << 15) & _MASK) | (t >> 49)
        t = a18 ^ d3
        b03 = ((t << 21) & _MASK) | (t >> 43)
        t = a19 ^ d4
        b13 = ((t << 8) & _MASK) | (t >> 56)
        t = a20 ^ d0
        b14 = ((t << 18) & _MASK) | (t >> 46)
        t = a21 ^ d1
        b24 = ((t << 2) & _MASK) | (t >> 62)
        t = a22 ^ d2
        b09 = ((t << 61) & _MASK) | (t >> 3)
        t = a23 ^ d3
        b19 = ((t << 56) & _MASK) | (t >> 8)
        t = a24 ^ d4
        b04 = ((t << 14) & _MASK) | (t >> 50)
        a00 = b00 ^ b01 ^ (b01 | b02) ^ constant
        a01 = b01 ^ b02 ^ (b02 | b03)
        a02 = b02 ^ b03 ^ (b03 | b04)
        a03 = b03 ^ b04 ^ (b04 | b00)
        a04 = b04 ^ b00 ^ (b00 | b01)
        a05 = b05 ^ b06 ^ (b06 | b07)
        a06 = b06 ^ b07 ^ (b07 | b08)
        a07 = b07 ^ b08 ^ (b08 | b09)
        a08 = b08 ^ b09 ^ (b09 | b05)
        a09 = b09 ^ b05 ^ (b05 | b06)
        a10 = b10 ^ b11 ^ (b11 | b12)
        a11 = b11 ^ b12 ^ (b12 | b13)
        a12 = b12 ^ b13 ^ (b13 | b14)
        a13 = b13 ^ b14 ^ (b14 | b10)
        a14 = b14 ^ b10 ^ (b10 | b11)
        a15 = b15 ^ b16 ^ (b16 | b17)
        a16 = b16 ^ b17 ^ (b17 | b18)
        a17 = b17 ^ b18 ^ (b18 | b19)
        a18 = b18 ^ b19 ^ (b19 | b15)
        a19 = b19 ^ b15 ^ (b15 | b16)
        a20 = b20 ^ b21 ^ (b21 | b22)
        a21 = b21 ^ b22 ^ (b22 | b23)
        a22 = b22 ^ b23 ^ (b23 | b24)
        a23 = b23 ^ b24 ^ (b24 | b20)
        a24 = b24 ^ b20 ^ (b20 | b21)
    return _LANES.pack(
        a00, a01, a02, a03, a04, a05, a06, a07, a08, a09, a10, a11, a12,
        a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24,
    )  # fmt: skip


def _absorb(state: bytes, block: _Buffer) -> bytes:
    """The state after a block as long as the rate."""
    rate = len(block)
    mixed = int.from_bytes(state[:rate], "little") ^ int.from_bytes(block, "little")
    return permute(mixed.to_bytes(rate, "little") + state[rate:])


permute: Callable[[bytes], bytes]
absorb: Callable[[bytes, _Buffer], bytes]
try:
    # the interpreter of the sandbox has it in C
    import _genlayer_keccak  # type: ignore[import-not-found]

    permute, absorb = _genlayer_keccak.permute, _genlayer_keccak.absorb
except ImportError:
    permute, absorb = _permute, _absorb


class KeccakHash:
    """A Keccak sponge. Bitrate and capacity add up to 1600 bits, the bitrate is a multiple of 64, the output of 8.

    Raises ``ValueError`` for other parameters.
    """

    __slots__ = ("_output", "_pending", "_rate", "_state")

    def __init__(self, bitrate_bits: int, capacity_bits: int, output_bits: int) -> None:
        if bitrate_bits + capacity_bits != _STATE_BITS or not 0 < bitrate_bits < _STATE_BITS or bitrate_bits % 64:
            raise ValueError("bitrate and capacity must add up to 1600 bits, the bitrate being a multiple of 64")
        if output_bits <= 0 or output_bits % 8:
            raise ValueError("the output must be a positive multiple of 8 bits")
        self._rate = bitrate_bits // 8
        self._output = output_bits // 8
        self._state = bytes(_LANES.size)
        self._pending = b""

    @classmethod
    def preset(cls, bitrate_bits: int, capacity_bits: int, output_bits: int) -> Callable[..., KeccakHash]:
        """A factory ``f(initial=None)`` of hashes with these parameters."""

        def create(initial: _Buffer | None = None) -> KeccakHash:
            created = KeccakHash(bitrate_bits, capacity_bits, output_bits)
            if initial is not None:
                created.update(initial)
            return created

        return create

    @property
    def block_size(self) -> int:
        """Bytes absorbed per permutation."""
        return self._rate

    @property
    def digest_size(self) -> int:
        """Length of :meth:`digest` in bytes."""
        return self._output

    def update(self, data: _Buffer) -> None:
        """Absorbs ``data``."""
        buffer = self._pending + bytes(data)
        whole = len(buffer) - len(buffer) % self._rate
        for start in range(0, whole, self._rate):
            self._state = absorb(self._state, buffer[start : start + self._rate])
        self._pending = buffer[whole:]

    def digest(self) -> bytes:
        """Hash of everything absorbed; more can be absorbed afterwards."""
        padded = bytearray(self._pending.ljust(self._rate, b"\0"))
        padded[len(self._pending)] ^= 0x01
        padded[-1] ^= 0x80
        state = absorb(self._state, padded)
        out = state[: self._rate]
        while len(out) < self._output:
            state = permute(state)
            out += state[: self._rate]
        return out[: self._output]

    def hexdigest(self) -> str:
        """:meth:`digest` in lower-case hex."""
        return self.digest().hex()

    def copy(self) -> Self:
        """An independent hash in the same state."""
        other = object.__new__(type(self))
        other._rate, other._output = self._rate, self._output
        other._state, other._pending = self._state, self._pending
        return other


class Keccak256(KeccakHash):
    """Keccak-256: rate 1088 bits, 32 bytes of output; ``initial`` is absorbed at once."""

    __slots__ = ()

    def __init__(self, initial: _Buffer | None = None) -> None:
        super().__init__(1088, 512, 256)
        if initial is not None:
            self.update(initial)
