# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Solidity ABI encoding by Python types (spec sdk/04 §8.1, §8.2)."""
__all__ = ('InplaceTuple', 'MethodEncoder', 'bytes1', 'bytes2', 'bytes3', 'bytes4', 'bytes5', 'bytes6', 'bytes7', 'bytes8', 'bytes9', 'bytes10', 'bytes11', 'bytes12', 'bytes13', 'bytes14', 'bytes15', 'bytes16', 'bytes17', 'bytes18', 'bytes19', 'bytes20', 'bytes21', 'bytes22', 'bytes23', 'bytes24', 'bytes25', 'bytes26', 'bytes27', 'bytes28', 'bytes29', 'bytes30', 'bytes31', 'bytes32', 'decode', 'encode', 'selector_of', 'signature_of', 'type_name_of')
import abc
import collections.abc
import types
import typing
from collections.abc import Sequence
from typing_extensions import Buffer
from .. import types as sdk_types
from ..keccak import Keccak256
from ..storage import Array
from ..types import Address, SizedArray
MAX_ITEMS = 1 << 20
bytes1 = typing.NewType('bytes1', bytes)
bytes2 = typing.NewType('bytes2', bytes)
bytes3 = typing.NewType('bytes3', bytes)
bytes4 = typing.NewType('bytes4', bytes)
bytes5 = typing.NewType('bytes5', bytes)
bytes6 = typing.NewType('bytes6', bytes)
bytes7 = typing.NewType('bytes7', bytes)
bytes8 = typing.NewType('bytes8', bytes)
bytes9 = typing.NewType('bytes9', bytes)
bytes10 = typing.NewType('bytes10', bytes)
bytes11 = typing.NewType('bytes11', bytes)
bytes12 = typing.NewType('bytes12', bytes)
bytes13 = typing.NewType('bytes13', bytes)
bytes14 = typing.NewType('bytes14', bytes)
bytes15 = typing.NewType('bytes15', bytes)
bytes16 = typing.NewType('bytes16', bytes)
bytes17 = typing.NewType('bytes17', bytes)
bytes18 = typing.NewType('bytes18', bytes)
bytes19 = typing.NewType('bytes19', bytes)
bytes20 = typing.NewType('bytes20', bytes)
bytes21 = typing.NewType('bytes21', bytes)
bytes22 = typing.NewType('bytes22', bytes)
bytes23 = typing.NewType('bytes23', bytes)
bytes24 = typing.NewType('bytes24', bytes)
bytes25 = typing.NewType('bytes25', bytes)
bytes26 = typing.NewType('bytes26', bytes)
bytes27 = typing.NewType('bytes27', bytes)
bytes28 = typing.NewType('bytes28', bytes)
bytes29 = typing.NewType('bytes29', bytes)
bytes30 = typing.NewType('bytes30', bytes)
bytes31 = typing.NewType('bytes31', bytes)
bytes32 = typing.NewType('bytes32', bytes)

class InplaceTuple:
    """First member of ``tuple[InplaceTuple, A, B]``: the tuple is the whole encoding, without an offset before it."""

def type_name_of(t: typing.Any) -> str:
    """ABI name of a type. TypeError for what the ABI does not have."""

def signature_of(name: str, params: typing.Any) -> str:
    """``name(A,B)`` of a method with parameters ``tuple[A, B]``."""

def selector_of(name: str, params: typing.Any) -> bytes:
    """First 4 bytes of Keccak-256 of the signature."""

def encode(t: typing.Any, value: typing.Any) -> bytes:
    """Standard encoding. ValueError for numbers out of range, AssertionError for wrong lengths."""

def decode(t: typing.Any, buf: Buffer) -> typing.Any:
    """Value of type ``t``; arrays as lists, ``bytesN`` as memoryview.

    ValueError for short input and values out of range.
    """

class MethodEncoder:
    """Calls of one method: ``encode_call`` gives selector and arguments, ``decode_ret`` reads the answer."""
    name: str
    selector: bytes
    ret: typing.Any

    def __init__(self, name: str, params: tuple[typing.Any, ...], ret: typing.Any) -> None:
        ...

    def encode_call(self, args: Sequence[typing.Any]) -> bytes:
        ...

    def decode_ret(self, buf: Buffer) -> typing.Any:
        ...
