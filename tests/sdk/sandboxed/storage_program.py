"""A contract that does everything that storage can, by chance but the same each time, and compares it with a model.

Its requests are those of the SDK before it was made faster: ``DIGESTS`` were taken then.
"""

# seed to the SHA-256 of the requests of one call, see `digest`
DIGESTS = {
    1: "6a4512e84ccf2a32a4a03401712d48128f7f33f8379d6b4599623ef86e4616be",
    2: "717a6e1e446702fac55fc350ad5224eabc4a12ccebf66af06dbab24d8dd1a8bb",
    3: "5ba1b6c7c82d9c26290d63b0a790539bd92470f8062d02951f56f809295c8412",
    4: "67dbb6d72a3c5f312c9d048f8ceab7ea2a510bd276a5e9d0638dbd4fb0a819f5",
    5: "38274d55e35eca7deb1df596d24d42c819720a215a0f2a1eca1cf61f4c184eef",
    6: "62c27f8a6e97e0561219826a8999ab059cc2ac92f9ef3b50eb2c77d2fa5da8a6",
}
# of the requests of `odd`, and of what it tells
ODD_DIGEST = "a48ef885cb2ec569afdb492a042eeb2fe5a3db29037335f5f34e6fe78e4d6e81"
ODD_TOLD = "a6153b69d64e95096898b75567fa08a02fa69f14c0037e0c2d1ae44fabbb4dfa"
ROUNDS = 150


