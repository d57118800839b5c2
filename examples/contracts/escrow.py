# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

from genlayer import *


class Escrow(gl.Contract):
    """Holds the buyer's payment until the buyer or the arbiter releases it to the seller, or gives it back."""

    buyer: Address
    seller: Address
    arbiter: Address
    price: u256
    state: str
    returned: TreeMap[Address, u256]

    def __init__(self, seller: Address, arbiter: Address, price: int):
        self.buyer = gl.message.sender_address
        self.seller = seller
        self.arbiter = arbiter
        self.price = u256(price)
        self.state = "waiting for payment"

    @gl.public.write.payable
    def pay(self) -> None:
        self._expect("waiting for payment")
        self._only(self.buyer)
        if gl.message.value != self.price:
            raise gl.vm.UserError(f"the price is {self.price}, not {gl.message.value}")
        self.state = "paid"

    @gl.public.write
    def release(self) -> None:
        """The goods have come: pay the seller."""
        self._only(self.buyer, self.arbiter)
        self._settle("released", self.seller)

    @gl.public.write
    def refund(self) -> None:
        """There will be no goods: pay the buyer back."""
        self._only(self.seller, self.arbiter)
        self._settle("refunded", self.buyer)

    @gl.public.view
    def get(self) -> dict[str, int | str]:
        return {"state": self.state, "holds": self.balance}

    @gl.public.view
    def returned_by(self, receiver: Address) -> int:
        return self.returned.get(receiver, u256(0))

    @gl.public.write
    def withdraw(self, to: Address) -> None:
        """Whoever could not take a payment says where it goes instead."""
        value = self.returned.pop(gl.message.sender_address, u256(0))
        if not value:
            raise gl.vm.UserError("nothing of yours came back")
        gl.get_contract_at(to).emit_transfer(value=value)

    @gl.public.write.payable
    def __on_errored_message__(self) -> None:
        # A payment comes back from the receiver that refused it, to whom it still belongs.
        receiver = gl.message.sender_address
        self.returned[receiver] = u256(self.returned_by(receiver) + gl.message.value)

    def _settle(self, state: str, receiver: Address) -> None:
        self._expect("paid")
        self.state = state
        gl.get_contract_at(receiver).emit_transfer(value=self.price)

    def _expect(self, state: str) -> None:
        if self.state != state:
            raise gl.vm.UserError(f"the escrow is {self.state}")

    def _only(self, *allowed: Address) -> None:
        if gl.message.sender_address not in allowed:
            raise gl.vm.UserError("this is not for you to decide")
