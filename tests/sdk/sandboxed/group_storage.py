"""Bytes of every storage type (spec sdk/02)."""

# ruff: noqa: PT017, PT018  these functions run without pytest

import random

from harness import dump, equal, hexs, raises, start
from storage_program import DIGESTS, ODD_DIGEST, ODD_TOLD, ROUNDS, SOURCE, digest, told_digest
from storage_support import IND, ROOT, STAR, build, one_field
from tool_storage import ToolManager, ToolSlot


def case_indirect_slots():
    from genlayer.py.storage import ROOT_SLOT_ID
    from genlayer.py.storage._internal.core import InmemManager

    root = InmemManager().get_store_slot(ROOT_SLOT_ID)
    equal({off: root.indirect(off).id.hex() for off in IND}, IND)
    equal(repr(root.indirect(0)), f"Slot({IND[0]})")
    assert root == root.manager.get_store_slot(bytes(32)) and root != InmemManager().get_store_slot(bytes(32))
    equal(hash(root), hash(bytes(32)))
    equal(root.indirect(1).as_int(), 104719743780096590577697194990451901900258198514698274453690604555695722573537)


def case_worked_example_1():
    m = build(
        """
@generate_storage
class A:
    a: u8
    b: u256
    c: i16
    d: bool
    e: Address
    f: str
    g: bytes
    h: bigint
    n: None
    fl: float
    i: u24
"""
    )
    from genlayer.py.storage._internal.generate import _known_descs
    from genlayer.py.types import Address

    desc = _known_descs[m.A]
    equal(desc.size, 79)
    offsets = {name: off for name, (_, off) in desc.props.items()}
    equal(offsets, {"a": 0, "b": 1, "c": 33, "d": 35, "e": 36, "f": 56, "g": 60, "h": 64, "n": 68, "fl": 68, "i": 76})
    x = m.A()
    empty = (0, 0, 0, False, Address(bytes(20)), "", b"", 0, None, 0.0, 0)
    equal(tuple(getattr(x, name) for name in offsets), empty)
    values = (7, 2**255 + 1, -2, True, Address(bytes(range(20))), "hé", b"\1\2", -1, None, 0.5, 0x010203)
    for name, value in zip(offsets, values, strict=True):
        setattr(x, name, value)
    equal(tuple(getattr(x, name) for name in offsets), values)
    equal(
        dump(x),
        {
            ROOT: hexs(
                "07 0100000000000000000000000000000000000000000000000000000000000080 feff 01"
                "000102030405060708090a0b0c0d0e0f10111213 03000000 02000000 03000000 000000000000e03f 030201"
            ),
            "22f81203de506ac8ffced10d2419e5cfc4e6d2e2ec1ce7573d0bed676874a12c": "68c3a9",
            "333f2f51261ac126e3c67af0c7bc4c66024b097e2188f3f585baf5c10cdaeab3": "0102",
            "0b7d6e97c3dc329d0971297328b235987b2a52cc717dc7203d4401761b074ff1": "ffffff",
        },
    )


def case_shorter_text_leaves_the_rest():
    x = one_field("str")()
    x.x = "abcdef"
    x.x = "x"
    equal(dump(x), {ROOT: "01000000", IND[0]: "786263646566"})
    equal(x.x, "x")


def case_bigint_bytes():
    expected = {
        0: "0000", 1: "010000", -1: "ffffff", 127: "7f0000", 128: "800000", 255: "ff0000", 256: "00010000",
        -128: "80ffff", -129: "7fffff", 2**64: "0000000000000000010000", -(2**64): "0000000000000000ffffff",
    }  # fmt: skip
    R = one_field("bigint")
    for value, data in expected.items():
        x = R()
        x.x = value
        equal((value, dump(x)[IND[0]]), (value, data))
        equal(x.x, value)


def case_integer_ranges():
    for bits in range(8, 257, 8):
        for signed, limits in ((False, (0, 2**bits - 1)), (True, (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))):
            x = one_field(f"{'i' if signed else 'u'}{bits}")()
            for value in (*limits, 1):
                x.x = value
                equal(x.x, value)
                equal(dump(x)[ROOT], value.to_bytes(bits // 8, "little", signed=signed).hex())
            raises(OverflowError, "int too big to convert", setattr, x, "x", limits[1] + 1)
    raises(OverflowError, "can't convert negative int to unsigned", setattr, one_field("u8")(), "x", -1)


def case_datetime():
    import datetime

    R = one_field("datetime.datetime", datetime=datetime)
    x = R()
    equal(x.x, datetime.datetime(1970, 1, 1))
    assert x.x.tzinfo is None
    when = datetime.datetime(2024, 11, 26, 6, 42, 42, 424242)
    x.x = when.replace(tzinfo=datetime.UTC)
    equal(dump(x)[ROOT], hexs("e26d456700000000 32790600 01 00000000 00000000 00000000"))
    equal((x.x, x.x.utcoffset()), (when.replace(tzinfo=datetime.UTC), datetime.timedelta(0)))
    west = when.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-4)))
    x.x = west
    equal(dump(x)[ROOT], hexs("22a6456700000000 32790600 01 ffffffff 40190100 00000000"))
    equal((x.x, x.x.utcoffset()), (west, datetime.timedelta(hours=-4)))
    x.x = when
    equal((x.x, x.x.tzinfo), (when, None))
    equal(dump(x)[ROOT][26:], "ffffffff4019010000000000")
    raises(
        OverflowError,
        "can't convert negative int to unsigned",
        setattr,
        x,
        "x",
        datetime.datetime(1960, 1, 1, tzinfo=datetime.UTC),
    )


