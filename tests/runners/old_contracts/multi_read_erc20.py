# { "Depends": "py-genlayer:15qfivjvy80800rh998pcxmd2m8va1wq2qzqhz850n8ggcr4i9q0" }

from genlayer import *


@gl.contract_interface
class TokenContract:
    class View:
        def get_balance_of(self, account: str) -> u256: ...

    class Write:
        def transfer(self, to: str, amount: u256) -> None: ...


class MultiReadErc20(gl.Contract):
    balances: TreeMap[Address, TreeMap[Address, u256]]

    def __init__(self):
        pass

    @gl.public.write
    def update_token_balances(self, account_address: str, token_contracts: list[str]) -> None:
        for token_contract in token_contracts:
            contract = gl.ContractAt(Address(token_contract))
            balance = contract.view().get_balance_of(account_address)
            assert balance == TokenContract(Address(token_contract)).view().get_balance_of(account_address)
            assert balance == contract.view().get_balance_of.lazy(account_address).get()
            self.balances.get_or_insert_default(Address(account_address))[Address(token_contract)] = balance

    @gl.public.view
    def get_balances(self) -> dict[str, dict[str, int]]:
        return {
            account.as_hex: {token.as_hex: amount for token, amount in by_token.items()}
            for account, by_token in self.balances.items()
        }

    @gl.public.write
    def spend(self, token: str, to: str, amount: u256) -> str:
        contract = gl.ContractAt(Address(token))
        contract.emit(gas=100000).transfer(to, amount)
        try:
            return contract.view().holder(99)
        except Rollback as refused:
            return refused.msg

    @gl.public.write
    def collect(self, token: str, owner: str, amount: u256) -> None:
        gl.ContractAt(Address(token)).emit(on="accepted").transfer_from(owner, self.address.as_hex, amount)
