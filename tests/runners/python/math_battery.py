"""Calls of every function of `math` and `cmath` and of `**`: the same text runs in the sandbox and natively.

`main(unary, binary)` takes packed little-endian doubles; two neighbours of `binary` are the arguments of functions of
two, or one complex number. It gives, by function, one status byte per call and two packed doubles per call.
"""

import cmath
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

Function = Callable[..., Any]

VALUE, VALUE_ERROR, OVERFLOW_ERROR, ZERO_DIVISION = 0, 1, 2, 3
ERRORS = {ValueError: VALUE_ERROR, OverflowError: OVERFLOW_ERROR, ZeroDivisionError: ZERO_DIVISION}

UNARY = (
    *(
        "acos",
        "acosh",
        "asin",
        "asinh",
        "atan",
        "atanh",
        "cbrt",
        "cos",
        "cosh",
        "degrees",
        "erf",
        "erfc",
        "exp",
        "exp2",
    ),
    *("expm1", "fabs", "frexp", "gamma", "lgamma", "log", "log10", "log1p", "log2", "modf", "radians", "sin", "sinh"),
    *("sqrt", "tan", "tanh", "ulp", "ceil", "floor", "trunc", "isfinite", "isinf", "isnan"),
)
BINARY = ("atan2", "copysign", "fmod", "hypot", "isclose", "nextafter", "pow", "remainder")
COMPLEX = (
    *("acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "exp", "log", "log10", "phase", "polar", "sin"),
    *("sinh", "sqrt", "tan", "tanh", "isfinite", "isinf", "isnan"),
)
#: Named below or tested with exact results, not with floats of any kind.
OTHERS = {"dist", "fsum", "ldexp", "log", "prod", "sumprod", "fma"}
WHOLE = {"comb", "factorial", "gcd", "isqrt", "lcm", "perm"}
CONSTANTS = {"e", "inf", "infj", "nan", "nanj", "pi", "tau"}


def _bounded(x: float) -> int:
    return int(max(-5000.0, min(5000.0, x))) if x == x else 0


def _of_complex(name: str) -> Function:
    function = getattr(cmath, name)
    return lambda x, y: function(complex(x, y))


TABLE: dict[str, tuple[int, Function]] = {
    # not every Python that compares has every function
    **{name: (1, getattr(math, name)) for name in UNARY if hasattr(math, name)},
    **{name: (2, getattr(math, name)) for name in BINARY},
    "log of a base": (2, math.log),
    "ldexp": (2, lambda x, y: math.ldexp(x, _bounded(y))),
    "dist": (2, lambda x, y: math.dist((x, 0.5), (y, -1.5))),
    "hypot of three": (2, lambda x, y: math.hypot(x, y, 1.25)),
    "fsum": (2, lambda x, y: math.fsum((x, y, -x, 0.1, 1e-300))),
    "prod": (2, lambda x, y: math.prod((x, y, 0.7))),
    "log of an integer": (2, lambda x, y: math.log(int(abs(x)) << abs(_bounded(y)))),
    "log2 of an integer": (2, lambda x, y: math.log2(int(abs(x)) << abs(_bounded(y)))),
    "log10 of an integer": (2, lambda x, y: math.log10(int(abs(x)) << abs(_bounded(y)))),
    "** of positive": (2, lambda x, y: abs(x) ** y),
    "** of negative": (2, lambda x, y: (-abs(x)) ** (float(round(y)) if abs(y) < 1e15 else y)),
    **{f"cmath.{name}": (2, _of_complex(name)) for name in COMPLEX},
    "cmath.log of a base": (2, lambda x, y: cmath.log(complex(x, y), 3.0)),
    "cmath.rect": (2, cmath.rect),
    "cmath.isclose": (2, lambda x, y: cmath.isclose(complex(x, y), complex(y, x))),
    "complex *": (2, lambda x, y: complex(x, y) * complex(y, 0.3)),
    "complex /": (2, lambda x, y: complex(x, 0.3) / complex(y, x)),
    "complex abs": (2, lambda x, y: abs(complex(x, y))),
    "complex **": (2, lambda x, y: complex(x, y) ** complex(0.5, -1.25)),
}


def main(unary: bytes, binary: bytes) -> dict[str, list[bytes]]:
    ones = struct.unpack(f"<{len(unary) // 8}d", unary)
    flat = struct.unpack(f"<{len(binary) // 8}d", binary)
    pairs = zip(flat[::2], flat[1::2], strict=True)
    calls: dict[int, list[tuple[float, ...]]] = {1: [(x,) for x in ones], 2: list(pairs)}
    return {name: _call(function, calls[arity]) for name, (arity, function) in TABLE.items()}


def _call(function: Function, calls: Sequence[tuple[float, ...]]) -> list[bytes]:
    statuses = bytearray()
    values: list[float] = []
    for call in calls:
        value: Any = 0.0
        status = VALUE
        try:
            value = function(*call)
        except (ValueError, OverflowError, ZeroDivisionError) as error:
            status = ERRORS[type(error)]
        statuses.append(status)
        if isinstance(value, tuple):
            values += map(float, value)
        elif isinstance(value, complex):
            values += (value.real, value.imag)
        else:
            values += (float(value), 0.0)
    return [bytes(statuses), struct.pack(f"<{len(values)}d", *values)]


def uncovered() -> list[str]:
    """Names of the two modules that nothing here or in the tests calls."""
    names = {name for name in dir(math) if not name.startswith("_")} - CONSTANTS - OTHERS - WHOLE
    complex_names = {name for name in dir(cmath) if not name.startswith("_")} - CONSTANTS - {"rect", "isclose"}
    return sorted(names - set(UNARY) - set(BINARY)) + sorted(complex_names - set(COMPLEX))
