"""Calldata against the vectors of spec executor/01 and sdk/01 §5."""

from __future__ import annotations

import dataclasses
import enum
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NewType

import pytest

from pygenvm.executor.primitives import calldata
from pygenvm.executor.primitives.address import Address
from pygenvm.executor.primitives.calldata import CalldataEncodable, DecodingError, decode, encode, to_str

VECTORS: list[tuple[Any, str]] = [
    (None, "00"),
    (False, "08"),
    (True, "10"),
    (0, "01"),
    (1, "09"),
    (15, "79"),
    (16, "8101"),
    (-1, "02"),
    (-16, "7a"),
    (-17, "8201"),
    (127, "f907"),
    (1234567890, "91adc0e524"),
    (2**64 - 1, "f9ffffffffffffffff0f"),
    (2**64, "81808080808080808010"),
    (-(2**64), "faffffffffffffffff0f"),
    (2**256 - 1, "f9" + "ff" * 35 + "7f"),
    (-(2**255), "fa" + "ff" * 35 + "3f"),
    (b"", "03"),
    (b"\x00\xff", "1300ff"),
    (b"\x01\x02", "130102"),
    ("", "04"),
    ("hi", "146869"),
    ("ab", "146162"),
    ("é", "14c3a9"),
    ("\u0416", "14d096"),
    ("\U0001f600", "24f09f9880"),
    ([], "05"),
    ([None, True, [0]], "1d00100d01"),
    ([1, [2]], "15090d11"),
    ({}, "06"),
    ({"a": 1}, "0e016109"),
    (
        {"method": "foo", "args": [1, "x"], "kwargs": {"k": b"\x01"}},
        "1e046172677315090c78066b77617267730e016b0b01066d6574686f641c666f6f",
    ),
    ({"method": "foo", "args": [1, 2]}, "160461726773150911066d6574686f641c666f6f"),
    ({"b": 1, "a": 2, "": 3}, "1e0019016111016209"),
    ({"z": 0, "aa": 1, "a": 2}, "1e01611102616109017a01"),
    ({"\uffff": 1, "\U00010000": 2}, "1603efbfbf0904f090808011"),
    ({"\u00e9": 1, "e": 2}, "1601651102c3a909"),
    ({"b": 1, "a": None, "é": "x", "aa": 2}, "260161000261611101620902c3a90c78"),
    (Address(bytes(range(20))), "18000102030405060708090a0b0c0d0e0f10111213"),
    (Address(bytes(range(1, 21))), "180102030405060708090a0b0c0d0e0f1011121314"),
    (b"\x11" * 16, "8301" + "11" * 16),
    ("x" * 16, "8401" + "78" * 16),
]


@pytest.mark.parametrize(("value", "text"), VECTORS, ids=[text[:40] for _, text in VECTORS])
def test_vector(value: Any, text: str) -> None:
    assert encode(value).hex() == text
    decoded = decode(bytes.fromhex(text))
    assert decoded == value
    assert type(decoded) is type(value)


REJECTED: list[tuple[str, str]] = [
    ("", "unexpected end of memory"),
    ("80", "unexpected end of memory"),
    ("8000", "most significant octet can not be zero"),
    ("8100", "most significant octet can not be zero"),
    ("0000", r"unparsed end b'\x00'... (decoded None)"),
    ("20", "Unknown special 0b100000 0x20"),
    ("f801", "Unknown special 0b11111000 0xf8"),
    ("8002", "Unknown special 0b100000000 0x100"),
    ("07", "invalid type 7"),
    ("0b", "unexpected end of memory"),
    ("0d", "unexpected end of memory"),
    ("16016100016100", "unordered calldata keys: `a` >= `a`"),
    ("16016200016100", "unordered calldata keys: `b` >= `a`"),
    ("1602616100016100", "unordered calldata keys: `aa` >= `a`"),
    ("0e81006100", "most significant octet can not be zero"),
    ("0e0161", "unexpected end of memory"),
    ("0e0561", "unexpected end of memory"),
    ("0e02c3", "unexpected end of memory"),
    ("18" + "01" * 19, "unexpected end of memory"),
    ("838080808001", "unexpected end of memory"),
    ("858080808001", "more than 4194304 items"),
    ("868080808001", "more than 4194304 items"),
    ("8f80808080", "unexpected end of memory"),
    ("81" + "80" * 30, "unexpected end of memory"),
    ("81" + "80" * 30 + "00", "most significant octet can not be zero"),
    ("80" * 30 + "01", "Unknown special"),
    ("151500", "unexpected end of memory"),
    ("8101ff", r"unparsed end b'\xff'... (decoded 16)"),
    ("0d0500", r"unparsed end b'\x00'... (decoded list of length 1)"),
    ("05000102030405", r"unparsed end b'\x00\x01\x02\x03\x04'... (decoded [])"),
    ("f9" + "ff" * 15 + "0100", r"unparsed end b'\x00'... (decoded int of 110 bits)"),
]


