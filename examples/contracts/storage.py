# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

from genlayer import *


class Storage(gl.Contract):
    """Keeps one text."""

    text: str

    def __init__(self, initial: str):
        self.text = initial

    @gl.public.view
    def get_storage(self) -> str:
        return self.text

    @gl.public.write
    def update_storage(self, new: str) -> None:
        self.text = new
