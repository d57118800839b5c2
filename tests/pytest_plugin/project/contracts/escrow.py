# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

"""Escrow: a buyer pays for milestones that a seller delivers."""

from dataclasses import dataclass
from datetime import UTC, datetime

from genlayer import *


@allow_storage
@dataclass
class Milestone:
    title: str
    amount: u256
    delivered: bool
    paid: bool


class Escrow(gl.Contract):
    buyer: Address
    seller: Address
    deadline: str
    milestones: DynArray[Milestone]
    locked: u256

    def __init__(self, seller: str, titles: list[str], amounts: list[int], deadline: str):
        if len(titles) != len(amounts):
            raise ValueError("every milestone needs an amount")
        self.buyer = gl.message.sender_address
        self.seller = Address(seller)
        self.deadline = deadline
        self.locked = u256(0)
        for title, amount in zip(titles, amounts, strict=True):
            self.milestones.append(Milestone(title, u256(amount), False, False))

    def _only(self, who: Address, role: str) -> None:
        if gl.message.sender_address != who:
            raise gl.vm.UserError(f"only the {role} can do this")

    def _milestone(self, index: int) -> Milestone:
        if not 0 <= index < len(self.milestones):
            raise gl.vm.UserError("no such milestone")
        return self.milestones[index]

    @gl.public.write.payable
    def fund(self) -> int:
        self._only(self.buyer, "buyer")
        due = sum(milestone.amount for milestone in self.milestones)
        if gl.message.value != due:
            raise gl.vm.UserError(f"exactly {due} is due")
        self.locked = u256(self.locked + gl.message.value)
        return self.locked

    @gl.public.write
    def deliver(self, index: int) -> None:
        self._only(self.seller, "seller")
        self._milestone(index).delivered = True

    @gl.public.write
    def approve(self, index: int) -> int:
        self._only(self.buyer, "buyer")
        milestone = self._milestone(index)
        if not milestone.delivered:
            raise gl.vm.UserError("not delivered")
        if milestone.paid:
            raise gl.vm.UserError("already paid")
        if self.locked < milestone.amount:
            raise gl.vm.UserError("not funded")
        milestone.paid = True
        self.locked = u256(self.locked - milestone.amount)
        gl.get_contract_at(self.seller).emit_transfer(value=milestone.amount)
        return self.locked

    @gl.public.write
    def refund(self) -> int:
        self._only(self.buyer, "buyer")
        if datetime.now(UTC) < datetime.fromisoformat(self.deadline):
            raise gl.vm.UserError("the deadline is not over")
        rest = self.locked
        self.locked = u256(0)
        if rest:
            gl.get_contract_at(self.buyer).emit_transfer(value=rest)
        return rest

    @gl.public.view
    def open_milestones(self) -> list[str]:
        return [milestone.title for milestone in self.milestones if not milestone.paid]