def case_field_order():
    m = build(
        """
@allow_storage
class In:
    p: u8
    q: str
@generate_storage
class In2(In):
    r: u16
@generate_storage
class Again(In):
    r: u16
    p: u32
    c: typing.ClassVar[int] = 5
    s: 'DynArray[u8]'
"""
    )
    from genlayer.py.storage._internal.generate import _known_descs

    def offsets(cls):
        return {name: off for name, (_, off) in _known_descs[cls].props.items()}

    equal((offsets(m.In2), _known_descs[m.In2].size), ({"p": 0, "q": 1, "r": 5}, 7))
    equal((offsets(m.Again), _known_descs[m.Again].size), ({"p": 0, "q": 4, "r": 8, "s": 10}, 14))


def case_dynarray_layout():
    m = build(
        """
@generate_storage
class R:
    x: DynArray[u16]
    y: DynArray[str]
    z: Array[u16, typing.Literal[3]]
"""
    )
    r = m.R()
    r.x = [1, 0x203]
    r.y = ["ab", "c"]
    r.z[1] = 9
    equal(
        dump(r),
        {
            ROOT: hexs("02000000 02000000 0000 0900"),
            IND[0]: hexs("0100 0302"),
            IND[4]: hexs("02000000 01000000"),
            "bbd766d3072481eb4e6fc4af8800b0d3ccbec04601bfa1ef7943617ad1005c5d": "6162",
            "fe2c86ac6a5ce3d3fe7b37d14fea8a2440170c06e99ce0d91c53d59edbf07030": "63",
        },
    )
    equal(repr(r.x), "[1,515]")


def case_dynarray_semantics():
    m = build("@generate_storage\nclass R:\n    x: DynArray[u32]\n    y: DynArray[u32]\n    z: DynArray[u8]\n")
    from genlayer.py.storage import DynArray

    r = m.R()
    raises(TypeError, "this class can't be instantiated by user", DynArray)
    r.x = (1, 2, 3)
    raises(IndexError, "index out of range 10 not in 0..<3", lambda: r.x[10])
    raises(IndexError, "index out of range -4 not in 0..<3", lambda: r.x[-4])
    equal((r.x[-1], r.x[0:2], r.x[::-1]), (3, [1, 2], [3, 2, 1]))
    assert type(r.x[0:2]) is list
    equal(r.x.pop(), 3)
    equal(r.x.pop(0), 1)
    equal(list(r.x), [2])
    r.x.clear()
    raises(Exception, "can't pop from empty array", r.x.pop)
    r.x.insert(0, 5)
    r.x.insert(1, 7)
    r.x.insert(-1, 6)
    equal(list(r.x), [5, 6, 7])
    raises(IndexError, "index out of range 9 not in 0..<3", r.x.insert, 9, 1)
    r.x.remove(6)
    equal(list(r.x), [5, 7])
    r.x += [8, 9]
    r.x.reverse()
    equal(
        (list(r.x), list(reversed(r.x)), 8 in r.x, r.x.index(8), r.x.count(9)), ([9, 8, 7, 5], [5, 7, 8, 9], True, 1, 1)
    )
    r.y = r.x
    equal(list(r.y), [9, 8, 7, 5])
    assert r.y != r.x and r.x != r.x
    raises(TypeError, "incompatible vector type", setattr, r, "z", r.x)
    raises(
        ValueError,
        "attempt to assign sequence of size 1 to extended slice of size 2",
        r.x.__setitem__,
        slice(None, None, 2),
        [0],
    )
    r.x.clear()
    equal((len(r.x), list(r.x)), (0, []))
    # old bytes resurface
    equal(r.x.append_new_get(), 9)


def case_dynarray_append_order():
    source = STAR + "class C(gl.Contract):\n  x: DynArray[u16]\n  @gl.public.write\n  def m(self): self.x.append(5)\n"
    log = start(source, {"method": "m"}).host.log
    equal(
        log[:3],
        [("read", IND[0], 0, 4), ("write", IND[0], 0, "01000000"), ("write", log[2][1], 0, "0500")],
    )


