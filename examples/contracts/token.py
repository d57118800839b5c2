# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

from genlayer import *


class Transferred(gl.Event):
    def __init__(self, receiver: Address, sender: Address, /, **blob: gl.calldata.Encodable): ...


class Token(gl.Contract):
    """A token with a fixed supply, and a vault that holds native value for its senders."""

    total_supply: u256
    balances: TreeMap[Address, u256]
    deposits: TreeMap[Address, u256]

    def __init__(self, supply: int):
        if supply <= 0:
            raise gl.vm.UserError("the supply must be positive")
        self.total_supply = u256(supply)
        self.balances[gl.message.sender_address] = u256(supply)

    @gl.public.write
    def transfer(self, to: Address, amount: int) -> None:
        sender = gl.message.sender_address
        if amount <= 0:
            raise gl.vm.UserError("the amount must be positive")
        held = self.balances.get(sender, u256(0))
        if held < amount:
            raise gl.vm.UserError(f"balance of {held} is not enough for {amount}")
        self.balances[sender] = u256(held - amount)
        self.balances[to] = u256(self.balances.get(to, u256(0)) + amount)
        Transferred(to, sender, amount=amount).emit()

    @gl.public.view
    def balance_of(self, user: Address) -> int:
        return self.balances.get(user, u256(0))

    @gl.public.view
    def get_total_supply(self) -> int:
        return self.total_supply

    @gl.public.write.payable
    def deposit(self) -> None:
        sender = gl.message.sender_address
        self.deposits[sender] = u256(self.deposits.get(sender, u256(0)) + gl.message.value)

    @gl.public.write
    def withdraw(self, amount: int) -> None:
        sender = gl.message.sender_address
        held = self.deposits.get(sender, u256(0))
        if not 0 < amount <= held:
            raise gl.vm.UserError(f"cannot withdraw {amount} of {held}")
        self.deposits[sender] = u256(held - amount)
        gl.get_contract_at(sender).emit_transfer(value=u256(amount))

    @gl.public.view
    def vault_balance(self) -> int:
        return self.balance