def digest(requests):
    """Of ``(slot, offset, length)`` of reads and ``(slot, offset, data)`` of writes, in order."""
    import hashlib

    lines = [
        f"{slot.hex()} {off} {what if isinstance(what, int) else bytes(what).hex()}\n" for slot, off, what in requests
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def told_digest(told):
    import hashlib

    return hashlib.sha256("\n".join(told).encode()).hexdigest()


SOURCE = r'''
import datetime
import random
import typing
from dataclasses import dataclass

from genlayer import *
from genlayer.py.storage import VLA, Indirection, inmem_allocate

Wide = Array[u256, typing.Literal[20]]


@allow_storage
@dataclass
class Note:
    number: i16
    text: str
    marks: DynArray[u8]


@allow_storage
class Pair[A, B]:
    first: A
    second: B


class Program(gl.Contract):
    small: u8
    signed: i48
    number: u256
    flag: bool
    who: Address
    real: float
    when: datetime.datetime
    text: str
    blob: bytes
    huge: bigint
    fixed: Array[i16, typing.Literal[5]]
    note: Note
    pair: Pair[str, u32]
    behind: Indirection[VLA[u32]]
    numbers: TreeMap[u256, u256]
    people: TreeMap[Address, str]
    names: TreeMap[str, u64]
    lists: TreeMap[u16, DynArray[u16]]
    wide: TreeMap[i16, Wide]
    nested: TreeMap[u8, TreeMap[str, bigint]]
    notes: TreeMap[u32, Note]
    marks: TreeMap[bytes, None]
    flags: TreeMap[bool, bigint]
    items: DynArray[u256]
    words: DynArray[str]
    records: DynArray[Note]
    pairs: DynArray[Pair[str, u32]]

    @gl.public.write
    def operate(self, seed: int, rounds: int) -> int:
        return Run(self, seed).run(rounds)

    @gl.public.write
    def odd(self) -> list[str]:
        """What comes of keys of every kind in maps of every kind, those with many nodes included."""
        told = []

        def tell(action, *args):
            try:
                told.append(ascii(action(*args)))
            except Exception as exc:
                told.append(ascii(f"{type(exc).__name__}: {exc}"))

        keys = [-1, 0, 1, True, 255, 256, -(1 << 15), 1 << 15, 1 << 255, 1 << 256, -(1 << 300), 1.5, None, "", "a"]
        keys += ["\x00", "\ud800", "\U0001f600", b"", b"a", b"x" * 20, Address(bytes(20)), Address(b"x" * 20)]
        keys += [Big(3), Word("a")]
        maps = [self.numbers, self.people, self.names, self.lists, self.wide, self.marks, self.notes, self.flags]
        for filled in range(3):
            for view in maps:
                for key in keys:
                    tell(view.__contains__, key)
                    tell(view.__getitem__, key)
                    tell(view.pop, key, "nothing") if filled == 2 else tell(view.get_or_insert_default, key)
                tell(list, view)
                tell(len, view)
        return told


class Big(int):
    pass


class Word(str):
    pass


class Run:
    """``model`` is what the maps hold, ``lists`` what the arrays hold."""

    def __init__(self, contract, seed):
        self.contract = contract
        self.chance = random.Random(seed)
        self.model = {name: {} for name in ("numbers", "people", "names", "marks")}
        self.lists = {name: [] for name in ("items", "words")}
        self.done = 0

    def below(self, bound):
        return self.chance.getrandbits(30) % bound

    def word(self, bound):
        return ("", "a", "é", "some text ", "x" * 40)[self.below(5)] + str(self.below(bound))

    def key(self, name):
        if name == "numbers":
            return u256(self.below(50) << (200 * self.below(2)))
        if name == "people":
            return Address(bytes([self.below(3)]) * 19 + bytes([self.below(20)]))
        return self.word(12) if name == "names" else self.word(12).encode()

    def value(self, name):
        if name == "marks":
            return None
        return self.word(90) if name in ("people", "words") else self.below(1 << 30)

    def run(self, rounds):
        steps = [self.scalars, self.records, self.nested, self.wide] + 8 * [self.map] + 4 * [self.array]
        for _ in range(rounds):
            steps[self.below(len(steps))]()
        for name, model in self.model.items():
            view = getattr(self.contract, name)
            assert list(view.items()) == sorted(model.items()) and len(view) == len(model), name
        for name, model in self.lists.items():
            assert list(getattr(self.contract, name)) == model, name
        return self.done

    def same(self, got, expected):
        assert got == expected, (got, expected)
        self.done += 1

    def map(self):
        name = list(self.model)[self.below(4)]
        # of the contract, so that views are made anew, and one that stays
        view, model, key = getattr(self.contract, name), self.model[name], self.key(name)
        match self.below(12):
            case 0 | 1 | 2 | 3:
                value = self.value(name)
                view[key] = value
                model[key] = value
            case 4 | 5:
                self.same(key in view, key in model)
                if key in model:
                    del view[key], model[key]
            case 6:
                self.same(view.pop(key, 5), model.pop(key, 5))
            case 7:
                self.same(view.get(key, 7), model.get(key, 7))
            case 8:
                self.same([view.setdefault(key, self.value(name))], [model.setdefault(key, view[key])])
            case 9:
                self.same(view.compute_if_absent(key, lambda: self.value(name)), model.setdefault(key, view[key]))
            case 10:
                more = {self.key(name): self.value(name) for _ in range(self.below(8))}
                view.update(more)
                model.update(more)
                self.same(list(view), sorted(model))
            case _:
                self.same(list(view.values()), [model[key] for key in sorted(model)])
                if model and self.below(2):
                    self.same(view.popitem(), (least := min(model), model.pop(least)))
                if not self.below(12):
                    view.clear()
                    model.clear()

    def array(self):
        name = list(self.lists)[self.below(2)]
        view, model, value = getattr(self.contract, name), self.lists[name], self.value(name)
        at = self.below(len(model)) if model else 0
        match self.below(12):
            case 0 | 1 | 2 | 3:
                view.append(value)
                model.append(value)
            case 4:
                view.insert(at, value)
                model.insert(at, value)
            case 5 if model:
                view[at] = value
                model[at] = value
            case 6 if model:
                self.same(view[at], model[at])
                self.same(view[-1], model[-1])
            case 7 if model:
                self.same(view.pop(at), model.pop(at))
            case 8:
                self.same(view[at : at + 5 : 2], model[at : at + 5 : 2])
                values = [self.value(name) for _ in range(self.below(6))]
                view[at : at + 3] = values
                model[at : at + 3] = values
            case 9:
                del view[at : at + 2], model[at : at + 2]
            case 10:
                view.reverse()
                model.reverse()
                self.same([view[i] for i in range(len(model))], model)
            case _:
                self.same(list(view), model)
                self.same(value in view, value in model)

    def scalars(self):
        contract = self.contract
        values = {
            "small": self.below(256), "signed": self.below(1 << 29) - (1 << 40), "number": (1 << 255) + self.below(9),
            "flag": bool(self.below(2)), "who": Address(bytes([self.below(256)]) * 20), "real": self.below(999) / 8,
            "text": self.word(9), "blob": self.word(9).encode(), "huge": (self.below(9) - 4) << self.below(300),
            "when": datetime.datetime.fromtimestamp(self.below(1 << 30), datetime.UTC),
        }
        for name, value in values.items():
            if self.below(3):
                setattr(contract, name, value)
                self.same(getattr(contract, name), value)
        at = self.below(5)
        contract.fixed[at] = -at
        self.same(contract.fixed[at], -at)
        contract.number += 1
        numbers = [self.below(1 << 30) for _ in range(self.below(4))]
        behind = contract.behind.get()
        behind.extend(numbers)
        behind.append(3)
        self.same(list(behind), [*numbers, 3])
        try:
            contract.small = 256
        except OverflowError:
            contract.small += 0

    def records(self):
        contract = self.contract
        note = Note(self.below(100) - 50, self.word(30), [])
        note.marks.append(self.below(9))
        contract.records.append(note)
        contract.note = contract.records[self.below(len(contract.records))]
        contract.note.number = 5
        self.same(contract.note.number, 5)
        key = self.below(20)
        contract.notes[key] = contract.note
        self.same(contract.notes[key], contract.note) if not len(note.marks) else None
        self.same(contract.notes[key].text, contract.note.text)
        contract.notes[key].marks.append(7)
        if self.below(3) == 0:
            self.same(contract.notes.pop(key).number, 5)
        if len(contract.records) > 4:
            del contract.records[1:3]
        contract.pair.first = self.word(5)
        contract.pair.second = self.below(9)
        contract.pairs.append(contract.pair)
        self.same(contract.pairs[-1].first, contract.pair.first)
        self.same(sum(pair.second >= 9 for pair in contract.pairs), 0)

    def nested(self):
        contract, key, name = self.contract, self.below(6), self.word(6)
        inner = contract.nested.get_or_insert_default(key)
        inner[name] = -self.below(1 << 20)
        contract.nested[key][name] -= 1
        self.same(contract.nested[key][name], inner[name])
        if self.below(4) == 0:
            del contract.nested[key]
        numbers = [self.below(1 << 16) for _ in range(4)]
        contract.lists[key] = numbers
        contract.lists[key].append(9)
        self.same(list(contract.lists[key]), [*numbers, 9])
        contract.lists[self.below(6)] = contract.lists[key]
        fresh = inmem_allocate(TreeMap[str, bigint], {"a": 1, name: -(1 << 70)})
        contract.nested[self.below(6)] = fresh
        untyped = TreeMap()
        untyped.update({self.word(4): self.below(9) for _ in range(4)})
        contract.nested[self.below(6)] = untyped

    def wide(self):
        wide, key = self.contract.wide, self.below(30) - 15
        value = wide.get_or_insert_default(key)
        value[self.below(20)] = self.below(1 << 30)
        wide[self.below(30) - 15] = value
        self.same(key in wide, True)
        if self.below(3) == 0:
            del wide[key]
        self.same(list(wide), sorted(wide))
'''