def case_dynarray_reads():
    """The length once, an item by itself, and from the second one in 4096 bytes on all of these."""
    from harness import Host

    source = STAR + (
        "class C(gl.Contract):\n  n: u8\n  x: DynArray[u32]\n  y: DynArray[str]\n"
        "  def __init__(self):\n    self.x = list(range(1030))\n    self.y = ['a', 'bb']\n"
        "  @gl.public.write\n  def m(self, order):\n    got = []\n    for i in order:\n"
        "      if i is None: self.n = 1\n      else: got.append(self.x[i])\n    return got\n"
        "  @gl.public.view\n  def texts(self): return [self.y[0], self.y[1], self.y[-1], self.y[:]]\n"
        "  @gl.public.write\n  def sandbox(self):\n    got = [self.x[1], self.x[2]]\n"
        "    gl.vm.gl_call.gl_call_generic({'Sandbox': {'data': b'', 'allow_write_ops': True}}, bytes)\n"
        "    return [*got, self.x[3]]\n"
        "  @gl.public.view\n  def all(self):\n    return [sum(self.x[i] for i in range(1030)), self.x.index(1029),\n"
        "      list(reversed(self.x))[0], self.x[1028:]]\n"
    )
    slots = start(source, {}, is_init=True).host.slots
    length = ("read", IND[0], 1, 4)
    items = "c6c82338f048aa88c11d38fdf9b85042435a6944b74b47af8ed4392730955ed9"

    def reads(call):
        outcome = start(source, call, host=Host(slots))
        return outcome.value, [entry for entry in outcome.host.log if entry[0] == "read"]

    def item(i):
        return ("read", items, i * 4, 4)

    first, rest = ("read", items, 0, 4096), ("read", items, 4096, 24)
    equal(reads({"method": "m", "args": [[5]]}), ([5], [length, item(5)]))
    equal(reads({"method": "m", "args": [[5, 3, 4]]}), ([5, 3, 4], [length, item(5), first]))
    equal(
        reads({"method": "m", "args": [[5, 1025, -1, 5]]}),
        ([5, 1025, 1029, 5], [length, item(5), item(1025), rest, item(5)]),
    )
    equal(
        reads({"method": "m", "args": [[1, 2, None, 3, 4]]}),
        ([1, 2, 3, 4], [length, item(1), first, length, item(3), first]),
    )
    # the same place with items of another size
    wide, narrow = one_field("DynArray[u32]"), one_field("DynArray[u8]")
    one = wide()
    one.x = [1, 2, 3]
    other = narrow.__new__(narrow)
    other._storage_slot, other._off, other.__type_desc__ = one._storage_slot, 0, narrow().__type_desc__
    equal([other.x[1], other.x[0], one.x[1], one.x[2], other.x[2]], [0, 1, 2, 3, 0])
    # a sandbox may write, whoever starts it
    equal(reads({"method": "sandbox"}), ([1, 2, 3], [length, item(1), first, length, item(3)]))
    value, log = reads({"method": "all"})
    equal(value, [1029 * 515, 1029, 1029, [1028, 1029]])
    equal(log[:5], [length, item(0), first, item(1024), rest])
    value, log = reads({"method": "texts"})
    equal(value, ["a", "bb", "bb", ["a", "bb"]])
    equal(sum(entry[3] == 8 for entry in log), 1)


def _model_step(rng, view, model, make):
    n = len(model)
    op = rng.randrange(12)
    if op == 0 or n == 0:
        v = make(rng)
        view.append(v)
        model.append(v)
    elif op == 1:
        equal(view.pop(), model.pop())
    elif op == 2:
        i = rng.randrange(-n, n)
        equal(view.pop(i), model.pop(i))
    elif op == 3:
        i = rng.randrange(-n, n + 1)
        v = make(rng)
        view.insert(i, v)
        model.insert(i, v)
    elif op == 4:
        i = rng.randrange(-n, n)
        v = make(rng)
        view[i] = v
        model[i] = v
    elif op == 5:
        part = slice(
            *(rng.choice([None, rng.randrange(-n - 2, n + 3)]) for _ in range(2)), rng.choice([None, 1, 2, 3, -1, -2])
        )
        del view[part]
        del model[part]
    elif op == 6:
        part = slice(rng.choice([None, rng.randrange(-n - 2, n + 3)]), rng.choice([None, rng.randrange(-n - 2, n + 3)]))
        vs = [make(rng) for _ in range(rng.randrange(5))]
        view[part] = vs
        model[part] = vs
    elif op == 7:
        part = slice(None, None, rng.choice([2, 3, -1]))
        vs = [make(rng) for _ in model[part]]
        view[part] = vs
        model[part] = vs
    elif op == 8:
        vs = [make(rng) for _ in range(rng.randrange(4))]
        view.extend(vs)
        model.extend(vs)
    elif op == 9:
        view.reverse()
        model.reverse()
    elif op == 10:
        v = rng.choice(model)
        view.remove(v)
        model.remove(v)
    else:
        part = slice(rng.randrange(-n, n), rng.randrange(-n, n), rng.choice([1, 2, -1]))
        equal(view[part], model[part])
    equal(list(view), model)
    equal(len(view), len(model))


def case_dynarray_like_list():
    makers = {
        "u24": lambda rng: rng.randrange(2**24),
        "str": lambda rng: "q" * rng.randrange(4) + str(rng.randrange(10)),
        "Address": lambda rng: __import__("genlayer").Address(rng.randbytes(20)),
    }
    for seed, (annotation, make) in enumerate(makers.items()):
        rng = random.Random(seed)
        record = one_field(f"DynArray[{annotation}]")()
        model = []
        for _ in range(300):
            _model_step(rng, record.x, model, make)


def case_dynarray_of_records():
    m = build(
        """
import dataclasses
@allow_storage
@dataclasses.dataclass
class U:
    name: str
    tags: DynArray[u8]
@generate_storage
class R:
    users: DynArray[U]
    d: TreeMap[u8, U]
"""
    )
    r = m.R()

    def names():
        return [(u.name, list(u.tags)) for u in r.users]

    for i in range(4):
        r.users.append(m.U(f"user{i}", [i, i + 1]))
    r.users.reverse()
    equal(names(), [("user3", [3, 4]), ("user2", [2, 3]), ("user1", [1, 2]), ("user0", [0, 1])])
    popped = r.users.pop(0)
    r.users.append(m.U("new", []))
    equal((popped.name, list(popped.tags)), ("user3", [3, 4]))
    last = r.users[-1]
    r.users[-1] = m.U("other", [9])
    equal((last.name, list(last.tags)), ("other", [9]))
    del r.users[0]
    equal(names(), [("user1", [1, 2]), ("user0", [0, 1]), ("other", [9])])
    equal(repr(r.users[0]), "U(name='user1', tags=[1,2])")
    assert r.users[0] != r.users[0]
    r.d[1] = r.users[0]
    r.d[2] = m.U("z", [])
    taken = r.d.pop(1)
    r.d[3] = m.U("reuses the node", [])
    equal((taken.name, list(taken.tags)), ("user1", [1, 2]))
    raises(AssertionError, "Is right the same storage type? `U` <- `dict`", r.users.append, {})


