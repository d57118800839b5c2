"""Seeded generator of NumPy expressions: ufuncs, reductions, linear algebra, casts, FFT, random numbers, text.

``arr`` and ``spd`` are functions of `sandboxed/evaluate.py`, where the expressions are evaluated.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

FLOATS = ("f2", "f4", "f8", "f4", "f8", "g", "c8", "c16")
REALS = ("f2", "f4", "f8", "f4", "f8")
ALL = (*FLOATS, "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
_UNARY = (
    *("sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh"),
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "square", "cbrt", "reciprocal", "absolute"),
    *("negative", "positive", "sign", "floor", "ceil", "rint", "trunc", "fabs", "conjugate", "isnan", "isfinite"),
    *("isinf", "spacing", "degrees", "radians", "frexp", "modf", "logical_not", "nan_to_num", "angle", "real", "imag"),
    *("sinc", "i0", "invert"),
)
_BINARY = (
    *("add", "subtract", "multiply", "divide", "floor_divide", "remainder", "fmod", "divmod", "power", "float_power"),
    *("maximum", "minimum", "fmax", "fmin", "arctan2", "hypot", "logaddexp", "logaddexp2", "nextafter", "heaviside"),
    *("equal", "less", "greater_equal", "logical_xor", "isclose", "gcd", "bitwise_xor"),
)
_REDUCTIONS = (
    *("sum", "prod", "mean", "std", "var", "cumsum", "cumprod", "min", "max", "argmin", "argmax", "ptp", "any", "all"),
    *("median", "nansum", "nanmean", "nanmax", "nanstd", "nanmedian", "count_nonzero", "sort", "argsort"),
    *("logaddexp.reduce", "multiply.accumulate", "hypot.reduce", "maximum.reduce", "diff", "trapezoid", "average"),
)
_OF_SQUARES = (
    *(
        "linalg.det({})",
        "linalg.inv({})",
        "linalg.slogdet({})",
        "linalg.svd({})[1]",
        "linalg.qr({})",
        "linalg.norm({})",
    ),
    *("linalg.eigvals({})", "linalg.matrix_rank({})", "linalg.pinv({})", "linalg.matrix_power({}, 3)", "np.trace({})"),
    *("linalg.norm({}, 2)", "linalg.norm({}, 1)", "linalg.cond({})", "linalg.eig({})[0]", "linalg.svd({})"),
)
_OF_SYMMETRIC = (
    "linalg.cholesky({})",
    "linalg.eigvalsh({})",
    "linalg.eigh({})",
    "linalg.inv({})",
    "linalg.tensorinv({})",
)
_PRODUCTS = (
    *("{} @ {}.T", "np.dot({}, {}.T)", "np.einsum('ij,kj->ik', {}, {})", "np.inner({}, {})", "np.kron({}, {})"),
    *("np.tensordot({}, {}, 1)", "np.vdot({}, {})", "np.outer({}, {})", "np.multiply.outer({}, {}[0])"),
    *("np.matvec({}, {}[0])", "np.einsum('ij,ij->', {}, {})", "linalg.multi_dot([{}, {}.T])"),
)
_FFT = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft", "fftshift")
_SIGNALS = (
    *("np.convolve({}, {})", "np.correlate({}, {})", "np.interp({}, np.arange(7.0), {})", "np.polyfit({}, {}, 2)"),
    *("np.polyval({}, {})", "np.histogram({}, bins=5)[0]", "np.gradient({})", "np.percentile({}, 30)", "np.roots({})"),
    *("np.digitize({}, np.sort({}))", "np.searchsorted(np.sort({}), {})", "np.unique({})", "np.cov({}, {})"),
    *(
        "np.corrcoef({}, {})",
        "np.unwrap({})",
        "np.quantile({}, [0.1, 0.9])",
        "np.cross({}[:3], {}[:3])",
        "np.round({}, 2)",
    ),
    *("np.polynomial.chebyshev.chebfit({}, {}, 2)", "np.ma.masked_invalid({}).mean()", "np.clip({}, -1, 1)"),
)
_GENERATOR = (
    *(
        "random(5)",
        "normal(size=5)",
        "standard_exponential(4)",
        "gamma(2.5, size=4)",
        "beta(0.5, 2, 4)",
        "poisson(7, 5)",
    ),
    *("binomial(20, 0.3, 5)", "integers(0, 1000, 5)", "choice(9, 4)", "permutation(8)", "dirichlet([1, 2, 3])"),
    *(
        "standard_t(3, 4)",
        "vonmises(0, 4, 4)",
        "zipf(2.5, 4)",
        "multivariate_normal([0, 1], np.eye(2))",
        "laplace(size=3)",
    ),
    *(
        "hypergeometric(10, 20, 8, 4)",
        "logistic(size=3)",
        "wald(2, 3, 3)",
        "random(4, dtype='f4')",
        "geometric(0.2, 5)",
    ),
    *("negative_binomial(5, 0.4, 4)", "rayleigh(size=3)", "triangular(0, 1, 3, 4)", "standard_normal(5, dtype='f4')"),
)
_LEGACY = (
    *("rand(5)", "randn(5)", "randint(0, 1000, 5)", "gamma(2.5, size=4)", "poisson(7, 5)", "binomial(20, 0.3, 5)"),
    *("choice(9, 4)", "shuffle(list(range(5)))", "standard_cauchy(3)", "multinomial(9, [0.2, 0.8])", "beta(0.5, 2, 4)"),
)
_BIT_GENERATORS = ("PCG64", "MT19937", "Philox", "SFC64", "PCG64DXSM")
_TEXT = (
    *(
        "str({})",
        "repr({})",
        "np.array2string({}, precision=3)",
        "[f'{{x:.6g}}' for x in np.ravel({}.real)]",
        "{}.tolist()",
    ),
    *("np.format_float_positional(np.ravel({}.real)[0])", "np.format_float_scientific(np.ravel({}.real)[0])"),
    *("repr(np.ravel({})[0])", "np.array(list(map(str, np.ravel({}.real)))).astype('f8')"),
)


def expressions(count: int, seed: int) -> list[str]:
    """``count`` expressions, the kinds in turn."""
    random = Random(seed)
    return [_KINDS[index % len(_KINDS)](random) for index in range(count)]


def _array(random: Random, dtypes: tuple[str, ...], *shape: int) -> str:
    sizes = "".join(f", {size}" for size in shape)
    return f"arr({random.randrange(10**6)}, {random.choice(dtypes)!r}{sizes})"


def _unary(random: Random) -> str:
    return f"np.{random.choice(_UNARY)}({_array(random, ALL, random.randrange(1, 20))})"


def _binary(random: Random) -> str:
    size = random.randrange(1, 20)
    right = random.choice((_array(random, ALL, size), _array(random, ALL), repr(random.uniform(-3, 3))))
    return f"np.{random.choice(_BINARY)}({_array(random, ALL, size)}, {right})"


def _reduction(random: Random) -> str:
    shape = random.choice(((random.randrange(1, 300),), (7, 5), (3, 4, 2)))
    axis = random.choice(("", "", ", axis=0", ", axis=-1"))
    return f"np.{random.choice(_REDUCTIONS)}({_array(random, ALL, *shape)}{axis})"


def _linear(random: Random) -> str:
    size = random.randrange(1, 9)
    match random.randrange(4):
        case 0:
            return random.choice(_OF_SYMMETRIC).format(
                f"spd({random.randrange(10**6)}, {size}, 'f{random.choice('48')}')"
            )
        case 1:
            solve = random.choice(("linalg.solve({}, {})", "linalg.lstsq({}, {})[0]"))
            return solve.format(_array(random, FLOATS, size, size), _array(random, FLOATS, size))
        case _:
            return random.choice(_OF_SQUARES).format(_array(random, FLOATS, size, size))


def _product(random: Random) -> str:
    shape = random.randrange(1, 12), random.randrange(1, 12)
    return random.choice(_PRODUCTS).format(_array(random, ALL, *shape), _array(random, ALL, *shape))


def _cast(random: Random) -> str:
    source = _array(random, ALL, random.randrange(1, 30))
    return random.choice(
        (
            f"{source}.astype({random.choice(ALL)!r})",
            f"np.array({source}.tolist(), {random.choice(ALL)!r})",
            f"{source}.astype('M8[s]')",
            f"np.can_cast({random.choice(ALL)!r}, {random.choice(ALL)!r})",
            f"{random.choice(('int', 'float', 'complex', 'bool', 'round'))}({_array(random, ALL)})",
            f"np.result_type({source}, {random.choice(ALL)!r}).str",
        )
    )


def _fft(random: Random) -> str:
    if random.random() < 0.2:
        return f"fft.{random.choice(('fft2', 'rfft2', 'ifftn'))}({_array(random, FLOATS, 5, 6)})"
    return f"fft.{random.choice(_FFT)}({_array(random, FLOATS, random.randrange(2, 70))})"


def _signal(random: Random) -> str:
    size = random.randrange(3, 25)
    arrays = (_array(random, REALS, size), _array(random, REALS, size))
    return random.choice(_SIGNALS).format(*arrays)


def _random(random: Random) -> str:
    seed = random.randrange(2**32)
    if random.random() < 0.3:
        return f"np.random.RandomState({seed}).{random.choice(_LEGACY)}"
    engine = random.choice(_BIT_GENERATORS)
    return f"np.random.Generator(np.random.{engine}({seed})).{random.choice(_GENERATOR)}"


def _text(random: Random) -> str:
    return random.choice(_TEXT).format(_array(random, FLOATS, random.randrange(1, 6)))


_KINDS: tuple[Callable[[Random], str], ...] = (
    *(_unary, _binary, _reduction, _linear, _product, _cast, _fft, _signal, _random, _text),
)
