# { "Depends": "py-genlayer:15qfivjvy80800rh998pcxmd2m8va1wq2qzqhz850n8ggcr4i9q0" }

from genlayer import *


@gl.eth_contract
class Ghost:
    class View:
        def total(self, who: Address, /) -> u256: ...

    class Write:
        def send(self, text: str, /) -> None: ...


class Bridge(gl.Contract):
    ghost: Address

    def __init__(self, ghost: str):
        self.ghost = Address(ghost)

    @gl.public.write
    def send(self, text: str) -> None:
        Ghost(self.ghost).emit().send(text)

    @gl.public.view
    def total(self) -> u256:
        return Ghost(self.ghost).view().total(gl.message.sender_address)

    @gl.public.view
    def selector(self) -> bytes:
        from genlayer.py.eth import selector_of
        from genlayer.py.eth.calldata import MethodEncoder

        assert gl.eth.MethodEncoder is MethodEncoder
        return selector_of("baz", tuple[u32, bool])