def case_array():
    m = build(
        "@generate_storage\nclass R:\n    x: Array[u16, typing.Literal[3]]\n    y: Array[u16, typing.Literal[3]]\n"
        "    e: Array[str, typing.Literal[0]]\n    s: Array[str, typing.Literal[2]]\n"
        "    t: Array[str, typing.Literal[2]]\n"
    )
    from genlayer.py.storage import Array

    raises(TypeError, "this class can not be instantiated by user", Array)
    r = m.R()
    r.x = [1, 2, 3]
    r.y = r.x
    equal(dump(r), {ROOT: "010002000300010002000300"})
    equal((len(r.x), r.x[-1], list(r.x), repr(r.x), len(r.e)), (3, 3, [1, 2, 3], "[1,2,3]", 0))
    part = r.x[1:]
    assert type(part) is Array
    part[0] = 9
    equal((list(part), list(r.x)), ([9, 3], [1, 9, 3]))
    raises(KeyError, "'negative step is not supported'", lambda: r.x[::-1])
    raises(IndexError, "index out of range 3 not in 0..<3", lambda: r.x[3])
    raises(AssertionError, "", setattr, r, "x", [1])
    raises(AttributeError, "'tuple' object has no attribute '__type_desc__'", setattr, r, "x", (1, 2, 3))
    assert not hasattr(r.x, "append")
    r.s = ["a", "bc"]
    r.t = r.s
    r.s[0] = "changed"
    equal(list(r.t), ["a", "bc"])


def case_vla_and_indirection():
    m = build(
        "from genlayer.py.storage import Indirection, VLA\n"
        "@generate_storage\nclass R:\n    x: Indirection[VLA[u8]]\n    y: Indirection[VLA[str]]\n"
        "    z: Indirection[VLA[u8]]\n"
    )
    r = m.R()
    v = r.x.get()
    v.extend(b"abc")
    equal(dump(r), {IND[0]: "03000000616263"})
    v.truncate(1)
    equal((len(v), v[0], list(v)), (1, 97, [97]))
    raises(IndexError, "7 out of range 0..1", lambda: v[7])
    raises(IndexError, "-1 out of range 0..1", lambda: v[-1])
    raises(IndexError, "5 out of range 0..1", v.truncate, 5)
    v.extend([1, 2])
    v[0] = 5
    equal(list(v), [5, 2])
    v.append(6)
    r.z = r.x
    v.truncate()
    equal((list(v), list(r.z.get()), r.x.slot().id.hex()), ([], [5, 2, 6], IND[0]))
    texts = r.y.get()
    texts.extend(["é", "b"])
    equal(list(texts), ["é", "b"])
    equal(dump(r)[IND[1]], "020000000200000001000000")
    try:
        texts.extend(b"ab")
    except AssertionError:
        pass
    else:
        raise AssertionError("bytes were accepted")


TREE = "@generate_storage\nclass R:\n    m: TreeMap[str, u32]\n    k: u8\n"


def case_treemap_worked_example():
    r = build(TREE).R()
    slab, free = IND[4], "264244e161a6ffb830c86947260df88e4b4a794dcbc40611b57d4fab33df5bc5"
    r.m["1"] = 12
    r.m["abc"] = 30
    equal(
        dump(r),
        {
            ROOT: hexs("01000000 02000000"),
            slab: hexs("01000000 0c000000 00000000 02000000 01 | 03000000 1e000000 00000000 00000000 00"),
            "bbd766d3072481eb4e6fc4af8800b0d3ccbec04601bfa1ef7943617ad1005c5d": "31",
            "7b0f471df1b917a85c85fd972b8ab0ba1261b98474791de5bb4435f79fb5c3d2": "616263",
        },
    )
    r.m["0"] = 5
    r.k = 1
    equal(dump(r)[ROOT], hexs("01000000 03000000 00000000 01"))
    node1 = hexs("01000000 0c000000 03000000 02000000 00")
    equal(dump(r)[slab][:34], node1)
    del r.m["1"]
    equal(dump(r)[ROOT], hexs("02000000 03000000 01000000 01"))
    equal(dump(r)[free], "00000000")
    equal(dump(r)[slab][:68], node1 + hexs("03000000 1e000000 03000000 00000000 ff"))
    r.m["zz"] = 1
    equal(dump(r)[ROOT], hexs("02000000 03000000 00000000 01"))
    equal(
        dump(r)[slab][:68],
        hexs("02000000 01000000 00000000 00000000 00 | 03000000 1e000000 03000000 01000000 00"),
    )
    equal(repr(r.m), "{'0':5,'abc':30,'zz':1}")


def _nodes(r):
    import struct

    raw = bytes.fromhex(dump(r)[IND[4]])
    return [struct.unpack_from("<BBIIb", raw, at) for at in range(0, len(raw), 11)]


