# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

from genlayer import *


class UserMap(gl.Contract):
    """One text per user; everybody writes only under their own address."""

    notes: TreeMap[Address, str]

    def __init__(self) -> None:
        pass

    @gl.public.write
    def set_note(self, note: str) -> None:
        self.notes[gl.message.sender_address] = note

    @gl.public.write
    def remove_note(self) -> None:
        if gl.message.sender_address not in self.notes:
            raise gl.vm.UserError("you have no note")
        del self.notes[gl.message.sender_address]

    @gl.public.view
    def get_note(self, user: Address) -> str:
        return self.notes.get(user, "")

    @gl.public.view
    def get_all(self) -> dict[str, str]:
        return {user.as_hex: note for user, note in self.notes.items()}
