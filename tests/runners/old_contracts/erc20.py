# { "Depends": "py-genlayer:15qfivjvy80800rh998pcxmd2m8va1wq2qzqhz850n8ggcr4i9q0" }

from genlayer import *


class Erc20(gl.Contract):
    balances: TreeMap[Address, u256]
    allowances: TreeMap[Address, TreeMap[Address, u256]]
    holders: DynArray[Address]

    def __init__(self, total_supply: u256):
        self.balances[gl.message.sender_address] = total_supply
        self.holders.append(gl.message.sender_address)

    @gl.public.view
    def get_balance_of(self, account: str) -> u256:
        return self.balances.get(Address(account), u256(0))

    @gl.public.view
    def holder(self, index: int) -> str:
        if index >= len(self.holders):
            raise Rollback("no such holder")
        return self.holders[index].as_hex

    @gl.public.write
    def approve(self, spender: str, amount: u256) -> None:
        self.allowances.get_or_insert_default(gl.message.sender_address)[Address(spender)] = amount

    @gl.public.write
    def transfer(self, to: str, amount: u256) -> None:
        self._move(gl.message.sender_address, Address(to), amount)

    @gl.public.write
    def transfer_from(self, owner: str, to: str, amount: u256) -> None:
        allowances = self.allowances.get_or_insert_default(Address(owner))
        left = allowances.get(gl.message.sender_address, u256(0))
        if left < amount:
            raise gl.Rollback("insufficient allowance")
        allowances[gl.message.sender_address] = u256(left - amount)
        self._move(Address(owner), Address(to), amount)

    def _move(self, sender: Address, to: Address, amount: u256) -> None:
        had = self.balances.get(sender, u256(0))
        if had < amount:
            raise Rollback("insufficient balance")
        self.balances[sender] = u256(had - amount)
        if to not in self.balances:
            self.holders.append(to)
        self.balances[to] = u256(self.balances.get(to, u256(0)) + amount)
