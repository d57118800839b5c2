# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Unsigned LEB128: a number in groups of seven bits, least significant first (spec executor/01).

All bytes but the last have their top bit set. Eight groups are seven bytes: long numbers change between the two forms
in lanes of 64 bits, many lanes at once, so that a number of a megabyte takes time in proportion to its length; and in
pieces, because other threads of the executor have to wait while the interpreter is inside an operation on a huge
integer. Ships inside the sandbox too, so only the standard library is used.
"""
from __future__ import annotations
import re
__all__ = ('NotMinimal', 'read_uleb', 'write_uleb')

class NotMinimal(ValueError):
    """The last of several groups is zero: the number has a shorter form."""

def write_uleb(number: int) -> bytes | bytearray:
    """The bytes of a number that is not negative."""

def read_uleb(data: bytes, pos: int) -> tuple[int, int]:
    """The number at ``pos`` and the position after it.

    Raises ``IndexError`` when ``data`` ends first, :class:`NotMinimal` for a number that :func:`write_uleb` writes
    otherwise.
    """
