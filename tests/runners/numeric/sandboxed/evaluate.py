"""Evaluates expressions of `numeric_expressions` in the sandbox: `main(expressions)` gives eight bytes for each."""

import hashlib
import warnings

import numpy as np
from numpy import fft, linalg  # noqa: F401 -- expressions name them

warnings.simplefilter("ignore")
SPECIAL = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -1.5,
    2.5,
    1e-5,
    3e-310,
    5e-324,
    1e300,
    -1e300,
    65504.0,
    1e38,
    np.inf,
    -np.inf,
    np.nan,
)


def arr(seed, dtype, *shape):
    """An array of reproducible numbers: small ones, large ones, special ones, whole ones, by the seed."""
    size = int(np.prod(shape)) if shape else 1
    bits = np.frombuffer(hashlib.shake_256(b"%d" % seed).digest(8 * size), np.uint64)
    kind = np.dtype(dtype).kind
    if kind == "b":
        return (bits & 1).astype(bool).reshape(shape)
    if kind in "iu":
        whole = bits >> np.uint64(seed % 60)
        return whole.astype(dtype).reshape(shape)
    unit = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    match seed % 5:
        case 0:
            values = unit * 2 - 1
        case 1:
            values = (unit - 0.5) * 2.0 ** (bits & np.uint64(63)).astype(np.int64)
        case 2:
            values = np.array([SPECIAL[int(b) % len(SPECIAL)] for b in bits])
        case 3:
            values = np.floor(unit * 100) - 50
        case _:
            values = unit * 10 + 0.1
    if kind == "c":
        values = values + 1j * np.roll(values, 1)
    return values.astype(dtype).reshape(shape)


def spd(seed, size, dtype="f8"):
    """A well-conditioned symmetric matrix."""
    half = arr(seed - seed % 5, dtype, size, size)
    return half @ half.T + np.eye(size, dtype=dtype)


def packed(value):
    """Bytes of a result; all NaNs are alike."""
    if isinstance(value, (tuple, list)):
        return b"(" + b"".join(map(packed, value)) + b")"
    if isinstance(value, (str, bytes, int, bool)) or value is None:
        return repr(value).encode()
    array = np.asarray(value)
    if array.dtype.kind == "O":
        return repr(array.tolist()).encode()
    if array.dtype.kind in "fc":
        array = array.copy()
        for part in (array.real, array.imag) if array.dtype.kind == "c" else (array,):
            part[np.isnan(part)] = np.nan
    return f"{array.dtype.str}{array.shape}".encode() + array.tobytes()


def outcome(expression):
    try:
        return packed(eval(expression))
    except Exception as error:
        return type(error).__name__.encode()


def main(expressions):
    return b"".join(hashlib.sha256(outcome(text)).digest()[:8] for text in expressions.split("\n"))


def show(expression):
    """For people who look for the cause of a difference."""
    return repr(outcome(expression))
