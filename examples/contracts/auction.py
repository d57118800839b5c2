# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

import datetime

from genlayer import *


class Auction(gl.Contract):
    """Takes bids between two moments; those who are outbid get their value back at once."""

    seller: Address
    opens: datetime.datetime
    closes: datetime.datetime
    bidder: Address
    bid: u256
    collected: bool

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

    @staticmethod
    def _now() -> datetime.datetime:
        # The clock of the sandbox stands still at the time of the transaction, the same for every validator.
        return datetime.datetime.now(datetime.UTC)
