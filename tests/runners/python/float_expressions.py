"""Seeded generator of Python expressions about floats: every operation of the language, but nothing of libm."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

SPECIAL = (
    *("0.0", "-0.0", "float('inf')", "float('-inf')", "float('nan')", "1.0", "-1.0", "0.5", "2.5", "-1.5", "0.1"),
    *("5e-324", "-5e-324", "2.225073858507201e-308", "2.2250738585072014e-308", "1.7976931348623157e+308"),
    *("-1.7976931348623157e+308", "4503599627370495.5", "9007199254740993.0", "1e16", "1e22", "1e23", "1e-5", "1e-4"),
    *("123456789012345680.0", "0.3", "2.675", "1.005", "1e308", "1e-308", "4294967295.0", "-2147483648.0"),
)
_BIG = (
    "2**53 + 1",
    "2**1023 * 3",
    "10**308",
    "10**309",
    "-(2**1024)",
    "2**1024 - 2**970",
    "10**23",
    "3**100",
    "7",
    "0",
)
_STRANGE_NUMBERS = (
    *(".", "1.", ".1", "0x10", "1e400", "1e-400", "1__0", "_1", "1e", "--1", "1 2", "1,5"),
    # digits of other scripts
    *("\uff11\uff12.\uff15", "\u0663\u0661"),
)
_ARITHMETIC = ("+", "-", "*", "/", "//", "%")
_COMPARISONS = ("<", "<=", "==", "!=", ">", ">=")


def expressions(count: int, seed: int) -> list[str]:
    """``count`` expressions, the kinds in turn."""
    random = Random(seed)
    return [_KINDS[index % len(_KINDS)](random) for index in range(count)]


def number(random: Random, depth: int = 0) -> str:
    """An expression whose value is a float, if it has one."""
    if depth > 0 and random.random() < 0.8:
        left, right = number(random, depth - 1), number(random, depth - 1)
        match random.randrange(8):
            case 0:
                return f"(-{left})"
            case 1:
                return f"abs({left})"
            case 2:
                return f"divmod({left}, {right})[{random.randrange(2)}]"
            case _:
                return f"({left} {random.choice(_ARITHMETIC)} {right})"
    match random.randrange(7):
        case 0:
            return f"({random.choice(SPECIAL)})"
        case 1:
            return f"({_finite(random)!r})"
        case 2:
            return f"({random.choice(('', '-'))}{_decimal(random)})"
        case 3:
            return f"({random.randint(-4000, 4000) / 8})"
        case 4:
            return f"float.fromhex('{_hexadecimal(random)}')"
        case 5:
            return f"({random.uniform(-10, 10)!r})"
        case _:
            return f"float({_integer(random)})"


def _finite(random: Random) -> float:
    while True:
        value: float = struct.unpack("<d", random.randbytes(8))[0]
        if value - value == 0:
            return value


def _decimal(random: Random) -> str:
    digits = str(random.randrange(10 ** random.choice((1, 3, 16, 17, 18, 25, 40))))
    point = random.randint(0, len(digits))
    exponent = random.choice((0, 0, random.randint(-30, 30), random.randint(-345, 310)))
    # a point keeps it a float, and a zero in front keeps it a literal
    return f"0{digits[:point]}.{digits[point:]}" + (f"e{exponent}" if exponent else "")


def _hexadecimal(random: Random) -> str:
    digits = "".join(random.choice("0123456789abcdef") for _ in range(random.choice((1, 6, 13, 14, 20))))
    return f"{random.choice(('', '-'))}0x{random.randrange(16):x}.{digits}p{random.randint(-1090, 1020)}"


def _integer(random: Random) -> str:
    if random.random() < 0.3:
        return f"({random.choice(_BIG)})"
    return f"({random.choice((-1, 1)) * random.getrandbits(random.choice((1, 8, 31, 53, 54, 55, 64, 100, 600, 1030)))})"


def _arithmetic(random: Random) -> str:
    return number(random, random.randint(1, 3))


def _of_specials(random: Random) -> str:
    return f"{random.choice(SPECIAL)} {random.choice(_ARITHMETIC + _COMPARISONS)} {random.choice(SPECIAL)}"


def _comparison(random: Random) -> str:
    first, second, third = number(random, 1), number(random, 1), number(random)
    match random.randrange(6):
        case 0:
            return f"{first} {random.choice(_COMPARISONS)} {second} {random.choice(_COMPARISONS)} {third}"
        case 1:
            return f"{random.choice(('min', 'max'))}({first}, {second}, {third})"
        case 2:
            return f"sorted([{first}, {second}, {third}, 0.0, -0.0])"
        case 3:
            return f"{first} {random.choice(_COMPARISONS)} {_integer(random)}"
        case 4:
            return f"({first}, {second}) {random.choice(_COMPARISONS)} ({first}, {third})"
        case _:
            return f"{first} {random.choice(_COMPARISONS)} {second}"


def _conversion(random: Random) -> str:
    value = number(random, 1)
    return random.choice(
        (
            f"int({value})",
            f"bool({value})",
            f"{value}.as_integer_ratio()",
            f"{value}.is_integer()",
            f"complex({value}, {number(random)})",
            f"complex({value}) + {number(random)}",
            f"{_integer(random)} / {_integer(random)}",
            f"{_integer(random)} * {value}",
            f"float({_integer(random)})",
            f"sum([{value}, {number(random)}, {number(random)}, 1e100, -1e100])",
            f"range(3)[int({value}) % 3]",
            f"({value}).__getformat__('double') + str(({value}).real)",
            f"{value} if {value} else None",
        )
    )


def _rounding(random: Random) -> str:
    value = number(random, random.randrange(2))
    return random.choice(
        (
            f"round({value})",
            f"round({value}, {random.randint(-20, 20)})",
            f"round({value}, {random.randint(-330, 330)})",
            f"round({random.randint(-(10**6), 10**6)} / 1000, {random.randint(0, 3)})",
            f"({value}).__floor__()",
            f"({value}).__ceil__()",
            f"({value}).__trunc__()",
        )
    )


def _formatting(random: Random) -> str:
    value = number(random, random.randrange(2))
    width = random.choice(("", "", str(random.randint(1, 40))))
    precision = random.choice(("", "", f".{random.randint(0, 25)}", f".{random.randint(0, 330)}"))
    align = random.choice(("", "", "<", ">", "^", "=", "*^", "0="))
    spec = (
        align
        + random.choice(("", "+", "-", " "))
        + random.choice(("", "", "z"))
        + random.choice(("", "", "#"))
        + ("" if align else random.choice(("", "0")))
        + width
        + random.choice(("", "", ",", "_"))
        + precision
        + random.choice(("", "e", "E", "f", "F", "g", "G", "%", "n"))
    )
    old = random.choice(("", "#", "0", "-", " ", "+")) + width + precision + random.choice("eEfFgGri")
    return random.choice(
        (
            f"format({value}, {spec!r})",
            f"format({value}, {spec!r})",
            f"'%{old}' % ({value},)",
            f'f"{{{value}:{spec}}}|{{{value}!r:>30}}"',
            f"str({value}) + repr({value})",
            f"({value}).hex()",
            f"[{value}, -({value}), ({value},), {{1: {value}}}]",
            f"'{{:{precision}e}} {{:{precision}g}}'.format({value}, {value})",
        )
    )


def _parsing(random: Random) -> str:
    decimal = _decimal(random)
    sign = random.choice(("", "+", "-", "- "))
    grouped = decimal[:2] + "_" + decimal[2:]
    text = random.choice(
        (
            sign + decimal,
            sign + decimal.lstrip("0"),
            f" \t{sign}{decimal}\n",
            grouped,
            decimal + random.choice(("e", "e+", "e99999", "e-99999", "_", ".", "f", "j")),
            sign + random.choice(("inf", "Infinity", "INF", "nan", "NaN", "infinit", "nan(1)", "")),
            sign + random.choice(_STRANGE_NUMBERS),
            f"{random.randrange(10**30)}e{random.randint(-340, 300)}",
        )
    )
    function = random.choice(("float", "float", "float", "complex", "float.fromhex"))
    if function == "float.fromhex":
        text = random.choice((_hexadecimal(random), text, "0x1p1024", "0x.8p-1074", "-0x1.fffffffffffff8p+1023"))
    return f"{function}({text!r})"


_KINDS: tuple[Callable[[Random], str], ...] = (
    _arithmetic,
    _of_specials,
    _comparison,
    _conversion,
    _rounding,
    _formatting,
    _parsing,
)
