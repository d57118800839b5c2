# v0.2.0
# { "Depends": "py-genlayer:{py-genlayer}" }
"""Contract of test_sdk_sandbox.py."""
# ruff: noqa: F403, F405

import dataclasses
import datetime
import typing

from genlayer import *
from genlayer.gl._internal.gl_call import contract_return, gl_call_generic
from genlayer.gl.nondet import _decode_nondet
from genlayer.py.evm.calldata import MethodEncoder


@allow_storage
@dataclasses.dataclass
class User:
    name: str
    n: u32


class Happened(gl.Event):
    def __init__(self, a, /, **blob): ...


class C(gl.Contract):
    x: str
    user: User
    counts: TreeMap[str, u32]
    later: TreeMap[str, TreeMap[str, u32]] = TreeMap()

    def __init__(self):
        self.x = "stored"
        self.user = User("ada", 5)
        self.counts = TreeMap()
        self.counts["a"] = 1

    @gl.public.write
    def sandboxes(self) -> typing.Any:
        y = 41

        def nondet():
            try:
                return gl.vm.run_nondet(lambda: 1, lambda r: True)
            except SystemError as e:
                return str(e)

        def read():
            try:
                return self.x
            except SystemError as e:
                return "not ok " + str(e)

        def write():
            self.user.n = u32(77)

        def write_text():
            self.x = "blind"

        def append():
            self.counts["b"] = 2

        def patch():
            gl.Contract.patched = True
            return hasattr(gl.Contract, "patched")

        return [
            repr(gl.vm.spawn_sandbox(lambda: exit(1))),
            repr(gl.vm.spawn_sandbox(lambda: gl.advanced.user_error_immediate("RB"))),
            repr(gl.vm.spawn_sandbox(lambda: None)),
            repr(gl.vm.spawn_sandbox(lambda: {"k": y + 1})),
            repr(gl.vm.spawn_sandbox(nondet)),
            repr(gl.vm.spawn_sandbox(read)),
            repr(gl.vm.spawn_sandbox(write)),
            self.user.n,
            repr(gl.vm.spawn_sandbox(write, allow_write_ops=True)),
            self.user.n,
            repr(gl.vm.spawn_sandbox(write_text, allow_write_ops=True)),
            self.x,
            repr(gl.vm.spawn_sandbox(append, allow_write_ops=True)),
            repr(gl.vm.spawn_sandbox(patch)),
            hasattr(gl.Contract, "patched"),
        ]

    @gl.public.write
    def maps(self) -> typing.Any:
        made = TreeMap()
        made["b"], made["a"] = TreeMap(), TreeMap[str, u32]()
        made["a"]["x"] = 1
        captured = TreeMap()
        captured["k"] = made
        seen = gl.vm.spawn_sandbox(lambda: captured)
        del made["b"]
        self.later = made
        self.later["c"] = TreeMap()

        def clear():
            self.counts = TreeMap()

        gl.vm.spawn_sandbox(clear, allow_write_ops=True)
        return [repr(seen), self.later, self.counts]

    @gl.public.write
    def by_hand(self) -> typing.Any:
        data = MethodEncoder("f", (u8,), u8).encode_call([1])
        request = {"CallContract": {"address": self.address, "calldata": {"method": "get", "args": [3]}, "state": 2}}
        viewed = gl.vm.gl_call.gl_call_generic(request, gl.vm._decode_sub_vm_result).get()
        try:
            gl_call_generic({"ExecPrompt": {"prompt": "p", "response_format": "text", "images": []}}, _decode_nondet)
        except SystemError as e:
            refused = str(e)
        contract_return([len(data), viewed[0], refused])

    @gl.public.write
    def nondet(self) -> typing.Any:
        in_memory = User("in memory", 1)
        copied = gl.storage.copy_to_memory(self.user)

        def read():
            try:
                stored = self.x
            except SystemError as e:
                stored = "not ok " + str(e)
            return [in_memory.name, stored, copied.name]

        def fail():
            raise gl.vm.UserError("told")

        def caught(block):
            try:
                return block()
            except gl.vm.UserError as e:
                return str(e)

        return [
            gl.eq_principle.strict_eq(read),
            caught(lambda: gl.vm.run_nondet_unsafe(fail, lambda leader: isinstance(leader, gl.vm.UserError))),
            gl.vm.run_nondet(lambda: 5, lambda leader: leader.calldata == 5),
            str(datetime.datetime.now()),
        ]

    @gl.public.write.payable
    def effects(self) -> typing.Any:
        at = gl.get_contract_at(self.address)
        try:
            at.view().err()
        except gl.vm.UserError as e:
            error = str(e)
        before = self.balance
        at.emit(value=5, on="accepted").get(1)
        deployed = gl.deploy_contract(code=b"code", salt_nonce=u256(1))
        Happened(5, q="1").emit()
        gl.trace("said", 5)
        return [at.view().get(3), error, before, self.balance, at.balance, deployed, gl.trace_time_micro()]

    @gl.public.view
    def get(self, n: int) -> typing.Any:
        return [n, self.x, self.user, self.counts, gl.message_raw["stack"], gl.message.sender_address]

    @gl.public.view
    def err(self):
        raise gl.vm.UserError("bad")

    @gl.public.write
    def relock(self):
        gl.storage.Root.get().code.get().extend(b"new")
