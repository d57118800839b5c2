"""Does what test runners of other projects do with the SDK: imports it into an ordinary Python and calls a contract.

Run by test_sdk_native.py, with the SDK on its path. The stub of the native module, the storage and the
message on descriptor 0 are the tool's own.
"""

import importlib
import json
import os
import sys
import tempfile
import types

from tool_storage import ToolManager, ToolSlot

NO_ANSWER = 0xFFFFFFFF

CONTRACT = """\
# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }
from __future__ import annotations

import json
from dataclasses import dataclass, field

from genlayer import *


@allow_storage
@dataclass
class Pair[A, B]:
    first: A
    second: B


@allow_storage
@dataclass
class Vote:
    text: str
    tags: DynArray[str] = field(default_factory=list)


class Voted(gl.Event):
    def __init__(self, who: Address, /, **blob): ...


class Contract(gl.Contract):
    votes: TreeMap[Address, DynArray[Vote]]
    pair: Pair[str, u8]

    def __init__(self, first: str):
        self.pair.first = first

    @gl.public.write
    def vote(self, text: str) -> int:
        votes = self.votes.get_or_insert_default(gl.message.sender_address)
        votes.append(Vote(text, ["new"]))
        Voted(gl.message.sender_address, text=text).emit()
        return len(votes)

    @gl.public.write
    def ask(self) -> list[str]:
        def ask() -> str:
            return json.loads(gl.nondet.exec_prompt("p"))["a"] + gl.nondet.web.render("https://example.com")

        def agrees(leader: gl.vm.Result) -> bool:
            return isinstance(leader, gl.vm.Return) and leader.calldata == ask()

        return [
            gl.eq_principle.strict_eq(ask),
            gl.eq_principle.prompt_comparative(ask, "same"),
            gl.eq_principle.prompt_non_comparative(ask, task="t", criteria="c"),
            gl.vm.run_nondet(ask, agrees),
            gl.vm.run_nondet_unsafe(ask, agrees),
        ]

    @gl.public.view
    def look(self) -> dict:
        votes = {who.as_hex: [[vote.text, list(vote.tags)] for vote in votes] for who, votes in self.votes.items()}
        return {"votes": votes, "pair": self.pair.first, "value": gl.message.value, "balance": self.balance}
"""


def answer(name, payload):
    if name == "ExecPrompt":
        return {"ok": '{"a": "said "}'}
    if name == "WebRender":
        return {"ok": {"text": "page"}}
    if name == "ExecPromptTemplate":
        return {"ok": "judged" if payload["template"].endswith("Leader") else True}
    return None


def native_module(storage, requests):
    """The tool's stand-in for `_genlayer_wasi`."""

    def storage_read(slot, off, buf, /):
        buf[:] = storage.do_read(bytes(slot), off, len(buf))

    def storage_write(slot, off, what, /):
        storage.do_write(bytes(slot), off, what)

    def gl_call(data, /):
        from genlayer.py import calldata

        ((name, payload),) = calldata.decode(bytes(data)).items()
        requests.append(name)
        answered = answer(name, payload)
        if answered is None:
            return NO_ANSWER
        read, write = os.pipe()
        os.write(write, calldata.encode(answered))
        os.close(write)
        return read

    module = types.ModuleType("_genlayer_wasi")
    module.storage_read, module.storage_write, module.gl_call = storage_read, storage_write, gl_call
    module.get_balance = module.get_self_balance = lambda *_: 9
    return module


def import_gl():
    """Import `genlayer.gl` with a message on descriptor 0."""
    from genlayer.py import calldata
    from genlayer.py.types import Address

    sender = Address(b"\1" * 20)
    fields = {"contract_address": sender, "sender_address": sender, "origin_address": sender, "stack": []}
    fields |= {"value": 0, "datetime": "2026-01-01T00:00:00Z", "is_init": False, "chain_id": 1}
    fields |= {"entry_kind": 0, "entry_data": b"", "entry_stage_data": None}
    with tempfile.TemporaryFile() as message:
        message.write(calldata.encode(fields))
        message.seek(0)
        os.dup2(message.fileno(), 0)
    return importlib.import_module("genlayer.gl")


def replace_vms(vm):
    """Leader, validator and sandbox run here, so that no second VM is needed."""
    from genlayer.py.types import Lazy

    def run(leader, validator, /, **_options):
        value = leader()
        assert validator(vm.Return(value)) is True
        return value

    run.lazy = lambda *functions, **options: Lazy(lambda: run(*functions, **options))
    vm.run_nondet = vm.run_nondet_unsafe = run
    vm.spawn_sandbox = lambda fn, **_options: vm.Return(fn())


def main():
    storage, requests = ToolManager(ToolSlot), []
    sys.modules["_genlayer_wasi"] = native_module(storage, requests)
    gl = import_gl()
    replace_vms(importlib.import_module("genlayer.gl.vm"))

    from genlayer.py.get_schema import get_schema
    from genlayer.py.storage import ROOT_SLOT_ID, Root
    from genlayer.py.storage._internal.generate import ORIGINAL_INIT_ATTR, _storage_build
    from genlayer.py.types import Address, u256

    module = sys.modules["contract"] = types.ModuleType("contract")
    exec(compile(CONTRACT, "contract.py", "exec"), vars(module))
    contract_class = gl.genvm_contracts.__known_contract__
    assert contract_class is module.Contract
    Root.MANAGER = storage
    contract = _storage_build(contract_class, {}).get(storage.get_store_slot(ROOT_SLOT_ID), 0)
    getattr(contract_class.__init__, ORIGINAL_INIT_ATTR, contract_class.__init__)(contract, "one")
    results = [contract.vote("a"), contract.vote("b"), contract.ask()]
    gl.message = gl.message._replace(value=u256(7), sender_address=Address(b"\2" * 20))
    results += [contract.vote("c"), contract.look()]
    return json.dumps({"results": results, "schema": get_schema(contract_class), "requests": requests})


if __name__ == "__main__":
    print(main())
