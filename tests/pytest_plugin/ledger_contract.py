# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }
"""Contract of test_direct_vm.py and of the example in docs/testing.md."""
# ruff: noqa: F403, F405

import datetime
import typing

from genlayer import *


class Paid(gl.Event):
    def __init__(self, payer: Address, /, **blob: typing.Any): ...


class Ledger(gl.Contract):
    owner: Address
    title: str
    paid: TreeMap[Address, u256]
    deadline: datetime.datetime

    def __init__(self, title: str, days: int = 1):
        self.owner = gl.message.sender_address
        self.title = title
        self.deadline = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)

    @gl.public.write.payable
    def pay(self) -> int:
        if datetime.datetime.now(datetime.UTC) > self.deadline:
            raise gl.vm.UserError("too late")
        if gl.message.value == 0:
            raise gl.vm.UserError("nothing was sent")
        payer = gl.message.sender_address
        self.paid[payer] = u256(self.paid.get(payer, u256(0)) + gl.message.value)
        Paid(payer, amount=gl.message.value).emit()
        return self.paid[payer]

    @gl.public.write
    def rename(self, title: str) -> None:
        if gl.message.sender_address != self.owner:
            raise Exception("only the owner renames")
        self.title = title

    @gl.public.write
    def name_after(self, url: str) -> str:
        def ask() -> str:
            page = gl.nondet.web.get(url).body
            assert page is not None
            answer = gl.nondet.exec_prompt(f"A title for: {page.decode()}")
            if not answer:
                raise gl.vm.UserError("no title")
            return answer.strip()

        self.title = gl.eq_principle.strict_eq(ask)
        return self.title

    @gl.public.write
    def pay_out(self, to: Address, value: int) -> None:
        gl.get_contract_at(to).emit_transfer(value=u256(value))

    @gl.public.view
    def paid_by(self, who: Address) -> int:
        return self.paid.get(who, u256(0))

    @gl.public.view
    def called_by(self) -> list[Address]:
        return [gl.message.sender_address, gl.message.origin_address]
