"""``TreeMap()``: in memory, and of no type until it is assigned (spec sdk/02 §6.3)."""

import random

from harness import Host, dump, equal, hexs, raises, start
from storage_support import IND, ROOT, build, one_field

LEDGER = """
from genlayer import *
import dataclasses

@allow_storage
@dataclasses.dataclass
class Account:
    name: str
    balances: TreeMap[str, u8]
    limits: TreeMap[str, u8] = dataclasses.field(default_factory=TreeMap)

class Ledger(gl.Contract):
    head: u8
    balances: TreeMap[str, u8]
    nested: TreeMap[str, TreeMap[str, u8]]
    account: Account
    default: TreeMap[str, u8] = TreeMap()

    def __init__(self, how: str):
        self.head = u8(9)
        self.balances = TreeMap[str, u8]() if how == 'typed' else TreeMap()
        self.account = Account('ada', TreeMap())

    @gl.public.write
    def put(self, key: str, value: int):
        self.balances[key] = u8(value)

    @gl.public.write
    def reset(self):
        self.balances = TreeMap()

    @gl.public.write
    def fill(self, keys: list):
        made = TreeMap()
        for i, key in enumerate(keys):
            made[key] = u8(i)
        self.balances = made

    @gl.public.write
    def nest(self):
        self.nested['a'] = TreeMap()
        self.nested['a']['x'] = u8(1)

    @gl.public.write
    def nest_filled(self):
        made = TreeMap()
        made['a'] = TreeMap()
        made['a']['x'] = u8(1)
        self.nested = made

    @gl.public.write
    def open(self):
        limits = TreeMap[str, u8]()
        limits['day'] = u8(2)
        self.account = Account('bob', TreeMap(), limits)

    @gl.public.view
    def make(self) -> dict:
        made = TreeMap()
        made['b'] = [1, TreeMap()]
        made['a'] = Account('eve', TreeMap())
        return made

    @gl.public.view
    def look(self) -> list:
        return [self.head, self.balances, self.nested, self.account, self.default]
"""
DATA = IND[0]


def deployed(how="bare"):
    return Host(start(LEDGER, {"args": [how]}, is_init=True).host.slots)


def call(host, method, *args):
    """Value and log of a call."""
    outcome = start(LEDGER, {"method": method, "args": list(args)}, host=Host(host.slots))
    return outcome.value, outcome.host.log


def look(host):
    return call(host, "look")[0]


def made(**items):
    from genlayer import TreeMap

    m = TreeMap()
    for key, value in items.items():
        m[key] = value
    return m


def case_in_the_constructor():
    for how in ("bare", "typed"):
        host = deployed(how)
        equal(look(host), [9, {}, {}, {"name": "ada", "balances": {}, "limits": {}}, {}])
        # head, balances, nested, account (name, balances, limits); nothing writes to the last field
        equal(host.storage()[DATA], "09" + "00" * 24 + "03000000" + "00" * 24)
        call(host, "put", "k", 3)
        equal(look(host)[1], {"k": 3})


def case_as_a_reset_in_a_method():
    host = deployed()
    call(host, "put", "a", 1)
    call(host, "put", "b", 2)
    _, log = call(host, "reset")
    # as clear() does: one write and no read, which a sandbox may do too
    equal(log[:-1], [("write", DATA, 1, "00" * 12)])
    equal(look(host)[1], {})
    call(host, "put", "c", 3)
    equal(look(host)[1], {"c": 3})


def case_as_a_default_of_the_class():
    host = deployed()
    equal(look(host)[4], {})
    m = build("@generate_storage\nclass R:\n    m: TreeMap[str, u8] = TreeMap()\n")
    r = m.R()
    r.m["a"] = 1
    equal((repr(r.m), repr(m.R().m)), ("{'a':1}", "{}"))


