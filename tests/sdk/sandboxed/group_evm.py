"""ABI encoding and EVM interfaces (spec sdk/04 §8)."""

# ruff: noqa: PT018  these functions run without pytest

import random
import typing

from harness import equal, fresh, hexs, raises

WORD = "{:064x}".format
ADDRESS = b"0" * 20


def case_names_and_selectors():
    from genlayer import Address, Array, DynArray, bigint, i24, u8, u32, u256
    from genlayer.py import evm
    from genlayer.py.types import SizedArray

    table = {
        u8: "uint8", i24: "int24", u256: "uint256", bool: "bool", Address: "address", evm.bytes32: "bytes32",
        bytes: "bytes", str: "string", list[u8]: "uint8[]", typing.Sequence[str]: "string[]",
        DynArray[bool]: "bool[]", Array[u8, typing.Literal[3]]: "uint8[3]", 
        SizedArray[u8, typing.Literal[2]]: "uint8[2]",
        tuple[u8, str]: "(uint8,string)", tuple[evm.InplaceTuple, u8, list[tuple[u8, bool]]]: "(uint8,(uint8,bool)[])",
    }  # fmt: skip
    for t, name in table.items():
        equal(evm.type_name_of(t), name)
    for t in (int, bigint, float, None, list, tuple):
        raises(TypeError, f"unsupported type `{t}`", evm.type_name_of, t)
    raises(TypeError, "unknown type `dict[str, str]`", evm.type_name_of, dict[str, str])
    raises(TypeError, "array size must be strictly positive", evm.type_name_of, Array[u8, typing.Literal[0]])
    equal(evm.signature_of("foo", tuple[u8, str]), "foo(uint8,string)")
    selectors = {
        ("baz", tuple[u32, bool]): "cdcd77c0",
        ("bar", tuple[Array[evm.bytes3, typing.Literal[2]]]): "fce353f6",
        ("sam", tuple[bytes, bool, list[u256]]): "a5643bf2",
        ("approve", tuple[Address, u256]): "095ea7b3",
        ("foo", tuple[u8, str]): "ac4e7923",
    }
    for (name, params), selector in selectors.items():
        equal(evm.selector_of(name, params).hex(), selector)


def case_encoding():
    from genlayer import Array, u8, u32, u256
    from genlayer.py import evm
    from genlayer.py.evm import InplaceTuple, MethodEncoder, encode

    text = "6162".ljust(64, "0")
    equal(encode(str, "ab").hex(), WORD(32) + WORD(2) + text)
    equal(encode(tuple[u8, str], (1, "ab")).hex(), WORD(32) + WORD(1) + WORD(64) + WORD(2) + text)
    equal(encode(tuple[InplaceTuple, u8, str], (1, "ab")).hex(), WORD(1) + WORD(64) + WORD(2) + text)
    equal(
        MethodEncoder("f", (u8, str), None).encode_call((1, "ab")).hex(),
        "2d51d30b" + WORD(1) + WORD(64) + WORD(2) + text,
    )
    # the examples of the Solidity documentation
    equal(MethodEncoder("baz", (u32, bool), bool).encode_call((69, True)).hex(), "cdcd77c0" + WORD(69) + WORD(1))
    bar = MethodEncoder("bar", (Array[evm.bytes3, typing.Literal[2]],), None).encode_call([[b"abc", b"def"]])
    equal(bar.hex(), "fce353f6" + "616263".ljust(64, "0") + "646566".ljust(64, "0"))
    sam = MethodEncoder("sam", (bytes, bool, list[u256]), None).encode_call((b"dave", True, [1, 2, 3]))
    equal(
        sam.hex(),
        "a5643bf2"
        + WORD(0x60)
        + WORD(1)
        + WORD(0xA0)
        + WORD(4)
        + "64617665".ljust(64, "0")
        + "".join(map(WORD, (3, 1, 2, 3))),
    )
    g = MethodEncoder("g", (list[list[u256]], list[str]), None).encode_call(([[1, 2], [3]], ["one", "two", "three"]))
    equal(g[:4].hex(), "2289b18c")
    words = (0x40, 0x140, 2, 0x40, 0xA0, 2, 1, 2, 1, 3, 3, 0x60, 0xA0, 0xE0)
    tail = "".join(WORD(len(s)) + s.encode().hex().ljust(64, "0") for s in ("one", "two", "three"))
    equal(g[4:].hex(), "".join(map(WORD, words)) + tail)
    # static tuples are in place
    equal(
        encode(tuple[InplaceTuple, tuple[u8, u8], str], ((1, 2), "ab")).hex(),
        WORD(1) + WORD(2) + WORD(0x60) + WORD(2) + text,
    )
    try:
        MethodEncoder("f", (u8,), None).encode_call((1, 2))
    except AssertionError:
        pass
    else:
        raise AssertionError("wrong number of arguments")


