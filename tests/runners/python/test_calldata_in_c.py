"""The codec that the interpreter has in C is the one that Python elsewhere has, and leaves to it what is not plain."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from tests.runners.python.python_contracts import value_of_script

pytestmark = pytest.mark.usefixtures("built_runners")

_SCRIPT = """
import _genlayer_calldata as in_c
from genlayer.py import calldata
from genlayer.py.types import Address

def outcome(function, *arguments):
    try:
        return ["value", function(*arguments)]
    except Exception as error:
        return [type(error).__name__, str(error), list(getattr(error, "__notes__", ()))]

def in_python(function, *arguments):
    try:
        calldata._plain = None
        return outcome(function, *arguments)
    finally:
        calldata._plain = in_c

def main(encodings):
    assert calldata._plain is in_c
    plain = 0
    for data in encodings:
        ours = outcome(calldata.decode, data)
        expected = in_python(calldata.decode, data)
        assert repr(ours) == repr(expected), (data, ours, expected)
        decoded = in_c.decode(data, Address)
        if decoded is NotImplemented:
            continue
        assert repr(decoded) == repr(expected[1])
        plain += 1
        assert outcome(calldata.encode, decoded) == in_python(calldata.encode, decoded) == ["value", data]
        assert in_c.encode(decoded, Address) == data
    return plain
"""

_ODD = """
import _genlayer_calldata as in_c
import collections, dataclasses
from genlayer.py import calldata
from genlayer.py.types import Address

@dataclasses.dataclass
class D:
    a: int

class S(str): pass
class I(int): pass
class L(list): pass
class E(calldata.CalldataEncodable):
    def __to_calldata__(self): return [1]

def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value

def main():
    odd = [D(1), [D(2)], S("x"), {S("k"): 1}, I(3), L([1]), E(), bytearray(b"x"), memoryview(b"y"), range(3),
           nested(65), 1 << 400, -(1 << 400), collections.OrderedDict(a=1), {"a": {"b": D(1)}}]
    for value in odd:
        assert in_c.encode(value, Address) is NotImplemented, value
        assert calldata.encode(value), value
    for value in (object(), {1: 2}, "\\ud800", {"\\ud800": 1}, {"a": [1.5]}, {"a": {"b": object()}}):
        assert in_c.encode(value, Address) is NotImplemented, value
        try:
            calldata.encode(value)
        except (TypeError, UnicodeEncodeError) as error:
            notes = getattr(error, "__notes__", [])
        else:
            raise AssertionError(value)
    assert notes == ["key 'b'", "key 'a'"]
    assert in_c.encode(nested(64), Address) == calldata.encode(nested(64))
    for arguments in ((), (b"",), ("x", Address), (bytearray(b"x"), Address)):
        try:
            in_c.decode(*arguments)
        except TypeError:
            continue
        raise AssertionError(arguments)
    return True
"""


def values(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(9 if depth < 5 else 7)
    length = chance.choice((0, 1, 2, 5, 15, 16, 130, 700) if depth < 2 else (0, 1, 3))
    match kind:
        case 0:
            return chance.choice((None, False, True))
        case 1 | 2:
            bits = chance.choice((1, 3, 4, 5, 11, 28, 31, 32, 60, 61, 63, 64, 65, 128, 255, 256, 310, 330, 900))
            near = (1 << bits) + chance.choice((-2, -1, 0, 1, chance.getrandbits(bits)))
            return near if kind == 1 else -near
        case 3:
            return chance.randbytes(length)
        case 4 | 5:
            return "".join(chance.choice("abc é€\U0001f600\0") for _ in range(length))
        case 6:
            return Address(chance.randbytes(20))
        case 7:
            return [values(chance, depth + 1) for _ in range(min(length, 16))]
        case _:
            keys = {
                "".join(chance.choice("ab\x7f\x80߿ࠀ\uffff\U00010000") for _ in range(chance.choice((0, 1, 2, 3, 140))))
                for _ in range(min(length, 16))
            }
            return {key: values(chance, depth + 1) for key in keys}


def damaged(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    match chance.randrange(5):
        case 0:
            del changed[chance.randrange(len(changed)) :]
        case 1:
            changed += chance.randbytes(1)
        case 2:
            changed.insert(chance.randrange(len(changed) + 1), chance.randrange(256))
        case _:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


_EMPTIED = """
import _genlayer_calldata as in_c
from genlayer.py.types import Address

class Emptying:
    def __get__(self, address, kind):
        for container in containers:
            container.clear()
        return bytes(20)

class Missing:
    def __get__(self, address, kind):
        raise AttributeError("_as_bytes")

def main():
    global containers
    address = Address(bytes(20))
    Address._as_bytes = Emptying()
    inner, named = [address, 2], {"b": address, "c": 5}
    cases = [address, [1], "a"], [inner, 3], {"a": address, "b": [4]}, {"a": named, "d": 6}
    for value, container in zip(cases, (cases[0], inner, cases[2], named)):
        containers = [container]
        assert in_c.encode(value, Address) is NotImplemented
    Address._as_bytes = Missing()
    assert in_c.encode([address], Address) is NotImplemented
    return True
"""


@pytest.mark.parametrize("part", range(4))
def test_both_codecs_say_the_same(part: int) -> None:
    chance = random.Random(part)
    encodings = [calldata.encode(values(chance)) for _ in range(400)]
    encodings += [damaged(chance, data) for data in encodings for _ in range(2)]
    encodings += [bytes((a, b, 0)) for a in range(0, 256, 3) for b in (0, 1, 0x7F, 0x80, 0xFF)]
    assert value_of_script(_SCRIPT, encodings) > 400


def test_what_is_not_plain_is_left_to_python() -> None:
    assert value_of_script(_ODD) is True


def test_containers_that_lose_what_they_hold() -> None:
    """A contract may replace what an address gives, and then encoding runs its code."""
    assert value_of_script(_EMPTIED) is True
