"""The scanner of requests accepts what the decoder of calldata accepts, and finds in it what that makes of it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.primitives.calldata import MAX_DEPTH, decode, encode
from pygenvm.executor.subvm.genlayer_sdk.encoded import Encoded, checked
from tests.executor.primitives.test_calldata_properties import same, values
from tests.support.properties import examples

BOUNDED = examples(300)


def compare(data: bytes) -> None:
    """Both kinds of buffers; agreement in what is refused, and in what is in it."""
    for buffer in (data, memoryview(bytearray(data))):
        try:
            value = decode(data)
        except ValueError:
            with pytest.raises(ValueError):  # noqa: PT011
                checked(buffer)
            continue
        found = checked(buffer)
        assert (found.start, found.end) == (0, len(data))
        assert found.to_bytes() == data
        compare_parts(found, value)


def compare_parts(found: Encoded, value: Any) -> None:
    assert same(found.decode(), value)
    assert found.to_bytes() == encode(value)
    assert found.is_null == (value is None)
    assert found.is_map == isinstance(value, dict)
    assert found.boolean() is (value if isinstance(value, bool) else None)
    assert found.address() == (value if isinstance(value, Address) else None)
    assert found.text() == (value if isinstance(value, str) else None)
    blob = found.blob()
    assert (None if blob is None else bytes(blob)) == (value if isinstance(value, bytes) else None)
    for below in (1, 3, 1 << 64, 1 << 256):
        natural = type(value) is int and 0 <= value < below
        assert found.natural(below) == (value if natural else None)
    elements, entries = found.elements(), found.entries()
    assert (elements is None, entries is None) == (not isinstance(value, list), not isinstance(value, dict))
    for part, inner in zip(elements or (), value if isinstance(value, list) else (), strict=True):
        compare_parts(part, inner)
    for (key, part), (expected, inner) in zip(
        entries or (), value.items() if isinstance(value, dict) else (), strict=True
    ):
        assert key == expected
        compare_parts(part, inner)


@BOUNDED
@given(values)
def test_every_value_is_found_with_all_of_its_parts(value: Any) -> None:
    compare(encode(value))


@BOUNDED
@given(st.binary(max_size=60))
def test_arbitrary_bytes(data: bytes) -> None:
    compare(data)


@BOUNDED
@given(values, st.randoms(use_true_random=False))
def test_damaged_encodings(value: Any, chance: random.Random) -> None:
    data = bytearray(encode(value))
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(3):
            case 0:
                data[at : at + 1] = bytes([chance.choice((0, 1, 3, 5, 6, 0x80, 0xFF, chance.randrange(256)))])
            case 1:
                del data[at : at + chance.randrange(1, 4)]
            case 2:
                data[at:at] = chance.randbytes(chance.randrange(1, 3))
    compare(bytes(data))


#: A text that is longer than what is checked at once, with a character across the border.
LONG = "a" * 65_535 + "€" * 30_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\x80\x00",
        b"\x86\x00\x06Return\x00",
        b"\x0e\x06Return",
        b"\x0e\x06Return\x00\x00",
        b"\x0e\x86\x00Return\x00",
        b"\x16\x01b\x00\x01a\x00",
        b"\x16\x01a\x00\x01a\x00",
        b"\x0e\x01\xff\x00",
        b"\x0e\x02\xc3\x28\x00",
        b"\x16\x03\xed\xa0\x80\x00\x01a\x00",
        b"\x0c\xff",
        b"\x1c\xed\xa0\x80",
        b"\x18" + bytes(19),
        b"\x18" + bytes(20),
        b"\x18" + bytes(21),
        b"\x07",
        b"\x20",
        b"\x98\x01",
        b"\xfb" + b"\xff" * 200 + b"\x01",
        b"\xf9" + b"\xff" * 200 + b"\x01",
        b"\xf9" + b"\xff" * 200 + b"\x00",
        b"\xf9" + b"\xff" * 200,
        encode(LONG),
        encode(LONG)[:-1],
        encode(LONG)[:-1] + b"a",
        encode(LONG)[:70_000] + b"\xff" + encode(LONG)[70_001:],
        encode({LONG: 1, LONG + "x": [LONG]}),
        encode({"k": {chr(number): number for number in range(100)}}),
        encode({chr(number): {} for number in range(100)}),
        b"\x0d" * MAX_DEPTH + b"\x00",
        b"\x0d" * MAX_DEPTH + b"\x05",
        b"\x0d" * (MAX_DEPTH + 1) + b"\x00",
        b"\x0e\x00" * MAX_DEPTH + b"\x06",
        b"\x0e\x00" * (MAX_DEPTH + 1) + b"\x00",
        b"\x0e\x00" * MAX_DEPTH + b"\x0d\x00",
    ],
    ids=lambda data: f"{len(data)} bytes {data[:8].hex()}",
)
def test_borders(data: bytes) -> None:
    """Some are too deep to be compared by recursion."""
    try:
        decode(data)
        accepted = True
    except ValueError:
        accepted = False
    for buffer in (data, memoryview(bytearray(data))):
        if accepted:
            assert checked(buffer).to_bytes() == data
        else:
            with pytest.raises(ValueError):  # noqa: PT011
                checked(buffer)


def test_the_limit_of_items_is_that_of_all_containers_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A map of one, a map of two and an array take the rest; the same in the decoder."""
    monkeypatch.setattr(calldata, "MAX_ITEMS", 10)
    monkeypatch.setattr("pygenvm.executor.subvm.genlayer_sdk.encoded.MAX_ITEMS", 10)
    data = encode({"Name": {"a": [None] * 4, "b": [None] * 3}})
    assert same(checked(data).decode(), decode(data))
    data = b"\x0e\x04Name\x16\x01a\x25" + bytes(4) + b"\x01b\x25" + bytes(4)
    for read in (decode, checked):
        with pytest.raises(ValueError, match="more than"):
            read(data)


def test_a_view_is_not_copied() -> None:
    content = bytes(100_000)
    memory = bytearray(encode({"Sandbox": {"allow_write_ops": False, "data": content}}))
    ((_, payload),) = checked(memoryview(memory)).entries() or [("", checked(b"\0"))]
    data = dict(payload.entries() or [])["data"]
    blob = data.blob()
    assert isinstance(blob, memoryview)
    memory[-1] = 7
    assert blob[-1] == 7