def case_ranges():
    from genlayer import Address, i8, u8
    from genlayer.py import evm

    raises(ValueError, "300 is out of range of uint8", evm.encode, u8, 300)
    raises(ValueError, "128 is out of range of int8", evm.encode, i8, 128)
    raises(ValueError, "256 is out of range of uint8", evm.decode, u8, bytes.fromhex(WORD(256)))
    raises(ValueError, "2 is out of range of bool", evm.decode, bool, bytes.fromhex(WORD(2)))
    raises(ValueError, "value is out of range of address", evm.decode, Address, b"\1" + bytes(31))
    raises(ValueError, "value is out of range of bytes3", evm.decode, evm.bytes3, b"abcd" + bytes(28))
    raises(ValueError, "unexpected end of ABI data", evm.decode, u8, bytes(31))
    raises(ValueError, "unexpected end of ABI data", evm.decode, bytes, bytes.fromhex(WORD(32) + WORD(5)) + b"abcd")
    raises(ValueError, "unexpected end of ABI data", evm.decode, list[u8], bytes.fromhex(WORD(32) + WORD(1000)))
    raises(
        ValueError,
        "more than 1048576 items in ABI data",
        evm.decode,
        list[u8],
        bytes.fromhex(WORD(32) + WORD(1 << 200)),
    )
    # each of 1100 elements is the same list of 1000
    bomb = bytes.fromhex(WORD(32) + WORD(1100) + WORD(1100 * 32) * 1100 + WORD(1000) + WORD(0) * 1000)
    raises(ValueError, "more than 1048576 items in ABI data", evm.decode, list[list[u8]], bomb)
    many = bytes.fromhex(WORD(32) + WORD(1 << 21))
    raises(ValueError, "more than 1048576 items in ABI data", evm.decode, list[tuple[()]], many)
    equal(evm.decode(i8, evm.encode(i8, -128)), -128)
    equal(bytes(evm.decode(evm.bytes3, evm.encode(evm.bytes3, b"abc"))), b"abc")
    assert type(evm.decode(evm.bytes3, evm.encode(evm.bytes3, b"abc"))) is memoryview
    raises(AssertionError, "bytes3 needs 3 bytes, got 2", evm.encode, evm.bytes3, b"ab")


def _random_type(rng, depth):
    from genlayer import Address, Array, i16, i256, u8, u256
    from genlayer.py import evm

    leaves = [u8, u256, i16, i256, bool, Address, bytes, str, evm.bytes4]
    kind = rng.randrange(9 if depth else 5)
    if kind < 5:
        return rng.choice(leaves)
    item = _random_type(rng, depth - 1)
    if kind == 5:
        return list[item]
    if kind == 6:
        return Array[item, typing.Literal[rng.randrange(1, 4)]]
    return tuple[tuple(_random_type(rng, depth - 1) for _ in range(rng.randrange(1, 4)))]


