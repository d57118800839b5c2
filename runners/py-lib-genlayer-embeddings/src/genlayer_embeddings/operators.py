"""The operators of ONNX that embeddings need, over numpy, each under its own name (spec sdk/05 §2).

Their arguments are those of the newest form of the operator: what older ones have as attributes comes as lists. The
order of the single operations decides the last bits of results.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

__all__ = (
    "Add",
    "Cast",
    "Concat",
    "Div",
    "Erf",
    "Gather",
    "Gemm",
    "MatMul",
    "Mul",
    "Pow",
    "ReduceMean",
    "Reshape",
    "Shape",
    "Slice",
    "Softmax",
    "Split",
    "Sqrt",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
    "constant",
)


def constant(kind: str, shape: tuple[int, ...], content: bytes | bytearray) -> Array:
    """A tensor of a model, of its little-endian bytes. Floats that numpy lacks, and halves, become float32."""
    if kind == "float16":
        return np.frombuffer(content, "<f2").astype(np.float32).reshape(shape)
    if kind == "bfloat16":
        return (np.frombuffer(content, "<u2").astype("<u4") << np.uint32(16)).view(np.float32).reshape(shape)
    if kind in _FLOAT8:
        return _float8(kind)[np.frombuffer(content, np.uint8)].reshape(shape)
    return np.frombuffer(content, np.dtype(kind)).reshape(shape)


#: Bits of the exponent, its bias, and whether infinities and a negative zero exist.
_FLOAT8 = {
    "float8e4m3fn": (4, 7, False, True),
    "float8e4m3fnuz": (4, 8, False, False),
    "float8e5m2": (5, 15, True, True),
    "float8e5m2fnuz": (5, 16, False, False),
}


def _float8(kind: str) -> Array:
    """The values of all 256 bytes."""
    return np.array([_float8_value(byte, *_FLOAT8[kind]) for byte in range(256)], np.float32)


def _float8_value(byte: int, exponent_bits: int, bias: int, infinities: bool, negative_zero: bool) -> float:
    fraction_bits = 7 - exponent_bits
    sign = -1.0 if byte & 0x80 else 1.0
    exponent, fraction = (byte & 0x7F) >> fraction_bits, byte & (1 << fraction_bits) - 1
    if not negative_zero:
        if byte == 0x80:
            return math.nan
    elif infinities and exponent == (1 << exponent_bits) - 1:
        return math.nan if fraction else sign * math.inf
    elif not infinities and byte & 0x7F == 0x7F:
        return math.nan
    if exponent == 0:
        return sign * math.ldexp(fraction, 1 - bias - fraction_bits)
    return sign * math.ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits)


def Add(a: Array, b: Array) -> Array:
    return np.add(a, b)


def Sub(a: Array, b: Array) -> Array:
    return np.subtract(a, b)


def Mul(a: Array, b: Array) -> Array:
    return np.multiply(a, b)


def Div(a: Array, b: Array) -> Array:
    """In the type of `a`, so that integers are divided with the fraction cut off."""
    return np.divide(a, b).astype(a.dtype, copy=False)


def Pow(a: Array, b: Array) -> Array:
    return np.power(a, b).astype(a.dtype, copy=False)


def Sqrt(x: Array) -> Array:
    return np.sqrt(x)


def Tanh(x: Array) -> Array:
    return np.tanh(x)


def Erf(x: Array) -> Array:
    """Abramowitz and Stegun 7.1.26, with an error of 1.5e-7. Products instead of powers would be rounded otherwise."""
    t = 1.0 / (1.0 + 0.3275911 * np.abs(x))
    y = 0.254829592 * t
    y += -0.284496736 * t**2
    y += 1.421413741 * t**3
    y += -1.453152027 * t**4
    y += 1.061405429 * t**5
    z = 1.0 - y * np.exp(-x * x)
    return np.where(x > 0, z, -z)


def Softmax(x: Array, *, axis: int) -> Array:
    exponentials = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return exponentials / np.sum(exponentials, axis=axis, keepdims=True)


def MatMul(a: Array, b: Array) -> Array:
    return np.matmul(a, b)


def Gemm(
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Array:
    product = np.matmul(a.T if transA else a, b.T if transB else b)
    result = product if alpha == 1.0 else alpha * product
    return result if c is None else result + (c if beta == 1.0 else beta * c)


def ReduceMean(
    x: Array, axes: Sequence[int] | Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Array:
    """Without axes: of all numbers."""
    wanted = None if axes is None else _integers(axes)
    if not wanted and noop_with_empty_axes:
        return x
    mean: Array = np.mean(x, axis=wanted or None, keepdims=bool(keepdims))
    return np.asarray(mean).astype(x.dtype, copy=False)


def Cast(x: Array, kind: str) -> Array:
    return x.astype(kind)


def Concat(*parts: Array, axis: int) -> Array:
    return np.concatenate(parts, axis=axis)


def Gather(x: Array, indices: Array, *, axis: int = 0) -> Array:
    # `x` may be a table in the model's file, see `weights.Table`.
    return np.asarray(x.take(indices, axis=axis))


def Reshape(x: Array, shape: Array, *, allowzero: int = 0) -> Array:
    """A length of 0 is that of `x`, one of -1 what is left."""
    lengths = _integers(shape)
    if not allowzero:
        lengths = tuple(length or x.shape[axis] for axis, length in enumerate(lengths))
    return x.reshape(lengths)


def Shape(x: Array, *, start: int = 0, end: int | None = None) -> Array:
    return np.array(x.shape[start:end], np.int64)


def Slice(
    x: Array,
    starts: Sequence[int] | Array,
    ends: Sequence[int] | Array,
    axes: Sequence[int] | Array | None = None,
    steps: Sequence[int] | Array | None = None,
) -> Array:
    first, last = _integers(starts), _integers(ends)
    along = tuple(range(len(first))) if axes is None else _integers(axes)
    by = (1,) * len(first) if steps is None else _integers(steps)
    parts = [slice(None)] * x.ndim
    for axis, start, end, step in zip(along, first, last, by, strict=True):
        length = x.shape[axis]
        # Backwards, an end before the first item is written as a number that no index reaches.
        stop = None if step < 0 and end < -length else end
        parts[axis] = slice(start, stop, step)
    return x[tuple(parts)]


def Split(
    x: Array, split: Sequence[int] | Array | None = None, *, axis: int = 0, num_outputs: int
) -> tuple[Array, ...]:
    """Into parts of the given lengths, or equal ones, of which the last may be shorter."""
    length = x.shape[axis]
    lengths = [-(-length // num_outputs)] * num_outputs if split is None else _integers(split)
    ends = [sum(lengths[: number + 1]) for number in range(len(lengths) - 1)]
    if split is not None and (len(lengths) != num_outputs or sum(lengths) != length):
        raise ValueError(f"{length} cannot be split into {num_outputs} parts of the lengths {list(lengths)}")
    return tuple(np.split(x, ends, axis=axis))


def Transpose(x: Array, *, perm: Sequence[int] | None = None) -> Array:
    return np.transpose(x, perm)


def Unsqueeze(x: Array, axes: Sequence[int] | Array) -> Array:
    return np.expand_dims(x, _integers(axes))


def _integers(values: Sequence[int] | Array) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
