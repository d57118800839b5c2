"""`math`, `cmath` and `**`: the same bits with soft and with hardware floats, and close to native Python.

docs/floats.md has the table of the distances; it may not promise less than is measured here.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from random import Random

import pytest

from tests.runners.python import math_battery, math_inputs
from tests.runners.python.math_battery import OVERFLOW_ERROR, VALUE
from tests.runners.python.math_distance import Comparison, Results, compare
from tests.runners.python.python_contracts import script, value_of_script
from tests.support.paths import DOCS

COUNT = 4000
SEED = 313_5
#: What the project promises, in units in the last place.
PROMISED_ULPS = 4
DOCUMENT = DOCS / "floats.md"

Call = tuple[float, ...]


@pytest.fixture(scope="module")
def calls() -> dict[int, list[Call]]:
    """Arguments of the functions of one and of two."""
    return {
        1: [(value,) for value in math_inputs.unary(COUNT, SEED)],
        2: list(math_inputs.pairs(COUNT, SEED)),
    }


@pytest.fixture(scope="module")
def packed(calls: dict[int, list[Call]]) -> tuple[bytes, bytes]:
    return math_inputs.pack(calls[1]), math_inputs.pack(calls[2])


@pytest.fixture(scope="module")
def soft(packed: tuple[bytes, bytes], built_runners: object) -> Results:
    """With cpython.det.wasm."""
    found: Results = value_of_script(script("math_battery.py"), *packed)
    return found


@pytest.fixture(scope="module")
def comparisons(calls: dict[int, list[Call]], packed: tuple[bytes, bytes], soft: Results) -> dict[str, Comparison]:
    """With native Python, by function."""
    native = math_battery.main(*packed)
    arity = {name: entry[0] for name, entry in math_battery.TABLE.items()}
    return {name: compare(name, calls[arity[name]], soft[name], found) for name, found in native.items()}


def test_every_function_is_called(built_runners: object) -> None:
    names = value_of_script(script("math_battery.py") + "\ndef main():\n    return uncovered()\n")
    assert names == []


def test_soft_and_hardware_floats_give_the_same_bits(packed: tuple[bytes, bytes], soft: Results) -> None:
    hardware = value_of_script(script("math_battery.py"), *packed, nondet=True)
    assert [name for name in soft if soft[name] != hardware[name]] == []
    assert len(soft) > 80


def test_another_run_gives_the_same_bits(packed: tuple[bytes, bytes], soft: Results) -> None:
    assert value_of_script(script("math_battery.py"), *packed) == soft


# --- close to native Python -------------------------------------------------------------------------


def documented() -> dict[str, int]:
    """Largest distances by function, from the table of the document."""
    rows = re.findall(r"^\| `([^`]+)` \| +(\d+) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: int(ulps) for name, ulps in rows}


def test_no_result_is_further_from_native_than_documented(comparisons: dict[str, Comparison]) -> None:
    table = documented()
    assert sorted(table) == sorted(comparisons)
    assert {name: (found.ulps, found.at) for name, found in comparisons.items() if found.ulps > table[name]} == {}
    # An exception has to be explained where it is listed.
    exceptions = [name for name, ulps in table.items() if ulps > PROMISED_ULPS]
    text = DOCUMENT.read_text(encoding="utf-8").partition("## Exceptions")[2]
    assert [name for name in exceptions if f"`{name}`" not in text] == []
    assert set(exceptions) == {"gamma", "lgamma", "cmath.tan", "cmath.tanh", "complex **"}


def test_special_values_and_errors_are_those_of_native(comparisons: dict[str, Comparison]) -> None:
    strange = {name: found.other for name, found in comparisons.items() if found.other}
    # The C library of this machine may report an underflow or an infinite argument as an error (docs/floats.md).
    for call, (status, _), (native_status, _) in strange.pop("cmath.phase", []):
        assert (status, native_status) == (VALUE, OVERFLOW_ERROR)
        assert 0 < abs(call[1] / call[0]) < 1e-300 or call[1] / call[0] == 0
    for call, (status, value), _ in strange.pop("complex **", []):
        assert math.isinf(math.hypot(*call))
        assert (status, repr(value)) == (VALUE, "(nan, nan)")
    assert strange == {}


DOMAIN, RANGE = "ValueError: math domain error", "OverflowError: math range error"
SPECIAL_VALUES: dict[str, str] = {
    **{f"{name}(nan)": "nan" for name in ("sin", "exp", "gamma", "lgamma", "acosh", "log", "sqrt", "erf", "cbrt")},
    **{f"{name}(inf)": DOMAIN for name in ("sin", "cos", "tan", "acos", "asin", "atanh")},
    **{f"{name}(-inf)": DOMAIN for name in ("log", "log2", "log10", "log1p", "sqrt", "gamma", "acosh")},
    **{f"{name}(0.0)": DOMAIN for name in ("log", "log2", "log10", "gamma", "lgamma", "acosh")},
    **{f"{name}(-1.5)": DOMAIN for name in ("sqrt", "acosh", "acos", "asin", "atanh", "log1p", "log")},
    **{f"{name}(1.0)": "0.0" for name in ("log", "log2", "log10", "acosh", "lgamma", "acos")},
    **{
        f"{name}(-0.0)": "-0.0"
        for name in ("sin", "tan", "sinh", "tanh", "asin", "atan", "asinh", "sqrt", "cbrt", "erf")
    },
    **{
        f"{name}(5e-324)": "5e-324"
        for name in ("sin", "tan", "sinh", "tanh", "asin", "atan", "asinh", "expm1", "log1p")
    },
    **{f"{name}(1e300)": RANGE for name in ("exp", "exp2", "expm1", "sinh", "cosh", "gamma")},
    **{f"{name}(-1e300)": "0.0" for name in ("exp", "exp2")},
    **{"gamma(172.0)": RANGE, "gamma(-1.0)": DOMAIN, "gamma(inf)": "inf", "gamma(171.0)": "7.257415615307998e+306"},
    **{
        "lgamma(-3.0)": DOMAIN,
        "lgamma(-inf)": "inf",
        "lgamma(2.55e305)": "1.7906725941420033e+308",
        "lgamma(1e306)": RANGE,
    },
    **{"log2(5e-324)": "-1074.0", "log10(5e-324)": "-323.3062153431158", "log(5e-324)": "-744.4400719213812"},
    **{
        "log10(1e-308)": "-308.0",
        "log2(2.0**1023)": "1023.0",
        "log10(10**400)": "400.0",
        "log(1 << 5000)": "3465.7359027997263",
    },
    **{"atan(inf)": "1.5707963267948966", "tanh(-inf)": "-1.0", "erfc(27.3)": "0.0", "cbrt(-27.0)": "-3.0"},
    **{"acosh(-6578.32)": DOMAIN, "acosh(-1130751.35)": DOMAIN, "acosh(1e300)": "691.4686750787736"},
    **{"pow(-8.0, 1 / 3)": DOMAIN, "pow(0.0, -1.0)": DOMAIN, "pow(nan, 0.0)": "1.0", "pow(1.0, nan)": "1.0"},
    **{"pow(-1.0, inf)": "1.0", "pow(2.0, 1024.0)": RANGE, "pow(2.0, -1075.0)": "0.0", "pow(-0.0, -3.0)": DOMAIN},
    **{"fmod(inf, 1.0)": DOMAIN, "fmod(1.0, 0.0)": DOMAIN, "fmod(-1.0, inf)": "-1.0", "remainder(5.0, 2.0)": "1.0"},
    **{"atan2(0.0, -0.0)": "3.141592653589793", "atan2(-inf, inf)": "-0.7853981633974483", "hypot(inf, nan)": "inf"},
    **{
        "ldexp(1.0, -1074)": "5e-324",
        "ldexp(1.0, 1024)": RANGE,
        "ldexp(0.0, 10**30)": "0.0",
        "frexp(5e-324)": "(0.5, -1073)",
    },
    **{
        "nextafter(0.0, 1.0)": "5e-324",
        "ulp(inf)": "inf",
        "fsum([1e308, 1e308])": "OverflowError: intermediate overflow in fsum",
    },
    **{
        "fma(inf, 0.0, 1.0)": "ValueError: invalid operation in fma",
        "fma(1e308, 10.0, 0.0)": "OverflowError: overflow in fma",
    },
    **{
        "floor(inf)": "OverflowError: cannot convert float infinity to integer",
        "ceil(-0.5)": "0",
        "modf(-inf)": "(-0.0, -inf)",
    },
    **{
        "2.0**5000": "OverflowError: (68, 'Result not representable')",
        "0.0**-1": "ZeroDivisionError: 0.0 cannot be raised to a negative power",
    },
}


def test_special_values(built_runners: object) -> None:
    text = script("float_text.py") + "\nfrom math import *\n"
    found = value_of_script(text, list(SPECIAL_VALUES))
    assert dict(zip(SPECIAL_VALUES, found, strict=True)) == SPECIAL_VALUES


# --- against exact arithmetic -----------------------------------------------------------------------

EXACT = """
import math, struct