def case_as_an_argument_of_a_record():
    host = deployed()
    call(host, "open")
    equal(look(host)[3], {"name": "bob", "balances": {}, "limits": {"day": 2}})
    m = build(
        "import dataclasses\n@allow_storage\n@dataclasses.dataclass\nclass P:\n    n: u8\n    m: TreeMap[u8, u8]\n"
        "@generate_storage\nclass R:\n    p: P\n    ps: DynArray[P]\n"
    )
    filled = m.TreeMap()
    filled[2] = 3
    r = m.R()
    r.p = m.P(1, filled)
    r.ps.append(m.P(4, m.TreeMap()))
    r.ps[0].m[5] = 6
    equal((r.p.n, repr(r.p.m), r.ps[0].n, repr(r.ps[0].m)), (1, "{2:3}", 4, "{5:6}"))
    equal(dump(r)[ROOT], hexs("01 01000000 01000000 00000000 | 01000000"))


def case_as_a_value_of_a_map():
    storages = []
    for method in ("nest", "nest_filled"):
        host = deployed()
        call(host, method)
        equal(look(host)[2], {"a": {"x": 1}})
        storages.append(host.storage())
    equal(storages[0], storages[1])
    r = one_field("TreeMap[str, TreeMap[str, u8]]")()
    r.x["a"] = made(b=1)
    equal(repr(r.x), "{'a':{'b':1}}")
    r.x["a"] = made()
    equal(repr(r.x), "{'a':{}}")


def case_filled_and_assigned():
    host = deployed()
    call(host, "fill", ["1", "abc", "0"])
    equal(look(host)[1], {"0": 2, "1": 0, "abc": 1})
    other = deployed()
    for i, key in enumerate(("1", "abc", "0")):
        call(other, "put", key, i)
    equal(host.storage(), other.storage())


def case_bytes_of_the_worked_example():
    r = build("@generate_storage\nclass R:\n    m: TreeMap[str, u32]\n    k: u8\n").R()
    m = made()
    m["1"], m["abc"] = 12, 30
    r.m = m
    keys = {
        "bbd766d3072481eb4e6fc4af8800b0d3ccbec04601bfa1ef7943617ad1005c5d": "31",
        "7b0f471df1b917a85c85fd972b8ab0ba1261b98474791de5bb4435f79fb5c3d2": "616263",
    }
    slab, free = IND[4], "264244e161a6ffb830c86947260df88e4b4a794dcbc40611b57d4fab33df5bc5"
    two = hexs("01000000 0c000000 00000000 02000000 01 | 03000000 1e000000 00000000 00000000 00")
    equal(dump(r), {ROOT: hexs("01000000 02000000 00000000"), slab: two, **keys})
    m["0"] = 5
    del m["1"]
    r.m = m
    equal(dump(r)[ROOT], hexs("02000000 03000000 01000000"))
    equal(dump(r)[free], "00000000")
    node2 = hexs("03000000 1e000000 03000000 00000000 ff")
    equal(dump(r)[slab], hexs("01000000 0c000000 03000000 02000000 00") + node2 + hexs("01000000 05000000") + "00" * 9)
    m["zz"] = 1
    r.m = m
    equal(dump(r)[ROOT], hexs("02000000 03000000 00000000"))
    equal(dump(r)[slab][:68], hexs("02000000 01000000 00000000 00000000 00 | 03000000 1e000000 03000000 01000000 00"))


def case_same_bytes_as_item_by_item():
    texts = (lambda rng: str(rng.randrange(40)), lambda rng: "v" * rng.randrange(5))
    numbers = (lambda rng: rng.randrange(40), lambda rng: rng.randrange(200))
    lists = (lambda rng: rng.randrange(40), lambda rng: [rng.randrange(9)] * rng.randrange(4))
    for annotation, (key_of, value_of) in (
        ("TreeMap[str, str]", texts),
        ("TreeMap[u8, u8]", numbers),
        ("TreeMap[u16, DynArray[u8]]", lists),
    ):
        rng = random.Random(annotation)
        R = one_field(annotation)
        one, other, m = R(), R(), made()
        for _ in range(150):
            key, value = key_of(rng), value_of(rng)
            if rng.randrange(3):
                one.x[key] = m[key] = value
            elif key in m:
                del one.x[key]
                del m[key]
        other.x = m
        in_use = dump(other)
        equal({slot: data[: len(in_use[slot])] for slot, data in dump(one).items() if slot in in_use}, in_use)
        equal(repr(other.x), repr(one.x))


