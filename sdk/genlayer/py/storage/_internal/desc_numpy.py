"""Descriptors of numpy scalars and arrays (spec sdk/02 §7); imported only where numpy already is."""

__all__ = ("NumpyArrayDesc", "NumpyScalarDesc", "build_array", "build_dtype", "scalars")

import math
import typing

import numpy as np

from .core import Slot, TypeDesc
from .desc_base_types import _FixedDesc


class NumpyScalarDesc(_FixedDesc):
    __slots__ = ("dtype",)

    dtype: np.dtype[typing.Any]

    def __init__(self, dtype: np.dtype[typing.Any]) -> None:
        _FixedDesc.__init__(self, dtype.itemsize, (dtype,))
        self.dtype = dtype

    def from_place(self, raw: bytes, _slot: Slot, _off: int, /) -> typing.Any:
        return np.frombuffer(raw, self.dtype)[0]

    def set(self, slot: Slot, off: int, val: typing.Any, /) -> None:
        slot.write(off, self.dtype.type(val).tobytes())


class NumpyArrayDesc(_FixedDesc):
    """C-order raw data, in place."""

    __slots__ = ("dims", "dtype")

    dims: tuple[int, ...]
    dtype: np.dtype[typing.Any]

    def __init__(self, dtype: np.dtype[typing.Any], dims: tuple[int, ...]) -> None:
        _FixedDesc.__init__(self, dtype.itemsize * math.prod(dims), (dtype, dims))
        self.dims = dims
        self.dtype = dtype

    def from_place(self, raw: bytes, _slot: Slot, _off: int, /) -> np.ndarray[typing.Any, typing.Any]:
        return np.frombuffer(raw, self.dtype).reshape(self.dims).copy()

    def set(self, slot: Slot, off: int, val: np.ndarray[typing.Any, typing.Any], /) -> None:
        assert val.dtype == self.dtype
        data = val.tobytes()
        assert len(data) == self.size, f"invalid len {len(data)} vs expected {self.size}"
        slot.write(off, data)


def scalars() -> dict[typing.Any, TypeDesc]:
    """Descriptors of the storable scalar types."""
    types = (np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int32, np.int64, np.float32, np.float64)
    return {t: NumpyScalarDesc(np.dtype(t)) for t in types}


def build_dtype(args: tuple[typing.Any, ...]) -> TypeDesc:
    """``np.dtype[T]`` as a type argument stands for T."""
    (item,) = args
    assert isinstance(item, NumpyScalarDesc)
    return item


def build_array(args: tuple[typing.Any, ...]) -> TypeDesc:
    """``np.ndarray[tuple[Literal[a], …], np.dtype[T]]``."""
    dims, item = args
    assert isinstance(item, NumpyScalarDesc)
    assert isinstance(dims.value, tuple)
    assert all(type(d) is int and d >= 0 for d in dims.value)
    return NumpyArrayDesc(item.dtype, dims.value)