def _random_value(rng, t):
    from genlayer import Address, Array

    origin, args = typing.get_origin(t), typing.get_args(t)
    if origin is list:
        return [_random_value(rng, args[0]) for _ in range(rng.randrange(4))]
    if origin is Array:
        return [_random_value(rng, args[0]) for _ in range(typing.get_args(args[1])[0])]
    if origin is tuple:
        return tuple(_random_value(rng, arg) for arg in args)
    if t is bool:
        return rng.random() < 0.5
    if t is Address:
        return Address(rng.randbytes(20))
    if t is bytes:
        return rng.randbytes(rng.randrange(70))
    if t is str:
        return "é" * rng.randrange(30)
    name = t.__name__
    if name.startswith("bytes"):
        return rng.randbytes(int(name[5:]))
    bits = int(name[1:])
    return rng.randrange(2**bits) if name[0] == "u" else rng.randrange(2**bits) - 2 ** (bits - 1)


def _plain(value):
    """For comparison: memoryviews as bytes."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value


def case_round_trip():
    from genlayer.py import evm

    rng = random.Random(3)
    for _ in range(300):
        t = tuple[(evm.InplaceTuple, *(_random_type(rng, 3) for _ in range(rng.randrange(1, 4))))]
        value = tuple(_random_value(rng, arg) for arg in typing.get_args(t)[1:])
        data = evm.encode(t, value)
        equal(len(data) % 32, 0)
        equal(_plain(evm.decode(t, data)), value)
        cut = data[: rng.randrange(len(data))]
        try:
            evm.decode(t, cut)
        except ValueError:
            pass
        else:
            # only the padding of the last string may be missing
            assert len(data) - len(cut) < 32


def case_interface():
    host = fresh()
    from genlayer import Address, gl, u8, u256
    from genlayer.py import calldata

    @gl.evm.contract_interface
    class Declared:
        class View:
            def get(self, a: u8, /) -> str: ...

            def pair(self) -> tuple[gl.evm.InplaceTuple, u8, u8]: ...

        class Write:
            def send(self, a: u256, /): ...

    proxy = Declared(Address(ADDRESS))
    host.answers = [gl.evm.encode(str, "yes"), gl.evm.encode(tuple[u8, u8], (1, 2)), None, None, None]
    equal(proxy.view().get(5), "yes")
    equal(proxy.view().pair(), (1, 2))
    equal(proxy.emit(value=3).send(7), None)
    proxy.emit_transfer(value=4)
    host.balance = 12
    equal((proxy.balance, proxy.address.as_bytes), (12, ADDRESS))
    requests = [calldata.decode(bytes.fromhex(data)) for data in host.requests()]
    selector = gl.evm.selector_of("get", tuple[u8]).hex()
    equal(requests[0]["EthCall"]["calldata"].hex(), selector + WORD(5))
    equal(requests[2]["EthSend"]["value"], 3)
    equal(requests[2]["EthSend"]["calldata"].hex(), gl.evm.selector_of("send", tuple[u256]).hex() + WORD(7))
    equal(
        host.requests()[3],
        "0e0745746853656e641e07616464726573731830303030303030303030303030303030303030300863616c6c64617461030576616c756521",
    )


def case_interface_without_a_vm():
    import sys

    from genlayer.py import evm

    assert "genlayer.gl" not in sys.modules
    equal(evm.contract_interface(type("I", (), {})), None)


def case_bad_declarations():
    from genlayer import gl, u8

    def declare(method):
        class Declared:
            View = type("View", (), {"m": method})

            class Write: ...

        gl.evm.contract_interface(Declared)

    bad = {
        "first parameter must be `self`": lambda this: None,
        "parameter must be positional-only, put `/` after it": lambda self, a: None,
        "default values are not supported": lambda self, a=1, /: None,
        "parameter must be annotated": lambda self, a, /: None,
    }
    for text, method in bad.items():
        notes = raises(AssertionError, text, declare, method)
        equal(notes[-1], "method `m` of `View`")
    declare(lambda self: None)
    assert u8 is not None and hexs("a b") == "ab"
