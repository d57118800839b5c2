"""Address against spec sdk/01 §4.2."""

from __future__ import annotations

import binascii
import copy
import pickle
from typing import Any

import pytest

from pygenvm.executor.primitives.address import Address

RAW = bytes.fromhex("5b38da6a701c568545dcfcb03fcb875f56beddc4")
HEX = "0x5B38Da6a701c568545dCfcB03FcB875f56beddC4"
B64 = "WzjaanAcVoVF3PywP8uHX1a+3cQ="


@pytest.mark.parametrize("val", [RAW, bytearray(RAW), memoryview(RAW), list(RAW), HEX, HEX.lower(), B64])
def test_forms_of_one_address(val: Any) -> None:
    address = Address(val)
    assert address.as_bytes == RAW
    assert type(address.as_bytes) is bytes
    assert address == Address(RAW)
    assert hash(address) == hash(RAW)


def test_renderings() -> None:
    address = Address(RAW)
    assert Address.SIZE == 20
    assert address.as_hex == HEX
    assert address.as_hex is address.as_hex
    assert address.as_b64 == B64
    assert address.as_int == 1123907236495940146162314350759402901750813440091
    assert str(address) == HEX
    assert repr(address) == f'Address("{HEX}")'
    assert f"{address}" == f'Address("{HEX}")'
    assert f"{address!s}" == f"{address:s}" == f"{address:x}" == HEX
    assert f"{address:b64}" == B64
    assert f"{address:cd}" == "addr#5b38da6a701c568545dcfcb03fcb875f56beddc4"
    with pytest.raises(TypeError) as caught:
        format(address, "q")
    assert str(caught.value) == "unsupported format 'q'"


@pytest.mark.parametrize(
    "text",
    [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    ],
)
def test_checksum_case(text: str) -> None:
    assert Address(text.lower()).as_hex == text


@pytest.mark.parametrize(
    "val",
    ["", "0x", "0x00", "a" * 20, HEX[2:], HEX + "00", bytes(19), bytes(21), b"", "AAAAAAAAAAAAAAAAAAAAAAAAAA=="],
)
def test_not_20_bytes(val: Any) -> None:
    with pytest.raises(Exception, match=r"^invalid address ") as caught:
        Address(val)
    assert type(caught.value) is Exception
    assert str(caught.value) == f"invalid address {val}"


def test_other_refusals() -> None:
    with pytest.raises(ValueError, match="non-hexadecimal"):
        Address("0x" + "g" * 40)
    with pytest.raises(binascii.Error):
        Address("0X" + HEX[2:])
    with pytest.raises(binascii.Error):
        Address(B64[:-1])
    with pytest.raises(TypeError):
        Address(Address(RAW))  # type: ignore[arg-type]


def test_equality_and_order() -> None:
    low, high = Address(b"\1" + bytes(19)), Address(b"\1" + bytes(18) + b"\1")
    assert low < high
    assert low <= high
    assert low <= Address(low.as_bytes)
    assert high > low
    assert high >= low
    assert not low > high
    assert not low >= high
    assert not high < low
    assert not high <= low
    assert low != high
    assert low != low.as_bytes
    assert low != low.as_hex
    assert sorted([high, low]) == [low, high]
    for compare in ("__lt__", "__le__", "__gt__", "__ge__"):
        with pytest.raises(AssertionError):
            getattr(low, compare)(low.as_bytes)


def test_copies_are_equal() -> None:
    address = Address(RAW)
    assert copy.deepcopy(address) == address
    assert pickle.loads(pickle.dumps(address)) == address
    with pytest.raises(AttributeError):
        address.extra = 1  # type: ignore[attr-defined]