def case_returned():
    equal(call(deployed(), "make")[0], {"a": {"name": "eve", "balances": {}, "limits": {}}, "b": [1, {}]})
    from genlayer.py import calldata

    equal(calldata.encode(made(b=1, a=None)), calldata.encode({"b": 1, "a": None}))


def case_like_a_dict():
    m = made(b=2, a=1)
    equal(
        (repr(m), len(m), list(m), list(m.values()), "a" in m, m == {"a": 1, "b": 2}),
        ("{'a':1,'b':2}", 2, ["a", "b"], [1, 2], True, True),
    )
    equal((m.pop("a"), m.get("a"), m.setdefault("c", 3), m.popitem()), (1, None, 3, ("b", 2)))
    equal(m.compute_if_absent("d", lambda: [4]), [4])
    m.update(e=5)
    m.clear()
    equal((repr(m), m == {}), ("{}", True))
    raises(KeyError, "", lambda: m["a"])
    raises(KeyError, "'key not found'", m.__delitem__, "a")
    m[1] = 1
    raises(TypeError, "'<' not supported between instances of 'str' and 'int'", m.__setitem__, "a", 1)


def case_values_are_copied():
    inner, items = made(x=1), [1]
    outer = made(inner=inner, items=items)
    inner["x"] = 2
    items.append(2)
    equal(repr(outer), "{'inner':{'x':1},'items':[1]}")
    outer["inner"]["y"] = 3
    outer["items"].append(4)
    equal(repr(outer), "{'inner':{'x':1,'y':3},'items':[1, 4]}")
    r = one_field("TreeMap[str, TreeMap[str, u8]]")()
    m = made(a=made(b=1))
    r.x = m
    m["a"]["b"] = 2
    m["c"] = made()
    equal(repr(r.x), "{'a':{'b':1}}")


def case_wrong_types_are_seen_at_the_assignment():
    r = one_field("TreeMap[str, u8]")()
    r.x["kept"] = 1
    before = dump(r)
    m = made()
    m[5] = 1
    raises(AttributeError, "'int' object has no attribute 'encode'", setattr, r, "x", m)
    raises(OverflowError, "int too big to convert", setattr, r, "x", made(a=300))
    raises(AssertionError, "Is right the same storage type? `TreeMap` <- `dict`", setattr, r, "x", {})
    equal(dump(r), before)


def case_get_or_insert_default():
    from genlayer import DynArray, TreeMap, u8

    m = TreeMap[str, DynArray[u8]]()
    m.get_or_insert_default("a").append(1)
    m.get_or_insert_default("a").append(2)
    r = one_field("TreeMap[str, DynArray[u8]]")()
    r.x = m
    equal(repr(r.x), "{'a':[1,2]}")
    raises(
        TypeError,
        "the type of `TreeMap()` is not known until it is assigned; write `TreeMap[K, V]()`",
        made().get_or_insert_default,
        "a",
    )


def case_copied_and_pickled():
    import copy
    import pickle

    from genlayer.py.storage import copy_to_memory

    m = made(a=made(b=1))
    for again in (copy.deepcopy(m), pickle.loads(pickle.dumps(m)), copy_to_memory(m)):
        again["a"]["b"] = 2
        again["c"] = 3
        equal((repr(again), repr(m)), ("{'a':{'b':2},'c':3}", "{'a':{'b':1}}"))


def case_arrays_still_raise():
    from genlayer import DynArray, TreeMap, u8

    raises(TypeError, "this class can't be instantiated by user", DynArray)
    raises(TypeError, "this class can't be instantiated by user", DynArray[u8])
    raises(TypeError, "TreeMap.__init__() takes 1 positional argument but 2 were given", TreeMap, {})