@pytest.mark.parametrize(("text", "message"), REJECTED, ids=[text[:40] for text, _ in REJECTED])
def test_rejected(text: str, message: str) -> None:
    with pytest.raises(DecodingError) as caught:
        decode(bytes.fromhex(text))
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["0cff", "14c080", "1ceda080", "0e01ff00", "24f4908080"])
def test_text_must_be_strict_utf8(text: str) -> None:
    with pytest.raises(UnicodeDecodeError):
        decode(bytes.fromhex(text))


def test_every_truncation_of_a_document_is_rejected() -> None:
    data = encode({"a": [1, "text", b"bytes", Address(bytes(20)), 2**70], "long key" * 20: {"x": -3}})
    for size in range(len(data)):
        with pytest.raises(ValueError):  # noqa: PT011 - a cut character is a UnicodeDecodeError
            decode(data[:size])


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_decode_takes_any_buffer(kind: Any) -> None:
    assert decode(kind(bytes.fromhex("1d00100d01"))) == [None, True, [0]]


def test_decode_passes_views_to_memview2bytes() -> None:
    seen: list[memoryview] = []

    def keep(view: memoryview) -> str:
        seen.append(view)
        return "kept"

    assert decode(bytes.fromhex("15031301ff"), memview2bytes=keep) == ["kept", "kept"]
    assert [bytes(view) for view in seen] == [b"", b"\x01\xff"]
    assert decode(b"\x13\x01\x02", memview2bytes=bytearray) == bytearray(b"\x01\x02")


# Encoder rules


class Colour(enum.IntEnum):
    RED = 3


class Name(enum.StrEnum):
    FOO = "foo"


class Pair(NamedTuple):
    left: int
    right: str


class LooseSequence(Sequence[Any]):
    def __init__(self, *items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]


class LooseMapping(Mapping[Any, Any]):
    def __init__(self, items: dict[Any, Any]) -> None:
        self.items_by_key = items

    def __len__(self) -> int:
        return len(self.items_by_key)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items_by_key)

    def __getitem__(self, key: Any) -> Any:
        return self.items_by_key[key]


class SubAddress(Address):
    pass


class SubStr(str):
    def __str__(self) -> str:
        return "something else"


@dataclasses.dataclass
class Point:
    y: int
    x: Any
    shared: ClassVar[int] = 7


class Wrapped(CalldataEncodable):
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __to_calldata__(self) -> Any:
        return self.inner


class Registered:
    def __to_calldata__(self) -> Any:
        return {"registered": True}


CalldataEncodable.register(Registered)