def case_treemap_seven_nodes():
    r = one_field("TreeMap[u8, u8]")()
    for key in range(1, 8):
        r.x[key] = key * 10
    expected = [
        (1, 10, 0, 0, 0), (2, 20, 1, 3, 0), (3, 30, 0, 0, 0), (4, 40, 2, 6, 0), (5, 50, 0, 0, 0), (6, 60, 5, 7, 0),
        (7, 70, 0, 0, 0),
    ]  # fmt: skip
    equal(dump(r)[ROOT], hexs("04000000 07000000"))
    equal(_nodes(r), expected)
    del r.x[4]
    equal(dump(r)[ROOT], hexs("05000000 07000000 01000000"))
    equal((_nodes(r)[4], _nodes(r)[5]), ((5, 50, 2, 6, 0), (6, 60, 0, 7, 1)))
    del r.x[7]
    equal(dump(r)[ROOT], hexs("05000000 06000000 01000000"))
    equal((_nodes(r)[4], _nodes(r)[5]), ((5, 50, 2, 6, -1), (6, 60, 0, 0, 0)))
    r.x[100] = 1
    equal(dump(r)[ROOT], hexs("05000000 06000000 00000000"))
    equal((_nodes(r)[3], _nodes(r)[5], _nodes(r)[4]), ((100, 1, 0, 0, 0), (6, 60, 0, 4, 1), (5, 50, 2, 6, 0)))


def _check_avl(m):
    """Order, balance factors and lengths of the tree."""

    def height(no, low, high):
        if not no:
            return 0, 0
        _no, key, left_no, right_no, balance = m._load(no)
        assert (low is None or low < key) and (high is None or key < high)
        left, count_left = height(left_no, low, key)
        right, count_right = height(right_no, key, high)
        equal(balance, right - left)
        assert abs(balance) <= 1
        return max(left, right) + 1, count_left + count_right + 1

    equal(height(m._root(), None, None)[1], len(m))


def case_treemap_like_dict():
    for seed, (annotation, make) in enumerate(
        [("TreeMap[u8, u16]", lambda rng: rng.randrange(60)), ("TreeMap[str, u16]", lambda rng: str(rng.randrange(60)))]
    ):
        rng = random.Random(seed)
        r = one_field(annotation)()
        m = r.x
        model = {}
        for _ in range(900):
            key, value = make(rng), rng.randrange(1000)
            op = rng.randrange(8)
            if op < 3:
                m[key] = value
                model[key] = value
            elif op < 5:
                if key in model:
                    del m[key]
                    del model[key]
                else:
                    raises(KeyError, "'key not found'", m.__delitem__, key)
            elif op == 5:
                equal(m.pop(key, None), model.pop(key, None))
            elif op == 6:
                equal(m.get(key, -1), model.get(key, -1))
                equal(key in m, key in model)
            else:
                equal(m.setdefault(key, value), model.setdefault(key, value))
            _check_avl(m)
            equal(len(m), len(model))
        equal(list(m.items()), sorted(model.items()))
        equal(
            (list(m), list(m.keys()), list(m.values())),
            (sorted(model), sorted(model), [model[k] for k in sorted(model)]),
        )
        assert m == model and m != {}
        equal(m.popitem(), min(model.items()))
        m.clear()
        equal((len(m), list(m)), (0, []))
        m.update({make(rng): 1})
        equal(len(m), 1)


def case_treemap_surface():
    r = build(
        "@generate_storage\nclass R:\n    m: TreeMap[u8, DynArray[u8]]\n    s: TreeMap[str, None]\n"
        "    n: TreeMap[u8, TreeMap[u8, u8]]\n"
    ).R()
    raises(KeyError, "", lambda: r.m[1])
    raises(KeyError, "'key not found'", r.m.__delitem__, 1)
    raises(AssertionError, "Is right the same storage type? `TreeMap` <- `dict`", setattr, r, "m", {})
    r.m[1] = [5]
    r.m[2] = []
    del r.m[1]
    # the value of a reused node is not cleared
    equal(list(r.m.get_or_insert_default(7)), [5])
    equal(r.m.compute_if_absent(9, lambda: [1, 2])[1], 2)
    equal(list(r.m.compute_if_absent(9, lambda: [3])), [1, 2])
    r.s["b"] = None
    r.s["a"] = None
    equal(repr(r.s), "{'a':None,'b':None}")
    r.n.get_or_insert_default(1)[2] = 3
    r.n.get_or_insert_default(1)[1] = 4
    equal(repr(r.n), "{1:{1:4,2:3}}")
    r.n[5] = r.n[1]
    r.n[1].clear()
    equal(repr(r.n), "{1:{},5:{1:4,2:3}}")


def case_treemap_large_values():
    r = one_field("TreeMap[u16, Array[u256, typing.Literal[20]]]")()
    rng = random.Random(5)
    keys = list(range(40))
    rng.shuffle(keys)
    for key in keys:
        r.x.get_or_insert_default(key)[3] = key
    _check_avl(r.x)
    equal([(k, v[3]) for k, v in r.x.items()], [(k, k) for k in range(40)])


def case_treemap_written_while_iterated():
    r = one_field("TreeMap[u8, u8]")()
    r.x.update({k: k for k in range(0, 40, 2)})
    seen = []
    for key in r.x:
        seen.append(key)
        if key % 4 == 0:
            del r.x[key]
        elif key < 20:
            r.x[key + 1] = 0
    equal(seen, sorted([*range(0, 40, 2), 3, 7, 11, 15, 19]))
    _check_avl(r.x)
    d = one_field("DynArray[u8]")()
    d.x = [1, 2, 3]
    seen = []
    for i, value in enumerate(d.x):
        seen.append(value)
        if i == 0:
            d.x.append(4)
        if i == 1:
            d.x[2] = 9
        if i == 2:
            d.x.pop()
    equal(seen, [1, 2, 9])


