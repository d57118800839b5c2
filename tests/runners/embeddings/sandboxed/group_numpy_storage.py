"""Numbers and arrays of numpy in storage (spec sdk/02 §7)."""

import typing

import dumps
import numpy as np
from genlayer import DynArray, TreeMap, u8
from genlayer.py.storage import ROOT_SLOT_ID, InmemManager, allow_storage
from genlayer.py.storage._internal.generate import _known_descs, generate_storage

Square = np.ndarray[tuple[typing.Literal[2], typing.Literal[2]], np.dtype[np.int16]]


def record(**fields):
    """A record with these fields, in memory, and its bytes."""
    cls = generate_storage(type("Record", (), {"__annotations__": fields}))
    slot = InmemManager().get_store_slot(ROOT_SLOT_ID)
    desc = _known_descs[cls]
    return desc.get(slot, 0), lambda: slot.read(0, desc.size).hex()


def case_example():
    stored, content = record(a=np.float32, b=Square)
    stored.a = 1.5
    stored.b = np.array([[1, 2], [3, -4]], np.int16)
    assert content() == "0000c03f" + "010002000300fcff"
    assert (stored.a, type(stored.a)) == (np.float32(1.5), np.float32)
    assert stored.b.tolist() == [[1, 2], [3, -4]]


def case_scalars():
    kinds = [np.dtype(f"{sign}int{bits}").type for sign in ("", "u") for bits in (8, 16, 32, 64)]
    for kind in (*kinds, np.float32, np.float64):
        stored, content = record(x=kind)
        assert stored.x == 0
        value = kind(-3) if np.dtype(kind).kind != "u" else kind(250)
        stored.x = value
        assert (stored.x, type(stored.x), content()) == (value, kind, value.tobytes().hex())
    stored, _ = record(x=np.uint8)
    dumps.raises(OverflowError, lambda: setattr(stored, "x", 256))


def case_refused_types():
    for kind in (np.bool_, np.float16, np.complex64):
        text = dumps.raises(TypeError, lambda kind=kind: record(x=kind))
        assert "class is not marked for usage within storage" in text, text


def case_arrays():
    stored, content = record(before=u8, x=Square, after=u8)
    stored.before = stored.after = 255
    assert stored.x.tolist() == [[0, 0], [0, 0]]
    copy = stored.x
    copy[0, 0] = 7
    assert stored.x.tolist() == [[0, 0], [0, 0]], "what was read is a copy"
    stored.x = np.array([[1, 2], [3, 4]], np.int16, order="F")
    assert content() == "ff" + "0100020003000400" + "ff"
    stored.x = np.arange(4, dtype=np.int16)
    assert stored.x.tolist() == [[0, 1], [2, 3]], "only the number of bytes counts"


def case_wrong_arrays():
    stored, content = record(x=Square)
    dumps.raises(AssertionError, lambda: setattr(stored, "x", np.zeros((2, 2), np.int32)))
    dumps.raises(AssertionError, lambda: setattr(stored, "x", np.zeros((2, 2), ">i2")))
    text = dumps.raises(AssertionError, lambda: setattr(stored, "x", np.zeros(5, np.int16)))
    assert text == "invalid len 10 vs expected 8"
    assert content() == "00" * 8


def case_nan_keeps_its_bits():
    stored, content = record(x=np.ndarray[tuple[typing.Literal[2]], np.dtype[np.float32]])
    stored.x = np.frombuffer(bytes.fromhex("0100c07f010080ff"), np.float32)
    assert content() == "0100c07f010080ff"
    assert stored.x.tobytes().hex() == content()


def case_in_containers():
    stored, _ = record(rows=DynArray[Square], named=TreeMap[str, np.float64], each=DynArray[np.uint16])
    stored.rows.append(np.ones((2, 2), np.int16))
    stored.rows.append(np.full((2, 2), 7, np.int16))
    stored.named["pi"] = 3.25
    stored.each.extend([1, 2, 65535])
    assert [row.sum() for row in stored.rows] == [4, 28]
    assert stored.named["pi"] == 3.25
    assert list(stored.each) == [1, 2, 65535]
    assert type(stored.each[1]) is np.uint16


S = typing.TypeVar("S")
T = typing.TypeVar("T")


@allow_storage
class Holder(typing.Generic[S, T]):
    key: np.ndarray[tuple[S], np.dtype[T]]


def case_generic_shapes():
    stored, content = record(x=Holder[typing.Literal[3], np.uint8])
    stored.x.key = np.array([1, 2, 3], np.uint8)
    assert content() == "010203"