U8 = NewType("U8", int)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Colour.RED, 3),
        (U8(300), 300),
        (Name.FOO, "foo"),
        (SubStr("abc"), "abc"),
        ({Name.FOO: Name.FOO}, {"foo": "foo"}),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        (memoryview(b"xaxb")[1::2], b"ab"),
        ((1, 2), [1, 2]),
        (range(3), [0, 1, 2]),
        (Pair(1, "r"), [1, "r"]),
        (LooseSequence(1, LooseSequence()), [1, []]),
        (LooseMapping({"b": 1, "a": LooseMapping({})}), {"a": {}, "b": 1}),
        (SubAddress(bytes(20)), Address(bytes(20))),
        (Point(1, [Point(2, None)]), {"x": [{"x": None, "y": 2}], "y": 1}),
        (Wrapped([Wrapped(1)]), [1]),
        (Registered(), {"registered": True}),
        ([True, 1, False, 0], [True, 1, False, 0]),
    ],
)
def test_encodes_like(value: Any, plain: Any) -> None:
    assert encode(value) == encode(plain)
    decoded = decode(encode(value))
    assert decoded == plain
    assert encode(decoded) == encode(value)


def test_to_calldata_is_applied_once_only() -> None:
    with pytest.raises(TypeError, match=r"^not calldata encodable <.*Wrapped.*>: Wrapped$"):
        encode(Wrapped(Wrapped(1)))
    with pytest.raises(TypeError, match=r"^not calldata encodable Point"):
        encode(Wrapped(Point(1, 2)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.5, "not calldata encodable 1.5: float"),
        ({1}, "not calldata encodable {1}: set"),
        (Point, f"not calldata encodable <class '{Point.__module__}.Point'>: type"),
    ],
)
def test_not_encodable(value: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        encode(value)
    assert str(caught.value) == message
    assert not hasattr(caught.value, "__notes__")


def test_notes_name_the_keys_innermost_first() -> None:
    with pytest.raises(TypeError) as caught:
        encode({"Return": [{"ok": 1, "inner": 1.5}]})
    assert caught.value.__notes__ == ["key 'inner'", "key 'Return'"]


def test_keys_must_be_strings() -> None:
    with pytest.raises(TypeError) as caught:
        encode({"a": {1: 2}})
    assert str(caught.value) == "key is not string int"
    assert caught.value.__notes__ == ["key 1", "key 'a'"]
    with pytest.raises(TypeError, match="not supported between") as mixed:
        encode({"a": {1: 2, "b": 3}})
    assert mixed.value.__notes__ == ["key 'a'"]


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode("\ud800")
    with pytest.raises(UnicodeEncodeError) as caught:
        encode({"\ud800": 1})
    assert caught.value.__notes__ == [r"key '\ud800'"]


def test_own_default_replaces_the_dataclass_rule() -> None:
    assert encode(Point(1, 2), default=lambda v: v.y if isinstance(v, Point) else v) == encode(1)
    with pytest.raises(TypeError, match="not calldata encodable Point"):
        encode(Point(1, 2), default=lambda v: v)


def test_own_default_sees_every_value_but_no_key() -> None:
    seen: list[Any] = []

    def default(value: Any) -> Any:
        seen.append(value)
        return len(value) if isinstance(value, set) else value

    assert encode({"k": [None, {1, 2}]}, default=default) == encode({"k": [None, 2]})
    assert seen == [{"k": [None, {1, 2}]}, [None, {1, 2}], None, {1, 2}]


# Limits


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def depth_of(value: Any) -> int:
    depth = 0
    while isinstance(value, list | dict):
        value = value[0] if isinstance(value, list) else value["k"]
        depth += 1
    return depth


def test_depth_limit() -> None:
    deepest = b"\x0d" * calldata.MAX_DEPTH + b"\x01"
    assert depth_of(decode(deepest)) == calldata.MAX_DEPTH
    assert encode(nested(calldata.MAX_DEPTH)) == deepest
    assert to_str(nested(calldata.MAX_DEPTH)) == "[" * calldata.MAX_DEPTH + "0" + "]" * calldata.MAX_DEPTH
    with pytest.raises(DecodingError, match="nested more than 10000 levels deep"):
        decode(b"\x0d" + deepest)
    with pytest.raises(ValueError, match="nested more than 10000 levels deep"):
        encode(nested(calldata.MAX_DEPTH + 1))
    with pytest.raises(DecodingError, match="nested more than 10000 levels deep"):
        to_str(nested(calldata.MAX_DEPTH + 1))


def test_depth_limit_counts_maps() -> None:
    assert depth_of(decode(b"\x0e\x01k" * calldata.MAX_DEPTH + b"\x01")) == calldata.MAX_DEPTH
    with pytest.raises(DecodingError, match="levels deep"):
        decode(b"\x0e\x01k" * (calldata.MAX_DEPTH + 1) + b"\x01")


def test_cycles_are_refused() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(ValueError, match="levels deep"):
        encode(cycle)
    with pytest.raises(DecodingError, match="levels deep"):
        to_str(cycle)


def test_item_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calldata, "MAX_ITEMS", 4)
    assert decode(encode([1, [2, 3]])) == [1, [2, 3]]
    for value in ([1, [2, 3, 4]], {"a": 1, "b": [1, 2, 3]}, range(5), LooseMapping(dict.fromkeys("abcde"))):
        with pytest.raises(ValueError, match="more than 4 items"):
            encode(value)
    for data in (b"\x15\x01\x1d\x01\x01\x01", b"\x16\x01a\x01\x01b\x1d\x01\x01\x01"):
        with pytest.raises(DecodingError, match="more than 4 items"):
            decode(data)


