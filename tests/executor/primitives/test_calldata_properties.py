"""Properties of calldata that hold for every value and every input."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor.primitives.address import Address
from pygenvm.executor.primitives.calldata import DecodingError, decode, encode, to_str
from tests.executor.primitives.plain_uleb import plain_uleb
from tests.support.properties import examples

BOUNDED = examples(200)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
integers = st.one_of(
    st.integers(-300, 300),
    st.integers(),
    st.builds(
        lambda bits, low, sign: sign * ((1 << bits) + low),
        st.integers(0, 900),
        st.integers(-2, 2),
        st.sampled_from([1, -1]),
    ),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    st.binary(max_size=40),
    texts,
    st.binary(min_size=20, max_size=20).map(Address),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(texts, inner, max_size=20),
    max_leaves=40,
)


def same(left: Any, right: Any) -> bool:
    """Equality that tells True from 1."""
    if type(left) is not type(right) or left != right:
        return False
    if isinstance(left, list):
        return all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict):
        return all(same(value, right[key]) for key, value in left.items())
    return True


def plain_encode(value: Any) -> bytes:
    """The format as the table of spec executor/01 writes it, without any of the encoder's shortcuts."""
    if value is None:
        return plain_uleb(0)
    if isinstance(value, bool):
        return plain_uleb((2 if value else 1) << 3)
    if isinstance(value, int):
        return plain_uleb(value << 3 | 1) if value >= 0 else plain_uleb((-value - 1) << 3 | 2)
    if isinstance(value, bytes):
        return plain_uleb(len(value) << 3 | 3) + value
    if isinstance(value, str):
        raw = value.encode()
        return plain_uleb(len(raw) << 3 | 4) + raw
    if isinstance(value, Address):
        return plain_uleb(3 << 3) + value.as_bytes
    if isinstance(value, list):
        return plain_uleb(len(value) << 3 | 5) + b"".join(map(plain_encode, value))
    pairs = sorted((key.encode(), item) for key, item in value.items())
    body = b"".join(plain_uleb(len(key)) + key + plain_encode(item) for key, item in pairs)
    return plain_uleb(len(pairs) << 3 | 6) + body


@BOUNDED
@given(values)
def test_round_trip(value: Any) -> None:
    data = encode(value)
    assert same(decode(data), value)
    assert same(decode(memoryview(bytearray(data))), value)


@BOUNDED
@given(values)
def test_encoder_follows_the_definition(value: Any) -> None:
    assert encode(value) == plain_encode(value)


@BOUNDED
@given(values)
def test_order_of_insertion_does_not_matter(value: Any) -> None:
    def reversed_maps(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: reversed_maps(item[key]) for key in reversed(item)}
        return [reversed_maps(element) for element in item] if isinstance(item, list) else item

    assert encode(reversed_maps(value)) == encode(value)


def assert_canonical(data: bytes) -> None:
    try:
        value = decode(data)
    except (DecodingError, UnicodeDecodeError):
        return
    assert encode(value) == data


@BOUNDED
@given(st.binary(max_size=60))
def test_random_bytes_are_refused_or_canonical(data: bytes) -> None:
    assert_canonical(data)


@BOUNDED
@given(values, st.data())
def test_changed_encodings_are_refused_or_canonical(value: Any, data: st.DataObject) -> None:
    encoded = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    assert_canonical(bytes(encoded))


def test_every_short_input_is_refused_or_canonical() -> None:
    accepted = 0
    for first in range(256):
        for second in range(256):
            assert_canonical(bytes((first, second)))
            try:
                decode(bytes((first, second)))
            except ValueError:
                continue
            accepted += 1
    # 2-byte integers of either sign, one byte, one character, and a one-element array of each one-byte value.
    one_byte_values = 3 + 2 * 16 + 4
    assert accepted == 2 * 16 * 127 + 256 + 128 + one_byte_values


def test_many_random_inputs() -> None:
    source = random.Random(1)
    heads = bytes((0x00, 0x08, 0x10, 0x18, 0x01, 0x0B, 0x0C, 0x0D, 0x15, 0x0E, 0x16, 0x61, 0x81, 0x80))
    for _ in range(20_000):
        assert_canonical(bytes(source.choice(heads) for _ in range(source.randrange(12))))


@BOUNDED
@given(st.integers(1, 400), st.integers(0, 1 << 40))
def test_integers_of_every_length(groups: int, low: int) -> None:
    """Both ways of reading and writing LEB128 meet at the same bytes."""
    for number in ((1 << 7 * groups) - 1, 1 << 7 * groups, (1 << 7 * groups) + low):
        assert encode(number) == plain_encode(number)
        assert encode(-number) == plain_encode(-number)
        assert decode(plain_encode(number)) == number
        assert decode(plain_encode(-number)) == -number


@pytest.mark.parametrize("groups", [(1 << 16) - 1, 1 << 16, (1 << 16) + 1, 1 << 17, (1 << 17) + 9])
def test_integers_that_are_converted_in_pieces(groups: int) -> None:
    source = random.Random(groups)
    for number in ((1 << 7 * groups) - 1, 1 << 7 * groups, source.getrandbits(7 * groups) | 1 << 7 * groups - 1):
        digits = bytearray()
        rest = (number << 3 | 1).to_bytes(groups, "little")
        # Eight groups at a time: the definition, group by group, would take minutes.
        for at in range(0, len(rest), 7):
            part = int.from_bytes(rest[at : at + 7], "little")
            digits += bytes(part >> 7 * group & 0x7F | 0x80 for group in range(8))
        digits = digits.rstrip(b"\x80")
        digits[-1] &= 0x7F
        assert encode(number) == digits
        assert decode(bytes(digits)) == number


@BOUNDED
@given(st.integers(0, 400))
def test_redundant_groups_are_refused(groups: int) -> None:
    data = bytearray(encode(1 << 7 * groups)) + b"\x00"
    data[-2] |= 0x80
    with pytest.raises(DecodingError, match="most significant octet can not be zero"):
        decode(bytes(data))


json_values = st.recursive(
    st.none() | st.booleans() | integers | texts,
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(texts, inner, max_size=8),
    max_leaves=30,
)


@BOUNDED
@given(json_values)
def test_to_str_of_values_without_bytes_is_compact_json(value: Any) -> None:
    assert to_str(value) == json.dumps(value, separators=(",", ":"))
