# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

from genlayer import *


class Transfer(gl.Event):
    def __init__(self, receiver: Address, sender: Address, /, **blob: gl.calldata.Encodable): ...


class Approval(gl.Event):
    def __init__(self, owner: Address, spender: Address, /, **blob: gl.calldata.Encodable): ...


class AllowanceToken(gl.Contract):
    """A token whose holders can let others spend a part of what they have."""

    symbol: str
    total_supply: u256
    balances: TreeMap[Address, u256]
    allowances: TreeMap[Address, TreeMap[Address, u256]]

    def __init__(self, symbol: str, supply: int):
        self.symbol = symbol
        self._mint(gl.message.sender_address, supply)

    @gl.public.write
    def transfer(self, to: Address, amount: int) -> None:
        self._move(gl.message.sender_address, to, amount)

    @gl.public.write
    def approve(self, spender: Address, amount: int) -> None:
        owner = gl.message.sender_address
        self.allowances.get_or_insert_default(owner)[spender] = self._amount(amount)
        Approval(owner, spender, amount=amount).emit()

    @gl.public.write
    def transfer_from(self, owner: Address, to: Address, amount: int) -> None:
        spender = gl.message.sender_address
        allowed = self.allowance(owner, spender)
        if amount > allowed:
            raise gl.vm.UserError(f"only {allowed} may be spent")
        self._move(owner, to, amount)
        self.allowances[owner][spender] = u256(allowed - amount)

    @gl.public.view
    def balance_of(self, owner: Address) -> int:
        return self.balances.get(owner, u256(0))

    @gl.public.view
    def allowance(self, owner: Address, spender: Address) -> int:
        given = self.allowances.get(owner)
        return 0 if given is None else given.get(spender, u256(0))

    def _mint(self, to: Address, amount: int) -> None:
        self.total_supply = self._amount(amount)
        self.balances[to] = self._amount(amount)

    def _move(self, sender: Address, receiver: Address, amount: int) -> None:
        held = self.balances.get(sender, u256(0))
        if self._amount(amount) > held:
            raise gl.vm.UserError(f"a balance of {held} is not enough for {amount}")
        # First out, then in: this is right even when both are the same.
        self.balances[sender] = u256(held - amount)
        self.balances[receiver] = u256(self.balances.get(receiver, u256(0)) + amount)
        Transfer(receiver, sender, amount=amount).emit()

    @staticmethod
    def _amount(amount: int) -> u256:
        # u256(…) itself checks nothing; callers may send any integer.
        if not 0 <= amount < 2**256:
            raise gl.vm.UserError(f"not an amount: {amount}")
        return u256(amount)
