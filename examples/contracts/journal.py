# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

from genlayer import *


class Written(gl.Event):
    """The parameters before `/` are indexed, at most three; what is given by name is found in the blob alone.

    The values are matched to the *sorted* names, so keep the parameters sorted.
    """

    def __init__(self, author: Address, topic: str, /, **blob: gl.calldata.Encodable): ...


class Sealed(gl.Event):
    def __init__(self, **blob: gl.calldata.Encodable): ...


class Journal(gl.Contract):
    """Writes nothing but its length to storage: readers follow the events."""

    length: u32
    sealed: bool

    def __init__(self) -> None:
        pass

    @gl.public.write
    def write(self, topic: str, text: str) -> int:
        if self.sealed:
            raise gl.vm.UserError("the journal is sealed")
        self.length = u32(self.length + 1)
        Written(gl.message.sender_address, topic, text=text, number=self.length).emit()
        return self.length

    @gl.public.write
    def seal(self) -> None:
        self.sealed = True
        Sealed(length=self.length).emit()

    @gl.public.write
    def signal(self, code: int) -> None:
        """An event without a class: topics of 32 bytes each, as one likes."""
        gl.advanced.emit_raw_event([code.to_bytes(32, "big")], {"code": code})
