"""Fixed-width values: hashes and words of 32 bytes, addresses of 20, integers big-endian (spec settlement/01 §2).

Integers are Python's, so each width is checked where a value comes in or is written; nothing wraps.
"""

from __future__ import annotations

from typing import NewType

__all__ = (
    "MAX_U16",
    "MAX_U32",
    "MAX_U64",
    "MAX_U256",
    "ONE",
    "ZERO",
    "ZERO_ADDRESS",
    "Address",
    "Hash",
    "address_of_word",
    "checked_address",
    "checked_hash",
    "checked_unsigned",
    "u16",
    "u32",
    "u64",
    "u256",
    "word_of_address",
)

#: 32 bytes: a hash, a slot key or a slot's word. All zeros mean "unset".
Hash = NewType("Hash", bytes)
#: 20 bytes.
Address = NewType("Address", bytes)

ZERO = Hash(bytes(32))
#: The word of a flag that is set.
ONE = Hash(bytes(31) + b"\x01")
ZERO_ADDRESS = Address(bytes(20))

MAX_U16 = (1 << 16) - 1
MAX_U32 = (1 << 32) - 1
MAX_U64 = (1 << 64) - 1
MAX_U256 = (1 << 256) - 1

_PAD = bytes(12)


def checked_hash(value: bytes, what: str) -> Hash:
    """``value`` if it is 32 bytes; ``ValueError`` that names ``what`` otherwise."""
    if not isinstance(value, bytes) or len(value) != 32:
        raise ValueError(f"{what} is not 32 bytes")
    return Hash(value)


def checked_address(value: bytes, what: str) -> Address:
    """``value`` if it is 20 bytes; ``ValueError`` that names ``what`` otherwise."""
    if not isinstance(value, bytes) or len(value) != 20:
        raise ValueError(f"{what} is not 20 bytes")
    return Address(value)


def checked_unsigned(value: int, most: int, what: str) -> int:
    """``value`` if it is an integer of 0 to ``most``; ``ValueError`` that names ``what`` otherwise."""
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{what} is not an integer of 0 to 2^{most.bit_length()} - 1")
    return value


def u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    return value.to_bytes(8, "big")


def u256(value: int) -> Hash:
    return Hash(value.to_bytes(32, "big"))


def word_of_address(address: Address) -> Hash:
    """An address as a slot's word, right-aligned (spec settlement/01 §3)."""
    return Hash(_PAD + address)


def address_of_word(word: Hash) -> Address:
    return Address(word[12:])
