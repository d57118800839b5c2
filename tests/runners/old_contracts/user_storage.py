# { "Depends": "py-genlayer:15qfivjvy80800rh998pcxmd2m8va1wq2qzqhz850n8ggcr4i9q0" }

from genlayer import *


# contract class
@gl.contract
class UserStorage:
    storage: TreeMap[Address, str]
    owner: Address

    # constructor
    def __init__(self):
        assert gl.message.is_init
        self.owner = gl.message.sender_account

    # read methods must be annotated
    @gl.public.view
    def get_complete_storage(self) -> dict[str, str]:
        return {k.as_hex: v for k, v in self.storage.items()}

    @gl.public.view
    def get_account_storage(self, account_address: str) -> str:
        return self.storage[Address(account_address)]

    @gl.public.view
    def is_mine(self) -> bool:
        return self.owner == gl.message.sender_account and self.address == gl.message.contract_account

    @gl.public.write
    def update_storage(self, new_storage: str) -> None:
        self.storage[gl.message.sender_account] = new_storage
