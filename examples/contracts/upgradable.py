# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

from genlayer import *


class Upgradable(gl.Contract):
    """Its owner can give it other code; what it has stored stays."""

    owner: Address
    counter: u32

    def __init__(self) -> None:
        self.owner = gl.message.sender_address
        # The code is locked from now on, except for transactions of those who stand in this list.
        gl.storage.Root.get().upgraders.get().append(gl.message.sender_address)

    @gl.public.write
    def increment(self) -> int:
        self.counter = u32(self.counter + 1)
        return self.counter

    @gl.public.write
    def upgrade(self, code: bytes) -> None:
        """The new code works from the next transaction on. Its fields must begin with those of this class."""
        stored = gl.storage.Root.get().code.get()
        # For everybody else the VM refuses the write: "6: forbidden".
        stored.truncate()
        stored.extend(code)

    @gl.public.view
    def version(self) -> int:
        return 1
