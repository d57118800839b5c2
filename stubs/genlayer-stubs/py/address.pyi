# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Addresses of contracts and accounts (spec sdk/01 §4.2).

Ships inside the sandbox too, so only the standard library is used.
"""
from __future__ import annotations
import base64
from typing import ClassVar, TypeAlias
from .keccak import Keccak256
__all__ = ('Address',)
_Buffer: TypeAlias = bytes | bytearray | memoryview

class Address:
    """20 bytes. Immutable, hashable, ordered by its bytes.

    ``val`` is ``0x`` and 40 hex digits, base64 text, or 20 raw bytes; checksums are not verified.
    Raises ``ValueError`` for text that is neither hex nor base64, ``TypeError`` for objects that are not
    bytes, and a plain ``Exception`` when the result is not 20 bytes long.
    """
    SIZE: ClassVar[int]

    def __init__(self, val: str | _Buffer) -> None:
        ...

    @property
    def as_bytes(self) -> bytes:
        """The 20 bytes."""

    @property
    def as_hex(self) -> str:
        """``0x`` and 40 hex digits, with the letter case of EIP-55."""

    @property
    def as_b64(self) -> str:
        """28 characters of standard base64."""

    @property
    def as_int(self) -> int:
        """The bytes as an unsigned little-endian number."""

    def __hash__(self) -> int:
        ...

    def __eq__(self, other: object) -> bool:
        ...

    def __lt__(self, other: Address) -> bool:
        ...

    def __le__(self, other: Address) -> bool:
        ...

    def __gt__(self, other: Address) -> bool:
        ...

    def __ge__(self, other: Address) -> bool:
        ...

    def __str__(self) -> str:
        ...

    def __repr__(self) -> str:
        ...

    def __format__(self, spec: str) -> str:
        ...
