"""Addresses of contracts and accounts (spec sdk/01 §4.2).

Ships inside the sandbox too, so only the standard library is used.
"""

from __future__ import annotations

import base64
from typing import ClassVar, TypeAlias

from .keccak import Keccak256

__all__ = ("Address",)

_Buffer: TypeAlias = bytes | bytearray | memoryview


class Address:
    """20 bytes. Immutable, hashable, ordered by its bytes.

    ``val`` is ``0x`` and 40 hex digits, base64 text, or 20 raw bytes; checksums are not verified.
    Raises ``ValueError`` for text that is neither hex nor base64, ``TypeError`` for objects that are not
    bytes, and a plain ``Exception`` when the result is not 20 bytes long.
    """

    SIZE: ClassVar[int] = 20

    __slots__ = ("_as_bytes", "_as_hex")

    _as_bytes: bytes
    _as_hex: str | None

    def __init__(self, val: str | _Buffer) -> None:
        if type(val) is bytes and len(val) == self.SIZE:
            self._as_bytes = val
            self._as_hex = None
            return
        raw: object = val
        if isinstance(val, str):
            if len(val) == 2 + 2 * self.SIZE and val.startswith("0x"):
                raw = bytes.fromhex(val[2:])
            elif len(val) > self.SIZE:
                raw = base64.b64decode(val)
        else:
            raw = bytes(val)
        if not isinstance(raw, bytes) or len(raw) != self.SIZE:
            raise Exception(f"invalid address {val!s}")
        self._as_bytes = raw
        self._as_hex = None

    @property
    def as_bytes(self) -> bytes:
        """The 20 bytes."""
        return self._as_bytes

    @property
    def as_hex(self) -> str:
        """``0x`` and 40 hex digits, with the letter case of EIP-55."""
        if self._as_hex is None:
            digits = self._as_bytes.hex()
            marks = Keccak256(digits.encode("ascii")).hexdigest()
            self._as_hex = "0x" + "".join(
                digit.upper() if mark >= "8" else digit for digit, mark in zip(digits, marks, strict=False)
            )
        return self._as_hex

    @property
    def as_b64(self) -> str:
        """28 characters of standard base64."""
        return base64.b64encode(self._as_bytes).decode("ascii")

    @property
    def as_int(self) -> int:
        """The bytes as an unsigned little-endian number."""
        return int.from_bytes(self._as_bytes, "little")

    def __hash__(self) -> int:
        return hash(self._as_bytes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and self._as_bytes == other._as_bytes

    def __lt__(self, other: Address) -> bool:
        return self._as_bytes < (other._as_bytes if isinstance(other, Address) else _bytes_of(other))

    def __le__(self, other: Address) -> bool:
        return self._as_bytes <= _bytes_of(other)

    def __gt__(self, other: Address) -> bool:
        return self._as_bytes > _bytes_of(other)

    def __ge__(self, other: Address) -> bool:
        return self._as_bytes >= _bytes_of(other)

    def __str__(self) -> str:
        return self.as_hex

    def __repr__(self) -> str:
        return f'Address("{self.as_hex}")'

    def __format__(self, spec: str) -> str:
        match spec:
            case "":
                return repr(self)
            case "s" | "x":
                return self.as_hex
            case "b64":
                return self.as_b64
            case "cd":
                return "addr#" + self._as_bytes.hex()
        raise TypeError(f"unsupported format {spec!r}")


def _bytes_of(other: Address) -> bytes:
    """Bytes of the other side of an ordering; anything but an address is an ``AssertionError``, also under ``-O``."""
    if not isinstance(other, Address):
        raise AssertionError(f"cannot order an address and {type(other).__name__}")
    return other._as_bytes
