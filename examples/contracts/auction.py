# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

import datetime

from genlayer import *


class Auction(gl.Contract):
    """Takes bids between two moments; those who are outbid get their value back at once, or with `withdraw`."""

    seller: Address
    opens: datetime.datetime
    closes: datetime.datetime
    bidder: Address
    bid: u256
    collected: bool
    returned: TreeMap[Address, u256]

    def __init__(self, opens: str, closes: str):
        self.seller = gl.message.sender_address
        self.opens = datetime.datetime.fromisoformat(opens)
        self.closes = datetime.datetime.fromisoformat(closes)
        if self.opens.tzinfo is None or self.closes.tzinfo is None or self.opens >= self.closes:
            raise gl.vm.UserError("the times need a zone each, and the second must be later")

    @gl.public.write.payable
    def offer(self) -> None:
        if not self.opens <= self._now() < self.closes:
            raise gl.vm.UserError("the auction is not open")
        if gl.message.value <= self.bid:
            raise gl.vm.UserError(f"offer more than {self.bid}")
        if self.bid:
            gl.get_contract_at(self.bidder).emit_transfer(value=self.bid)
        self.bidder = gl.message.sender_address
        self.bid = gl.message.value

    @gl.public.write
    def collect(self) -> None:
        if self._now() < self.closes:
            raise gl.vm.UserError("the auction is not over")
        if self.collected or not self.bid:
            raise gl.vm.UserError("there is nothing to collect")
        self.collected = True
        gl.get_contract_at(self.seller).emit_transfer(value=self.bid)

    @gl.public.view
    def leader(self) -> Address | None:
        return self.bidder if self.bid else None

    @gl.public.view
    def returned_by(self, receiver: Address) -> int:
        return self.returned.get(receiver, u256(0))

    @gl.public.write
    def withdraw(self, to: Address) -> None:
        """Whoever could not take their value back says where it goes instead."""
        value = self.returned.pop(gl.message.sender_address, u256(0))
        if not value:
            raise gl.vm.UserError("nothing of yours came back")
        gl.get_contract_at(to).emit_transfer(value=value)

    @gl.public.write.payable
    def __on_errored_message__(self) -> None:
        # Value comes back from a bidder or seller that refused it, to whom it still belongs.
        receiver = gl.message.sender_address
        self.returned[receiver] = u256(self.returned_by(receiver) + gl.message.value)

    @staticmethod
    def _now() -> datetime.datetime:
        # The clock of the sandbox stands still at the time of the transaction, the same for every validator.
        return datetime.datetime.now(datetime.UTC)