def case_storage_of_outside_tools():
    """Views work on anything that looks like a slot, and notice what is written beside them."""
    from genlayer.py.storage import ROOT_SLOT_ID, Root, Slot
    from genlayer.py.storage._internal.generate import ORIGINAL_INIT_ATTR, _storage_build

    m = build(
        "import dataclasses\n@allow_storage\n@dataclasses.dataclass\nclass P:\n    n: str\n    t: DynArray[u8]\n"
        "@allow_storage\nclass R:\n    x: DynArray[u16]\n    m: TreeMap[u8, P]\n    u: bigint\n"
        "    def __init__(self, first):\n        self.x.append(first)\n"
    )
    for slot_class in (ToolSlot, Slot):
        manager = ToolManager(slot_class)
        desc = _storage_build(m.R, {})
        r = desc.get(manager.get_store_slot(ROOT_SLOT_ID), 0)
        getattr(m.R.__init__, ORIGINAL_INIT_ATTR)(r, 1)
        seen = []
        for value in r.x:
            seen.append(value)
            if value < 5:
                r.x.append(value + 1)
        equal(seen, [1, 2, 3, 4, 5])
        for key in range(6):
            r.m[key] = m.P(f"p{key}", [key])
        seen = []
        for key, value in r.m.items():
            seen.append((key, value.n, list(value.t)))
            if key == 1:
                del r.m[2]
            if key == 3:
                r.m[9] = m.P("nine", [])
        equal(seen, [(k, f"p{k}", [k]) for k in (0, 1, 3, 4, 5)] + [(9, "nine", [])])
        r.u = -5
        del r.x[1:3]
        equal((list(r.x), r.u, sorted(r.m.keys())), ([1, 4, 5], -5, [0, 1, 3, 4, 5, 9]))
        kept, Root.MANAGER = Root.MANAGER, manager
        try:
            assert Root.get().get_contract_instance(m.R).x is not None
            Root.get().code.get().extend(b"new")
        finally:
            Root.MANAGER = kept
        equal(manager.memories[bytes.fromhex(IND[1])], b"\3\0\0\0new")


def _requests(ended):
    return [
        (bytes.fromhex(slot), off, what if kind == "read" else bytes.fromhex(what))
        for kind, slot, off, what in ended.host.log[:-1]
    ]


def case_requests():
    """The same ones in the same order as ever (spec sdk/02 §12)."""
    for seed, expected in DIGESTS.items():
        ended = start(SOURCE, {"method": "operate", "args": [seed, ROUNDS]})
        assert ended.value > ROUNDS / 2
        equal((seed, digest(_requests(ended))), (seed, expected))


def case_requests_of_odd_keys():
    ended = start(SOURCE, {"method": "odd"})
    equal((told_digest(ended.value), digest(_requests(ended))), (ODD_TOLD, ODD_DIGEST))


def case_nested_example():
    m = build(
        """
@allow_storage
class In:
    p: u8
    q: str
@allow_storage
class In2(In):
    r: u16
@generate_storage
class R:
    a: In2
    b: DynArray[In2]
    c: TreeMap[Address, In]
"""
    )
    from genlayer import Address
    from genlayer.py.storage._internal.generate import _known_descs

    def fill(record, *values):
        for name, value in zip(("p", "q", "r"), values, strict=False):
            setattr(record, name, value)
        return record

    r = m.R()
    equal(_known_descs[m.R].size, 23)
    fill(r.a, 1, "q", 3)
    r.b.append(fill(m.In2(), 4, "zz", 6))
    r.c[Address(b"\xaa" * 20)] = fill(m.In(), 9, "k")
    equal(
        dump(r),
        {
            ROOT: hexs("01 01000000 0300 | 01000000 | 01000000 01000000"),
            IND[1]: "71",
            "7edbc1e7383b6c3c6f804656215f5f79ab87fe0f5a616c9ea124ed92a042d7ce": hexs("04 02000000 0600"),
            "2fb7bbbcf885abbdf57ae0b1d75dd5750b3d0e6b4b48d9fe19f146119927dd2c": "7a7a",
            "d5f13096cc4f46b45ece25a3b09acc38a008d5dc01750aea355cb4889a0d7012": "aa" * 20
            + hexs("09 01000000 | 00000000 00000000 00"),
            "67bd9d96160940ff1b94472cee18d917cf26b6d514649d1d2a307f1e93fb23d1": "6b",
        },
    )
    raises(AssertionError, "Is right the same storage type? `In2` <- `In`", setattr, r, "a", fill(m.In(), 1, ""))
    raises(AssertionError, "Is right the same storage type? `In` <- `In2`", r.c.__setitem__, Address(bytes(20)), r.a)


def case_records():
    m = build(
        """
import dataclasses
@allow_storage
@dataclasses.dataclass
class U:
    a: u8 = u8(5)
    b: str = 'x'
@allow_storage
@dataclasses.dataclass(frozen=True)
class F:
    a: u8
@generate_storage
class R:
    u: U
    v: U
    f: F
    plain: u8 = u8(5)
"""
    )
    from genlayer.py.storage._internal.generate import ORIGINAL_INIT_ATTR

    u = m.U()
    equal((u.a, u.b, repr(u), u == m.U(5, "x"), u == m.U(6)), (5, "x", "U(a=5, b='x')", True, False))
    equal(dump(u)[ROOT], "0501000000")
    assert m.U.__init__.__gl_storage_patched__ and callable(getattr(m.U.__init__, ORIGINAL_INIT_ATTR))
    equal(ORIGINAL_INIT_ATTR, "__gl_original_init__")
    r = m.R()
    equal(r.plain, 0)
    r.u = m.U(1, "one")
    view = r.u
    r.v = r.u
    r.u = m.U(2, "two")
    equal((view.b, r.v.b), ("two", "one"))
    r.unknown = 5
    equal(r.unknown, 5)
    r.f = m.F(7)
    equal(r.f.a, 7)
    assert r.u._storage_slot is r._storage_slot and r.v._off == 5 and r.u.__type_desc__.cls is m.U


