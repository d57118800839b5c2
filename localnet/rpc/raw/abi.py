"""The ABI of Ethereum's contracts, as much as clients of this network use: the arguments of a function.

A type is a name (``address``, ``bool``, ``bytes``, ``bytes32``, ``uint8``, ``uint256``), a :class:`tuple` of types, or
a :class:`list` with one type for an array of any length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from pygenvm.executor.primitives.address import Address
from pygenvm.localnet.rpc.raw.errors import RawError
from pygenvm.settlement.codec.keccak import keccak256

Type: TypeAlias = "str | tuple[Type, ...] | list[Type]"

_WORD: Final = 32
#: Elements of all arrays of one call.
_ELEMENTS: Final = 10_000
_TOKEN = re.compile(r"[a-z0-9]+|\[\]|[(),]")


def selector(signature: str) -> bytes:
    """The first four bytes of a call, for example of ``submitAppeal(bytes32)``."""
    return bytes(keccak256(signature.encode())[:4])


def types_of(signature: str) -> tuple[Type, ...]:
    """Of the parameters in ``name(type,type,…)``."""
    tokens = _TOKEN.findall(signature[signature.index("(") :])
    found = _type(tokens)
    assert isinstance(found, tuple), signature
    assert not tokens, signature
    return found


def _type(tokens: list[str]) -> Type:
    token = tokens.pop(0)
    found: Type = token
    if token == "(":
        members = []
        while token != ")":
            members.append(_type(tokens))
            token = tokens.pop(0)
        found = tuple(members)
    while tokens[:1] == ["[]"]:
        tokens.pop(0)
        found = [found]
    return found


def decode(types: Sequence[Type], data: bytes) -> tuple[Any, ...]:
    """:raises RawError: ``data`` does not hold values of these types."""
    return _Decoder(data).values(types, 0)


class _Decoder:
    """Offsets and lengths come from outside: every read is checked, and the number of elements is bounded."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = _ELEMENTS

    def values(self, types: Sequence[Type], base: int) -> tuple[Any, ...]:
        found = []
        head = base
        for of in types:
            start = head
            if is_dynamic(of):
                start = base + self._count(head)
                head += _WORD
            else:
                head += _size(of)
            found.append(self._value(of, start))
        return tuple(found)

    def _value(self, of: Type, at: int) -> Any:
        if isinstance(of, tuple):
            return self.values(of, at)
        if isinstance(of, list):
            count = self._count(at)
            self._left -= count
            if self._left < 0:
                raise RawError(f"ABI arrays have more than {_ELEMENTS} elements")
            return list(self.values(of * count, at + _WORD))
        if of == "bytes":
            length = self._count(at)
            return self._bytes(at + _WORD, length)
        word = self._bytes(at, _WORD)
        number = int.from_bytes(word, "big")
        match of:
            case "bytes32":
                return word
            case "address":
                if number >> 160:
                    raise RawError("an ABI word that should be an address has more than 20 bytes")
                return Address(word[12:])
            case "bool":
                if number > 1:
                    raise RawError("an ABI word that should be a bool is neither 0 nor 1")
                return bool(number)
            case "uint8" if number >> 8:
                raise RawError("an ABI word that should be a uint8 is more than 255")
        return number

    def _count(self, at: int) -> int:
        """An offset or a length."""
        return min(int.from_bytes(self._bytes(at, _WORD), "big"), len(self._data) + 1)

    def _bytes(self, at: int, length: int) -> bytes:
        if at + length > len(self._data):
            raise RawError("the ABI encoding is cut off, or an offset in it is an invalid pointer")
        return self._data[at : at + length]


def is_dynamic(of: Type) -> bool:
    """Whether a value stands behind the others, and an offset in its place."""
    if isinstance(of, tuple):
        return any(is_dynamic(member) for member in of)
    return isinstance(of, list) or of == "bytes"


def _size(of: Type) -> int:
    """Bytes of a value that is not dynamic."""
    return sum(_size(member) for member in of) if isinstance(of, tuple) else _WORD
