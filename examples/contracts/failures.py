# v0.2.16
# { "Depends": "py-genlayer:1jb45aa8ynh2a9c9xn3b7qqh8sm5q93hwfp7jqmwsfhh8jpz09h6" }

import sys
import typing

from genlayer import *


class Failures(gl.Contract):
    """Fails in ten different ways. Each method writes first, so that one can see the write undone."""

    touched: u32
    small: u8

    def __init__(self) -> None:
        pass

    def _touch(self) -> None:
        self.touched = u32(self.touched + 1)

    @gl.public.view
    def get_touched(self) -> int:
        return self.touched

    @gl.public.write
    def user_error(self) -> None:
        """A text for the caller: `UserError`."""
        self._touch()
        raise gl.vm.UserError("this is what the caller reads")

    @gl.public.write
    def user_error_immediate(self) -> None:
        """The same without unwinding: no `finally` runs."""
        self._touch()
        try:
            gl.advanced.user_error_immediate("gone at once")
        finally:
            print("never printed")

    @gl.public.write
    def python_error(self) -> None:
        """An ordinary exception: `exit_code 1` and a traceback on stderr."""
        self._touch()
        raise ValueError("nobody caught me")

    @gl.public.write
    def exit_with(self, code: int) -> None:
        """Leaves the process: `exit_code N`, at most 125; 0 is a success."""
        self._touch()
        sys.exit(code)

    @gl.public.write
    def recurse(self) -> None:
        """Endless recursion: Python's own `RecursionError`."""
        self._touch()
        self.recurse()

    @gl.public.write
    def exhaust_memory(self) -> None:
        """Allocates until nothing is left: Python's own `MemoryError`."""
        self._touch()
        kept = []
        while True:
            kept.append(bytearray(64 << 20))

    @gl.public.write
    def loop(self) -> None:
        """Never ends: `timeout` when the node loses its patience."""
        self._touch()
        while True:
            pass

    @gl.public.write
    def print_for_ever(self) -> None:
        """Writes without end: `timeout`; only the head and the tail of the output are kept."""
        self._touch()
        while True:
            print("and so on " * 100)

    @gl.public.write
    def does_not_fit(self) -> None:
        """A number that its storage type cannot hold: `OverflowError`."""
        self._touch()
        self.small = u8(256)  # lint: allow[GL318]

    @gl.public.write
    def overspend(self) -> None:
        """Sends more than the contract has: `SystemError: 7: inbalance`."""
        self._touch()
        gl.get_contract_at(gl.message.sender_address).emit_transfer(value=u256(self.balance + 1))

    @gl.public.write
    def not_encodable(self) -> typing.Any:
        """A result that calldata cannot hold."""
        self._touch()
        return 0.5  # lint: allow[GL405]