def case_plain_record_and_instance_made_too_early():
    m = build("@allow_storage\nclass P:\n    a: u8\nearly = P()\n@generate_storage\nclass R:\n    p: P\n")
    p = m.P()
    p.a = 4
    r = m.R()
    r.p = p
    equal(r.p.a, 4)
    raises(AssertionError, "Is right the same storage type? `P` <- `P`", setattr, r, "p", m.early)


def case_generics():
    m = build(
        """
import dataclasses
@allow_storage
@dataclasses.dataclass
class G[X, Y]:
    x: X
    ys: DynArray[Y]
    n: u8
@allow_storage
class L[T, S: int]:
    a: Array[T, S]
@allow_storage
@dataclasses.dataclass
class Test[T]:
    foo: T
@generate_storage
class R:
    a: G[u8, str]
    b: G[u32, u8]
    c: L[u16, typing.Literal[3]]
    d: Test[u8]
    e: G[u8, str]
"""
    )
    from genlayer.py.storage import inmem_allocate
    from genlayer.py.storage._internal.generate import _known_descs, _storage_build

    r = m.R()
    sizes = [desc.size for desc, _ in _known_descs[m.R].props.values()]
    equal(sizes, [6, 9, 6, 1, 6])
    assert _known_descs[m.R].props["a"][0] is _known_descs[m.R].props["e"][0]
    r.a.x, r.b.x, r.a.n, r.b.n = 1, 2, 3, 4
    r.a.ys = ["q"]
    r.b.ys = [7, 8]
    r.c.a = [1, 2, 3]
    equal(
        dump(r)[ROOT],
        hexs("01 01000000 03 | 02000000 02000000 04 | 0100 0200 0300"),
    )
    notes = raises(
        TypeError,
        "generic storage classes can not be instantiated with __init__, please, use gl.storage.inmem_allocate",
        m.Test,
        5,
    )
    equal(notes, ["due to field `foo: T`", "in class `Test`"])
    equal(inmem_allocate(m.Test[bytes], b"ab").foo, b"ab")
    g = inmem_allocate(m.G[bytes, u16 := m.u16], b"k", [1], 2)
    equal((g.x, list(g.ys), g.n), (b"k", [1], 2))
    assert _storage_build(m.G[bytes, u16], {}) is g.__type_desc__


def case_rejected_annotations():
    import collections
    import datetime
    import enum

    link = (
        "use `bigint` or one of sized integers please, "
        "see https://docs.genlayer.com/developers/intelligent-contracts/storage"
    )
    marked = "class is not marked for usage within storage, please, annotate it with @allow_storage"
    names = {"collections": collections, "datetime": datetime, "enum": enum}
    table = [
        ("int", "TypeError", link),
        ("list[int]", "TypeError", link),
        ("DynArray[int]", "TypeError", link),
        ("list[u8]", "AssertionError", "use DynArray"),
        ("dict[str, u8]", "AssertionError", "use TreeMap"),
        (
            "str | None",
            "Exception",
            "incorrect number of generic arguments for <class 'types.UnionType'> parameters=(), args=",
        ),
        (
            "tuple[u8, u8]",
            "Exception",
            "incorrect number of generic arguments for <class 'tuple'> parameters=(), args=",
        ),
        ("set[u8]", "Exception", "incorrect number of generic arguments for <class 'set'> parameters=(), args="),
        ("typing.Optional[u8]", "AttributeError", "__type_params__"),
        ("typing.Union[u8, str]", "AttributeError", "__type_params__"),
        ("DynArray", "Exception", "invalid builder"),
        ("TreeMap", "KeyError", "'K'"),
        ("Array[u8, 3]", "AssertionError", ""),
        ("typing.Literal[3]", "AssertionError", ""),
        ("typing.Any", "TypeError", marked),
        ("object", "TypeError", marked),
        ("bytearray", "TypeError", marked),
        ("complex", "TypeError", marked),
        ("enum.Enum", "TypeError", marked),
        ("enum.IntEnum", "TypeError", marked),
        ("datetime.timedelta", "TypeError", marked),
        ("datetime.date", "TypeError", marked),
    ]
    for annotation, kind, text in table:
        try:
            one_field(annotation, **names)
        except Exception as exc:
            got = exc.args[0] if text == marked else str(exc)
            assert type(exc).__name__ == kind and got.startswith(text), (annotation, exc)
        else:
            raise AssertionError(f"{annotation} was accepted")


def case_notes_of_rejected_annotations():
    try:
        build("@generate_storage\nclass R:\n    f: int\n")
    except TypeError as exc:
        equal(
            exc.__notes__,
            [
                "during processing type `int`",
                "during generating field `f: <class 'int'>`",
                "during processing type `R`",
            ],
        )
    try:
        build("@generate_storage\nclass R:\n    f: list[int]\n    g: u8\n")
    except TypeError as exc:
        equal(
            exc.__notes__[:2],
            [
                "during processing type `int`",
                "during processing generic argument of `list[int]`, argument `int`, at index `<unknown>`",
            ],
        )
    try:
        build("@generate_storage\nclass R:\n    f: TreeMap[u8, int]\n")
    except TypeError as exc:
        assert exc.__notes__[1].endswith("argument `int`, at index `1`"), exc.__notes__


