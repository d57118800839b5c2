"""A call of a contract, many times, before the snapshot is taken.

What the interpreter does for the first time, it looks up by name; then it rewrites its bytecode for what it has found.
That is in the snapshot, and a call, which does most things once only, has half of the instructions. Nothing else may
stay of this: the contract goes, and so does all that was read. Storage is what the build's VM has.
"""

import sys
import types

from genlayer._internal import boot, msg
from genlayer.gl import genvm_contracts
from genlayer.gl._internal.storage import STORAGE_MANAGER
from genlayer.py import calldata
from genlayer.py.storage import Root
from genlayer.py.storage._internal.generate import _Instantiation, _known_descs
from genlayer.py.types import Address

_TIMES = 40
_CONTRACT = """
from genlayer import *

class Rehearsal(gl.Contract):
    number: u256
    small: i32
    text: str
    data: bytes
    who: Address
    items: DynArray[u256]
    words: DynArray[str]
    numbers: TreeMap[u256, u256]
    people: TreeMap[Address, u256]
    names: TreeMap[str, str]

    @gl.public.view
    def look(self, who: Address) -> list:
        found = [self.number, self.small, self.text, self.data, self.who, len(self.items), len(self.words)]
        found += [self.people.get(who), "x" in self.names, len(self.names)]
        found += [self.items[0], self.words[-1], list(self.items), list(self.people.items())] if self.items else []
        return found

    @gl.public.write
    def change(self, *, who: Address, number: u256) -> None:
        name = str(number)
        self.number = number
        self.small = -number
        self.text = self.text + name
        self.data = b"x"
        self.who = who
        self.items.append(number)
        self.words.append(name)
        self.items[0] = number
        self.words[0] = name
        self.numbers[number] = number
        self.people[who] = number
        self.names[name] = name
        self.people[who] += 1
        self.numbers.pop(number ^ 1, None)
"""


def rehearse():
    """Leaves a warm interpreter, and the slots of the root record and the contract."""
    known = set(_known_descs)
    contract = sys.modules["contract"] = types.ModuleType("contract")
    exec(compile(_CONTRACT, "/contract.py", "exec"), contract.__dict__)
    for number in range(_TIMES):
        who = Address(bytes(19) + bytes([number * 77 % 256]))
        for call in (
            {"method": "change", "kwargs": {"who": who, "number": number * 77 % 256}},
            {"method": "look", "args": [who]},
        ):
            msg.take(calldata.encode(_message(who, calldata.encode(call))))
            calldata.encode({"Return": boot.prepare()()})
    genvm_contracts.__known_contract__ = None
    del sys.modules["contract"]
    # what is new besides are NumPy's types, where there are such
    for key in set(_known_descs) - known:
        if key is contract.Rehearsal or isinstance(key, _Instantiation):
            del _known_descs[key]
    STORAGE_MANAGER.__init__()
    Root.get().contract_instance.slot()


def _message(who, entry_data):
    addresses = dict.fromkeys(("contract_address", "sender_address", "origin_address"), who)
    plain = {"value": 0, "datetime": "2026-11-20T00:00:00Z", "is_init": False, "chain_id": 1, "entry_kind": 0}
    return {**addresses, **plain, "stack": [who], "entry_data": entry_data, "entry_stage_data": None}
