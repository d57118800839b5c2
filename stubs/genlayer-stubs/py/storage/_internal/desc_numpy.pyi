# Generated from the SDK by `python -m pygenvm.runners.stubs`.
"""Descriptors of numpy scalars and arrays (spec sdk/02 §7); imported only where numpy already is."""
__all__ = ('NumpyArrayDesc', 'NumpyScalarDesc', 'build_array', 'build_dtype', 'scalars')
import math
import typing
import numpy as np
from .core import Slot, TypeDesc
from .desc_base_types import _FixedDesc

class NumpyScalarDesc(_FixedDesc):
    dtype: np.dtype[typing.Any]

    def __init__(self, dtype: np.dtype[typing.Any]) -> None:
        ...

    def from_place(self, raw: bytes, _slot: Slot, _off: int, /) -> typing.Any:
        ...

    def set(self, slot: Slot, off: int, val: typing.Any, /) -> None:
        ...

class NumpyArrayDesc(_FixedDesc):
    """C-order raw data, in place."""
    dims: tuple[int, ...]
    dtype: np.dtype[typing.Any]

    def __init__(self, dtype: np.dtype[typing.Any], dims: tuple[int, ...]) -> None:
        ...

    def from_place(self, raw: bytes, _slot: Slot, _off: int, /) -> np.ndarray[typing.Any, typing.Any]:
        ...

    def set(self, slot: Slot, off: int, val: np.ndarray[typing.Any, typing.Any], /) -> None:
        ...

def scalars() -> dict[typing.Any, TypeDesc]:
    """Descriptors of the storable scalar types."""

def build_dtype(args: tuple[typing.Any, ...]) -> TypeDesc:
    """``np.dtype[T]`` as a type argument stands for T."""

def build_array(args: tuple[typing.Any, ...]) -> TypeDesc:
    """``np.ndarray[tuple[Literal[a], …], np.dtype[T]]``."""