def case_inmem_allocate_every_type():
    import typing

    from genlayer import Array, DynArray, TreeMap, bigint, u8
    from genlayer.py.storage import Indirection, copy_to_memory, inmem_allocate

    equal(list(inmem_allocate(DynArray[u8])), [])
    equal(list(inmem_allocate(DynArray[u8], [1, 2])), [1, 2])
    equal(repr(inmem_allocate(TreeMap[str, u8], {"b": 1, "a": 2})), "{'a':2,'b':1}")
    equal(list(inmem_allocate(Array[u8, typing.Literal[2]])), [0, 0])
    equal(inmem_allocate(bigint, -5), -5)
    equal(inmem_allocate(str), "")
    equal(inmem_allocate(Indirection[u8]).get(), 0)
    raises(TypeError, "`genlayer.py.types.u8` takes at most one initial value", inmem_allocate, u8, 1, 2)
    m = build("@generate_storage\nclass R:\n    a: DynArray[str]\n    b: TreeMap[u8, str]\n")
    r = m.R()
    r.a = ["x", "y"]
    r.b[1] = "z"
    copy = copy_to_memory(r)
    r.a[0] = "changed"
    del r.b[1]
    equal((list(copy.a), repr(copy.b)), (["x", "y"], "{1:'z'}"))
    equal(list(copy_to_memory(r.a)), ["changed", "y"])
    raises(TypeError, "only storage records and containers can be copied to memory, got `int`", copy_to_memory, 5)


def case_inmem_debug():
    import contextlib
    import io

    r = one_field("str")()
    r.x = "a"
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        r._storage_slot.manager.debug()
    equal(
        out.getvalue(),
        f"=== fake storage ===\n{ROOT}\n\tbytearray(b'\\x01\\x00\\x00\\x00')\n{IND[0]}\n\tbytearray(b'a')\n",
    )


def case_descriptor_equality():
    from genlayer.py.storage._internal.desc_base_types import IntDesc, StrDesc
    from genlayer.py.storage._internal.generate import Lit, _DynArrayDesc, _Instantiation

    assert IntDesc(4, signed=False) == IntDesc(4, signed=False) != IntDesc(4, signed=True)
    equal(hash(IntDesc(4, signed=False)), hash(IntDesc(4, signed=False)))
    a, b = _DynArrayDesc(IntDesc(4, signed=False)), _DynArrayDesc(IntDesc(4, signed=False))
    assert a == b and hash(a) == hash(b) and a != _DynArrayDesc(StrDesc())
    assert _Instantiation(list, (a,)) == _Instantiation(list, (b,)) != _Instantiation(tuple, (b,))
    assert Lit(3) == Lit(3) != Lit(4)


def case_pickled_views():
    import pickle

    m = build("@generate_storage\nclass R:\n    a: DynArray[str]\n    b: TreeMap[u8, str]\n    c: u8\n")
    r = m.R()
    r.a = ["x", "yy"]
    r.b[4] = "q"
    r.c = 9
    again = pickle.loads(pickle.dumps(r))
    equal((list(again.a), repr(again.b), again.c), (["x", "yy"], "{4:'q'}", 9))
    again.c = 1
    equal(r.c, 9)
    r.a = again.a
    equal(list(r.a), ["x", "yy"])


def case_records_can_not_contain_themselves():
    try:
        build("@allow_storage\nclass N:\n    a: DynArray['N']\n@generate_storage\nclass R:\n    n: N\n")
    except TypeError as exc:
        equal(exc.args[0], "storage class can not contain itself")
    else:
        raise AssertionError("accepted")


def case_numpy():
    try:
        import numpy as np
    except ImportError:
        return

    m = build(
        "@generate_storage\nclass R:\n    a: np.float32\n"
        "    b: np.ndarray[tuple[typing.Literal[2], typing.Literal[2]], np.dtype[np.int16]]\n",
        np=np,
    )
    r = m.R()
    r.a = 1.5
    r.b = np.array([[1, 2], [3, -4]], dtype=np.int16)
    equal(dump(r)[ROOT], hexs("0000c03f 0100 0200 0300 fcff"))
    equal((float(r.a), r.b.tolist(), type(r.a)), (1.5, [[1, 2], [3, -4]], np.float32))
    got = r.b
    got[0, 0] = 7
    equal(r.b[0, 0], 1)
    raises(AssertionError, "", setattr, r, "b", np.zeros((2, 2), np.int32))
    raises(AssertionError, "invalid len 4 vs expected 8", setattr, r, "b", np.zeros(2, np.int16))
    g = build(
        "@allow_storage\nclass V[T, S: int]:\n    k: DynArray[np.ndarray[tuple[S], np.dtype[T]]]\n"
        "@generate_storage\nclass R:\n    v: V[np.float32, typing.Literal[2]]\n",
        np=np,
    ).R()
    g.v.k.append(np.array([1, 2], np.float32))
    equal(dump(g)[IND[0]], "0000803f00000040")
    for bad in ("np.bool_", "np.float16"):
        try:
            one_field(bad, np=np)
        except TypeError:
            continue
        raise AssertionError(f"{bad} was accepted")
