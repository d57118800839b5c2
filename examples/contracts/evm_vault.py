# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

import typing

from genlayer import *


class Erc20Interface:
    """A token on the EVM side; parameters are positional only, and the types say how they are encoded."""

    class View(typing.Protocol):
        def balanceOf(self, owner: Address, /) -> u256: ...

    class Write(typing.Protocol):
        def transfer(self, to: Address, amount: u256, /) -> bool: ...


# Also works as `@gl.evm.contract_interface` above the class, but mypy does not see what a class decorator returns.
Erc20 = gl.evm.contract_interface(Erc20Interface)


class EvmVault(gl.Contract):
    """Lets its owner move the ERC-20 tokens and the native value that this contract has on the EVM side."""

    owner: Address
    token: Address

    def __init__(self, token: Address):
        self.owner = gl.message.sender_address
        self.token = token

    @gl.public.view
    def tokens(self) -> int:
        return Erc20(self.token).view().balanceOf(self.address)

    @gl.public.write
    def send_tokens(self, to: Address, amount: int) -> None:
        self._only_owner()
        held = Erc20(self.token).view().balanceOf(self.address)
        if amount > held:
            raise gl.vm.UserError(f"the vault has {held}, not {amount}")
        # Posted, not called: it happens on the EVM when this transaction is settled, and returns nothing here.
        Erc20(self.token).emit().transfer(to, u256(amount))

    @gl.public.write
    def send_value(self, to: Address, amount: int) -> None:
        self._only_owner()
        Erc20(to).emit_transfer(value=u256(amount))

    @gl.public.write.payable
    def __receive__(self) -> None:
        """Takes value from anybody."""

    def _only_owner(self) -> None:
        if gl.message.sender_address != self.owner:
            raise gl.vm.UserError("only the owner")
