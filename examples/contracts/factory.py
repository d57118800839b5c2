# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

import typing

from genlayer import *


class NoteInterface:
    """What the factory knows of its children: `storage.py` fits."""

    class View(typing.Protocol):
        def get_storage(self) -> str: ...

    class Write(typing.Protocol):
        def update_storage(self, new: str) -> None: ...


# Also works as `@gl.contract_interface` above the class, but mypy does not see what a class decorator returns.
Note = gl.contract_interface(NoteInterface)


class Factory(gl.Contract):
    """Deploys one child per user, from the code that it was deployed with."""

    code: bytes
    children: TreeMap[Address, Address]

    def __init__(self, code: bytes):
        self.code = code

    @gl.public.write
    def create(self, text: str) -> Address:
        user = gl.message.sender_address
        if user in self.children:
            raise gl.vm.UserError("you have a child already")
        # With a salt the address is known now, although the child comes to life only after this transaction.
        child = gl.deploy_contract(code=self.code, args=[text], salt_nonce=u256(len(self.children) + 1))
        assert child is not None
        self.children[user] = child
        return child

    @gl.public.write
    def rewrite(self, text: str) -> None:
        Note(self._child(gl.message.sender_address)).emit(on="accepted").update_storage(text)

    @gl.public.view
    def read(self, user: Address) -> str:
        return Note(self._child(user)).view().get_storage()

    @gl.public.view
    def child_of(self, user: Address) -> Address | None:
        return self.children.get(user)

    def _child(self, user: Address) -> Address:
        if user not in self.children:
            raise gl.vm.UserError("create a child first")
        return self.children[user]