def test_length_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calldata, "MAX_LENGTH", 200)
    for fitting in ("x" * 200, b"x" * 200, {"x" * 200: 1}):
        assert decode(encode(fitting)) == fitting
    for value in ("x" * 201, b"x" * 201, {"x" * 201: 1}):
        with pytest.raises(ValueError, match="more than 200 bytes"):
            encode(value)
    for data in (b"\x8c\x0d" + b"x" * 201, b"\x8b\x0d" + b"x" * 201, b"\x0e\xc9\x01" + b"x" * 201 + b"\x01"):
        with pytest.raises(DecodingError, match="unexpected end"):
            decode(data)


def test_integers_of_a_megabyte() -> None:
    value = int.from_bytes(bytes(range(1, 251)) * 4200, "little")
    for number in (value, -value, 1 << 8_000_000):
        data = encode(number)
        assert decode(data) == number
        assert len(data) == (abs(number).bit_length() + 3 + 6) // 7


# Text


def test_to_str() -> None:
    value = {
        "b": [None, True, False, -5, 'é"\n'],
        "a": b"\x00\xff",
        "addr": Address(bytes(range(20))),
        "nested": {"x": {}, "y": [], "z": ((1,), bytearray(b"a"), memoryview(b"b"))},
    }
    assert to_str(value) == (
        '{"b":[null,true,false,-5,"\\u00e9\\"\\n"],"a":b#00ff,"addr":addr#000102030405060708090a0b0c0d0e0f10111213,'
        '"nested":{"x":{},"y":[],"z":[[1],b#61,b#62]}}'
    )
    assert to_str([Colour.RED, {}, []]) == "[3,{},[]]"
    assert to_str([[1, 2], {"a": 1}, 3]) == '[[1,2],{"a":1},3]'


@pytest.mark.parametrize("value", [1.5, {1}, Point(1, 2), [1, 1.5], {"a": object}, {1: 2}])
def test_to_str_refuses(value: Any) -> None:
    with pytest.raises(DecodingError, match=r"^can't encode .* to calldata$"):
        to_str(value)


# Use inside the sandbox


def test_the_codec_works_as_part_of_another_package(tmp_path: Path) -> None:
    package = tmp_path / "shipped"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for name in ("address", "keccak", "uleb", "calldata"):
        source = Path(calldata.__file__).with_name(f"{name}.py")
        (package / source.name).write_bytes(source.read_bytes())
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from shipped import calldata, address\n"
        "value = calldata.decode(bytes.fromhex('0e016118' + '01' * 20))\n"
        "assert value == {'a': address.Address(b'\\1' * 20)}\n"
        "print(calldata.to_str(value), value['a'].as_hex, 'executor' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    ones = "01" * 20
    assert done.stdout == f'{{"a":addr#{ones}}} {Address(bytes.fromhex(ones)).as_hex} False\n'
