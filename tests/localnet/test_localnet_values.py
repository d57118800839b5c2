"""JSON notation of values."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.localnet import limits, values
from pygenvm.localnet.errors import BadValue
from tests.support.properties import examples
from tests.support.quick import few

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**6000), max_value=2**6000)
    | _text
    | st.sampled_from(["$", "$addr", "$$int", "0x00", "0x" + "11" * 20])
    | st.binary(max_size=8)
    | st.binary(min_size=20, max_size=20).map(Address)
)
_keys = _text | st.sampled_from(["$", "$addr", "$$addr", "$bytes", "$$"])
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4), max_leaves=20
)


@examples(200)
@given(_values)
def test_what_is_printed_reads_as_the_same_value(value: Any) -> None:
    text = json.dumps(values.to_json(value))
    assert calldata.encode(values.parse_json(text)) == calldata.encode(value)


def test_deep_values_are_printed_encoded() -> None:
    value: Any = []
    for _ in range(5_000):
        value = [value]
    text = json.dumps(values.to_json(value))
    assert '{"$calldata": "0x0d0d' in text
    assert calldata.encode(values.parse_json(text)) == calldata.encode(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("[true, false]", [True, False]),
        ("115792089237316195423570985008687907853269984665640564039457584007913129639936", 2**256),
        ('{"$int": "-0xff"}', -255),
        ('{"$int": "12"}', 12),
        ('{"$bytes": "0x00ff"}', b"\x00\xff"),
        ('{"$bytes": "00FF"}', b"\x00\xff"),
        ('{"$bytes": ""}', b""),
        ('{"$addr": "0x' + "0a" * 20 + '"}', Address(b"\x0a" * 20)),
        ('{"$$addr": 1, "b": 2}', {"$addr": 1, "b": 2}),
        ('"0x' + "0a" * 20 + '"', "0x" + "0a" * 20),
        ('{"$calldata": "0x10"}', True),
    ],
)
def test_notation(text: str, value: Any) -> None:
    assert values.parse_json(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("[1,]", "not JSON"),
        ("[1] 2", "not JSON"),
        ("1.5", "no fractions"),
        ("1e3", "no fractions"),
        ("NaN", "no fractions"),
        ("-Infinity", "no fractions"),
        ('{"a": 1, "a": 2}', "twice"),
        ('{"$addr": "0x12"}', "not an address"),
        ('{"$addr": 5}', "stands alone"),
        ('{"$addr": "0x' + "0a" * 20 + '", "b": 1}', "stands alone"),
        ('{"$bytes": "0x0"}', "not bytes"),
        ('{"$bytes": "zz"}', "not bytes"),
        ('{"$int": "1.5"}', "not an integer"),
        ('{"$int": ""}', "not an integer"),
        ('{"$nothing": "x"}', "unknown"),
        ('"\\ud800"', "surrogate"),
        ('{"\\ud800": 1}', "surrogate"),
        ('{"$calldata": "0x20"}', "not calldata"),
        ("9" * 5000, "more than 4300"),
        ("[" * 102 + "]" * 102, "deep"),
        ("[" * 100_000, "deep"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadValue, match=reason):
        values.parse_json(text)


def test_long_text_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ARGUMENT_TEXT_BYTES", 10)
    with pytest.raises(BadValue, match="more than 10 characters"):
        values.parse_json(" " * 11)


_ADDRESS = "0x" + "0a" * 20


@pytest.mark.parametrize(
    ("value", "of", "expected"),
    [
        (_ADDRESS, "address", Address(_ADDRESS)),
        (_ADDRESS, "string", _ADDRESS),
        (_ADDRESS, "any", _ADDRESS),
        ("0x00ff", "bytes", b"\x00\xff"),
        ("text", "bytes", "text"),
        ("alice", "address", "alice"),
        (_ADDRESS, {"$or": ["address", "null"]}, Address(_ADDRESS)),
        (_ADDRESS, {"$or": ["address", "string"]}, _ADDRESS),
        (_ADDRESS, {"$or": ["bytes", "address"]}, Address(_ADDRESS)),
        ("0x00", {"$or": ["bytes", "address"]}, b"\x00"),
        ("0x00", {"$or": ["int", "bytes"]}, b"\x00"),
        (None, {"$or": ["address", "null"]}, None),
        ([_ADDRESS], [{"$rep": "address"}], [Address(_ADDRESS)]),
        ([_ADDRESS, "0x00", "0x00"], ["string", {"$rep": "bytes"}], [_ADDRESS, b"\x00", b"\x00"]),
        (["0x00", "0x00"], ["bytes"], [b"\x00", "0x00"]),
        ({"a": "0x00"}, {"$dict": "bytes"}, {"a": b"\x00"}),
        ({"a": "0x00", "b": "0x00"}, {"a": "bytes"}, {"a": b"\x00", "b": "0x00"}),
        (["0x00"], {"$or": [{"$dict": "int"}, [{"$rep": "bytes"}]]}, [b"\x00"]),
        ({"a": "0x00"}, {"$or": ["null", {"$dict": "bytes"}]}, {"a": b"\x00"}),
        (5, "address", 5),
    ],
)
def test_bare_hex_strings_follow_the_schema(value: Any, of: Any, expected: Any) -> None:
    assert values.apply_schema(value, of) == expected


@pytest.mark.parametrize(("value", "of"), [("0x00", "address"), ("0x0", "bytes")])
def test_hex_that_does_not_fit_the_schema(value: str, of: str) -> None:
    with pytest.raises(BadValue):
        values.apply_schema(value, of)


def test_arguments_of_a_call_follow_the_schema() -> None:
    method = {"params": [["a", "string"], ["b", "bytes"]], "kwparams": {"c": "address"}}
    args, kwargs = values.apply_schema_to_call(["0x00", "0x00", "0x00"], {"c": _ADDRESS, "b": "0x01"}, method)
    assert args == ["0x00", b"\x00", "0x00"]
    assert kwargs == {"c": Address(_ADDRESS), "b": b"\x01"}


def test_a_schema_is_only_needed_for_hex_strings() -> None:
    assert not values.may_need_schema(["text", 5, {"0x": b""}])
    assert values.may_need_schema([{"a": ["0x"]}])


def test_depth_does_not_depend_on_what_python_allows() -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    try:
        with pytest.raises(BadValue, match="deep"):
            values.parse_json("[" * 200_000 + "]" * 200_000)
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize("value", few(["[]", "{}", "1", '"a"'], "1"))
def test_so_many_values_are_not_read(value: str) -> None:
    with pytest.raises(BadValue, match="more than 1000000 values"):
        values.parse_json("[" + f"{value}," * limits.ARGUMENT_VALUES + "nonsense")
