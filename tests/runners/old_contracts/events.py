# v0.1.5
# { "Depends": "py-genlayer:15qfivjvy80800rh998pcxmd2m8va1wq2qzqhz850n8ggcr4i9q0" }

from genlayer import *


class Transferred(gl.Event):
    def __init__(self, sender: Address, /, **blob): ...


class Events(gl.Contract):
    def __init__(self):
        pass

    @gl.public.write
    def raw(self, to: str) -> None:
        gl.advanced.emit_raw_event("Raw", ["to", "amount"], {"amount": 5, "to": to, "memo": "m"})

    @gl.public.write
    def typed(self) -> None:
        Transferred(gl.message.sender_address, amount=7).emit()
