# v0.2.16
# { "Depends": "py-genlayer:test" }

from genlayer import *


class Storage(gl.Contract):
    """Keeps one text, and what it was paid."""

    storage: str

    def __init__(self, initial_storage: str):
        self.storage = initial_storage

    @gl.public.view
    def get_storage(self) -> str:
        return self.storage

    @gl.public.view
    def moment(self) -> str:
        return gl.message_raw["datetime"]

    @gl.public.write
    def update_storage(self, new_storage: str) -> None:
        self.storage = new_storage

    @gl.public.write.payable
    def pay(self, note: str) -> None:
        self.storage = note

    @gl.public.write
    def remember_moment(self) -> None:
        self.storage = gl.message_raw["datetime"]

    @gl.public.write
    def fail(self) -> None:
        print("about to fail")
        raise gl.vm.UserError("no such luck")
