"""Values of a wrong type in every storage type: class and text of the exception (spec sdk/02).

They are Python's own words, as the descriptions of the types imply them, since contracts catch and authors search them.
"""

import array
import datetime
import struct

from harness import dump, equal, raises
from storage_support import build, one_field


def refused(annotation, kind, text, *values, **names):
    """Each value raises ``kind`` with ``text``, where ``{}`` is the name of its class, before anything is written."""
    R = one_field(annotation, **names)
    for value in values:
        r = R()
        raises(kind, text.replace("{}", type(value).__name__), setattr, r, "x", value)
        equal(dump(r), {})


def accepted(annotation, *pairs):
    """Each value is stored and read as the other one."""
    for value, read in pairs:
        r = one_field(annotation)()
        r.x = value
        equal((type(r.x), r.x), (type(read), read))


def case_sized_integers():
    for annotation in [f"{sign}{bits}" for sign in "ui" for bits in range(8, 257, 8)]:
        refused(annotation, AttributeError, "'{}' object has no attribute 'to_bytes'", "1", 1.5, b"1", None, [1], {})
        refused(annotation, OverflowError, "int too big to convert", 1 << 256)
    refused("u8", OverflowError, "int too big to convert", 256)
    refused("u8", OverflowError, "can't convert negative int to unsigned", -1)
    refused("i8", OverflowError, "int too big to convert", 128, -129)
    accepted("u8", (True, 1), (255, 255))


def case_bigint():
    refused("bigint", AttributeError, "'{}' object has no attribute 'to_bytes'", "1", 1.5, b"1", None, [1], {})
    accepted("bigint", (True, 1))


def case_bool():
    accepted("bool", (0, False), ("no", True), ("", False), (None, False), ([0], True), (2, True))


def case_text():
    refused("str", AttributeError, "'{}' object has no attribute 'encode'", 5, 1.5, b"a", None, ["a"], {}, True)
    text = "'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed"
    refused("str", UnicodeEncodeError, text, "\ud800")


def case_bytes():
    refused("bytes", TypeError, "object of type '{}' has no len()", 5, 1.5, None, True)
    refused("bytes", TypeError, "a bytes-like object is required, not '{}'", "a", [1], (1,), {})
    pairs = memoryview(array.array("H", b"ab"))
    accepted(
        "bytes", *((value, b"ab") for value in (bytearray(b"ab"), memoryview(b"ab"), array.array("B", b"ab"), pairs))
    )


def case_address():
    refused("Address", AttributeError, "'{}' object has no attribute 'as_bytes'", "0x" + "01" * 20, bytes(20), 5, None)


def case_float():
    refused("float", struct.error, "required argument is not a float", "1.5", None, b"1", [1.5])
    accepted("float", (3, 3.0), (True, 1.0))


def case_none():
    refused("None", TypeError, "only None can be stored here, got `{}`", 5, "", False)


def case_datetime():
    values = ("2024-01-01", 5, 1.5, None)
    refused("datetime.datetime", AttributeError, "'{}' object has no attribute 'timestamp'", *values, datetime=datetime)
    text = "'datetime.date' object has no attribute 'timestamp'"
    refused("datetime.datetime", AttributeError, text, datetime.date(2024, 1, 1), datetime=datetime)


def case_dynarray():
    refused("DynArray[u8]", TypeError, "object of type '{}' has no len()", 5, None, iter([1]))
    m = build("@generate_storage\nclass R:\n    x: DynArray[u8]\n    y: DynArray[u16]\n    z: DynArray[str]\n")
    r = m.R()
    raises(TypeError, "incompatible vector type", setattr, r, "x", r.y)
    raises(TypeError, "'set' object is not subscriptable", setattr, r, "x", {1})
    raises(KeyError, "0", setattr, r, "x", {1: 2})
    raises(AttributeError, "'str' object has no attribute 'to_bytes'", setattr, r, "x", "ab")
    raises(AttributeError, "'str' object has no attribute 'to_bytes'", r.x.append, "a")
    raises(AttributeError, "'int' object has no attribute 'encode'", r.z.append, 1)
    raises(AttributeError, "'int' object has no attribute 'encode'", r.z.__setitem__, 0, 1)
    raises(IndexError, "index out of range 10 not in 0..<0", m.R().x.__getitem__, 10)
    raises(TypeError, "'str' object cannot be interpreted as an integer", m.R().x.__getitem__, "0")