def main(packed):
    values = struct.unpack(f"<{len(packed) // 8}d", packed)
    triples = list(zip(values[::3], values[1::3], values[2::3], strict=True))
    functions = {
        "fma": lambda x, y, z: math.fma(x, y, z),
        "sumprod": lambda x, y, z: math.sumprod((x, y, 3.0), (y, z, -1.0)),
        "fsum": lambda x, y, z: math.fsum((x, y, z, -x)),
        "sqrt": lambda x, y, z: math.sqrt(abs(x)),
        "remainder": lambda x, y, z: math.remainder(x, y),
    }
    found = {}
    for name, function in functions.items():
        results = []
        for triple in triples:
            try:
                results.append(function(*triple).hex())
            except (OverflowError, ValueError) as error:
                results.append(type(error).__name__)
        found[name] = results
    integers = [10**40 + 7, 2**64 - 1, 2**64, 0, 1, 3**211]
    found["whole"] = [repr(item) for item in (
        [math.isqrt(number) for number in integers],
        [math.comb(200, 77), math.perm(50, 20), math.factorial(60), math.gcd(2**70, 6**40), math.lcm(2**40, 6**20)],
        math.prod(integers[:3]),
    )]
    return found
"""


def rounded(exact: Fraction) -> str:
    """The nearest float, as the sandbox writes it."""
    try:
        return (exact.numerator / exact.denominator).hex()
    except OverflowError:
        return "OverflowError"


def without_sign_of_zero(text: str) -> str:
    return "0x0.0p+0" if text == "-0x0.0p+0" else text


def test_correctly_rounded_functions(built_runners: object) -> None:
    random = Random(SEED)

    def one() -> float:
        kind = random.randrange(4)
        if kind == 0:
            return random.uniform(-2, 2)
        exponent = (
            random.randint(-1074, 1023)
            if kind == 1
            else random.randint(-540, 511)
            if kind == 2
            else random.randint(-5, 5)
        )
        return math.ldexp(random.choice((-1, 1)) * random.getrandbits(53), max(exponent - 52, -1074))

    triples = [(one(), one(), one()) for _ in range(3000)]
    # cancellation: the product is nearly the negative sum
    triples += [(x, y, -(x * y)) for x, y, _ in triples[:500] if math.isfinite(x * y)]
    found = value_of_script(EXACT, math_inputs.pack(triples))
    wrong = []
    for index, (x, y, z) in enumerate(triples):
        exact = {
            "fma": Fraction(x) * Fraction(y) + Fraction(z),
            "fsum": Fraction(y) + Fraction(z),
        }
        if y:
            quotient = round(Fraction(x) / Fraction(y))
            exact["remainder"] = Fraction(x) - quotient * Fraction(y)
        for name, value in exact.items():
            if without_sign_of_zero(found[name][index]) != without_sign_of_zero(rounded(value)):
                wrong.append((name, x, y, z, found[name][index], rounded(value)))
        root = float.fromhex(found["sqrt"][index])
        below, above = (Fraction(root) + Fraction(math.nextafter(root, to)) for to in (-math.inf, math.inf))
        if not below**2 <= 4 * Fraction(abs(x)) <= above**2:
            wrong.append(("sqrt", x, root, 0.0, "", ""))
    assert wrong == []


def test_functions_of_integers(built_runners: object) -> None:
    integers = [10**40 + 7, 2**64 - 1, 2**64, 0, 1, 3**211]
    found = value_of_script(EXACT, b"")
    assert found["whole"] == [
        repr([math.isqrt(number) for number in integers]),
        repr(
            [math.comb(200, 77), math.perm(50, 20), math.factorial(60), math.gcd(2**70, 6**40), math.lcm(2**40, 6**20)]
        ),
        repr(math.prod(integers[:3])),
    ]
