"""What the interpreter has in C for storage is what Python elsewhere computes; the rehearsal leaves nothing behind."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

from tests.runners.python.python_contracts import value_of_script

pytestmark = pytest.mark.usefixtures("built_runners")

_NUMBERS = """
import _genlayer_storage as in_c
from genlayer.py.storage._internal import desc_base_types

def error(*arguments):
    try:
        return in_c.number(*arguments)
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"

def main(raws):
    assert desc_base_types.number is in_c.number
    found = [[in_c.number(raw, signed) for raw in raws] for signed in (False, True)]
    odd = [error(bytearray(b"ab"), False), error(memoryview(b"ab"), True), error([1, 2], False)]
    return [found, [*odd, error("ab", False), error(b"ab"), error(None, False)]]
"""

_SLOTS = """
import _genlayer_storage as in_c
from genlayer.py.storage import Slot
from genlayer.py.storage._internal.core import InmemManager

def error(*arguments):
    try:
        return in_c.indirect(*arguments).hex()
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"

def main(ids, offsets):
    below = Slot(bytes(32), InmemManager()).indirect(5)
    assert below is below.manager.get_store_slot(in_c.indirect(bytes(32), 5))
    class Short(int):
        def to_bytes(self, *arguments): return b"ab"

    class Other(int):
        def to_bytes(self, *arguments): return "abcd"

    for offset in (Short(1), Other(1)):
        assert error(ids[0], offset) == "TypeError: to_bytes of an offset gives 4 bytes"
    odd = [(ids[0], -1), (ids[0], 1 << 32), (ids[0], 1.5), (ids[0], True), (ids[0],), ("x", 1), (bytearray(ids[0]), 1)]
    return [[in_c.indirect(id, off) for id in ids for off in offsets], [error(*arguments) for arguments in odd]]
"""

_ACCESSES = """
import _genlayer_wasi as wasi

def said(function, *arguments):
    try:
        return str(function(*arguments))
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"

def read(slot, off, length):
    data = bytearray(length)
    wasi.storage_read(slot, off, data)
    return bytes(data)

class Slab:
    id = bytes(32)

def main():
    ids = [bytes(32), b"", bytes(40), bytearray(32), memoryview(bytes(32)), "x", None]
    writes = [said(wasi.storage_write, slot, 0, b"x") for slot in ids]
    writes += [said(wasi.storage_write, bytes(32), 1, what) for what in (bytearray(b"y"), memoryview(b"yz"), "x", 5)]
    places = [(0, 4), (-1, 0), (-3, 2), (1 << 40, 4), (True, 2), (1.5, 4), (0, 1.5), (0, -1), (0, "x")]
    reads = [(said(wasi.storage_get, slot, 0, 4), said(read, slot, 0, 4)) for slot in ids]
    reads += [(said(wasi.storage_get, bytes(32), *place), said(read, bytes(32), *place)) for place in places]
    sizes, path = (41, 32, 32, True), []
    keys = [(1, 0), (-1, 0), (1 << 256, 0), (True, 0), (-1, 1), (1 << 255, 1), (b"x", 2), ("x", 3), (1, 9)]
    found = [said(wasi.storage_find_node, Slab, 0, key, kind, sizes, path) for key, kind in keys]
    found += [said(wasi.storage_find_node, Slab, 2, 1, 0, sizes, path), str(path)]
    found += [said(wasi.storage_find_node, Slab, 1)]
    return [writes, reads, found]
"""

_LEFT = """
import gc, sys
from genlayer.gl import Contract, genvm_contracts
from genlayer.gl._internal.storage import STORAGE_MANAGER
from genlayer.py.storage import DynArray, TreeMap
from genlayer.py.storage._internal.generate import _known_descs

def main():
    gc.unfreeze()
    gc.collect()
    return [
        [name for name in sys.modules if "rehearsal" in name],
        [str(thing) for thing in gc.get_objects() if "Rehearsal" in getattr(thing, "__qualname__", "")],
        [str(key) for key in _known_descs
         if getattr(key, "__gl_contract__", False) or getattr(key, "origin", None) in (DynArray, TreeMap)],
        [str(found) for found in Contract.__subclasses__()],
        STORAGE_MANAGER.writes,
        sorted(STORAGE_MANAGER._slots),
    ]
"""


def raws() -> list[bytes]:
    chance = random.Random(1)
    found = [b"", *(bytes([top]) for top in (0, 1, 127, 128, 255))]
    for size in (2, 3, 4, 7, 8, 9, 16, 20, 31, 32, 33, 60):
        for used in {0, 1, size // 2, size - 1, size}:
            content = chance.randbytes(used)
            found += [content.ljust(size, b"\0"), content.ljust(size, b"\xff"), content.rjust(size, b"\0")]
            found += [bytes(size - 1) + bytes([top]) for top in (1, 127, 128, 255)]
    return found


def test_numbers() -> None:
    given = raws()
    found, odd = value_of_script(_NUMBERS, given)
    assert found == [[int.from_bytes(raw, "little", signed=signed) for raw in given] for signed in (False, True)]
    assert odd[:3] == [0x6261, 0x6261, 0x0201]
    assert [text.partition(":")[0] for text in odd[3:]] == ["TypeError"] * 3


def test_ids_of_slots() -> None:
    ids = [bytes(32), bytes(range(32)), b"", b"x", bytes(131), bytes(132), bytes(133), bytes(300)]
    offsets = [0, 1, 255, 256, (1 << 31) + 1, (1 << 32) - 1]
    found, odd = value_of_script(_SLOTS, ids, offsets)
    assert found == [hashlib.sha3_256(id_ + off.to_bytes(4, "little")).digest() for id_ in ids for off in offsets]
    assert odd[:3] == [
        "OverflowError: can't convert negative int to unsigned",
        "OverflowError: int too big to convert",
        "AttributeError: 'float' object has no attribute 'to_bytes'",
    ]
    assert odd[3] == odd[6] == hashlib.sha3_256(bytes(32) + b"\1\0\0\0").hexdigest()
    assert [text.partition(":")[0] for text in odd[4:6]] == ["TypeError"] * 2


def test_accesses_with_odd_arguments() -> None:
    writes, reads, found = value_of_script(_ACCESSES)
    kinds = "None None None None None TypeError TypeError None None TypeError TypeError"
    assert [text.partition(":")[0] for text in writes] == kinds.split()
    assert [one.partition(":")[0] for one, _ in reads] == [other.partition(":")[0] for _, other in reads]
    assert reads[0] == ["b'xyz\\x00'"] * 2
    assert sum(one.startswith("b'") for one, _ in reads) == 10
    assert found[:9] == ["0", "None", "None", "None", "0", "None", "None", "None", "None"]
    assert found[9:11] == ["0", "[[2, False, 0, 0, 0]]"]
    assert found[11].startswith("TypeError: ")


def test_what_the_rehearsal_leaves() -> None:
    left: Any = value_of_script(_LEFT)
    root, contract = bytes(32), hashlib.sha3_256(bytes(36)).digest()
    own = ["<class 'contract.Runner'>"]
    assert left[:5] == [[], [], ["<class 'contract.Runner'>"], own, 0]
    assert left[5] == sorted([root, contract])