def case_array():
    fields = "    x: Array[u8, typing.Literal[2]]\n    y: Array[u8, typing.Literal[3]]\n"
    r = build(f"@generate_storage\nclass R:\n{fields}").R()
    raises(AssertionError, "", setattr, r, "x", [1])
    raises(AssertionError, "", setattr, r, "x", r.y)
    raises(AttributeError, "'tuple' object has no attribute '__type_desc__'", setattr, r, "x", (1, 2))
    raises(AttributeError, "'int' object has no attribute '__type_desc__'", setattr, r, "x", 5)
    raises(AttributeError, "'str' object has no attribute 'to_bytes'", setattr, r, "x", ["a", "b"])
    raises(AttributeError, "'str' object has no attribute 'to_bytes'", r.x.__setitem__, 0, "a")


def case_treemap():
    for value in ({}, [], 5, None):
        text = f"Is right the same storage type? `TreeMap` <- `{type(value).__name__}`"
        refused("TreeMap[str, u8]", AssertionError, text, value)
    r = one_field("TreeMap[str, u8]")()
    raises(AttributeError, "'int' object has no attribute 'encode'", r.x.__setitem__, 5, 1)
    r = one_field("TreeMap[str, u8]")()
    raises(KeyError, "", r.x.__getitem__, 5)
    r.x["a"] = 1
    raises(TypeError, "'<' not supported between instances of 'int' and 'str'", r.x.__getitem__, 5)
    raises(AttributeError, "'str' object has no attribute 'to_bytes'", r.x.__setitem__, "a", "1")
    r = one_field("TreeMap[Address, str]")()
    raises(AttributeError, "'bytes' object has no attribute 'as_bytes'", r.x.__setitem__, bytes(20), "1")


def case_records():
    m = build(
        "import dataclasses\n@allow_storage\n@dataclasses.dataclass\nclass U:\n    a: str\n"
        "class Sub(U): pass\n@generate_storage\nclass R:\n    u: U\n    v: DynArray[U]\n"
    )
    r = m.R()
    for value in ({"a": "b"}, "b", None, 5):
        text = f"Is right the same storage type? `U` <- `{type(value).__name__}`"
        raises(AssertionError, text, setattr, r, "u", value)
        raises(AssertionError, text, r.v.append, value)
    raises(AttributeError, "'int' object has no attribute 'encode'", m.U, 5)
    raises(AttributeError, "'int' object has no attribute 'encode'", setattr, r.u, "a", 5)


def case_vla_and_indirection():
    from genlayer.py.storage import VLA, Indirection

    names = {"Indirection": Indirection, "VLA": VLA}
    r = build("@generate_storage\nclass R:\n    x: Indirection[str]\n    y: Indirection[VLA[u8]]\n", **names).R()
    raises(AttributeError, "'int' object has no attribute 'encode'", r.x.set, 5)
    raises(TypeError, "'int' object is not iterable", r.y.set, 5)
    raises(AttributeError, "'str' object has no attribute 'to_bytes'", r.y.get().append, "a")
    raises(TypeError, "incompatible indirection type", setattr, r, "x", "a")


def case_numpy():
    try:
        import numpy as np
    except ImportError:
        return

    refused("np.uint8", ValueError, "invalid literal for int() with base 10: 'x'", "x", np=np)
    array = "np.ndarray[tuple[typing.Literal[2]], np.dtype[np.uint8]]"
    refused(array, AttributeError, "'{}' object has no attribute 'dtype'", [1, 2], 5, None, np=np)
